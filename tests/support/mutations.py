"""Input that is almost right: one valid encoding, changed by its structure. What random bytes never reach, this does.

    rng = random.Random(seed)
    mutated("canonical", data, rng)        the same seed gives the same bytes on every machine

Strategies draw the seed; the coverage-guided run gets it from its engine. Several changes of one input add up.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from tests.support.der_mutations import changed_der
from tests.support.encodings import longer_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

EDGES = (
    *(-(2**63), -(2**31) - 1, -(2**31), -2, -1, 0, 1, 2, 3, 15, 16, 127, 128, 255, 256, 65_535),
    *(65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1),
)
"""Integers about which implementations have always been wrong; all have an encoding in MessagePack."""

_MAX_BYTES = 64 * 1024
_MAX_LISTED_BYTES = 4 * 1024
"""All longer forms of an input are listed before one is chosen, each as long as the input."""

_MAX_INPUT_BYTES = 1024 * 1024
"""Repeating what was repeated would grow without end; every bound of a decoder that is tried here lies lower."""

_WORDS = ("", "a", "é", "\0", "\N{ZERO WIDTH SPACE}", "x" * 70_000, "../../etc", "none", "-1", "٣")


def mutated(shape: str, data: bytes, rng: Random) -> bytes:
    """Change bytes one to three times; `shape` is a key of `SHAPES` and says what they are made of."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = SHAPES[shape](data, rng)[:_MAX_INPUT_BYTES]
    return data


# -- small and claiming to be large --------------------------------------------------------------------------


def bombs(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield (what, about `size` bytes) that cost a careless reader more than their length: memory, depth or time."""

    def repeated(unit: bytes) -> bytes:
        return unit * (size // len(unit))

    def array_of(element: bytes) -> bytes:
        count = (size - 5) // len(element)
        return b"\xdd" + count.to_bytes(4, "big") + element * count

    yield "nested arrays", b"\x91" * (size - 1) + b"\xc0"
    yield "nested claims", repeated(b"\xdc\xff\xff")
    for what, head in (("array", b"\xdd"), ("string", b"\xdb"), ("bytes", b"\xc6")):
        yield f"a claim of 4 GiB of {what}", head + b"\xff\xff\xff\xff" + bytes(size - 5)
    for what, head in (("extension", b"\xc9"), ("map", b"\xdf")):
        yield f"a claim of 4 GiB of {what}", head + b"\xff\xff\xff\xff" + b"\x80" * (size - 5)
    for what, element in (
        ("nil", b"\xc0"),
        ("empty arrays", b"\x90"),
        ("arrays of one", b"\x91\xc0"),
        ("arrays of two", b"\x92\xc0\xc0"),
        ("numbers", b"\xcd\x10\x00"),
        ("bytes of two", b"\xc4\x02ab"),
        ("strings of two", b"\xa2ab"),
        ("maps", b"\x80"),
    ):
        yield f"an array of {what}", array_of(element)
    for what, unit in (
        ("short lines", b"a\n"),
        ("empty lines", b"\n"),
        ("words", b"a "),
        ("brackets", b"["),
        ("objects in objects", b'{"a":'),
        ("digits", b"9"),
        ("base64", b"A"),
        ("zeros", b"\0"),
        ("frames of one byte", b"\0\0\0\1a"),
        ("sections", b"[a]\n"),
    ):
        yield what, repeated(unit)
    yield "brackets that close", b"[" * (size // 2) + b"]" * (size // 2)
    yield "a list of lists", b"[" + b"[]," * (size // 3 - 1) + b"[]]"
    yield "a list of objects", b"[" + b"{}," * (size // 3 - 1) + b"{}]"
    yield "a name of many parts", b"a" + b".a" * (size // 2) + b" = 1"


# -- bytes -------------------------------------------------------------------------------------------------


def changed_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, overwrite, cut, repeat, insert, or append."""
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 32, 64)))
    match rng.randrange(8):
        case 0 if data:
            at %= len(data)
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0xC1))]) + data[at + 1 :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + data[to:]
        case 4:
            return data[:to] + data[at:]
        case 5:
            return data[:at] + rng.randbytes(to - at) + data[to:]
        case 6:
            return data + rng.choice((b"\0", b"\xc0", data[:64]))
        case _:
            return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 8))) + data[at:]


