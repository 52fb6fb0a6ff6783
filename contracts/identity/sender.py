"""Whether a transaction's sender may act now: asked at admission, and again when its block is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import Refused
from chainnode.model.keys import KeyPurpose
from contracts.identity.records import PREFIX, account_key, decode_account, decode_key, key_key

if TYPE_CHECKING:
    from chainnode.model.transaction import Transaction
    from contracts.overlay import StateReader


def check_sender(state: StateReader, transaction: Transaction, *, time_ms: int) -> None:
    """Refuse a transaction unless its sender is active and its key is that sender's and valid at `time_ms`.

    The signature itself is verified elsewhere, once, before.

    Args:
        state: By full key.
        transaction: As decoded.
        time_ms: Of the block that executes it; at admission, of the tip.

    Raises:
        Refused: `unknown_account`, `account_suspended`, `unknown_key`, `key_revoked`,
            `key_not_yet_valid` or `key_expired`.
    """
    sender = transaction.body.sender
    data = state.get(PREFIX + account_key(sender))
    if data is None:
        raise Refused(
            f"there is no account {sender}; correct the name, or have it registered",
            code="unknown_account",
            field="sender",
        )
    if decode_account(data).suspended:
        raise Refused(
            f"{sender} is suspended; who manages it can resume it",
            code="account_suspended",
            field="sender",
        )
    data = state.get(PREFIX + key_key(transaction.public_key))
    key = None if data is None else decode_key(data)
    if key is None or key.owner != sender or key.purpose is not KeyPurpose.ACCOUNT:
        raise Refused(
            f"the key is not registered to sign transactions of {sender}; sign with one that is",
            code="unknown_key",
            field="public_key",
        )
    if key.is_valid(time_ms):
        return
    if key.revoked_ms:
        code, what = "key_revoked", f"was revoked at {key.revoked_ms}"
    elif time_ms < key.not_before_ms:
        code, what = "key_not_yet_valid", f"is valid from {key.not_before_ms}"
    else:
        code, what = "key_expired", f"was valid until {key.not_after_ms}"
    raise Refused(
        f"the key of {sender} {what}; the block's time is {time_ms}; sign with another of its keys",
        code=code,
        field="public_key",
    )
