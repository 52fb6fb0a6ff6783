"""Authorities: admission, and dismissal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.limits import MAX_NAME_BYTES, MAX_TITLE_BYTES
from chainnode.model.roles import Role
from contracts.authorities.records import (
    MAX_AUTHORITIES,
    MAX_CERTIFICATE_BYTES,
    MAX_CHAIN,
    MAX_FORMER,
    NAMES_KEY,
    AuthorityRecord,
    authority_in,
    authority_key,
    chain_in,
    chain_key,
    encode_chain,
    encode_names,
    former_in,
    former_key,
    names_in,
)
from contracts.authorities.shared import (
    KIND,
    authority_in_force,
    authority_name,
    lookup_key,
    registered_account,
)

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context

STANDINGS: Final = ("internal", "licensed")


def admit(context: Context, args: tuple[Value, ...]) -> None:
    """Admit a certificate authority, or replace the chain and operator of one: `[name, title, standing, operator, chain]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `bad_standing`, `dismissed`, `too_many_authorities`,
            `too_many_keys`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    name_value, title_value, standing_value, operator_value, chain_value = codec.array(
        args, "args", arity=5
    )
    name = authority_name(name_value)
    standing = codec.text(standing_value, "standing", most_bytes=MAX_NAME_BYTES)
    context.require(
        standing in STANDINGS,
        "bad_standing",
        f"standing: found {standing!r}; expected one of {', '.join(STANDINGS)}",
    )
    chain = tuple(
        codec.binary(value, "certificate", most=MAX_CERTIFICATE_BYTES)
        for value in codec.array_up_to(chain_value, "chain", least=1, most=MAX_CHAIN)
    )
    # What a dismissed one has issued would count again, a thief's certificates among it.
    earlier = authority_in(context.state, name)
    context.require(
        earlier is None or earlier.dismissed_ms == 0,
        "dismissed",
        f"the certificate authority {name} was dismissed; admit its successor under another name",
    )
    if earlier is None:
        _add_name(context, name)
    record = AuthorityRecord(
        title=codec.text(title_value, "title", most_bytes=MAX_TITLE_BYTES),
        standing=standing,
        operator=registered_account(context, operator_value, "operator"),
        dismissed_ms=0,
    )
    _keep_former(context, name, chain[0])
    context.state.put(authority_key(name), record.encode())
    context.state.put(chain_key(name), encode_chain(chain))
    body = ("admitted", name, record.title, standing, record.operator, chain)
    context.emit(KIND, body, (lookup_key(name),))


def dismiss(context: Context, args: tuple[Value, ...]) -> None:
    """Let nothing of an authority count from now on: `[name]`.

    Raises:
        ContractError: `missing_role`, `unknown_authority`, `dismissed`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    (name_value,) = codec.array(args, "args", arity=1)
    name = authority_name(name_value)
    authority = authority_in_force(context, name)
    dismissed = replace(authority, dismissed_ms=context.block.time_ms)
    context.state.put(authority_key(name), dismissed.encode())
    context.emit(KIND, ("dismissed", name), (lookup_key(name),))


def _add_name(context: Context, name: str) -> None:
    names = names_in(context.state)
    context.require(
        len(names) < MAX_AUTHORITIES,
        "too_many_authorities",
        f"the alliance has admitted {len(names)} certificate authorities; at most {MAX_AUTHORITIES} are kept",
    )
    context.state.put(NAMES_KEY, encode_names(tuple(sorted((*names, name)))))


def _keep_former(context: Context, name: str, issuing: bytes) -> None:
    """Keep the certificate that an authority has issued by, if it is to issue by another one: that of earlier issues."""
    before = chain_in(context.state, name)
    if not before or before[0] == issuing:
        return
    former = tuple(c for c in (*former_in(context.state, name), before[0]) if c != issuing)
    context.require(
        len(former) <= MAX_FORMER,
        "too_many_keys",
        f"the certificate authority {name} has issued by {len(former)} certificates before; at most {MAX_FORMER} are "
        "kept: admit its successor under another name",
    )
    context.state.put(former_key(name), encode_chain(former))