# -- canonical MessagePack -----------------------------------------------------------------------------------


def changed_canonical(data: bytes, rng: Random) -> bytes:
    """Change a value within, mostly; sometimes only how it is written, or bytes without regard to either."""
    kind = rng.randrange(10)
    if kind == 0:
        return changed_bytes(data, rng)
    try:
        if kind == 1 and len(data) < _MAX_LISTED_BYTES:
            forms = list(longer_forms(data))
            return rng.choice(forms)[1] if forms else data
        value = codec.decode(data, max_bytes=16 * _MAX_BYTES)
        return codec.encode(changed_value(value, rng))
    except (DecodeError, KeyError, IndexError, OverflowError):
        # It was no canonical value any more before this change.
        return changed_bytes(data, rng)


def changed_value(value: Any, rng: Random) -> Any:
    """Change one place of a value: an array itself, or something in it."""
    if isinstance(value, tuple):
        if value and rng.random() < 0.75:
            at = rng.randrange(len(value))
            return (*value[:at], changed_value(value[at], rng), *value[at + 1 :])
        return _changed_array(value, rng)
    if rng.random() < 0.1:
        return _another_kind(rng)
    match value:
        case bool():
            return not value
        case int():
            near = (value - 1, value + 1, value * 2, -value, value ^ (1 << rng.randrange(63)))
            return _encodable(rng.choice((*near, *EDGES)))
        case str():
            return _changed_text(value, rng)
        case bytes():
            # Formats nest as bytes within bytes: an envelope in a block in a message.
            if len(value) > 2 and rng.random() < 0.7:
                try:
                    inner = codec.decode(value, max_bytes=16 * _MAX_BYTES)
                    if isinstance(inner, tuple):
                        return codec.encode(changed_value(inner, rng))
                except DecodeError:
                    pass
            return changed_bytes(value, rng)
        case _:
            return _another_kind(rng)


def _changed_array(value: tuple[Any, ...], rng: Random) -> Any:
    if not value:
        return (_another_kind(rng),)
    at, other = rng.randrange(len(value)), rng.randrange(len(value))
    match rng.randrange(9):
        case 0:
            return (*value[:at], *value[at + 1 :])
        case 1:
            return (*value[:at], value[at], *value[at:])
        case 2:
            swapped = list(value)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return tuple(swapped)
        case 3:
            return (*value[:at], value[other], *value[at + 1 :])
        case 4:
            return (*value[:at], (value[at],), *value[at + 1 :])
        case 5:
            return (*value[:at], nested(rng.choice((1, 8, 15, 16, 17, 300))), *value[at + 1 :])
        case 6:
            most = _MAX_INPUT_BYTES // (len(codec.encode(value)) + 1)
            return value * min(rng.choice((2, 17, 101, 300)), most)
        case 7:
            return value[::-1]
        case _:
            return (*value, _another_kind(rng))


def nested(depth: int) -> Any:
    """Return an array within an array, so many times."""
    value: Any = ()
    for _ in range(depth):
        value = (value,)
    return value


def _another_kind(rng: Random) -> Any:
    return rng.choice(
        (*(None, True, False, "", "a", b"", b"a", bytes(32), bytes(64), ()), *EDGES, (0,), ((),))
    )


def _encodable(number: int) -> int:
    return max(-(2**63), min(number, 2**64 - 1))


