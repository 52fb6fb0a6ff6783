"""Revocation lists: ours read by others, others' read by us, and lists that are refused."""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.model.suites import SM2_SM3
from chainnode.pki.description import describe_crl
from chainnode.pki.names import DistinguishedName, decode_name
from chainnode.pki.pem import REVOCATION_LIST, write_bundle, write_pem
from chainnode.pki.revocation import (
    MAX_CRL_BYTES,
    RevocationReason,
    RevokedCertificate,
    check_crl,
    decode_crl,
    make_crl,
)
from tests.support.certificates import (
    DAY_MS,
    KEY_SUITES,
    NOW_MS,
    authority,
    put,
    run_openssl,
)

if TYPE_CHECKING:
    from pathlib import Path

REVOKED = (
    RevokedCertificate(7, NOW_MS - 5 * DAY_MS, RevocationReason.KEY_COMPROMISE),
    RevokedCertificate(2**158 + 1, NOW_MS - 4 * DAY_MS, None),
    RevokedCertificate(8, NOW_MS - 3 * DAY_MS, RevocationReason.CERTIFICATE_HOLD),
)
THIS, NEXT = (
    dt.datetime.fromtimestamp(ms // 1000, dt.UTC) for ms in (NOW_MS - DAY_MS, NOW_MS + DAY_MS)
)


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_a_list_comes_back_as_it_was_made(suite_name: str) -> None:
    made = authority(suite_name).crl(*REVOKED, number=17)
    assert decode_crl(made.encoded) == made
    assert (made.revoked, made.number) == (REVOKED, 17)
    assert made.issuer == authority(suite_name).issuing.subject
    assert made.authority_key_identifier == authority(suite_name).issuing.key.identifier
    assert made.entry_of(7) == REVOKED[0]
    assert made.entry_of(9) is None


def test_openssl_and_cryptography_read_a_list_and_check_its_signature(tmp_path: Path) -> None:
    made, found = authority(), authority().crl(*REVOKED, number=17)
    file = put(tmp_path / "list.pem", write_pem(REVOCATION_LIST, found.encoded))
    issuer = put(tmp_path / "issuer.pem", write_bundle((made.issuing,)))
    done = run_openssl("crl", "-in", file, "-CAfile", issuer, "-noout", "-text")
    assert "verify OK" in done.stderr
    assert "Key Compromise" in done.stdout
    assert "Version 2" in done.stdout
    read = x509.load_der_x509_crl(found.encoded)
    issuer_key = x509.load_der_x509_certificate(made.issuing.encoded).public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    assert read.is_signature_valid(issuer_key)
    assert [entry.serial_number for entry in read] == [entry.serial_number for entry in REVOKED]
    number = read.extensions.get_extension_for_class(x509.CRLNumber)
    assert number.value == x509.CRLNumber(17)


def test_openssl_refuses_a_certificate_that_is_on_our_list(tmp_path: Path) -> None:
    made = authority()
    entry = RevokedCertificate(made.leaf.serial_number, NOW_MS - DAY_MS, None)
    root = put(tmp_path / "root.pem", write_bundle((made.root,)))
    between = put(tmp_path / "between.pem", write_bundle((made.issuing,)))
    leaf = put(tmp_path / "leaf.pem", write_bundle((made.leaf,)))
    for entries, said in (((), "leaf.pem: OK"), ((entry,), "certificate revoked")):
        lists = put(
            tmp_path / "lists.pem",
            b"".join(
                write_pem(REVOCATION_LIST, found.encoded)
                for found in (made.crl(*entries), made.crl(by_root=True))
            ),
        )
        done = run_openssl(
            *("verify", "-attime", NOW_MS // 1000, "-crl_check_all", "-CRLfile", lists),
            *("-x509_strict", "-CAfile", root, "-untrusted", between, leaf),
            check=False,
        )
        assert said in done.stdout + done.stderr


def test_openssl_checks_an_sm2_list(tmp_path: Path) -> None:
    """`openssl crl` of 3.0 takes no identifier, so only the form is checked here; Bouncy Castle checks the signature."""
    found = authority(SM2_SM3).crl(*REVOKED)
    file = put(tmp_path / "list.pem", write_pem(REVOCATION_LIST, found.encoded))
    done = run_openssl("crl", "-in", file, "-noout", "-text")
    assert "Signature Algorithm: SM2-with-SM3" in done.stdout


def foreign(*entries: x509.RevokedCertificate, **changes: Any) -> tuple[bytes, DistinguishedName]:
    """Return a list that cryptography signs, and its issuer."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name)
    builder = builder.last_update(THIS).next_update(NEXT)
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    for extension, critical in changes.get("extensions", ((x509.CRLNumber(3), False),)):
        builder = builder.add_extension(extension, critical=critical)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.DER), decode_name(name.public_bytes())


def entry(serial: int, *extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    """Return an entry as cryptography makes it."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(THIS)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


def test_we_read_a_list_of_others() -> None:
    reason = x509.CRLReason(x509.ReasonFlags.superseded)
    encoded, issuer = foreign(
        entry(5),
        entry(6, (reason, False), (x509.InvalidityDate(THIS.replace(tzinfo=None)), False)),
        extensions=((x509.CRLNumber(3), False), (x509.IssuerAlternativeName([]), False)),
    )
    found = decode_crl(encoded)
    assert (found.issuer, found.number) == (issuer, 3)
    assert found.revoked == (
        RevokedCertificate(5, NOW_MS - DAY_MS, None),
        RevokedCertificate(6, NOW_MS - DAY_MS, RevocationReason.SUPERSEDED),
    )
    rows = dict(describe_crl(found))
    assert rows["number"] == "3"
    assert rows["6"].endswith("superseded")


@pytest.mark.parametrize(
    ("why", "entries", "extensions"),
    [
        ("critical extension 2.5.29.27", (), ((x509.CRLNumber(3), False), (x509.DeltaCRLIndicator(2), True))),
        (
            "critical extension 2.5.29.28",
            (),
            (
                (x509.CRLNumber(3), False),
                (
                    x509.IssuingDistributionPoint(
                        None, None, only_contains_user_certs=True, only_contains_ca_certs=False,
                        only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False,
                    ),
                    True,
                ),
            ),
        ),
        ("expected a number", (), ((x509.IssuerAlternativeName([]), False),)),
        ("twice", (entry(5), entry(5)), ((x509.CRLNumber(3), False),)),
        (
            "reason that complete lists",
            (entry(5, (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)),),
            ((x509.CRLNumber(3), False),),
        ),
        (
            "critical extension of an entry",
            (entry(5, (x509.CertificateIssuer([x509.DNSName("a")]), True)),),
            ((x509.CRLNumber(3), False),),
        ),
    ],
)  # fmt: skip
def test_lists_that_are_not_complete_are_refused(why: str, entries: Any, extensions: Any) -> None:
    encoded, _ = foreign(*entries, extensions=extensions)
    with pytest.raises(DecodeError, match=why):
        decode_crl(encoded)


def test_a_list_is_its_issuers_and_nobody_elses() -> None:
    made, other = authority(), authority(SM2_SM3)
    found = made.crl()
    check_crl(found, made.issuing)
    for issuer, code in (
        (made.root, "wrong_issuer"),
        (made.leaf, "wrong_issuer"),
        (other.issuing, "unsupported_algorithm"),
    ):
        with pytest.raises(ProofInvalid) as caught:
            check_crl(found, issuer)
        assert caught.value.error_code == code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("bad_number", {"number": -1}),
        ("bad_number", {"number": 1 << 159}),
        ("bad_time", {"this_update_ms": NOW_MS + 1}),
        ("bad_validity", {"next_update_ms": NOW_MS - DAY_MS}),
        ("duplicate", {"revoked": (REVOKED[0], REVOKED[0])}),
        ("bad_serial", {"revoked": (RevokedCertificate(0, NOW_MS, None),)}),
        ("bad_time", {"revoked": (RevokedCertificate(1, 5, None),)}),
    ],
)
def test_what_no_list_can_say_is_refused(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        authority().crl(**changes)
    assert caught.value.error_code == code


def test_only_an_authority_makes_a_list() -> None:
    made = authority()
    for issuer, signer, code in (
        (made.leaf, made.leaf_signer, "not_an_authority"),
        (made.issuing, made.root_signer, "wrong_key"),
    ):
        with pytest.raises(Refused) as caught:
            make_crl(
                *(issuer, signer), number=1, this_update_ms=NOW_MS, next_update_ms=NOW_MS + 1000,
                revoked=(),
            )  # fmt: skip
        assert caught.value.error_code == code


def test_a_list_is_bounded_and_a_long_one_is_read() -> None:
    with pytest.raises(DecodeError, match=f"at most {MAX_CRL_BYTES}"):
        decode_crl(bytes(MAX_CRL_BYTES + 1))
    entries = tuple(RevokedCertificate(2**158 + n, NOW_MS, None) for n in range(3_000))
    found = authority().crl(*entries)
    assert decode_crl(found.encoded).revoked == entries


@functools.cache
def _list(suite_name: str) -> bytes:
    return authority(suite_name).crl(*REVOKED).encoded


@pytest.mark.parametrize("suite_name", KEY_SUITES)
@given(data=st.data())
def test_no_changed_byte_of_a_list_goes_unnoticed(suite_name: str, data: st.DataObject) -> None:
    made = authority(suite_name)
    changed = bytearray(_list(suite_name))
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises((DecodeError, ProofInvalid)):
        check_crl(decode_crl(bytes(changed)), made.issuing)
