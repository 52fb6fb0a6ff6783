"""The random numbers that the rest of the node asks for; nothing else draws from the system's generator."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from chainnode.model.presence import CHALLENGE_BYTES

if TYPE_CHECKING:
    from chainnode.model.suites import Suite

NONCE_BYTES: Final = 16
"""Length of a transaction's nonce, which makes its id unlike any other."""

SEED_BYTES: Final = 32
"""Length of a seed, from which blinding values are derived."""

SERIAL_NUMBER_BITS: Final = 159
"""Length of a certificate's serial number: 20 octets, the first bit of which is a sign."""


def fresh_nonce() -> bytes:
    """Return 16 random bytes for a transaction."""
    return secrets.token_bytes(NONCE_BYTES)


def fresh_seed() -> bytes:
    """Return 32 random bytes to derive secrets from."""
    return secrets.token_bytes(SEED_BYTES)


def fresh_challenge() -> bytes:
    """Return 32 random bytes by which a process of a validator is known from any other."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def fresh_serial_number() -> int:
    """Return a serial number for an X.509 certificate: 159 random bits, positive (RFC 5280 section 4.1.2.2)."""
    return secrets.randbits(SERIAL_NUMBER_BITS) or 1


def fresh_bytes(size_bytes: int) -> bytes:
    """Return random bytes for a salt or a nonce of that length."""
    return secrets.token_bytes(size_bytes)


def fresh_private_key(suite: Suite) -> bytes:
    """Return a private key of the suite, each with the same chance (FIPS 186-5 A.2.2: draw until in range)."""
    while not suite.is_private_key(candidate := secrets.token_bytes(suite.private_key_bytes)):
        pass
    return candidate
