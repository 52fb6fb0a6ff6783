"""Canonical MessagePack: the one encoding of every value on the wire and on disk.

A value is nil, a boolean, an integer (-2^63 .. 2^64-1), a UTF-8 string, a byte string, or an array of values.
There are no maps, floats or extension types. Integers, strings and arrays take their shortest form, and
nothing follows the value. So each value has exactly one encoding, and a decoder accepts no other.

Source: the MessagePack specification (msgpack/spec.md); the restrictions are ours (docs/formats/encoding.md).
"""

from __future__ import annotations

from functools import partial
from typing import Final, TypeAlias, Union

import msgpack

from chainnode.model.errors import DecodeError

Value: TypeAlias = Union[bool, int, str, bytes, "tuple[Value, ...]", None]
"""What canonical bytes can say. Arrays decode to tuples."""

MAX_DEPTH: Final = 16
"""Arrays within arrays; the deepest format in use nests 7. Bounds the recursion of hostile input."""

MAX_ELEMENTS: Final = 512 * 1024
"""Elements of all arrays of one value together; the largest genesis has 400,000. A message of 24 MiB could hold twenty million,
and reading those would take half a minute and a gigabyte."""

_SCALARS: Final = frozenset((type(None), bool, int, str, bytes))
_MOST_BEFORE_TEXT: Final = 1_024
"""How far into its bytes `text_at` looks."""

_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack


def _refuse_map(found: object) -> Value:
    # At the first one: an empty map is one byte here and 64 in memory, and a message may hold millions.
    raise DecodeError(f"{type(found).__name__} is not among the kinds of values that are allowed")


def _refuse_extension(code: int, data: bytes) -> Value:
    raise DecodeError(f"extension type {code} ({len(data)} bytes) is not allowed")


_unpack: Final = partial(
    msgpack.unpackb,
    raw=False,
    use_list=False,
    strict_map_key=False,
    object_hook=_refuse_map,
    ext_hook=_refuse_extension,
)
"""Reads arrays of at most as many elements as there are bytes, which is msgpack's own bound."""


def encode(value: Value) -> bytes:
    """Return the canonical encoding of `value`.

    Raises:
        TypeError, OverflowError, ValueError: the value is not one of the kinds above; a bug of the caller.
    """
    encoded: bytes = _pack(value)
    return encoded


def decode(data: bytes, *, max_bytes: int) -> Value:
    """Return the value whose canonical encoding is `data`.

    Args:
        data: The bytes to decode.
        max_bytes: Refuse anything longer before looking at it.

    Raises:
        DecodeError: `data` is too long, or not the canonical encoding of any value.
    """
    if len(data) > max_bytes:
        raise DecodeError(
            f"{len(data)} bytes were found; at most {max_bytes} are allowed", code="too_large"
        )
    try:
        # An element takes a byte at least, so that short data needs no counting.
        value: Value = _unpack(data) if len(data) <= MAX_ELEMENTS else _unpack_counting(data)
    except DecodeError:
        raise
    except (ValueError, RecursionError, OverflowError, TypeError, msgpack.UnpackException) as error:
        raise DecodeError(f"not canonical MessagePack: {error or type(error).__name__}") from error
    _check_kinds(value, MAX_DEPTH)
    if _pack(value) != data:
        raise DecodeError("not canonical MessagePack: a value is not in its shortest form")
    return value


def decode_array(data: bytes, *, max_bytes: int, arity: int, what: str) -> tuple[Value, ...]:
    """Return the elements of the array of exactly `arity` elements that `data` encodes.

    Raises:
        DecodeError: `data` is not canonical, or not an array, or of another arity; `what` names it.
    """
    return array(decode(data, max_bytes=max_bytes), what, arity=arity)


def text_at(data: bytes, position: int) -> str:
    """Return the text at a position of the array that `data` begins with, or "" if there is none; nothing else is checked."""
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=_MOST_BEFORE_TEXT)
    try:
        unpacker.feed(data[:_MOST_BEFORE_TEXT])
        if unpacker.read_array_header() <= position:
            return ""
        for _ in range(position):
            unpacker.skip()
        found = unpacker.unpack()
    except (msgpack.UnpackException, ValueError):
        return ""
    return found if type(found) is str else ""


