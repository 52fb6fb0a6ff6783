"""The curve of SM2 (GB/T 32918.5-2017) and what we compute on it ourselves.

All checks that decide whether bytes are a key or a signature are made here and in `sm2_sm3`, never by a backend:
backends differ in what they tolerate, and what is tolerated is a consensus rule.
"""

from __future__ import annotations

from typing import Final

from chainnode.model.errors import InvariantViolation
from chainnode.model.suites.sm3 import sm3

SCALAR_BYTES: Final = 32
POINT_BYTES: Final = 65

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
"""The field's prime."""

A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
"""Coefficients of y^2 = x^3 + A x + B."""

N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
"""The order of the base point, a prime; the cofactor is 1, so every point of the curve is in the group."""

G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
"""The base point (x, y)."""

USER_ID: Final = b"1234567812345678"
"""The signer's identifier that GM/T 0009-2012 sets where no other is agreed; mixed into every digest."""

_UNCOMPRESSED = 4

_Z_PREFIX: Final = (
    (8 * len(USER_ID)).to_bytes(2, "big")
    + USER_ID
    + b"".join(number.to_bytes(SCALAR_BYTES, "big") for number in (A, B, *G))
)


def is_point(encoded: bytes) -> bool:
    """Whether the bytes are 04 || x || y of a point on the curve, both coordinates below the prime."""
    if len(encoded) != POINT_BYTES or encoded[0] != _UNCOMPRESSED:
        return False
    x = int.from_bytes(encoded[1:33], "big")
    y = int.from_bytes(encoded[33:], "big")
    return x < P and y < P and (y * y - (x * x + A) * x - B) % P == 0


def signed_digest(public_key: bytes, message: bytes) -> bytes:
    """Return e = SM3(Z || message), Z = SM3(ENTL || ID || a || b || G || public key): what is signed.

    Args:
        public_key: 65 bytes, a point of the curve.
        message: any bytes.
    """
    return sm3(sm3(_Z_PREFIX + public_key[1:]) + message)


def times_base(scalar: int) -> bytes:
    """Return the encoded point `scalar` * G, for 1 <= `scalar` < N.

    A ladder: the same two operations for each of the 256 bits, whatever the bits are. Python's integers are not
    constant in time, so this runs only when a key is made or imported on its owner's machine, and only where the
    backend cannot do it.
    """
    low: _Point | None = None
    high: _Point | None = G
    for bit in range(8 * SCALAR_BYTES - 1, -1, -1):
        if scalar >> bit & 1:
            low, high = _add(low, high), _add(high, high)
        else:
            low, high = _add(low, low), _add(low, high)
    if low is None:
        raise InvariantViolation("a multiple of the group's order is no SM2 private key")
    x, y = low
    return (
        bytes([_UNCOMPRESSED]) + x.to_bytes(SCALAR_BYTES, "big") + y.to_bytes(SCALAR_BYTES, "big")
    )


_Point = tuple[int, int]


def _add(left: _Point | None, right: _Point | None) -> _Point | None:
    """The group law in affine coordinates; None is the neutral element."""
    if left is None:
        return right
    if right is None:
        return left
    (x1, y1), (x2, y2) = left, right
    if x1 != x2:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    elif y1 == y2:
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        return None
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P
