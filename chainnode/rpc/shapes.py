"""Shapes of parameters: each reads a JSON value strictly, and describes itself as a JSON Schema."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chainnode.model.canonical_json import MAX_JSON_INTEGER
from chainnode.model.errors import DecodeError
from chainnode.model.ids import check_account_name, check_name
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_NAME_BYTES
from chainnode.model.rpc_auth import Authorization

if TYPE_CHECKING:
    from chainnode.rpc.results import Json

_HEX = re.compile(r"[0-9a-f]*")
_MAX_KEY_BYTES = 128
_MAX_SIGNATURE_BYTES = 128


class Shape(Protocol):
    """How one parameter is read."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""

    def parse(self, value: Json, name: str) -> object:
        """Return the value as the method wants it. Raises DecodeError that names the parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """An integer in `least .. most`."""

    least: int = 0
    most: int = MAX_JSON_INTEGER

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def parse(self, value: Json, name: str) -> int:
        """Return it."""
        if type(value) is not int:
            raise _wrong(name, value, "an integer")
        if not self.least <= value <= self.most:
            raise _refused(name, f"found {value}, expected {self.least} to {self.most}")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "boolean"}

    def parse(self, value: Json, name: str) -> bool:
        """Return it."""
        if type(value) is not bool:
            raise _wrong(name, value, "true or false")
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"enum": list(self.words)}

    def parse(self, value: Json, name: str) -> str:
        """Return it."""
        if type(value) is not str or value not in self.words:
            raise _refused(name, f"found {str(value)[:80]!r}, expected {' or '.join(self.words)}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Hex:
    """Bytes as lower-case hex without prefix."""

    least_bytes: int
    most_bytes: int

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {
            "type": "string",
            "pattern": f"^([0-9a-f]{{2}}){{{self.least_bytes},{self.most_bytes}}}$",
        }

    def parse(self, value: Json, name: str) -> bytes:
        """Return the bytes."""
        if type(value) is not str:
            raise _wrong(name, value, "lower-case hex")
        size, odd = divmod(len(value), 2)
        if odd or not self.least_bytes <= size <= self.most_bytes or not _HEX.fullmatch(value):
            sizes = f"{self.least_bytes} to {self.most_bytes}"
            expected = sizes if self.least_bytes < self.most_bytes else f"{self.least_bytes}"
            raise _refused(
                name, f"found {value[:80]!r}, expected {expected} bytes in lower-case hex"
            )
        return bytes.fromhex(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base64:
    """Bytes as standard base64 with padding, in its one canonical form."""

    most_bytes: int

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        longest = (self.most_bytes + 2) // 3 * 4
        return {"type": "string", "contentEncoding": "base64", "maxLength": longest}

    def parse(self, value: Json, name: str) -> bytes:
        """Return the bytes."""
        if type(value) is not str:
            raise _wrong(name, value, "base64")
        if len(value) > (self.most_bytes + 2) // 3 * 4:
            raise _refused(name, f"longer than {self.most_bytes} bytes in base64", "too_large")
        try:
            data = binascii.a2b_base64(value, strict_mode=True)
        except ValueError as error:
            raise _refused(name, f"not base64 with padding ({error})") from None
        if binascii.b2a_base64(data, newline=False).decode("ascii") != value:
            raise _refused(name, "not canonical base64: unused bits are set")
        return data


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a contract, organisation or query."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$",
            "maxLength": MAX_NAME_BYTES,
        }

    def parse(self, value: Json, name: str) -> str:
        """Return it."""
        if type(value) is not str:
            raise _wrong(name, value, "a name")
        check_name(value, name)
        return value


@dataclass(frozen=True, slots=True)
class AccountName:
    """`organisation/account`."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "maxLength": MAX_ACCOUNT_NAME_BYTES}

    def parse(self, value: Json, name: str) -> str:
        """Return it."""
        if type(value) is not str:
            raise _wrong(name, value, "organisation/account")
        check_account_name(value, name)
        return value


@dataclass(frozen=True, slots=True)
class Owner:
    """`organisation/account`, or an organisation."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "maxLength": MAX_ACCOUNT_NAME_BYTES}

    def parse(self, value: Json, name: str) -> str:
        """Return it."""
        shape = AccountName() if isinstance(value, str) and "/" in value else Name()
        return shape.parse(value, name)


@dataclass(frozen=True, slots=True)
class Anything:
    """An object that is read further by whoever it is for."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "object"}

    def parse(self, value: Json, name: str) -> dict[str, Json]:
        """Return it."""
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        return value


@dataclass(frozen=True, slots=True)
class Auth:
    """A member's signature under the request; `chainnode.model.rpc_auth`."""

    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        fields = {name: shape.schema() for name, shape in _AUTH.items()}
        return {
            "type": "object",
            "properties": {**fields},
            "required": list(fields),
            "additionalProperties": False,
        }

    def parse(self, value: Json, name: str) -> Authorization:
        """Return it."""
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        if value.keys() != _AUTH.keys():
            raise _refused(name, f"expected exactly the fields {', '.join(_AUTH)}")
        return Authorization(
            account=AccountName().parse(value["account"], "auth.account"),
            public_key=_KEY.parse(value["public_key"], "auth.public_key"),
            time_ms=_TIME.parse(value["time_ms"], "auth.time_ms"),
            signature=_SIGNATURE.parse(value["signature"], "auth.signature"),
        )


_KEY = Base64(most_bytes=_MAX_KEY_BYTES)
_TIME = Integer()
_SIGNATURE = Base64(most_bytes=_MAX_SIGNATURE_BYTES)
_AUTH: dict[str, Shape] = {
    "account": AccountName(),
    "public_key": _KEY,
    "time_ms": _TIME,
    "signature": _SIGNATURE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One named parameter of a method."""

    name: str
    shape: Shape
    about: str
    required: bool = True
    default: object = None
    """What a method sees if an optional parameter is absent."""


def page_parameters(what: str, *, most: int) -> tuple[Parameter, Parameter]:
    """Return `limit` and `after` of a method that lists things in log order; `what` they are, `most` of them in one answer."""
    return (
        Parameter(
            name="limit",
            shape=Integer(least=1, most=most),
            about=f"{what} in one answer",
            required=False,
            default=most,
        ),
        Parameter(
            name="after",
            shape=Integer(),
            about=f"log index after which to begin with {what}: `next_after` of the answer before",
            required=False,
        ),
    )


def parse_parameters(declared: dict[str, Parameter], given: dict[str, Json]) -> dict[str, object]:
    """Return the value of every declared parameter.

    Raises:
        DecodeError: one is missing, unknown or of another shape.
    """
    values: dict[str, object] = {}
    for name, value in given.items():
        parameter = declared.get(name)
        if parameter is None:
            known = ", ".join(declared) or "none"
            raise DecodeError(
                f"there is no parameter {name[:80]!r}; known are {known}",
                field=name[:80],
                code="unknown_parameter",
            )
        values[name] = parameter.shape.parse(value, name)
    if len(values) < len(declared):
        for parameter in declared.values():
            if parameter.name in values:
                continue
            if parameter.required:
                raise DecodeError(
                    f"the parameter {parameter.name} is missing: {parameter.about}",
                    field=parameter.name,
                    code="missing_parameter",
                )
            values[parameter.name] = parameter.default
    return values


def _wrong(name: str, value: Json, expected: str) -> DecodeError:
    return _refused(name, f"found {type(value).__name__}, expected {expected}")


def _refused(name: str, what: str, code: str = "bad_parameter") -> DecodeError:
    return DecodeError(f"{name}: {what}", field=name, code=code)
