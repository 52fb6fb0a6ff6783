"""Keys of accounts: entering, rotating, revoking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.calls import KeyOffer, parse_key_offer, possession_message
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.identity.arguments import parse_account_name
from contracts.identity.authority import check_manages_keys
from contracts.identity.directory import Directory
from contracts.identity.records import MAX_LIVE_KEYS, AccountRecord, KeyRecord

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context

ACCOUNT_PURPOSES: Final = (
    KeyPurpose.ACCOUNT,
    KeyPurpose.TIMESTAMP,
    KeyPurpose.AUTHORITY,
    KeyPurpose.SEAL_MAKER,
    KeyPurpose.SEAL_USER,
)
"""What an account's keys may be for. Consensus, cosigner, log and TLS keys belong to validators; an encryption
key signs nothing, so it cannot prove its possession this way."""

REASONS: Final = ("ceased", "compromised", "lost", "superseded")
"""Why a key may be revoked. A closed list: the log is public, so it takes no free text."""


def add_key(context: Context, args: tuple[Value, ...]) -> None:
    """Give an account one more key: `[account, key offer]`. For itself or its manager.

    Raises:
        ContractError: `missing_role`, `unknown_account`, and what `enter_key` refuses.
        DecodeError: an argument has another shape, `bad_name`.
    """
    name_value, key_value = codec.array(args, "args", arity=2)
    name = parse_account_name(name_value)
    offer = parse_key_offer(key_value)
    directory = Directory(context)
    account = directory.account(name)
    check_manages_keys(context, name, account.roles)
    enter_key(context, directory, name, offer)
    _attach_key(directory, name, account, offer.public_key)
    directory.record("key-added", name, *_facts(offer))


def rotate_key(context: Context, args: tuple[Value, ...]) -> None:
    """Replace a key by another of its purpose: `[old_public_key, retire_at_ms, key offer]`.

    The old key ends when a block's time reaches `retire_at_ms`; 0 means at once, which is the time of this block.

    Raises:
        ContractError: `missing_role`, `unknown_key`, `key_ended`, `bad_purpose` if the new key has another
            purpose, `bad_validity` if the old one would end in the past or later than it does now, `key_gap`
            if the new one begins after the old one's end, `last_admin`, and what `enter_key` refuses.
        DecodeError: an argument has another shape.
    """
    old_value, retire_value, key_value = codec.array(args, "args", arity=3)
    old_public_key = codec.binary(old_value, "old_public_key")
    retire_at_ms = codec.integer(retire_value, "retire_at_ms")
    offer = parse_key_offer(key_value)
    directory = Directory(context)
    old, account = _owned_key(context, directory, old_public_key)
    now_ms = context.block.time_ms
    retire_at_ms = retire_at_ms or now_ms
    context.require(not old.has_ended(now_ms), "key_ended", "the old key has ended already")
    context.require(
        offer.purpose == old.purpose,
        "bad_purpose",
        f"the old key is for {old.purpose}, and so must be the new one",
    )
    context.require(
        now_ms <= retire_at_ms and (old.not_after_ms == 0 or retire_at_ms <= old.not_after_ms),
        "bad_validity",
        f"the old key cannot end at {retire_at_ms}: the block's time is {now_ms}, "
        f"and its end so far is {old.not_after_ms or 'never'}",
    )
    context.require(
        offer.not_before_ms <= retire_at_ms,
        "key_gap",
        f"the new key begins at {offer.not_before_ms}, after the old one ends at {retire_at_ms}",
    )
    enter_key(context, directory, old.owner, offer)
    directory.put_key(old_public_key, replace(old, not_after_ms=retire_at_ms))
    _attach_key(directory, old.owner, account, offer.public_key)
    if Role.ADMIN in account.roles:
        directory.check_admin_remains()
    directory.record("key-rotated", old.owner, old_public_key, retire_at_ms, *_facts(offer))


def revoke_key(context: Context, args: tuple[Value, ...]) -> None:
    """End a key at once and for ever: `[public_key, reason | nil]`. For its owner or the owner's manager.

    Raises:
        ContractError: `missing_role`, `unknown_key`, `key_revoked`, `bad_reason`, `last_admin`.
        DecodeError: an argument has another shape.
    """
    key_value, reason = codec.array(args, "args", arity=2)
    public_key = codec.binary(key_value, "public_key")
    if reason is not None:
        reason = codec.text(reason, "reason", most_bytes=MAX_NAME_BYTES)
        context.require(
            reason in REASONS,
            "bad_reason",
            f"reason: found {reason!r}; expected one of {', '.join(REASONS)}, or none",
        )
    directory = Directory(context)
    key, account = _owned_key(context, directory, public_key)
    context.require(key.revoked_ms == 0, "key_revoked", "the key is revoked already")
    now_ms = context.block.time_ms
    directory.put_key(public_key, replace(key, revoked_ms=now_ms))
    directory.put_account(key.owner, account)
    if Role.ADMIN in account.roles:
        directory.check_admin_remains()
    directory.record("key-revoked", key.owner, key.purpose.value, public_key, now_ms, reason)


def enter_key(context: Context, directory: Directory, account: str, offer: KeyOffer) -> None:
    """Enter an offered key as `account`'s; listing it with the account is the caller's to do.

    Raises:
        ContractError: `bad_purpose`, `bad_validity`, `bad_key`, `key_reused` if it was ever registered for
            whomever and whatever, `bad_possession`.
    """
    domain = context.block.domain
    context.require(
        offer.purpose in ACCOUNT_PURPOSES,
        "bad_purpose",
        f"purpose: found {offer.purpose!r}; expected one of {', '.join(ACCOUNT_PURPOSES)}",
    )
    context.require(
        offer.not_after_ms == 0
        or offer.not_after_ms > max(offer.not_before_ms, context.block.time_ms),
        "bad_validity",
        f"the key would end at {offer.not_after_ms}, before it is of any use",
    )
    context.require(
        domain.suite.is_public_key(offer.public_key),
        "bad_key",
        f"public_key: not a usable {domain.suite.name} public key",
    )
    known = directory.key(offer.public_key)
    if known is not None:
        raise ContractError(
            f"the key was registered before, as {known.purpose} key of {known.owner}; "
            "one key has one purpose and one owner, for ever",
            code="key_reused",
            field="public_key",
        )
    message = possession_message(
        domain,
        account=account,
        purpose=offer.purpose,
        public_key=offer.public_key,
        not_before_ms=offer.not_before_ms,
        not_after_ms=offer.not_after_ms,
    )
    context.require(
        domain.suite.is_signature(offer.public_key, message, offer.possession),
        "bad_possession",
        f"the key has not signed that it is to be a {offer.purpose} key of {account} "
        "with this validity",
    )
    directory.put_key(
        offer.public_key,
        KeyRecord(
            owner=account,
            purpose=KeyPurpose(offer.purpose),
            not_before_ms=offer.not_before_ms,
            not_after_ms=offer.not_after_ms,
            revoked_ms=0,
        ),
    )


def _owned_key(
    context: Context, directory: Directory, public_key: bytes
) -> tuple[KeyRecord, AccountRecord]:
    """Return an account's key and that account, if the sender may deal with them."""
    key = directory.key(public_key)
    if key is None or key.purpose not in ACCOUNT_PURPOSES:
        raise ContractError(
            "public_key: not registered as an account's", code="unknown_key", field="public_key"
        )
    account = directory.account(key.owner)
    check_manages_keys(context, key.owner, account.roles)
    return key, account


def _attach_key(directory: Directory, name: str, account: AccountRecord, public_key: bytes) -> None:
    directory.put_account(name, replace(account, keys=(*account.keys, public_key)))
    if len(directory.account(name).keys) > MAX_LIVE_KEYS:
        raise ContractError(
            f"{name} has {MAX_LIVE_KEYS} keys that have not ended; revoke one first",
            code="too_many_keys",
            field="public_key",
        )


def _facts(offer: KeyOffer) -> tuple[Value, ...]:
    return (offer.purpose, offer.public_key, offer.not_before_ms, offer.not_after_ms)
