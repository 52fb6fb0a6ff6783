"""Revocation lists, of authorities and of their roots: no list goes back behind a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.limits import MAX_CRL_NUMBER
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.authorities.records import (
    MAX_CRL_BYTES,
    PublishedList,
    chain_in,
    crl_key,
    list_in,
    root_crl_key,
)
from contracts.authorities.shared import (
    KIND,
    admitted_authority,
    authority_in_force,
    authority_name,
    check_operator,
    lookup_key,
)

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context


def publish_crl(context: Context, args: tuple[Value, ...]) -> None:
    """Publish an authority's revocation list, which every node then serves: `[authority, number, crl]`.

    Raises:
        ContractError: `unknown_authority`, `dismissed`, `not_the_operator`, `not_newer`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    authority_value, number_value, crl_value = codec.array(args, "args", arity=3)
    name = authority_name(authority_value)
    check_operator(context, authority_in_force(context, name), name)
    found = _published(number_value, crl_value)
    issuing = chain_in(context.state, name)[0]
    _publish(context, crl_key(name, context.block.domain.suite.hash(issuing)), found)
    _emit_list(context, "crl", name, found)


def publish_root_crl(context: Context, args: tuple[Value, ...]) -> None:
    """Publish the revocation list of an authority's root, which every node then serves: `[authority, number, crl]`.

    Raises:
        ContractError: `missing_role`, `unknown_authority`, `not_newer`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    authority_value, number_value, crl_value = codec.array(args, "args", arity=3)
    name = authority_name(authority_value)
    admitted_authority(context, name)
    found = _published(number_value, crl_value)
    root = chain_in(context.state, name)[-1]
    _publish(context, root_crl_key(name, context.block.domain.suite.hash(root)), found)
    _emit_list(context, "root-crl", name, found)


def _published(number: Value, crl: Value) -> PublishedList:
    return PublishedList(
        codec.integer(number, "number", most=MAX_CRL_NUMBER),
        codec.binary(crl, "crl", most=MAX_CRL_BYTES),
    )


def _publish(context: Context, key: bytes, found: PublishedList) -> None:
    before = list_in(context.state, key)
    if before is not None and found.number <= before.number:
        raise ContractError(
            f"number: found {found.number}; expected one above {before.number}, that of the list which is published",
            code="not_newer",
            field="number",
        )
    context.state.put(key, found.encode())


def _emit_list(context: Context, event: str, name: str, found: PublishedList) -> None:
    fingerprint = context.block.domain.suite.hash(found.encoded)
    context.emit(KIND, (event, name, found.number, fingerprint), (lookup_key(name),))
