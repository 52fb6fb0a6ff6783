"""ML-DSA-44 (FIPS 204) signatures: for keys that cosign checkpoints a second time, against quantum computers to come.

A chain never uses it: no block and no transaction depends on a signature of this kind, so nodes may differ in whether
they can judge one. Key ids are hashed with SHA-256, as in all of C2SP.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from chainnode.model.errors import CannotTell
from chainnode.model.suites.hmac_sha256 import Sha256

ML_DSA_44: Final = "ml-dsa-44"
"""The suite's name in key files."""

PUBLIC_KEY_BYTES: Final = 1_312
SIGNATURE_BYTES: Final = 2_420

_SEED_BYTES = 32


class MlDsa44(Sha256):
    """ML-DSA-44 with an empty context, and SHA-256, behind the `Suite` interface; holds nothing.

    Whatever makes or judges a signature raises CannotTell, with code `unsupported_algorithm`, where the installed
    `cryptography` was built without ML-DSA.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """`ml-dsa-44`."""
        return ML_DSA_44

    @property
    def public_key_bytes(self) -> int:
        """1,312: pkEncode of FIPS 204."""
        return PUBLIC_KEY_BYTES

    @property
    def signature_bytes(self) -> int:
        """2,420: sigEncode of FIPS 204."""
        return SIGNATURE_BYTES

    @property
    def private_key_bytes(self) -> int:
        """32: the seed xi of FIPS 204 algorithm 1, from which both keys are derived."""
        return _SEED_BYTES

    def is_public_key(self, public_key: bytes) -> bool:
        """Whether the bytes are 1,312 in number: each such string encodes a key."""
        return len(public_key) == PUBLIC_KEY_BYTES

    def is_private_key(self, private_key: bytes) -> bool:
        """Whether the bytes are 32 in number: every seed is usable."""
        return len(private_key) == _SEED_BYTES

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is a valid signature of `message`; any bytes give an answer."""
        if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            _public_key(bytes(public_key)).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return the 1,312-byte public key of a seed. Called by `chainnode.keystore` only."""
        return _private_key(private_key).public_key().public_bytes_raw()

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        """Return a hedged signature (FIPS 204 section 3.4). Called by `chainnode.keystore` only."""
        return _private_key(private_key).sign(message)


@lru_cache(maxsize=256)
def _public_key(encoded: bytes) -> MLDSA44PublicKey:
    """Return the key, expanded; remembered, because a few validators' are asked for again with each block."""
    try:
        return MLDSA44PublicKey.from_public_bytes(encoded)
    except UnsupportedAlgorithm as error:
        raise _unsupported() from error


def _private_key(seed: bytes) -> MLDSA44PrivateKey:
    try:
        return MLDSA44PrivateKey.from_seed_bytes(seed)
    except UnsupportedAlgorithm as error:
        raise _unsupported() from error


def _unsupported() -> CannotTell:
    return CannotTell(
        "the installed cryptography package was built without ML-DSA-44; install the one of PyPI",
        code="unsupported_algorithm",
    )
