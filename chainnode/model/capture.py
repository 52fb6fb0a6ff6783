"""Capture records: in what circumstances a document was taken, so that its hash in the record makes that evidence too.

A capture record is a JSON object of the shape below; its *capture hash* is the chain's hash of its RFC 8785 form (nothing
before, nothing after: `sha256sum` of a file that holds just these bytes). The hash goes into the registration as
`metadata_hash`, and the leaf commits to it beside the digests (docs/formats/capture.md).

Everything in it is what the capturing side says of itself. What the chain adds is that it said so before that time, and
has not changed a letter since.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, Union, cast

from chainnode.model.canonical_json import MAX_JSON_INTEGER, Param, canonical_json
from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite

FORMAT: Final = "chainnode-capture/1"

MAX_CAPTURE_BYTES: Final = 32 * 1024
"""A capture record as a file; all fields at their longest take less."""

NONCE_BYTES: Final = 32
"""Random, so that nobody can try out circumstances against a public hash."""

MAX_SHORT_BYTES: Final = 256
"""A name, a version, an address; UTF-8."""

MAX_LONG_BYTES: Final = 2_048
"""A URL or a path; UTF-8."""

MAX_NOTES_BYTES: Final = 8_192
MAX_LIST: Final = 16
"""Addresses, and fields of `extra`."""


@dataclass(frozen=True, slots=True)
class _Text:
    most_bytes: int


@dataclass(frozen=True, slots=True)
class _Integer:
    pass


@dataclass(frozen=True, slots=True)
class _Flag:
    pass


@dataclass(frozen=True, slots=True)
class _Word:
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Hex:
    least_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class _Texts:
    pass


@dataclass(frozen=True, slots=True)
class _Extra:
    pass


_Shape: TypeAlias = Union[_Text, _Integer, _Flag, _Word, _Hex, _Texts, _Extra, "dict[str, _Shape]"]

_SHORT: Final = _Text(MAX_SHORT_BYTES)
_LONG: Final = _Text(MAX_LONG_BYTES)

TIME_SOURCES: Final = ("gnss", "manual", "ntp", "ptp", "timestamp", "unknown")
CHECK_RESULTS: Final = ("clean", "findings", "not-done")

_SHAPE: Final[dict[str, _Shape]] = {
    "format": _Word((FORMAT,)),
    "nonce": _Hex(NONCE_BYTES, NONCE_BYTES),
    "captured_ms": _Integer(),
    "operator": {
        "account": _SHORT,
        "name": _SHORT,
        "organisation": _SHORT,
        "user": _SHORT,
    },
    "device": {"id": _SHORT, "machine": _SHORT, "name": _SHORT, "system": _SHORT},
    "software": {"name": _SHORT, "version": _SHORT},
    "source": {"modified_ms": _Integer(), "path": _LONG, "size_bytes": _Integer(), "url": _LONG},
    "time": {
        "is_synchronised": _Flag(),
        "max_error_ms": _Integer(),
        "server": _SHORT,
        "source": _Word(TIME_SOURCES),
    },
    "network": {"addresses": _Texts(), "name": _SHORT, "proxy": _LONG},
    "cleanliness": {"log_hash": _Hex(32, 64), "method": _LONG, "result": _Word(CHECK_RESULTS)},
    "notes": _Text(MAX_NOTES_BYTES),
    "extra": _Extra(),
}
_REQUIRED: Final = ("format", "nonce", "captured_ms")
_HEX: Final = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture record of the right shape."""

    value: Mapping[str, Param]
    """As JSON has it."""

    @property
    def canonical(self) -> bytes:
        """Its RFC 8785 form."""
        return canonical_json(dict(self.value), "capture")

    def hash(self, suite: Suite) -> bytes:
        """Return the 32 bytes that a registration carries as `metadata_hash`."""
        return suite.hash(self.canonical)


def capture_of(value: Param) -> Capture:
    """Return a JSON value as a capture record.

    Raises:
        DecodeError: it is of another shape.
    """
    fields = _check_object(value, _SHAPE, "capture")
    for name in _REQUIRED:
        if name not in fields:
            raise _refused(name, "it is missing")
    capture = Capture(fields)
    if len(capture.canonical) > MAX_CAPTURE_BYTES:
        raise _refused("capture", f"longer than {MAX_CAPTURE_BYTES} bytes")
    return capture


def parse_capture(data: bytes) -> Capture:
    """Read a capture record, in whatever layout of JSON.

    Raises:
        DecodeError: not UTF-8, not JSON, a name twice in one object, or of another shape.
    """
    if len(data) > MAX_CAPTURE_BYTES:
        raise DecodeError(
            f"capture: found {len(data)} bytes; at most {MAX_CAPTURE_BYTES} are read",
            code="too_large",
        )
    try:
        value = _decoder.decode(data.decode())
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise DecodeError(f"capture: not JSON: {reason}") from error
    return capture_of(cast("Param", value))


def _check_object(value: Param, shape: dict[str, _Shape], what: str) -> dict[str, Param]:
    if type(value) is not dict:
        raise _refused(what, f"found {type(value).__name__}, expected an object")
    for name, member in value.items():
        if name not in shape:
            raise _refused(
                what, f"there is no field {name[:80]!r}; known are {', '.join(sorted(shape))}"
            )
        _check(member, shape[name], name if what == "capture" else f"{what}.{name}")
    return value


def _check(value: Param, shape: _Shape, what: str) -> None:
    match shape:
        case dict():
            _check_object(value, shape, what)
        case _Text(most_bytes):
            _check_text(value, most_bytes, what)
        case _Integer():
            if type(value) is not int or not 0 <= value <= MAX_JSON_INTEGER:
                raise _refused(what, "expected an integer from 0 to 2^53 - 1")
        case _Flag():
            if type(value) is not bool:
                raise _refused(what, "expected true or false")
        case _Word(words):
            if type(value) is not str or value not in words:
                raise _refused(what, f"expected {' or '.join(words)}")
        case _Hex(least, most):
            is_hex = type(value) is str and len(value) % 2 == 0 and _HEX.fullmatch(value)
            if not is_hex or not least <= len(cast("str", value)) // 2 <= most:
                raise _refused(what, f"expected {least} to {most} bytes in lower-case hex")
        case _Texts():
            if type(value) is not list or len(value) > MAX_LIST:
                raise _refused(what, f"expected a list of at most {MAX_LIST} strings")
            for member in value:
                _check_text(member, MAX_SHORT_BYTES, what)
        case _Extra():
            if type(value) is not dict or len(value) > MAX_LIST:
                raise _refused(what, f"expected an object of at most {MAX_LIST} strings")
            for name, member in value.items():
                _check_text(name, MAX_SHORT_BYTES, what)
                _check_text(member, MAX_SHORT_BYTES, what)


def _check_text(value: Param, most_bytes: int, what: str) -> None:
    if type(value) is not str:
        raise _refused(what, f"found {type(value).__name__}, expected a string")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _refused(what, "half a surrogate pair") from None
    if size > most_bytes:
        raise _refused(what, f"longer than {most_bytes} bytes of UTF-8")


def _refused(what: str, why: str) -> DecodeError:
    return DecodeError(f"capture: {what}: {why}", field=what, code="bad_capture")


def _object(pairs: list[tuple[str, Param]]) -> dict[str, Param]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return result


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no integer")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_refuse_number, parse_constant=_refuse_number
)
