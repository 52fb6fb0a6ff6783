"""The suite of the Chinese national algorithms: SM2 signatures (GB/T 32918.2) and SM3.

A signature is r || s, 32 bytes each, so that one signature has one encoding; a public key is 04 || x || y. Ranges,
the curve equation and the digest with the signer's identifier are ours. A backend only evaluates the signature
equation on a 32-byte digest, where the two that exist have nothing left to disagree on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from chainnode.model.errors import Unavailable
from chainnode.model.suites import gmssl, libcrypto
from chainnode.model.suites.sm2_curve import POINT_BYTES, SCALAR_BYTES, N, is_point, signed_digest
from chainnode.model.suites.sm3 import hmac_sm3, sm3

if TYPE_CHECKING:
    from collections.abc import Callable

SM2_SM3: Final = "sm2-sm3"
"""The suite's name in genesis, key files and policies."""

_SIGNATURE_BYTES = 2 * SCALAR_BYTES


class Sm2Backend(Protocol):
    """A library that signs digests by SM2. Its arguments have been checked; signatures are DER SEQUENCE {r, s}."""

    @property
    def description(self) -> str:
        """Which library, in which version; for diagnosis."""

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return 04 || x || y of a private key."""

    def sign_digest(self, private_key: bytes, digest: bytes) -> bytes:
        """Return a DER signature of a 32-byte digest."""

    def is_signature_of_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Whether a DER signature with r and s in range holds for a 32-byte digest."""


class Sm2Sm3:
    """SM2 and SM3 behind the `Suite` interface.

    The backend is looked for at first use, once, so that chains of the other suite need none.
    """

    __slots__ = ("_backend",)

    def __init__(self, backend: Sm2Backend | None = None) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """`sm2-sm3`."""
        return SM2_SM3

    @property
    def hash_name(self) -> str:
        """`sm3`."""
        return "sm3"

    @property
    def public_key_bytes(self) -> int:
        """65: 04 || x || y."""
        return POINT_BYTES

    @property
    def signature_bytes(self) -> int:
        """64: r || s, big-endian."""
        return _SIGNATURE_BYTES

    @property
    def private_key_bytes(self) -> int:
        """32: the scalar d, big-endian."""
        return SCALAR_BYTES

    @property
    def backend(self) -> Sm2Backend:
        """The library in use.

        Raises:
            Unavailable: with code `no_sm2` if this machine has none.
        """
        if self._backend is None:
            self._backend = find_backend()
        return self._backend

    def hash(self, data: bytes) -> bytes:
        """Return SM3 of `data`."""
        return sm3(data)

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """Return HMAC-SM3 of `data` under `key`."""
        return hmac_sm3(key, data)

    def hmac_under(self, key: bytes) -> Callable[[bytes], bytes]:
        """Return `hmac` under `key`, for many messages."""
        return partial(hmac_sm3, key)

    def is_public_key(self, public_key: bytes) -> bool:
        """Whether the bytes are 04 || x || y of a point on the curve; its order is prime, so all are usable."""
        return is_point(public_key)

    def is_private_key(self, private_key: bytes) -> bool:
        """Whether the bytes are d with 1 <= d <= n - 2: signing divides by 1 + d."""
        return len(private_key) == SCALAR_BYTES and 1 <= int.from_bytes(private_key, "big") <= N - 2

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is a valid signature of `message`; total: any bytes give an answer.

        Steps B1 to B5 of GB/T 32918.2 section 7.1 are made here, the equation of B6 and B7 by the backend.
        """
        if len(signature) != _SIGNATURE_BYTES or not is_point(public_key):
            return False
        r = int.from_bytes(signature[:SCALAR_BYTES], "big")
        s = int.from_bytes(signature[SCALAR_BYTES:], "big")
        if not (1 <= r < N and 1 <= s < N) or r + s == N:
            return False
        digest = signed_digest(public_key, message)
        if (r - int.from_bytes(digest, "big")) % N == 0:
            # The point of step B6 would have x = 0 mod n. Whoever holds the key can make it the neutral element,
            # which has no x: libcrypto refuses that, GmSSL takes x for 0 and accepts. No signer gets here.
            return False
        return self.backend.is_signature_of_digest(public_key, digest, encode_dss_signature(r, s))

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return 04 || x || y of d * G. Called by `chainnode.keystore` only."""
        return self.backend.public_key_of(private_key)

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        """Return a signature, another one each time. Called by `chainnode.keystore` only."""
        backend = self.backend
        digest = signed_digest(backend.public_key_of(private_key), message)
        r, s = decode_dss_signature(backend.sign_digest(private_key, digest))
        return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


def find_backend() -> Sm2Backend:
    """Return the system's libcrypto if it has SM2, else gmssl-pyx if it is installed.

    Raises:
        Unavailable: with code `no_sm2` if neither is there; says what to install.
    """
    found = libcrypto.load() or gmssl.load()
    if found is None:
        raise Unavailable(
            "no SM2 on this machine: install the system's OpenSSL 3 (libcrypto.so.3, built with SM2), "
            "or on x86-64 `pip install gmssl-pyx`",
            code="no_sm2",
        )
    return found
