"""Accounts: opening, roles, suspension."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.calls import parse_key_offer
from chainnode.model.ids import organisation_of
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.identity.arguments import parse_account_name, parse_role, parse_roles
from contracts.identity.authority import check_manages
from contracts.identity.directory import Directory
from contracts.identity.keys import enter_key
from contracts.identity.records import MAX_LIVE_KEYS, AccountRecord

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context


def register_account(context: Context, args: tuple[Value, ...]) -> None:
    """Open an account: `[name, [role, ...], [key offer, ...]]`.

    Raises:
        ContractError: `missing_role`, `unknown_organisation`, `name_taken`, `unknown_role`, and what
            `enter_key` refuses.
        DecodeError: an argument has another shape, `bad_name`.
    """
    name_value, roles_value, keys_value = codec.array(args, "args", arity=3)
    name = parse_account_name(name_value)
    roles = parse_roles(roles_value)
    check_manages(context, name, roles)
    directory = Directory(context)
    if not directory.has_organisation(organisation_of(name)):
        raise ContractError(
            f"there is no organisation {organisation_of(name)}",
            code="unknown_organisation",
            field="name",
        )
    if directory.has_account(name):
        raise ContractError(f"there is an account {name} already", code="name_taken", field="name")
    offers = tuple(
        parse_key_offer(key)
        for key in codec.array_up_to(keys_value, "keys", least=1, most=MAX_LIVE_KEYS)
    )
    for offer in offers:
        enter_key(context, directory, name, offer)
    directory.put_account(
        name,
        AccountRecord(
            roles=roles, suspended=False, keys=tuple(offer.public_key for offer in offers)
        ),
    )
    facts = tuple((o.purpose, o.public_key, o.not_before_ms, o.not_after_ms) for o in offers)
    directory.record("account-registered", name, roles, facts)


def grant_role(context: Context, args: tuple[Value, ...]) -> None:
    """Give an account a role: `[account, role]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `unknown_role`, `role_held`, `too_many_admins`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    name_value, role_value = codec.array(args, "args", arity=2)
    name, role = parse_account_name(name_value), parse_role(role_value)
    directory = Directory(context)
    account = directory.account(name)
    check_manages(context, name, (*account.roles, role))
    if role in account.roles:
        raise ContractError(f"{name} holds the role {role} already", code="role_held", field="role")
    roles = tuple(sorted((*account.roles, role)))
    directory.put_account(name, replace(account, roles=roles))
    directory.record("role-granted", name, role)


def revoke_role(context: Context, args: tuple[Value, ...]) -> None:
    """Take a role from an account: `[account, role]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `unknown_role`, `role_not_held`, `last_admin`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    name_value, role_value = codec.array(args, "args", arity=2)
    name, role = parse_account_name(name_value), parse_role(role_value)
    directory = Directory(context)
    account = directory.account(name)
    check_manages(context, name, (*account.roles, role))
    if role not in account.roles:
        raise ContractError(
            f"{name} does not hold the role {role}", code="role_not_held", field="role"
        )
    roles = tuple(held for held in account.roles if held != role)
    directory.put_account(name, replace(account, roles=roles))
    if role == Role.ADMIN:
        directory.check_admin_remains()
    directory.record("role-revoked", name, role)


def suspend_account(context: Context, args: tuple[Value, ...]) -> None:
    """Refuse an account's transactions from the next one on: `[account]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `already_suspended`, `last_admin`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    (name_value,) = codec.array(args, "args", arity=1)
    name = parse_account_name(name_value)
    directory = Directory(context)
    account = directory.account(name)
    check_manages(context, name, account.roles)
    if account.suspended:
        raise ContractError(f"{name} is suspended already", code="already_suspended")
    directory.put_account(name, replace(account, suspended=True))
    if Role.ADMIN in account.roles:
        directory.check_admin_remains()
    directory.record("account-suspended", name)


def resume_account(context: Context, args: tuple[Value, ...]) -> None:
    """Accept a suspended account's transactions again: `[account]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `not_suspended`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    (name_value,) = codec.array(args, "args", arity=1)
    name = parse_account_name(name_value)
    directory = Directory(context)
    account = directory.account(name)
    check_manages(context, name, account.roles)
    if not account.suspended:
        raise ContractError(f"{name} is not suspended", code="not_suspended")
    directory.put_account(name, replace(account, suspended=False))
    directory.record("account-resumed", name)
