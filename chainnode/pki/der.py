"""DER (X.690 sections 8 to 10), checked element by element before a parser that would forgive sees the bytes.

Signatures cover bytes. Two encodings of one value, lengths that lie and bytes after the end are what confuses one
verifier and not another; here they are refused as such.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from chainnode.model.errors import ChainError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 24
"""Elements within elements. A certificate has 9 levels, the deepest of them names in its extensions."""

MAX_OID_BYTES: Final = 64
"""Content of an object identifier; an arc that is a UUID takes 19."""

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
"""Identifier octets; those of the structures with the bit that says constructed."""

_CONSTRUCTED = 0x20
_CLASS = 0xC0
_LONG_TAG = 0x1F
_MAX_LENGTH_BYTES = 4


class Element(NamedTuple):
    """Where one element lies. A tuple: a request has twenty, and a frozen dataclass takes longer to make."""

    tag: int
    """The identifier octet."""

    start: int
    """Of the identifier octet."""

    content: int
    """Of the content."""

    end: int
    """Just behind it."""


def check_der(data: bytes, what: str, *, most_bytes: int) -> None:
    """Check that the bytes are one element in DER, all of it and nothing behind.

    Content of context-specific primitive elements is checked by who knows what they are.

    Raises:
        DecodeError: they are not; `what` names them in the message.
    """
    if len(data) > most_bytes:
        raise DecodeError(f"{what}: found {len(data)} bytes; expected at most {most_bytes}")
    found = _check(data, 0, len(data), what, 0)
    if found != 1:
        raise DecodeError(f"{what}: found {found} elements; expected one, and nothing behind it")


def elements(data: bytes, start: int, end: int, what: str = "DER") -> Iterator[Element]:
    """Yield the elements that lie one behind the other in `data[start:end]`; `what` names them in messages.

    Raises:
        DecodeError: a length is not in DER or leads out of the range.
    """
    while start < end:
        found = _element(data, start, end, what)
        yield found
        start = found.end


def element(tag: int, content: bytes) -> bytes:
    """Return an element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def dotted(content: bytes) -> str:
    """Return an object identifier, whose content `check_der` has accepted, as people write it."""
    arcs, arc = [], 0
    for byte in content:
        arc = arc << 7 | byte & 0x7F
        if byte < 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a parser raises on bytes from outside into a DecodeError that names `what`."""
    try:
        yield
    except ChainError:
        raise
    except Exception as error:
        # asn1crypto parses late, and raises ValueError, TypeError, KeyError or whatever it stumbles over.
        raise DecodeError(f"{what}: cannot be read ({error})") from error


def _element(data: bytes, start: int, end: int, what: str) -> Element:
    if end - start < 2:
        raise DecodeError(f"{what}: found {end - start} bytes at {start}; expected tag and length")
    tag, length, at = data[start], data[start + 1], start + 2
    if tag & _LONG_TAG == _LONG_TAG:
        raise DecodeError(f"{what}: found a tag of several bytes at {start}; X.509 has none")
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= _MAX_LENGTH_BYTES or end - at < size:
            raise DecodeError(
                f"{what}: the length at {start} is indefinite or leads beyond the end"
            )
        length = int.from_bytes(data[at : at + size], "big")
        at += size
        if length < 0x80 or length >> 8 * (size - 1) == 0:
            raise DecodeError(f"{what}: the length at {start} is not in its shortest form")
    if length > end - at:
        raise DecodeError(f"{what}: the element at {start} leads beyond the end")
    return Element(tag, start, at, at + length)


def _check(data: bytes, start: int, end: int, what: str, depth: int) -> int:
    """Check the elements of a range; return their number."""
    if depth > MAX_DEPTH:
        raise DecodeError(f"{what}: found more than {MAX_DEPTH} levels of elements")
    count = 0
    for found in elements(data, start, end, what):
        count += 1
        if found.tag & _CONSTRUCTED:
            if found.tag & _CLASS == 0 and found.tag not in (SEQUENCE, SET):
                raise DecodeError(f"{what}: found a string in parts at {found.start}")
            _check(data, found.content, found.end, what, depth + 1)
            if found.tag == SET:
                _check_order(data, found, what)
        elif found.tag & _CLASS == 0 and not _is_primitive(
            found.tag, data[found.content : found.end]
        ):
            raise DecodeError(f"{what}: the value at {found.start} is not in DER")
    return count


def _check_order(data: bytes, of: Element, what: str) -> None:
    members = [data[e.start : e.end] for e in elements(data, of.content, of.end)]
    if members != sorted(members):
        raise DecodeError(f"{what}: the set at {of.start} is not in order")


def _is_primitive(tag: int, content: bytes) -> bool:
    match tag:
        case 0x01:  # BOOLEAN
            return content in (b"\x00", b"\xff")
        case 0x02 | 0x0A:  # INTEGER, ENUMERATED
            return _is_integer(content)
        case 0x03:  # BIT STRING
            return _is_bit_string(content)
        case 0x05:  # NULL
            return not content
        case 0x06:  # OBJECT IDENTIFIER
            return _is_object_identifier(content)
        case 0x0C:  # UTF8String
            return _is_utf8(content)
        case _:
            return tag not in (0x00, SEQUENCE & ~_CONSTRUCTED, SET & ~_CONSTRUCTED)


def _is_integer(content: bytes) -> bool:
    if len(content) < 2:
        return bool(content)
    # The first nine bits are not all alike, or the first octet could go (X.690 section 8.3.2).
    return content[0] not in (0, 0xFF) or (content[0] ^ content[1]) >= 0x80


def _is_bit_string(content: bytes) -> bool:
    if not content or content[0] > 7:
        return False
    unused = content[0]
    return unused == 0 or (len(content) > 1 and content[-1] & ((1 << unused) - 1) == 0)


def _is_object_identifier(content: bytes) -> bool:
    if not content or len(content) > MAX_OID_BYTES or content[-1] & 0x80:
        return False
    begins = b"\0" + content[:-1]
    return all(byte != 0x80 or before & 0x80 for before, byte in zip(begins, content, strict=True))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
