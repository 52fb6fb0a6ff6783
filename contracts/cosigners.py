"""The built-in contract `cosigners`, version 1: the keys with which validators cosign checkpoints a second time.

    register(validator, number, [public_key, possession] | nil, signature)

`signature` is by the validator's cosigner key over the statement of `chainnode.model.second_key`, which is all the
authority that is needed: any account may send it. `possession`, the same by the new key, is kept for others to check: no
block may depend on signatures that only some nodes can judge.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.second_key import (
    SecondKey,
    decode_second_key,
    parse_offered_key,
    second_key_state_key,
    second_key_statement,
)
from contracts.api import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method
    from contracts.overlay import StateReader

NAME: Final = "cosigners"
KIND: Final = "cosigner-key"
"""Kind of the records."""

LOOKUP_ALL: Final = b"cosigner-key"
"""Key of the local index under which all records of this kind are found."""

_MAX_SIGNATURE_BYTES: Final = 128


def register(context: Context, args: tuple[Value, ...]) -> None:
    """Set a validator's second key, in place of what it said before.

    Raises:
        ContractError: `unknown_validator`, `other_number`, `bad_signature`.
        DecodeError: an argument has another shape.
    """
    name_value, number, key, signature = codec.array(args, "args", arity=4)
    name = codec.text(name_value, "validator", most_bytes=MAX_NAME_BYTES)
    vouched_by = _cosigner_key(context, name)
    offered = parse_offered_key(key)
    public_key = None if offered is None else offered.public_key
    own_key = name.encode("ascii")
    found = context.state.get(own_key)
    expected = 1 if found is None else _decode(found).number + 1
    context.require(
        codec.integer(number, "number", least=1) == expected,
        "other_number",
        f"the next statement of {name} has the number {expected}",
    )
    domain = context.block.domain
    context.require(
        domain.suite.is_signature(
            vouched_by,
            second_key_statement(domain, name, expected, public_key),
            codec.binary(signature, "signature", most=_MAX_SIGNATURE_BYTES),
        ),
        "bad_signature",
        f"the cosigner key of {name} did not sign this",
    )
    said = SecondKey(vouched_by=vouched_by, number=expected, offered=offered)
    context.state.put(own_key, said.encode())
    context.emit(KIND, (name, expected, public_key), (LOOKUP_ALL,))


def second_key_in(state: StateReader, validator: str) -> SecondKey | None:
    """Return what a validator has said last of its second key, or None. Reads the whole state."""
    data = state.get(second_key_state_key(validator))
    return None if data is None else _decode(data)


def _cosigner_key(context: Context, name: str) -> bytes:
    """Return the cosigner key of a validator that governs this block."""
    members = context.block.validators_at(context.block.height).members
    for member in members:
        if member.name == name:
            return member.cosigner_key
    raise ContractError(
        f"there is no validator {name!r}; there are {', '.join(sorted(m.name for m in members))}",
        code="unknown_validator",
        field="validator",
    )


def _decode(data: bytes) -> SecondKey:
    """Read a record from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        return decode_second_key(data)
    except DecodeError as error:
        raise InvariantViolation(
            f"a record of {NAME} in the state cannot be read: {error}"
        ) from error


METHODS: Final[Mapping[str, Method]] = MappingProxyType({"register": register})
