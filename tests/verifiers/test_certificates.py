"""Bouncy Castle on what we make, P-256 and SM2: paths with revocation lists, requests, and each of them altered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.pki.profiles import SEAL
from chainnode.pki.request import make_request
from chainnode.pki.revocation import RevocationReason, RevokedCertificate
from tests.support.certificates import DAY_MS, KEY_SUITES, NOW_MS, authority
from tests.support.outside import java_certificates

if TYPE_CHECKING:
    from pathlib import Path


def _files(suite_name: str) -> dict[str, bytes]:
    made = authority(suite_name)
    other = RevokedCertificate(7, NOW_MS - DAY_MS, RevocationReason.SUPERSEDED)
    return {
        "leaf.der": made.leaf.encoded,
        "issuing.der": made.issuing.encoded,
        "root.der": made.root.encoded,
        "issuing.crl": made.crl(other).encoded,
        "root.crl": made.crl(by_root=True).encoded,
        "request.der": make_request(made.leaf.subject, made.leaf_signer).encoded,
    }


def test_bouncy_castle_says_what_we_say_of_originals_and_forgeries(tmp_path: Path) -> None:
    expected: dict[str, int] = {}
    for suite_name in KEY_SUITES:
        files, made = _files(suite_name), authority(suite_name)
        since = RevokedCertificate(made.leaf.serial_number, NOW_MS - DAY_MS, None)
        cases = {
            "good": files,
            "revoked": files | {"issuing.crl": made.crl(since).encoded},
            "stale": files | {"issuing.crl": made.crl(next_update_ms=NOW_MS - 1000).encoded},
            "seal": files | {"leaf.der": made.issue(SEAL).encoded},
            "early": files | {"leaf.der": made.issue(not_before_ms=NOW_MS + DAY_MS).encoded},
        }
        for name, encoded in files.items():
            # The last bytes are a signature's: form and content stay.
            cases[f"forged-{name}"] = files | {name: encoded[:-1] + bytes([encoded[-1] ^ 1])}
        for name, contents in cases.items():
            folder = tmp_path / f"{suite_name}-{name}"
            folder.mkdir()
            for file, content in contents.items():
                (folder / file).write_bytes(content)
            expected[folder.name] = 0 if name == "good" else 1
    assert java_certificates().batch(tmp_path, NOW_MS // 1000) == expected
