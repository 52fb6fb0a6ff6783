"""Strict JSON: what a request's text may be, and how answers are written.

Refused beyond what JSON itself refuses: a name twice in one object, NaN and infinities, nesting deeper than
`MAX_JSON_DEPTH`, and half a surrogate pair, which no UTF-8 can carry.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final, NoReturn, cast

from chainnode.model.errors import DecodeError
from chainnode.rpc.limits import MAX_JSON_DEPTH

if TYPE_CHECKING:
    from chainnode.rpc.results import Json

encode_json = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode
"""Write a value as JSON in ASCII."""


_NESTING: Final = frozenset((dict, list))


def parse_request(text: str) -> Json:
    """Return the value of a request's text.

    Raises:
        DecodeError: with code `parse_error`.
    """
    try:
        value = cast("Json", _decoder.decode(text))
        # Only an escape can bring a lone surrogate into text that was UTF-8.
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _parse_error("half a surrogate pair in a string") from None
    except RecursionError:
        raise _parse_error("it nests too deeply") from None
    except ValueError as error:
        raise _parse_error(str(error)) from None
    # Each level opens with a bracket, so few brackets cannot nest deeply.
    if text.count("{") + text.count("[") > MAX_JSON_DEPTH:
        _check_depth(value, MAX_JSON_DEPTH)
    return value


def _check_depth(value: Json, levels: int) -> None:
    kind = type(value)
    if kind in _NESTING:
        if not levels:
            raise _parse_error(f"it nests deeper than {MAX_JSON_DEPTH} levels")
        for member in value.values() if kind is dict else value:  # type: ignore[union-attr]
            if type(member) in _NESTING:
                _check_depth(member, levels - 1)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name[:80]!r} is there twice in one object")
            seen.add(name)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is beyond every number")
    return number


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse_constant
)


def _parse_error(found: str) -> DecodeError:
    return DecodeError(f"the request is not JSON as expected: {found}", code="parse_error")
