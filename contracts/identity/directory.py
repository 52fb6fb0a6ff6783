"""The records of `identity` as its methods work on them; keeps the list of administrators true.

Invariant: `identity/admins` lists exactly the accounts with the role `admin`; and once there is one, one of them is
active and has a valid account key without end. So the passing of time never leaves the alliance without an
administrator, and no transaction may.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chainnode.model.keys import KeyPurpose
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.identity.records import (
    ADMINS_KEY,
    MAX_ADMINS,
    AccountRecord,
    KeyRecord,
    OrganisationRecord,
    account_key,
    decode_account,
    decode_admins,
    decode_key,
    encode_admins,
    key_key,
    organisation_key,
)

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context

KIND: Final = "identity"
"""Kind of the records that the contract emits."""


class Directory:
    """Organisations, accounts and keys as they are at this point of the transaction."""

    __slots__ = ("_context", "_state")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._state = context.state

    def has_organisation(self, name: str) -> bool:
        """Whether there is an organisation of that name."""
        return self._state.get(organisation_key(name)) is not None

    def put_organisation(self, name: str, record: OrganisationRecord) -> None:
        """Set an organisation's record."""
        self._state.put(organisation_key(name), record.encode())

    def has_account(self, name: str) -> bool:
        """Whether there is an account of that name."""
        return self._state.get(account_key(name)) is not None

    def account(self, name: str) -> AccountRecord:
        """Return an account's record, or refuse with `unknown_account`."""
        data = self._state.get(account_key(name))
        if data is None:
            raise ContractError(
                f"there is no account {name}", code="unknown_account", field="account"
            )
        return decode_account(data)

    def put_account(self, name: str, record: AccountRecord) -> None:
        """Set an account's record, without the keys that have ended, and list it if it is an administrator.

        Raises:
            ContractError: `too_many_admins`.
        """
        keys = tuple(k for k in sorted(record.keys) if not self._has_ended(k))
        self._state.put(account_key(name), replace(record, keys=keys).encode())
        admins = self._admins()
        if (Role.ADMIN in record.roles) == (name in admins):
            return
        if name in admins:
            admins = tuple(other for other in admins if other != name)
        else:
            admins = tuple(sorted((*admins, name)))
        if len(admins) > MAX_ADMINS:
            raise ContractError(
                f"there are {MAX_ADMINS} administrators; no more are allowed",
                code="too_many_admins",
            )
        self._state.put(ADMINS_KEY, encode_admins(admins))

    def key(self, public_key: bytes) -> KeyRecord | None:
        """Return a public key's record, or None if it was never registered."""
        data = self._state.get(key_key(public_key))
        return None if data is None else decode_key(data)

    def put_key(self, public_key: bytes, record: KeyRecord) -> None:
        """Set a public key's record."""
        self._state.put(key_key(public_key), record.encode())

    def check_admin_remains(self) -> None:
        """Refuse with `last_admin` if what was done leaves no active administrator with an endless key."""
        if not any(self._is_lasting(name) for name in self._admins()):
            raise ContractError(
                "this would leave the alliance without an active administrator who has a valid key "
                "without end; appoint another one first",
                code="last_admin",
            )

    def record(self, event: str, subject: str, *facts: Value) -> None:
        """Emit the public record of a change to the account or organisation `subject`."""
        kind = b"account/" if "/" in subject else b"organisation/"
        self._context.emit(KIND, (event, subject, *facts), (kind + subject.encode("ascii"),))

    def _admins(self) -> tuple[str, ...]:
        return decode_admins(self._state.get(ADMINS_KEY))

    def _is_lasting(self, name: str) -> bool:
        account = self.account(name)
        if account.suspended:
            return False
        keys = (self.key(public_key) for public_key in account.keys)
        return any(
            key is not None
            and key.purpose is KeyPurpose.ACCOUNT
            and key.not_after_ms == 0
            and key.is_valid(self._context.block.time_ms)
            for key in keys
        )

    def _has_ended(self, public_key: bytes) -> bool:
        key = self.key(public_key)
        return key is None or key.has_ended(self._context.block.time_ms)
