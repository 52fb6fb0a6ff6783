"""What a key is for. A key has one purpose for life, and one public key never serves two.

Genesis and the `identity` contract enforce that across the chain; a key file carries its purpose as authenticated
data, so that a consensus key cannot be passed off as an account's.
"""

from __future__ import annotations

from enum import StrEnum


class KeyPurpose(StrEnum):
    """The one thing that a key signs (or, for `ENCRYPTION`, receives)."""

    CONSENSUS = "consensus"
    """A validator's votes and proposals."""

    COSIGNER = "cosigner"
    """A validator's cosignatures of log checkpoints."""

    LOG = "log"
    """A validator's signature as the log itself under a checkpoint."""

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
