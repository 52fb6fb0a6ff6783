"""What a key is for. A key has one purpose for life, and one public key never serves two.

Genesis and the `identity` contract enforce that across the chain; a key file carries its purpose as authenticated
data, so that a consensus key cannot be passed off as an account's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from chainnode.model.errors import Refused
from chainnode.model.suites import ML_DSA_44, P256_SHA256, SM2_SM3, SUITE_NAMES


class KeyPurpose(StrEnum):
    """The one thing that a key signs (or, for `ENCRYPTION`, receives)."""

    CONSENSUS = "consensus"
    """A validator's votes and proposals."""

    COSIGNER = "cosigner"
    """A validator's cosignatures of log checkpoints."""

    LOG = "log"
    """A validator's signature as the log itself under a checkpoint."""

    WITNESS = "witness"
    """Cosignatures of other logs' checkpoints, by a node that witnesses them."""

    TLS = "tls"
    """A validator's transport certificate."""

    TIMESTAMP = "timestamp"
    """Timestamp tokens of RFC 3161."""

    ACCOUNT = "account"
    """Transactions of an account."""

    AUTHORITY = "authority"
    """Certificates of a certificate authority."""

    SEAL_MAKER = "seal-maker"
    """Electronic seals, as their maker."""

    SEAL_USER = "seal-user"
    """Sealed documents, as the seal's user."""

    ENCRYPTION = "encryption"
    """Decryption of what is addressed to the owner; signs nothing."""


_UNDERSTOOD_OUTSIDE: Final = frozenset(
    {KeyPurpose.TIMESTAMP, KeyPurpose.AUTHORITY, KeyPurpose.SEAL_MAKER, KeyPurpose.SEAL_USER}
)
"""Purposes whose signatures are checked by software outside of the chain, which knows X.509 and no Ed25519."""


def suites_for(purpose: KeyPurpose) -> tuple[str, ...]:
    """Return the names of the suites that a key of this purpose can have."""
    if purpose is KeyPurpose.COSIGNER:
        # A validator has one of the chain's suite, and may have one of the other kind beside it.
        return (*SUITE_NAMES, ML_DSA_44)
    return (P256_SHA256, SM2_SM3) if purpose in _UNDERSTOOD_OUTSIDE else SUITE_NAMES


def check_suite_of_purpose(suite_name: str, purpose: KeyPurpose) -> None:
    """Check that a key of this purpose can have this suite.

    Raises:
        Refused: with code `wrong_suite`.
    """
    allowed = suites_for(purpose)
    if suite_name not in allowed:
        raise Refused(
            f"found suite {suite_name} for a key of purpose {purpose.value}; "
            f"expected {' or '.join(allowed)}",
            code="wrong_suite",
            field="suite",
        )
