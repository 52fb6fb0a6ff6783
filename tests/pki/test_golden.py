"""Golden vectors of docs/formats/certificates.md: one of each profile, a request and a list, on both suites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.pki.certificate import decode_x509_certificate
from chainnode.pki.issuing import issue_certificate, issue_root
from chainnode.pki.keys import check_signature
from chainnode.pki.names import parse_name
from chainnode.pki.profiles import ISSUING, ROOT, SEAL, TIMESTAMP
from chainnode.pki.request import decode_request, make_request
from chainnode.pki.revocation import (
    RevocationReason,
    RevokedCertificate,
    check_crl,
    decode_crl,
    make_crl,
)
from tests.support.certificates import DAY_MS, signer_of, terms
from tests.support.golden import check_golden, is_updating, load_golden

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.request import CertificateRequest
    from chainnode.pki.revocation import RevocationList

BEGIN_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

Made = dict[str, "X509Certificate | RevocationList | CertificateRequest"]


def make(suite_name: str) -> Made:
    """Make one of each; but for SM2's signatures, the same bytes each time."""
    root_signer, issuing_signer, leaf_signer = (
        signer_of(suite_name, label) for label in ("root", "issuing", "leaf")
    )

    def years(number: int) -> dict[str, int]:
        return {"not_before_ms": BEGIN_MS, "not_after_ms": BEGIN_MS + number * 365 * DAY_MS}

    def name(text: str) -> dict[str, Any]:
        return {"subject": parse_name(f"C=CN, O=某市政务服务数据管理局, OU=政务联盟, CN={text}")}

    root = issue_root(
        terms(root_signer, ROOT, serial_number=2**158 + 1, **years(30), **name("根 1")), root_signer
    )
    issuing = issue_certificate(
        terms(
            *(issuing_signer, ISSUING), serial_number=2**158 + 2, **years(10), **name("签发 1"),
            crl_urls=("http://ca.example/root-1.crl",), issuer_urls=("http://ca.example/root-1.cer",),
        ),
        *(root, root_signer),
    )  # fmt: skip
    places = {
        "crl_urls": ("http://ca.example/issuing-1.crl",),
        "issuer_urls": ("http://ca.example/issuing-1.cer",),
    }
    timestamp = issue_certificate(
        terms(
            *(leaf_signer, TIMESTAMP), serial_number=2**158 + 3, **years(5), **name("时间戳 1"), **places,
            key_used_until_ms=BEGIN_MS + 365 * DAY_MS,
        ),
        *(issuing, issuing_signer),
    )  # fmt: skip
    seal = issue_certificate(
        terms(
            leaf_signer, SEAL, serial_number=2**158 + 4, **years(3), **name("电子印章 1"), **places
        ),
        *(issuing, issuing_signer),
    )
    crl = make_crl(
        *(issuing, issuing_signer),
        number=2,
        this_update_ms=BEGIN_MS + DAY_MS,
        next_update_ms=BEGIN_MS + 8 * DAY_MS,
        revoked=(
            RevokedCertificate(2**158 + 4, BEGIN_MS + 1000, RevocationReason.KEY_COMPROMISE),
            RevokedCertificate(5, BEGIN_MS, None),
        ),
    )
    return {
        "root": root,
        "issuing": issuing,
        "timestamp": timestamp,
        "seal": seal,
        "request": make_request(parse_name("C=CN, O=某区档案馆, CN=电子印章 2"), leaf_signer),
        "list": crl,
    }


def test_everything_that_we_make_gives_the_recorded_bytes() -> None:
    vectors: dict[str, Any] = {}
    for suite_name in (P256_SHA256, SM2_SM3):
        for key, made in make(suite_name).items():
            name = f"{key} of {suite_name}"
            recorded = load_golden("certificates").get(name)
            is_random = suite_name == SM2_SM3 and recorded is not None and not is_updating()
            vectors[name] = recorded if is_random else {"encoded": made.encoded.hex()}
    check_golden("certificates", vectors)


@pytest.mark.parametrize("suite_name", [P256_SHA256, SM2_SM3])
def test_recorded_bytes_say_what_was_meant_and_their_signatures_hold(suite_name: str) -> None:
    golden = {
        name.split(" ")[0]: bytes.fromhex(vector["encoded"])
        for name, vector in load_golden("certificates").items()
        if name.endswith(suite_name)
    }
    made: Any = make(suite_name)
    certificates = {
        key: decode_x509_certificate(golden[key])
        for key in ("root", "issuing", "timestamp", "seal")
    }
    for key, found in certificates.items():
        assert found.signed == made[key].signed
        issuer = certificates["root" if key in ("root", "issuing") else "issuing"]
        check_signature(issuer.key, found.signature_algorithm, found.signed, found.signature, key)
    found_list = decode_crl(golden["list"])
    assert found_list.signed == made["list"].signed
    check_crl(found_list, certificates["issuing"])
    assert decode_request(golden["request"]).subject == made["request"].subject
