"""RFC 8785 JSON of what this project signs and hashes: no floats, and names in ASCII, so that sorting them is simple."""

from __future__ import annotations

import json
from typing import Final, TypeAlias, Union

from chainnode.model.errors import DecodeError

MAX_JSON_INTEGER: Final = 2**53 - 1
"""RFC 8785 writes numbers as IEEE doubles do; integers up to here are exact in them."""

Param: TypeAlias = Union[bool, int, str, "list[Param]", "dict[str, Param]", None]
"""A value that has a canonical form; no floats."""

_EXACT: Final = frozenset((str, type(None)))
"""What else has one form only. Parsed JSON may hold floats, whatever its declared type says."""


def canonical_json(value: Param, what: str = "params") -> bytes:
    """Return RFC 8785 JSON of a value without floats whose objects have ASCII names.

    Raises:
        DecodeError: the value has no such form; `what` names it.
    """
    _check_exact(value, what)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DecodeError(f"{what}: half a surrogate pair in a string", field=what) from None


def _check_exact(value: Param, what: str) -> None:
    # Values come nested no deeper than the parsers of JSON allow.
    if isinstance(value, dict):
        for name, member in value.items():
            if not name.isascii():
                raise DecodeError(f"{what}: the name {name!r} is not ASCII", field=what)
            _check_exact(member, what)
    elif isinstance(value, list):
        for member in value:
            _check_exact(member, what)
    elif isinstance(value, int):
        if not -MAX_JSON_INTEGER <= value <= MAX_JSON_INTEGER:
            raise DecodeError(
                f"{what}: found {value}; expected an integer up to 2^53 - 1", field=what
            )
    elif type(value) not in _EXACT:
        raise DecodeError(f"{what}: found a {type(value).__name__}", field=what)
