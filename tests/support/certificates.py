"""A small certificate authority for tests: root, issuing authority and leaves, on P-256 or SM2."""

from __future__ import annotations

import functools
import hashlib
import itertools
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chainnode.keystore.signer import Signer, local_signer
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import P256_SHA256, SM2_SM3, key_suite_named
from chainnode.pki.issuing import Terms, issue_certificate, issue_root
from chainnode.pki.keys import SubjectKey, subject_key
from chainnode.pki.names import parse_name
from chainnode.pki.profiles import ISSUING, ROOT, TIMESTAMP, Profile
from chainnode.pki.revocation import RevocationList, RevokedCertificate, make_crl
from tests.support.sm2 import openssl

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.pki.certificate import X509Certificate

KEY_SUITES = (P256_SHA256, SM2_SM3)
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 1_790_000_000_000
BEGIN_MS = NOW_MS - 10 * DAY_MS
ROOT_URL, ISSUING_URL = "http://ca.example/root.crl", "http://ca.example/issuing.crl"
_serials = itertools.count(1)


def signer_of(suite_name: str, label: str) -> Signer:
    """Return a signer whose key follows from `label`."""
    return local_signer(
        name=label,
        suite=key_suite_named(suite_name),
        purpose=KeyPurpose.AUTHORITY,
        # Below the order of either curve, whose first bytes are ff.
        private_key=b"\x01" + hashlib.sha256(f"{suite_name} {label}".encode()).digest()[1:],
    )


def key_of(signer: Signer) -> SubjectKey:
    """Return a signer's public key as certificates carry it."""
    return subject_key(signer.suite, signer.public_key)


def terms(signer: Signer, profile: Profile = TIMESTAMP, **changes: Any) -> Terms:
    """Return terms that hold, for the signer's key."""
    fields: dict[str, Any] = {
        "profile": profile,
        "subject": parse_name(f"C=CN, O=某市政务服务数据管理局, CN={profile.name} 一"),
        "key": key_of(signer),
        "serial_number": (next(_serials) << 120) + 1,
        "not_before_ms": BEGIN_MS,
        "not_after_ms": NOW_MS + 365 * DAY_MS,
    }
    return Terms(**fields | changes)


@dataclass
class Authority:
    """Root and issuing authority, and the certificates that follow from them."""

    suite_name: str
    root_signer: Signer = field(init=False)
    issuing_signer: Signer = field(init=False)
    leaf_signer: Signer = field(init=False)
    root: X509Certificate = field(init=False)
    issuing: X509Certificate = field(init=False)
    leaf: X509Certificate = field(init=False)

    def __post_init__(self) -> None:
        """Make keys and certificates."""
        self.root_signer = signer_of(self.suite_name, "root")
        self.issuing_signer = signer_of(self.suite_name, "issuing")
        self.leaf_signer = signer_of(self.suite_name, "leaf")
        self.root = issue_root(
            terms(self.root_signer, ROOT, not_after_ms=NOW_MS + 7300 * DAY_MS), self.root_signer
        )
        self.issuing = issue_certificate(
            terms(
                self.issuing_signer,
                ISSUING,
                not_after_ms=NOW_MS + 3650 * DAY_MS,
                crl_urls=(ROOT_URL,),
                issuer_urls=("http://ca.example/root.cer",),
            ),
            self.root,
            self.root_signer,
        )
        self.leaf = self.issue()

    def issue(self, profile: Profile = TIMESTAMP, **changes: Any) -> X509Certificate:
        """Return another certificate of the issuing authority for the leaf's key."""
        made = terms(self.leaf_signer, profile, **{"crl_urls": (ISSUING_URL,)} | changes)
        return issue_certificate(made, self.issuing, self.issuing_signer)

    def rekeyed(self) -> X509Certificate:
        """Return a certificate of the issuing authority for another key that it has from then on."""
        made = terms(signer_of(self.suite_name, "issuing anew"), ISSUING)
        return issue_certificate(made, self.root, self.root_signer)

    def crl(
        self, *revoked: RevokedCertificate, by_root: bool = False, **changes: Any
    ) -> RevocationList:
        """Return a fresh list of the issuing authority, or of the root."""
        fields: dict[str, Any] = {
            "number": 1,
            "this_update_ms": NOW_MS - DAY_MS,
            "next_update_ms": NOW_MS + DAY_MS,
            "revoked": revoked,
        }
        if by_root:
            return make_crl(self.root, self.root_signer, **fields | changes)
        return make_crl(self.issuing, self.issuing_signer, **fields | changes)


def authority(suite_name: str = P256_SHA256) -> Authority:
    """Return the authority of a suite, made once."""
    return _authority(suite_name)


@functools.cache
def _authority(suite_name: str) -> Authority:
    return Authority(suite_name)


def run_openssl(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the openssl program."""
    return subprocess.run(
        [openssl(), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=check
    )


def put(path: Path, content: bytes) -> Path:
    """Write a file; return its path."""
    path.write_bytes(content)
    return path
