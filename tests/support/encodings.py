"""Encodings that a canonical decoder must refuse, made from one that it accepts.

A reader of MessagePack of our own, so that what is tested does not make its own tests.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Token(NamedTuple):
    """One scalar or one array head: where it stands, and the length of its head."""

    kind: str
    start: int
    end: int
    head: int
    """Bytes before the payload; the whole of an integer."""


# First byte -> (kind, bytes of the length or number behind it).
_HEADS = {
    0xC0: ("nil", 0),
    0xC2: ("bool", 0),
    0xC3: ("bool", 0),
    0xC4: ("bin", 1),
    0xC5: ("bin", 2),
    0xC6: ("bin", 4),
    0xCC: ("uint", 1),
    0xCD: ("uint", 2),
    0xCE: ("uint", 4),
    0xCF: ("uint", 8),
    0xD0: ("int", 1),
    0xD1: ("int", 2),
    0xD2: ("int", 4),
    0xD3: ("int", 8),
    0xD9: ("str", 1),
    0xDA: ("str", 2),
    0xDB: ("str", 4),
    0xDC: ("array", 2),
    0xDD: ("array", 4),
}
_PAYLOADS = ("str", "bin")


def tokens(data: bytes) -> Iterator[Token]:
    """Walk through canonical bytes from left to right."""
    at = 0
    while at < len(data):
        first = data[at]
        size = 0
        if first < 0x80:
            kind, width = "uint", 0
        elif first >= 0xE0:
            kind, width = "int", 0
        elif 0x90 <= first <= 0x9F:
            kind, width = "array", 0
        elif 0xA0 <= first <= 0xBF:
            kind, width, size = "str", 0, first & 0x1F
        else:
            kind, width = _HEADS[first]
            if kind in _PAYLOADS:
                size = int.from_bytes(data[at + 1 : at + 1 + width], "big")
        head = 1 + width
        yield Token(kind, at, at + head + size, head)
        at += head + size


def longer_forms(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (what, bytes): the same values with one of them in a longer form than it needs."""
    for token in tokens(data):
        head = data[token.start : token.start + token.head]
        rest = data[token.start + token.head :]
        for longer in _longer_heads(token.kind, head, token.end - token.start - token.head):
            yield (
                f"{token.kind} at {token.start} as {longer[0]:02x}",
                (data[: token.start] + longer + rest),
            )


def _longer_heads(kind: str, head: bytes, size: int) -> Iterator[bytes]:
    first, width = head[0], len(head) - 1
    if kind == "uint":
        number = first if width == 0 else int.from_bytes(head[1:], "big")
        for code, form in ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")):
            if struct.calcsize(form) > width:
                yield bytes([code]) + struct.pack(form, number)
        if number < 2**63:
            yield b"\xd3" + struct.pack(">q", number)
    elif kind == "int":
        number = int.from_bytes(head[1:] if width else head, "big", signed=True)
        for code, form in ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")):
            if struct.calcsize(form) > width:
                yield bytes([code]) + struct.pack(form, number)
    elif kind in ("str", "bin"):
        codes = (0xD9, 0xDA, 0xDB) if kind == "str" else (0xC4, 0xC5, 0xC6)
        for code, form in zip(codes, (">B", ">H", ">I"), strict=True):
            if struct.calcsize(form) > width:
                yield bytes([code]) + struct.pack(form, size)
    elif kind == "array":
        count = first & 0x0F if width == 0 else int.from_bytes(head[1:], "big")
        for code, form in ((0xDC, ">H"), (0xDD, ">I")):
            if struct.calcsize(form) > width:
                yield bytes([code]) + struct.pack(form, count)


def foreign_kinds(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (what, bytes): one scalar replaced by something that no canonical value holds."""
    for token in tokens(data):
        if token.kind == "array":
            continue
        before, after = data[: token.start], data[token.end :]
        for what, foreign in (
            ("map", b"\x80"),
            ("map of one", b"\x81\x01\x02"),
            ("map with an array as key", b"\x81\x91\x01\x02"),
            ("map with a map as key", b"\x81\x80\x02"),
            ("float32", b"\xca\x3f\x80\x00\x00"),
            ("float64", b"\xcb\x3f\xf0" + bytes(6)),
            ("extension", b"\xd4\x05\x00"),
            ("timestamp", b"\xd6\xff\x00\x00\x00\x01"),
            ("timestamp of a wrong length", b"\xc7\x03\xff\x00\x00\x00"),
            ("reserved byte", b"\xc1"),
            ("invalid UTF-8", b"\xa1\xff"),
            ("surrogate in UTF-8", b"\xa3\xed\xa0\x80"),
        ):
            yield f"{what} at {token.start}", before + foreign + after


def other_kinds(data: bytes) -> Iterator[bytes]:
    """Yield bytes in which one scalar is replaced by another canonical one: refused, or another value."""
    for token in tokens(data):
        if token.kind == "array":
            continue
        for other in (
            *(b"\xc0", b"\xc2", b"\xc3", b"\x00", b"\xff", b"\xcf" + b"\xff" * 8),
            *(b"\xa0", b"\xa1a", b"\xc4\x00", b"\xc4\x01a", b"\x90", b"\x91\x00"),
        ):
            yield data[: token.start] + other + data[token.end :]


def is_refused(decode: Callable[[bytes], object], data: bytes) -> bool:
    """Whether a decoder answers with DecodeError; any other exception is the test's failure."""
    try:
        decode(data)
    except DecodeError:
        return True
    return False
