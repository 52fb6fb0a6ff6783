"""What the methods of `authorities` share: reading arguments, finding authorities, and under what records are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.ids import check_account_name, check_name
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_NAME_BYTES
from contracts.api import IDENTITY, ContractError
from contracts.authorities.records import authority_in
from contracts.identity.records import account_key

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context
    from contracts.authorities.records import AuthorityRecord

KIND: Final = "authority"
"""Kind of the records."""


def lookup_key(authority: str) -> bytes:
    """Return the key of the local index under which everything of an authority is found."""
    return b"authority/" + authority.encode("ascii")


def certificate_lookup_key(fingerprint: bytes) -> bytes:
    """Return the key of the local index under which the records of a certificate are found."""
    return b"certificate/" + fingerprint


def authority_name(value: Value) -> str:
    """Return an authority's name. Raises DecodeError: it has another shape, `bad_name`."""
    name = codec.text(value, "authority", most_bytes=MAX_NAME_BYTES)
    check_name(name, "authority")
    return name


def registered_account(context: Context, value: Value, field: str) -> str:
    """Return the name of an account that there is. Raises ContractError `unknown_account`, DecodeError."""
    name = codec.text(value, field, most_bytes=MAX_ACCOUNT_NAME_BYTES)
    check_account_name(name, field)
    if context.read(IDENTITY).get(account_key(name)) is None:
        raise ContractError(f"there is no account {name}", code="unknown_account", field=field)
    return name


def admitted_authority(context: Context, name: str) -> AuthorityRecord:
    """Return an authority, dismissed ones too. Raises ContractError `unknown_authority`."""
    authority = authority_in(context.state, name)
    if authority is None:
        raise ContractError(
            f"there is no certificate authority {name}; an admin admits it first",
            code="unknown_authority",
            field="authority",
        )
    return authority


def authority_in_force(context: Context, name: str) -> AuthorityRecord:
    """Return an authority that is not dismissed. Raises ContractError `unknown_authority`, `dismissed`."""
    authority = admitted_authority(context, name)
    context.require(
        authority.dismissed_ms == 0,
        "dismissed",
        f"the certificate authority {name} was dismissed at {authority.dismissed_ms}",
    )
    return authority


def check_operator(context: Context, authority: AuthorityRecord, name: str) -> None:
    """Raise ContractError `not_the_operator` unless the sender operates the authority."""
    if context.sender != authority.operator:
        raise ContractError(
            f"{context.sender} does not operate the certificate authority {name}; "
            f"{authority.operator} does",
            code="not_the_operator",
            field="sender",
        )
