"""Crypto suites: one small interface, two implementations that a chain chooses between in genesis.

A third, P-256, is for keys whose signatures software outside of the chain must understand, and a fourth, ML-DSA-44, for
second cosignatures of checkpoints; a chain never uses them.

Everything on a chain uses its suite: account and consensus signatures, block and record hashing, the log and its
cosignatures. There is exactly one verify function per algorithm in the whole system; edge cases of signature
verification are consensus rules, so no second implementation may judge the same bytes on another node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from chainnode.model.errors import Refused
from chainnode.model.suites.ed25519_sha256 import ED25519_SHA256, Ed25519Sha256
from chainnode.model.suites.ml_dsa_44 import ML_DSA_44, MlDsa44
from chainnode.model.suites.p256_sha256 import P256_SHA256, P256Sha256
from chainnode.model.suites.sm2_sm3 import SM2_SM3, Sm2Sm3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ED25519_SHA256",
    "HASH_BYTES",
    "KEY_SUITE_NAMES",
    "ML_DSA_44",
    "P256_SHA256",
    "SM2_SM3",
    "SUITE_NAMES",
    "Suite",
    "key_suite_named",
    "suite_named",
]

HASH_BYTES = 32
"""Length of every digest that the chain computes; SHA-256 and SM3 agree in it."""


class Suite(Protocol):
    """A hash, a keyed hash and a signature scheme. Stateless; safe to share between threads."""

    def __hash__(self) -> int:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Every suite can be part of what a result is remembered under."""

    @property
    def name(self) -> str:
        """`ed25519-sha256` or `sm2-sm3`; of a key also `p256-sha256` or `ml-dsa-44`."""

    @property
    def hash_name(self) -> str:
        """`sha256` or `sm3`: the algorithm's name in digests lists and in documentation."""

    @property
    def public_key_bytes(self) -> int:
        """Length of an encoded public key: 32 (Ed25519), 65 (SM2 and P-256, 04 || x || y), 1,312 (ML-DSA-44)."""

    @property
    def signature_bytes(self) -> int:
        """Length of a signature: 64 (Ed25519 R || S; SM2 and P-256 r || s, 32 bytes each, big-endian), 2,420 (ML-DSA-44)."""

    @property
    def private_key_bytes(self) -> int:
        """Length of a private key: 32 (Ed25519 and ML-DSA-44 seed; SM2 and P-256 scalar d, big-endian)."""

    def hash(self, data: bytes) -> bytes:
        """Return the 32-byte digest of `data`."""

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """Return the 32-byte HMAC (RFC 2104) of `data` under `key` with the suite's hash."""

    def hmac_under(self, key: bytes) -> Callable[[bytes], bytes]:
        """Return `hmac` under `key`, for many messages."""

    def is_public_key(self, public_key: bytes) -> bool:
        """Whether the bytes are a canonical, usable public key (on the curve, not of small order)."""

    def is_private_key(self, private_key: bytes) -> bool:
        """Whether the bytes are a usable private key."""

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is a valid signature of `message`; total: any bytes give an answer."""

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return the public key of a private key. Called by `chainnode.keystore` only."""

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        """Return a signature of `message`. Called by `chainnode.keystore` only."""


_SUITES: Final[Mapping[str, Suite]] = {ED25519_SHA256: Ed25519Sha256(), SM2_SM3: Sm2Sm3()}

SUITE_NAMES: Final = tuple(_SUITES)
"""Every suite that a chain can have, the default first."""

_KEY_SUITES: Final[Mapping[str, Suite]] = {
    **_SUITES,
    P256_SHA256: P256Sha256(),
    ML_DSA_44: MlDsa44(),
}

KEY_SUITE_NAMES: Final = tuple(_KEY_SUITES)
"""Every suite that a key file can have; which of them a key's purpose allows is said by `keys.suites_for`."""


def suite_named(name: str) -> Suite:
    """Return the suite that genesis or a transaction names.

    Raises:
        Refused: with code `unknown_suite` if there is none of that name that a chain can have.
    """
    return _named(name, _SUITES)


def key_suite_named(name: str) -> Suite:
    """Return the suite that a key file names.

    Raises:
        Refused: with code `unknown_suite` if there is none of that name.
    """
    return _named(name, _KEY_SUITES)


def _named(name: str, suites: Mapping[str, Suite]) -> Suite:
    suite = suites.get(name)
    if suite is None:
        raise Refused(
            f"unknown crypto suite {name!r}; known are {', '.join(suites)}",
            code="unknown_suite",
            field="suite",
        )
    return suite
