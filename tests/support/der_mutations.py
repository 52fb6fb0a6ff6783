"""DER that is almost right: elements dropped, doubled, swapped, nested or changed, with lengths that fit again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import DecodeError
from chainnode.pki.der import element, elements

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_CONSTRUCTED = 0x20
_WRAPPERS = (0x04, 0x03)
"""OCTET STRING and BIT STRING, which hold DER within."""

_TAGS = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x30, 0x31)
_CONTEXT = (0x80, 0x81, 0x86, 0xA0, 0xA1, 0xA3, 0xA4)
_EDGES = (
    b"",
    b"\0",
    b"\1",
    b"\x7f",
    b"\0\x80",
    b"\xff",
    b"\0" + b"\xff" * 20,
    b"\x7f" * 64,
    b"Z" * 15,
)
_MAX_DEPTH = 30


def changed_der(data: bytes, rng: Random, otherwise: Callable[[bytes, Random], bytes]) -> bytes:
    """Change one element of DER, mostly; sometimes bytes without regard to it.

    Args:
        data: what to change.
        rng: the source of chance.
        otherwise: how bytes are changed that are no DER any more.
    """
    if rng.random() < 0.1:
        return otherwise(data, rng)
    try:
        return _changed(data, rng, otherwise, 0)
    except (DecodeError, OverflowError):
        return otherwise(data, rng)


def _changed(
    data: bytes, rng: Random, otherwise: Callable[[bytes, Random], bytes], depth: int
) -> bytes:
    parts = [(data[e.start], data[e.content : e.end]) for e in elements(data, 0, len(data))]
    if not parts or depth > _MAX_DEPTH:
        return element(rng.choice(_TAGS), rng.choice(_EDGES))
    at = rng.randrange(len(parts))
    tag, content = parts[at]
    if tag & _CONSTRUCTED and rng.random() < 0.85:
        parts[at] = tag, _changed(content, rng, otherwise, depth + 1)
    elif tag in _WRAPPERS and len(content) > 2 and rng.random() < 0.7:
        unused = content[:1] if tag == 0x03 else b""
        parts[at] = tag, unused + _changed(content[len(unused) :], rng, otherwise, depth + 1)
    else:
        _change_here(parts, at, rng, otherwise)
    return b"".join(element(*part) for part in parts)


def _change_here(
    parts: list[tuple[int, bytes]],
    at: int,
    rng: Random,
    otherwise: Callable[[bytes, Random], bytes],
) -> None:
    tag, content = parts[at]
    match rng.randrange(8):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [parts[at]] * rng.choice((1, 1, 30, 200))
        case 2:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts[at] = 0x30, element(tag, content)
        case 4:
            parts[at] = rng.choice((*_TAGS, *_CONTEXT)), content
        case 5:
            parts[at] = tag, rng.choice(_EDGES)
        case 6:
            parts.insert(at, (rng.choice((*_TAGS, *_CONTEXT)), rng.choice(_EDGES)))
        case _:
            parts[at] = tag, otherwise(content, rng)