def array(value: Value, what: str, *, arity: int | None = None) -> tuple[Value, ...]:
    """Return `value` as an array, of `arity` elements if that is given; `what` names it in the error."""
    if type(value) is not tuple:
        raise DecodeError(f"{what}: found {_kind(value)}, expected an array", field=what)
    if arity is not None and len(value) != arity:
        raise DecodeError(
            f"{what}: found {len(value)} elements, expected {arity}", field=what, code="malformed"
        )
    return value


def array_up_to(value: Value, what: str, *, least: int = 0, most: int) -> tuple[Value, ...]:
    """Return `value` as an array of `least` to `most` elements."""
    elements = array(value, what)
    if not least <= len(elements) <= most:
        raise DecodeError(
            f"{what}: found {len(elements)} elements, expected {least} to {most}", field=what
        )
    return elements


def integer(value: Value, what: str, *, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return `value` as an integer in `least .. most` (by default 0 .. 2^63-1)."""
    if type(value) is not int:
        raise DecodeError(f"{what}: found {_kind(value)}, expected an integer", field=what)
    if not least <= value <= most:
        raise DecodeError(f"{what}: found {value}, expected {least} to {most}", field=what)
    return value


def boolean(value: Value, what: str) -> bool:
    """Return `value` as a boolean."""
    if type(value) is not bool:
        raise DecodeError(f"{what}: found {_kind(value)}, expected true or false", field=what)
    return value


def text(value: Value, what: str, *, most_bytes: int) -> str:
    """Return `value` as a string of at most `most_bytes` bytes of UTF-8."""
    if type(value) is not str:
        raise DecodeError(f"{what}: found {_kind(value)}, expected a string", field=what)
    # A character takes at least a byte, so the cheap test refuses most of what the exact one would.
    if len(value) > most_bytes or len(value.encode()) > most_bytes:
        raise DecodeError(f"{what}: longer than {most_bytes} bytes of UTF-8", field=what)
    return value


def binary(value: Value, what: str, *, size: int | None = None, most: int | None = None) -> bytes:
    """Return `value` as bytes, of exactly `size` or at most `most` bytes if given."""
    if type(value) is not bytes:
        raise DecodeError(f"{what}: found {_kind(value)}, expected bytes", field=what)
    if size is not None and len(value) != size:
        raise DecodeError(f"{what}: found {len(value)} bytes, expected {size}", field=what)
    if most is not None and len(value) > most:
        raise DecodeError(f"{what}: found {len(value)} bytes, expected at most {most}", field=what)
    return value


def _check_kinds(value: object, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is not tuple:
        raise DecodeError(f"{kind.__name__} is not among the kinds of values that are allowed")
    if depth == 0:
        raise DecodeError(f"arrays are nested more than {MAX_DEPTH} deep")
    for element in value:  # type: ignore[attr-defined]  # a tuple, by the test above
        if type(element) not in _SCALARS:
            _check_kinds(element, depth - 1)


def _unpack_counting(data: bytes) -> Value:
    value: Value = _unpack(data, list_hook=_ElementCount().add, max_array_len=MAX_ELEMENTS)
    return value


class _ElementCount:
    """Adds up the elements of arrays as they are completed."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self, elements: tuple[Value, ...]) -> tuple[Value, ...]:
        """Count a completed array and return it. Raises DecodeError, with code `too_large`."""
        self._count += len(elements)
        if self._count > MAX_ELEMENTS:
            raise DecodeError(f"more than {MAX_ELEMENTS} elements", code="too_large")
        return elements


def _kind(value: Value) -> str:
    names = {
        type(None): "nil",
        bool: "a boolean",
        int: "an integer",
        str: "a string",
        bytes: "bytes",
        tuple: "an array",
    }
    return names[type(value)]
