"""DER, written (X.690): small functions from content to bytes, so that what never changes is encoded once."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = b"\x05\x00"
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def element(tag: int, content: bytes) -> bytes:
    """Return one element with that identifier octet."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return element(SEQUENCE, b"".join(parts))


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF encoded elements, in the order that DER asks for (section 11.6)."""
    return element(SET, b"".join(sorted(parts)))


def context(number: int, *parts: bytes) -> bytes:
    """Return the constructed context-specific element [number]."""
    return element(0xA0 | number, b"".join(parts))


def implicit(number: int, content: bytes) -> bytes:
    """Return the primitive context-specific element [number]."""
    return element(0x80 | number, content)


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return element(OCTET_STRING, content)


def utf8(text: str) -> bytes:
    """Return a UTF8String."""
    return element(UTF8_STRING, text.encode())


@lru_cache(maxsize=256)
def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER. Raises ValueError if it is none."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    if not 0 <= first <= 2 or second < 0 or (first < 2 and second > 39) or any(a < 0 for a in rest):
        raise ValueError(f"{dotted} is no object identifier")
    return element(
        OBJECT_IDENTIFIER, b"".join(_base_128(arc) for arc in (40 * first + second, *rest))
    )


def named_bit(number: int) -> bytes:
    """Return a BIT STRING of named bits in which one is set (section 11.2.2)."""
    return element(
        BIT_STRING, bytes([7 - number % 8]) + bytes(number // 8) + bytes([0x80 >> number % 8])
    )


@lru_cache(maxsize=16)
def generalized_time(time_ms: int) -> bytes:
    """Return a GeneralizedTime in UTC, its fraction without trailing zeros (section 11.7)."""
    moment = _EPOCH + dt.timedelta(milliseconds=time_ms)
    fraction = f".{time_ms % 1_000:03}".rstrip("0") if time_ms % 1_000 else ""
    return element(GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%S}{fraction}Z".encode("ascii"))


def _base_128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(0x80 | arc & 0x7F)
    return bytes(reversed(digits))
