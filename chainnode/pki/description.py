"""What a person reads of a certificate, a request or a revocation list: rows of (name, value).

Names come from outside and are escaped; whoever prints rows still shows control characters as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.pki.extensions import (
    ANY_USE,
    DOCUMENT_SIGNING,
    EMAIL_PROTECTION,
    TIME_STAMPING,
    KeyUsage,
)
from chainnode.pki.keys import ECDSA_SHA256, RSA_SHA256, SM2_WITH_SM3
from chainnode.pki.profiles import INTERNAL_POLICY, is_labelled_internal
from chainnode.pki.times import time_text

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.extensions import Extensions
    from chainnode.pki.request import CertificateRequest
    from chainnode.pki.revocation import RevocationList

Rows = tuple[tuple[str, str], ...]

_USES: Final = {
    TIME_STAMPING: "timeStamping",
    DOCUMENT_SIGNING: "documentSigning",
    EMAIL_PROTECTION: "emailProtection",
    ANY_USE: "any",
}
_BITS: Final = {
    KeyUsage.DIGITAL_SIGNATURE: "digitalSignature",
    KeyUsage.CONTENT_COMMITMENT: "contentCommitment",
    KeyUsage.KEY_ENCIPHERMENT: "keyEncipherment",
    KeyUsage.DATA_ENCIPHERMENT: "dataEncipherment",
    KeyUsage.KEY_AGREEMENT: "keyAgreement",
    KeyUsage.KEY_CERT_SIGN: "keyCertSign",
    KeyUsage.CRL_SIGN: "cRLSign",
    KeyUsage.ENCIPHER_ONLY: "encipherOnly",
    KeyUsage.DECIPHER_ONLY: "decipherOnly",
}
_ALGORITHMS: Final = {
    ECDSA_SHA256: "ECDSA with SHA-256",
    SM2_WITH_SM3: "SM2 with SM3",
    RSA_SHA256: "RSA with SHA-256",
}


def describe_certificate(
    certificate: X509Certificate, *, internal_policy: str = INTERNAL_POLICY
) -> Rows:
    """Return what a certificate says, for people.

    Args:
        certificate: which.
        internal_policy: the policy by which the alliance labels what its own root issues.
    """
    extensions = certificate.extensions
    label = is_labelled_internal(extensions, internal_policy)
    return (
        ("subject", certificate.subject.text()),
        ("issuer", certificate.issuer.text()),
        ("serial number", f"{certificate.serial_number:x}"),
        ("valid from", time_text(certificate.not_before_ms)),
        ("valid to", time_text(certificate.not_after_ms)),
        ("key", certificate.key.kind.value),
        ("signed with", _algorithm(certificate.signature_algorithm)),
        *_authority_row(extensions),
        *_usage_rows(extensions),
        *(
            ("issued", "internally: " + p.notice)
            for p in extensions.policies
            if label and p.oid == internal_policy
        ),
        *(("policy", p.oid) for p in extensions.policies),
        *(("revocation list", url) for url in extensions.crl_urls),
        *(("issuer's certificate", url) for url in extensions.issuer_urls),
        ("SHA-256", certificate.fingerprint.hex()),
    )


def describe_request(request: CertificateRequest) -> Rows:
    """Return what a request asks for, for people."""
    return (
        ("subject", request.subject.text()),
        ("key", request.key.kind.value),
        ("key identifier", request.key.identifier.hex()),
        ("signed with", _algorithm(request.signature_algorithm)),
    )


def describe_crl(found: RevocationList) -> Rows:
    """Return what a revocation list says, for people."""
    return (
        ("issuer", found.issuer.text()),
        ("number", str(found.number)),
        ("made", time_text(found.this_update_ms)),
        ("next", time_text(found.next_update_ms)),
        *(
            (
                f"{entry.serial_number:x}",
                f"{time_text(entry.revoked_ms)} {'' if entry.reason is None else entry.reason.text}".rstrip(),
            )
            for entry in found.revoked
        ),
    )


def _algorithm(oid: str) -> str:
    return _ALGORITHMS.get(oid, oid)


def _authority_row(extensions: Extensions) -> Rows:
    if not extensions.is_authority:
        return ()
    levels = extensions.path_length
    below = {None: "any number of levels of", 0: "no", 1: "one level of"}.get(
        levels, f"{levels} levels of"
    )
    return (("authority", f"yes, with {below} authorities below it"),)


def _usage_rows(extensions: Extensions) -> Rows:
    rows: list[tuple[str, str]] = []
    if extensions.key_usage is not None:
        rows.append(
            (
                "key usage",
                ", ".join(text for bit, text in _BITS.items() if bit in extensions.key_usage),
            )
        )
    if extensions.extended_key_usage:
        uses = (_USES.get(oid, oid) for oid in extensions.extended_key_usage)
        rows.append(("extended key usage", ", ".join(uses)))
    if extensions.key_used_until_ms is not None:
        rows.append(("key signs until", time_text(extensions.key_used_until_ms)))
    return tuple(rows)
