"""SHA-256 as the suites have it, and HMAC-SHA-256 (RFC 2104, section 2) for short messages in great numbers.

`hmac.digest` has the same answer, and takes twice the time: OpenSSL looks its algorithm up in each call.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
"""Translation tables: what the key is combined with, byte by byte."""


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC of `data` under `key`, which may have any length."""
    block = _block(key)
    inner = sha256(block.translate(_INNER) + data).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


def hmac_sha256_under(key: bytes) -> Callable[[bytes], bytes]:
    """Return the function that `hmac_sha256` is with this key."""
    block = _block(key)
    inner, outer = block.translate(_INNER), block.translate(_OUTER)
    return lambda data: sha256(outer + sha256(inner + data).digest()).digest()


def _block(key: bytes) -> bytes:
    if len(key) > _BLOCK_BYTES:
        key = sha256(key).digest()
    return key.ljust(_BLOCK_BYTES, b"\0")


class Sha256:
    """The hash of every suite that has SHA-256; holds nothing."""

    __slots__ = ()

    @property
    def hash_name(self) -> str:
        """`sha256`."""
        return "sha256"

    def hash(self, data: bytes) -> bytes:
        """Return SHA-256 of `data`."""
        return sha256(data).digest()

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """Return HMAC-SHA-256 of `data` under `key`."""
        return hmac_sha256(key, data)

    def hmac_under(self, key: bytes) -> Callable[[bytes], bytes]:
        """Return `hmac` under `key`, for many messages."""
        return hmac_sha256_under(key)
