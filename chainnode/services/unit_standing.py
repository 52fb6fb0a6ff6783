"""What the ledger says of a timestamp unit's certificate: by whose word it counts, or why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.pki.certificate import decode_x509_certificate
from chainnode.pki.path import has_issued
from chainnode.pki.times import time_text
from contracts.query import authority_view, certificate_views

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from contracts.overlay import StateReader
    from contracts.query import CertificateRecord


def vouching_authority(
    state: StateReader, certificate: X509Certificate, fingerprint: bytes, account: str
) -> str:
    """Return the authority by whose word a unit's certificate counts.

    Other authorities may have entered it too, and say what they like of it. If the one that has issued it is among them, its
    word alone is heard, by whichever of its keys it did; if not, all are.

    Args:
        state: As of the tip.
        certificate: The unit's.
        fingerprint: The chain's hash of it.
        account: That will name it in transactions.

    Raises:
        Unavailable: `certificate_does_not_count`: none vouches for it, with what to do.
    """
    entries = certificate_views(state, fingerprint)
    issued = tuple(e for e in entries if _issued_by(state, e.authority, certificate))
    problem = (
        "no authority of the chain has entered the timestamp unit's certificate; its authority does with "
        "`chainnode ca issue` or `chainnode ca enter`"
    )
    for entry in issued or entries:
        found = _problem(state, entry, account)
        if found is None:
            return entry.authority
        problem = found
    raise Unavailable(problem, code="certificate_does_not_count")


def _issued_by(state: StateReader, authority: str, certificate: X509Certificate) -> bool:
    found = authority_view(state, authority)
    return found is not None and any(_is_issuer(one, certificate) for one in found.issuers)


def _is_issuer(encoded: bytes, certificate: X509Certificate) -> bool:
    try:
        return has_issued(decode_x509_certificate(encoded), certificate)
    except ChainError:
        return False


def _problem(state: StateReader, entry: CertificateRecord, account: str) -> str | None:
    authority = authority_view(state, entry.authority)
    if authority is None or authority.record.dismissed_ms:
        return (
            f"the certificate authority {entry.authority}, which has entered the timestamp unit's certificate, was "
            "dismissed; ask another one for a certificate with `chainnode ca request`"
        )
    if entry.revoked_ms:
        return (
            f"the timestamp unit's certificate was revoked by {entry.authority} at "
            f"{time_text(entry.revoked_ms)} ({entry.reason}); ask for another with `chainnode ca request`, of a "
            "new key unless this one is safe"
        )
    if entry.owner != account:
        return (
            f"the timestamp unit's certificate is that of {entry.owner}, and this node signs for {account} "
            f"(node.account); have one issued with --owner {account}"
        )
    if entry.purpose != KeyPurpose.TIMESTAMP:
        return (
            f"the timestamp unit's certificate was entered for {entry.purpose}; have one issued with "
            "--profile timestamp"
        )
    return None
