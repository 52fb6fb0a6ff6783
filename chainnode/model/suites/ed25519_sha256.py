"""The default suite: Ed25519 (RFC 8032) signatures and SHA-256 (FIPS 180-4).

Verification is libsodium's: it refuses S >= L, non-canonical and small-order keys, small-order R, and checks the
equation without the cofactor. Those choices are consensus rules; that is why `crypto_sign_open` alone judges.
"""

from __future__ import annotations

from typing import Final

from nacl import bindings
from nacl.exceptions import BadSignatureError

from chainnode.model.suites.hmac_sha256 import Sha256

ED25519_SHA256: Final = "ed25519-sha256"
"""The suite's name in genesis, key files and policies."""

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


class Ed25519Sha256(Sha256):
    """Ed25519 and SHA-256 behind the `Suite` interface; holds nothing."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """`ed25519-sha256`."""
        return ED25519_SHA256

    @property
    def public_key_bytes(self) -> int:
        """32: the compressed point A of RFC 8032 section 5.1.5."""
        return _KEY_BYTES

    @property
    def signature_bytes(self) -> int:
        """64: R || S."""
        return _SIGNATURE_BYTES

    @property
    def private_key_bytes(self) -> int:
        """32: the seed of RFC 8032, from which scalar and prefix are derived."""
        return _KEY_BYTES

    def is_public_key(self, public_key: bytes) -> bool:
        """Whether the bytes are canonical and a point of the prime-order subgroup other than its identity."""
        return len(public_key) == _KEY_BYTES and bindings.crypto_core_ed25519_is_valid_point(
            bytes(public_key)
        )

    def is_private_key(self, private_key: bytes) -> bool:
        """Whether the bytes are 32 in number: every seed is usable."""
        return len(private_key) == _KEY_BYTES

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is a valid signature of `message`; total: any bytes give an answer.

        The lengths are checked here because the binding passes bare pointers to C and would split a wrong
        signature into a shorter signature and a longer message.
        """
        if len(public_key) != _KEY_BYTES or len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            bindings.crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return the 32-byte public key of a seed. Called by `chainnode.keystore` only."""
        return bindings.crypto_sign_seed_keypair(private_key)[0]

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        """Return the deterministic signature of RFC 8032. Called by `chainnode.keystore` only."""
        _, expanded = bindings.crypto_sign_seed_keypair(private_key)
        return bindings.crypto_sign(message, expanded)[:_SIGNATURE_BYTES]
