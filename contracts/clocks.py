"""The built-in contract `clocks`, version 1: where each node's clock has its time from, by its operator's word.

    declare(validator, [source, ...], check | nil)

`source` names what sets the machine's clock; `check` names the server against which the node itself measures it. Whoever
reads a time years later can look up what the clocks stood on that vouched for it. Nothing depends on a declaration, and
nothing proves it; it stands on the log under the name of whoever made it.

    clocks/<organisation>/<account>      [1, validator, [source, ...], check | nil]
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.roles import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method

NAME: Final = "clocks"
KIND: Final = "clocks"
"""Kind of the records."""

VERSION: Final = 1
PREFIX: Final = b"clocks/"
"""Where the contract's state lies in the whole state."""

LOOKUP_ALL: Final = b"clocks"
"""Key of the local index under which all records of this kind are found."""

MAX_SOURCES: Final = 8
MAX_SOURCE_BYTES: Final = 262
"""A name for people, or `host:port`."""

_MAX_RECORD_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an account has declared last."""

    validator: str
    sources: tuple[str, ...]
    """Up to 8 names, of up to 262 bytes each; none: the operator names none."""

    check: str | None
    """Server against which the node measures its clock, or None."""

    def as_value(self) -> tuple[Value, ...]:
        """Return the array form."""
        return (self.validator, self.sources, self.check)

    def encode(self) -> bytes:
        """Return the canonical bytes that the state holds."""
        return codec.encode((VERSION, *self.as_value()))


def declare(context: Context, args: tuple[Value, ...]) -> None:
    """Declare what a validator's clock stands on, in place of what the sender declared before.

    Raises:
        ContractError: `missing_role` unless the sender is a timestamper, as nodes' accounts are; `unknown_validator`.
        DecodeError: an argument has another shape.
    """
    context.require_role(Role.TIMESTAMPER)
    declaration = _parse(codec.array(args, "args", arity=3))
    names = {v.name for v in context.block.validators_at(context.block.height).members}
    context.require(
        declaration.validator in names,
        "unknown_validator",
        f"there is no validator {declaration.validator!r}; there are {', '.join(sorted(names))}",
    )
    context.state.put(_key(context.sender), declaration.encode())
    context.emit(KIND, ("declared", *declaration.as_value()), (LOOKUP_ALL,))


def declaration_key(account: str) -> bytes:
    """Return the full state key of what an account has declared."""
    return PREFIX + _key(account)


def decode_declaration(data: bytes) -> Declaration:
    """Read a declaration from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, *fields = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=4, what="declaration"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return _parse(tuple(fields))
    except DecodeError as error:
        raise InvariantViolation(
            f"a record of clocks in the state cannot be read: {error}"
        ) from error


def _key(account: str) -> bytes:
    return account.encode("ascii")


def _parse(fields: tuple[Value, ...]) -> Declaration:
    validator, sources, check = fields
    return Declaration(
        validator=codec.text(validator, "validator", most_bytes=MAX_NAME_BYTES),
        sources=tuple(
            codec.text(source, "source", most_bytes=MAX_SOURCE_BYTES)
            for source in codec.array_up_to(sources, "sources", most=MAX_SOURCES)
        ),
        check=None if check is None else codec.text(check, "check", most_bytes=MAX_SOURCE_BYTES),
    )


METHODS: Final[Mapping[str, Method]] = MappingProxyType({"declare": declare})
