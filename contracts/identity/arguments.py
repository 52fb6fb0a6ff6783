"""Names and roles as they come in arguments."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.ids import check_account_name
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_NAME_BYTES
from contracts.api import ContractError
from contracts.identity.records import KNOWN_ROLES

if TYPE_CHECKING:
    from chainnode.model.codec import Value


def parse_account_name(value: Value) -> str:
    """Read an account's name. Raises DecodeError, with `bad_name` for a string that cannot be one."""
    name = codec.text(value, "account", most_bytes=MAX_ACCOUNT_NAME_BYTES)
    check_account_name(name)
    return name


def parse_roles(value: Value) -> tuple[str, ...]:
    """Read a list of known roles in rising order. Raises DecodeError or ContractError as `parse_role`."""
    roles = tuple(
        parse_role(role) for role in codec.array_up_to(value, "roles", most=len(KNOWN_ROLES))
    )
    if any(before >= after for before, after in pairwise(roles)):
        raise DecodeError("roles: expected in rising order, each once", field="roles")
    return roles


def parse_role(value: Value) -> str:
    """Read a role. Raises DecodeError unless it is a string, ContractError `unknown_role` if none knows it."""
    role = codec.text(value, "role", most_bytes=MAX_NAME_BYTES)
    if role not in KNOWN_ROLES:
        raise ContractError(
            f"role: found {role!r}; known are {', '.join(KNOWN_ROLES)}",
            code="unknown_role",
            field="role",
        )
    return role