def _changed_text(text: str, rng: Random) -> str:
    at = rng.randrange(len(text) + 1)
    match rng.randrange(4):
        case 0:
            return text[:at] + chr(rng.choice((0, 9, 10, 13, 32, 43, 47, 58, 127, 233, 0x2003)))
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at] + text
        case _:
            return rng.choice(_WORDS)


# -- lines and JSON --------------------------------------------------------------------------------------------


def changed_lines(data: bytes, rng: Random) -> bytes:
    """Change lines of text, words of a line, or base64 within a word."""
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            return changed_bytes(data, rng)
        case 1:
            del lines[at]
        case 2:
            lines.insert(at, lines[other])
        case 3:
            lines[at], lines[other] = lines[other], lines[at]
        case 4:
            lines[at] += rng.choice((b" ", b"\r", b"\t", b"=", b"\0", b"\xff", b" x"))
        case 5:
            most = _MAX_INPUT_BYTES // (len(lines[at]) + 1)
            lines[at:at] = [lines[at]] * min(rng.choice((2, 99, 1_001)), most)
        case _:
            words = lines[at].split(b" ")
            place = rng.randrange(len(words))
            words[place] = _changed_word(words[place], rng)
            lines[at] = b" ".join(words)
    return b"\n".join(lines)


def _changed_word(word: bytes, rng: Random) -> bytes:
    if word.isdigit() or rng.random() < 0.2:
        number = rng.choice((*EDGES, 2**64, 10**30, 10**5_000 if rng.random() < 0.1 else 7))
        return b"9" * 5_000 if number == 10**5_000 else str(number).encode()
    try:
        inner = base64.b64decode(word, validate=True)
        if len(inner) > 3 and rng.random() < 0.7:
            return base64.b64encode(changed_canonical(inner, rng))
    except (binascii.Error, ValueError):
        pass
    if rng.random() < 0.2:
        return rng.choice(_WORDS).encode()
    return changed_bytes(word, rng)


def changed_json(data: bytes, rng: Random) -> bytes:
    """Change a value within JSON and write it as it was written: sorted and indented by two."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return changed_bytes(data, rng)
    kind = rng.randrange(12)
    if kind == 0:
        return changed_bytes(data, rng)
    if kind == 1:
        return data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))
    value = changed_json_value(value, rng)
    sort = rng.random() < 0.9
    text = json.dumps(value, indent=2, sort_keys=sort, ensure_ascii=rng.random() < 0.1)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def changed_json_value(value: Any, rng: Random) -> Any:
    """Change one place of a JSON value."""
    if isinstance(value, dict | list) and value and rng.random() < 0.8:
        places = sorted(value) if isinstance(value, dict) else range(len(value))
        at = rng.choice(list(places))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        action = rng.randrange(8)
        if action == 0:
            del copy[at]
        elif action == 1 and isinstance(copy, list):
            copy.insert(at, copy[at])
        elif action == 1:
            copy[_changed_text(at, rng)] = copy[at]
        else:
            copy[at] = changed_json_value(copy[at], rng)
        return copy
    match value:
        case str() if rng.random() < 0.7:
            if rng.random() < 0.5:
                return _changed_word(value.encode("utf-8", "replace"), rng).decode("latin-1")
            return _changed_text(value, rng)
        case bool():
            return not value
        case int() if rng.random() < 0.7:
            return rng.choice((*EDGES, value + 1, 2**64, 10**30, float(value % 2**64), 1e308))
    deep: Any = []
    for _ in range(rng.choice((3, 17, 400))):
        deep = [deep]
    return rng.choice(
        (*(None, True, False, 0, -1, 1.5, float("nan"), "", "\ud800", [], {}), deep, {"a": {}})
    )


SHAPES: dict[str, Callable[[bytes, Random], bytes]] = {
    "bytes": changed_bytes,
    "canonical": changed_canonical,
    "lines": changed_lines,
    "json": changed_json,
    "der": lambda data, rng: changed_der(data, rng, changed_bytes),
}
"""By what an encoding is made of, how it is changed."""
