"""What `identity` holds at height 0: the members, accounts and keys that genesis names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import Refused
from chainnode.model.keys import KeyPurpose
from chainnode.model.roles import Role
from contracts.identity.records import (
    ADMINS_KEY,
    KNOWN_ROLES,
    MAX_ADMINS,
    PREFIX,
    AccountRecord,
    KeyRecord,
    OrganisationRecord,
    account_key,
    encode_admins,
    key_key,
    organisation_key,
)

if TYPE_CHECKING:
    from chainnode.model.genesis import Genesis, GenesisAccount


def identity_state(genesis: Genesis) -> dict[bytes, bytes]:
    """Return the contract's state at height 0 by full key.

    The validators' keys are entered too, so that none of them can be registered again for another purpose.

    Raises:
        Refused: an account has a role that is not known, or there are more administrators than the
            contract can list.
    """
    state: dict[bytes, bytes] = {}
    for organisation in genesis.organisations:
        record = OrganisationRecord(title=organisation.title)
        state[PREFIX + organisation_key(organisation.name)] = record.encode()
    for validator in genesis.validator_set.members:
        for purpose, public_key in validator.chain_keys():
            state[PREFIX + key_key(public_key)] = _endless(validator.name, KeyPurpose(purpose))
    for account in genesis.accounts:
        _check_roles(account)
        state[PREFIX + account_key(account.name)] = AccountRecord(
            roles=account.roles, suspended=False, keys=account.public_keys
        ).encode()
        for public_key in account.public_keys:
            state[PREFIX + key_key(public_key)] = _endless(account.name, KeyPurpose.ACCOUNT)
    admins = tuple(account.name for account in genesis.accounts if Role.ADMIN in account.roles)
    if len(admins) > MAX_ADMINS:
        raise Refused(
            f"genesis has {len(admins)} administrators; at most {MAX_ADMINS} are allowed",
            code="too_many_admins",
            field="accounts",
        )
    state[PREFIX + ADMINS_KEY] = encode_admins(admins)
    return state


def _endless(owner: str, purpose: KeyPurpose) -> bytes:
    return KeyRecord(
        owner=owner, purpose=purpose, not_before_ms=0, not_after_ms=0, revoked_ms=0
    ).encode()


def _check_roles(account: GenesisAccount) -> None:
    for role in account.roles:
        if role not in KNOWN_ROLES:
            raise Refused(
                f"account {account.name}: unknown role {role!r}; known are {', '.join(KNOWN_ROLES)}",
                code="unknown_role",
                field="accounts",
            )
