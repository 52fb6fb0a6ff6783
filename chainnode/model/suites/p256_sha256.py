"""Keys that software outside of a chain must understand: ECDSA on P-256 (FIPS 186-5, SP 800-186) and SHA-256.

No chain can choose it: a signature has two forms here, (r, s) and (r, n - s), and both must be accepted since other
software makes either. Timestamps, certificates and seals have no use for one form only; transaction ids do.
"""

from __future__ import annotations

import functools
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chainnode.model.suites.hmac_sha256 import Sha256

P256_SHA256: Final = "p256-sha256"
"""The suite's name in key files."""

N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the base point (SP 800-186 section 3.2.1.3)."""

CACHED_PRIVATE_KEYS: Final = 16
"""Parsed private keys kept: parsing costs one and a half signatures, and a process signs with a handful."""

_SCALAR_BYTES = 32
_POINT_BYTES = 65
_SIGNATURE_BYTES = 2 * _SCALAR_BYTES
_UNCOMPRESSED = 4

_CURVE = ec.SECP256R1()
_VERIFY = ec.ECDSA(SHA256())
_SIGN = ec.ECDSA(SHA256(), deterministic_signing=True)
"""RFC 6979: a generator that repeats itself cannot give the private key away."""


class P256Sha256(Sha256):
    """ECDSA on P-256 and SHA-256 behind the `Suite` interface; holds nothing."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """`p256-sha256`."""
        return P256_SHA256

    @property
    def public_key_bytes(self) -> int:
        """65: 04 || x || y (SEC 1 section 2.3.3, uncompressed)."""
        return _POINT_BYTES

    @property
    def signature_bytes(self) -> int:
        """64: r || s, big-endian."""
        return _SIGNATURE_BYTES

    @property
    def private_key_bytes(self) -> int:
        """32: the scalar d, big-endian."""
        return _SCALAR_BYTES

    def is_public_key(self, public_key: bytes) -> bool:
        """Whether the bytes are 04 || x || y of a point on the curve; its order is prime, so all are usable."""
        return _point(public_key) is not None

    def is_private_key(self, private_key: bytes) -> bool:
        """Whether the bytes are d with 1 <= d <= n - 1."""
        return len(private_key) == _SCALAR_BYTES and 1 <= int.from_bytes(private_key, "big") < N

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is a valid signature of `message`; total: any bytes give an answer."""
        point = _point(public_key)
        if point is None or len(signature) != _SIGNATURE_BYTES:
            return False
        r = int.from_bytes(signature[:_SCALAR_BYTES], "big")
        s = int.from_bytes(signature[_SCALAR_BYTES:], "big")
        try:
            point.verify(encode_dss_signature(r, s), message, _VERIFY)
        except InvalidSignature:
            return False
        return True

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return 04 || x || y of d * G. Called by `chainnode.keystore` only."""
        return (
            _private(private_key)
            .public_key()
            .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        )

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        """Return the deterministic signature of RFC 6979. Called by `chainnode.keystore` only."""
        r, s = decode_dss_signature(_private(private_key).sign(message, _SIGN))
        return r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")


@functools.lru_cache(CACHED_PRIVATE_KEYS)
def _private(private_key: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(private_key, "big"), _CURVE)


def _point(encoded: bytes) -> ec.EllipticCurvePublicKey | None:
    # The length and the first byte decide here; the reader would take compressed points too.
    if len(encoded) != _POINT_BYTES or encoded[0] != _UNCOMPRESSED:
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)
    except ValueError:
        return None
