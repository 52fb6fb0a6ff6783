"""What `identity` keeps in the state: keys, values, and how they are read back.

    identity/organisation/<name>      [1, title]
    identity/account/<org>/<account>  [1, [role, ...], suspended, [public_key, ...]]
    identity/key/<public key bytes>   [1, owner, purpose, not_before_ms, not_after_ms, revoked_ms]
    identity/admins                   [account, ...]

An account lists its keys that may still come into use; a key's own record stays for ever, so that no public key is
ever registered twice. The owner of a consensus, cosigner or log key is a validator's name.

Decoding is memorised by the bytes decoded: each block looks at the same few accounts thousands of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_NAME_BYTES, MAX_TITLE_BYTES
from chainnode.model.roles import Role

VERSION: Final = 1

PREFIX: Final = b"identity/"
"""Where the contract's state lies in the whole state."""

ADMINS_KEY: Final = b"admins"

KNOWN_ROLES: Final = (Role.ADMIN, Role.NOTARY, Role.ORG_ADMIN, Role.TIMESTAMPER)
"""Roles that version 1 grants. Spelled out, so that a role added for a later version changes no old block."""

MAX_LIVE_KEYS: Final = 16
"""Keys of an account that have not ended; the same as genesis allows. Bounds the account's record."""

MAX_ADMINS: Final = 100
"""Accounts with the role `admin`; bounds the record that lists them."""

_MAX_RECORD_BYTES: Final = 32_768
_MEMORISED: Final = 8_192
"""Decoded records kept, of each kind; a few MiB when full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationRecord:
    """A member of the alliance."""

    title: str
    """Full name for people."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode((VERSION, self.title))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An account as the chain knows it now."""

    roles: tuple[str, ...]
    """In rising order, each once."""

    suspended: bool
    """Whether its transactions are refused."""

    keys: tuple[bytes, ...]
    """Public keys of all purposes that had not ended at the last change, in rising order."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode((VERSION, self.roles, self.suspended, self.keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A public key: whose, what for, and when."""

    owner: str
    """Account name; of a consensus, cosigner or log key: validator name."""

    purpose: KeyPurpose
    """The one thing it is for."""

    not_before_ms: int
    """First block time at which it is valid."""

    not_after_ms: int
    """Block time at which it is no longer valid; 0 if it has no end."""

    revoked_ms: int
    """Block time of its revocation; 0 if it is not revoked."""

    def has_ended(self, time_ms: int) -> bool:
        """Whether it is revoked or past its end, and so will never be valid again."""
        return self.revoked_ms != 0 or (self.not_after_ms != 0 and time_ms >= self.not_after_ms)

    def is_valid(self, time_ms: int) -> bool:
        """Whether it is valid in a block of that time."""
        return self.not_before_ms <= time_ms and not self.has_ended(time_ms)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                VERSION,
                self.owner,
                self.purpose.value,
                self.not_before_ms,
                self.not_after_ms,
                self.revoked_ms,
            )
        )


def organisation_key(name: str) -> bytes:
    """Return where an organisation is kept, relative to `identity`."""
    return b"organisation/" + name.encode("ascii")


def account_key(name: str) -> bytes:
    """Return where an account is kept, relative to `identity`."""
    return b"account/" + name.encode("ascii")


def key_key(public_key: bytes) -> bytes:
    """Return where a public key is kept, relative to `identity`."""
    return b"key/" + public_key


@lru_cache(maxsize=_MEMORISED)
def decode_organisation(data: bytes) -> OrganisationRecord:
    """Read an organisation from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, title = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=2, what="organisation"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return OrganisationRecord(title=codec.text(title, "title", most_bytes=MAX_TITLE_BYTES))
    except DecodeError as error:
        raise _damaged(error) from error


@lru_cache(maxsize=_MEMORISED)
def decode_account(data: bytes) -> AccountRecord:
    """Read an account from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, roles, suspended, keys = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=4, what="account"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return AccountRecord(
            roles=tuple(
                codec.text(role, "role", most_bytes=MAX_NAME_BYTES)
                for role in codec.array(roles, "roles")
            ),
            suspended=codec.boolean(suspended, "suspended"),
            keys=tuple(codec.binary(key, "public_key") for key in codec.array(keys, "keys")),
        )
    except DecodeError as error:
        raise _damaged(error) from error


@lru_cache(maxsize=_MEMORISED)
def decode_key(data: bytes) -> KeyRecord:
    """Read a public key's record from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, owner, purpose, not_before, not_after, revoked = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=6, what="key"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return KeyRecord(
            owner=codec.text(owner, "owner", most_bytes=MAX_ACCOUNT_NAME_BYTES),
            purpose=KeyPurpose(codec.text(purpose, "purpose", most_bytes=MAX_NAME_BYTES)),
            not_before_ms=codec.integer(not_before, "not_before_ms"),
            not_after_ms=codec.integer(not_after, "not_after_ms"),
            revoked_ms=codec.integer(revoked, "revoked_ms"),
        )
    except (DecodeError, ValueError) as error:
        raise _damaged(error) from error


def encode_admins(names: tuple[str, ...]) -> bytes:
    """Return the canonical bytes of the list of administrators."""
    return codec.encode(names)


def decode_admins(data: bytes | None) -> tuple[str, ...]:
    """Read the list of administrators; None is an empty one."""
    if data is None:
        return ()
    try:
        names = codec.array(codec.decode(data, max_bytes=_MAX_RECORD_BYTES), "admins")
        return tuple(codec.text(name, "admin", most_bytes=MAX_ACCOUNT_NAME_BYTES) for name in names)
    except DecodeError as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> InvariantViolation:
    return InvariantViolation(f"a record of identity in the state cannot be read: {error}")
