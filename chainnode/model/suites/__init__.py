"""Crypto suites: one small interface, two implementations, chosen per chain in genesis.

Everything on a chain uses its suite: account and consensus signatures, block and record hashing, the log and its
cosignatures. There is exactly one verify function per algorithm in the whole system; edge cases of signature
verification are consensus rules, so no second implementation may judge the same bytes on another node.
"""

from __future__ import annotations

from typing import Protocol

HASH_BYTES = 32
"""Length of every digest that the chain computes; SHA-256 and SM3 agree in it."""


class Suite(Protocol):
    """A hash, a keyed hash and a signature scheme. Stateless; safe to share between threads."""

    @property
    def name(self) -> str:
        """`ed25519-sha256` or `sm2-sm3`."""

    @property
    def hash_name(self) -> str:
        """`sha256` or `sm3`: the algorithm's name in digests lists and in documentation."""

    @property
    def public_key_bytes(self) -> int:
        """Length of an encoded public key: 32 (Ed25519) or 65 (SM2, 04 || x || y)."""

    @property
    def signature_bytes(self) -> int:
        """Length of a signature: 64 (Ed25519 R || S; SM2 r || s, 32 bytes each, big-endian)."""

    @property
    def private_key_bytes(self) -> int:
        """Length of a private key: 32 (Ed25519 seed; SM2 scalar d, big-endian)."""

    def hash(self, data: bytes) -> bytes:
        """Return the 32-byte digest of `data`."""

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """Return the 32-byte HMAC (RFC 2104) of `data` under `key` with the suite's hash."""

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
