"""From a declared result to its JSON Schema, and back: whether a value has the declared shape.

Understands what `results` uses and nothing more: scalars, Literal, unions with None, lists, TypedDicts and Json.
"""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Final, Literal, Union

from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.rpc.results import Json

_SCALARS: Final[dict[object, str]] = {str: "string", int: "integer", bool: "boolean"}


def schema_of(declared: object) -> dict[str, Json]:
    """Return the JSON Schema of a declared result."""
    if declared in _SCALARS:
        return {"type": _SCALARS[declared]}
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if float in arguments:
        # Only Json has room for a float; its hint comes back half resolved, so that it is not Json itself.
        return {}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in {Union, types.UnionType}:
        return {
            "oneOf": [*(schema_of(a) for a in arguments if a is not type(None)), {"type": "null"}]
        }
    fields = typing.get_type_hints(declared)
    return {
        "title": getattr(declared, "__name__", ""),
        "type": "object",
        "properties": {name: schema_of(hint) for name, hint in fields.items()},
        "required": list(fields),
    }


_checkers: Final[dict[object, Callable[[Json, str], None]]] = {}
"""Made once per declared result; there are as many as methods."""


def checker_of(declared: object) -> Callable[[Json, str], None]:
    """Return a function that raises DecodeError unless a value, named by its second argument, has the shape.

    Fields that are not declared are let pass: a newer node may say more.
    """
    checker = _checkers.get(declared)
    if checker is None:
        checker = _checkers[declared] = _make_checker(declared)
    return checker


def _make_checker(declared: object) -> Callable[[Json, str], None]:
    if declared in _SCALARS:
        return _check_scalar(declared)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if float in arguments:
        return lambda _value, _what: None
    if origin is Literal:
        return _check_choice(arguments)
    if origin is list:
        return _check_list(checker_of(arguments[0]))
    if origin in {Union, types.UnionType}:
        (inner,) = (a for a in arguments if a is not type(None))
        return _check_optional(checker_of(inner))
    hints = typing.get_type_hints(declared)
    return _check_object({name: checker_of(hint) for name, hint in hints.items()})


def _check_scalar(kind: object) -> Callable[[Json, str], None]:
    def check(value: Json, what: str) -> None:
        if type(value) is not kind:
            raise _unexpected(what, value, _SCALARS[kind])

    return check


def _check_choice(choices: tuple[Json, ...]) -> Callable[[Json, str], None]:
    def check(value: Json, what: str) -> None:
        if value not in choices:
            raise _unexpected(what, value, f"one of {choices}")

    return check


def _check_list(check_item: Callable[[Json, str], None]) -> Callable[[Json, str], None]:
    def check(value: Json, what: str) -> None:
        if not isinstance(value, list):
            raise _unexpected(what, value, "array")
        for item in value:
            check_item(item, what)

    return check


def _check_optional(check_value: Callable[[Json, str], None]) -> Callable[[Json, str], None]:
    def check(value: Json, what: str) -> None:
        if value is not None:
            check_value(value, what)

    return check


def _check_object(
    fields: dict[str, Callable[[Json, str], None]],
) -> Callable[[Json, str], None]:
    def check(value: Json, what: str) -> None:
        if not isinstance(value, dict):
            raise _unexpected(what, value, "object")
        for name, check_field in fields.items():
            if name not in value:
                raise DecodeError(f"the node's answer lacks {name}", field=name, code="bad_answer")
            check_field(value[name], name)

    return check


def _unexpected(what: str, value: Json, expected: str) -> DecodeError:
    return DecodeError(
        f"{what} in the node's answer: found {type(value).__name__}, expected {expected}",
        field=what,
        code="bad_answer",
    )
