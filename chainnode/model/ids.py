"""Identifiers: their types and the strings that may serve as names.

Names are the only strings that people type, print on paper and compare by eye. They are lower-case ASCII so
that no two look alike and every agency's keyboard has them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NewType

from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_CHAIN_ID_BYTES, MAX_NAME_BYTES

Height = NewType("Height", int)
"""Number of a block; 0 is genesis, 1 the first block."""

View = NewType("View", int)
"""Number of a leader's turn within one height, from 0."""

BlockHash = NewType("BlockHash", bytes)
"""32 bytes; the hash of a header. Of height 0: the genesis hash."""

TransactionId = NewType("TransactionId", bytes)
"""32 bytes; the hash of a transaction's body. What replay protection and users know."""

TransactionHash = NewType("TransactionHash", bytes)
"""32 bytes; the hash of the whole envelope. What proposals, fetches and the transaction root name."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_MEMORISED: Final = 4_096
"""Names whose judgement is kept, of each kind: every transaction repeats the same few."""

_CHAIN_ID: Final = re.compile(r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?")


@lru_cache(maxsize=_MEMORISED)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


@lru_cache(maxsize=_MEMORISED)
def _is_chain_id(text: str) -> bool:
    return _CHAIN_ID.fullmatch(text) is not None and "//" not in text


def check_name(name: str, what: str) -> None:
    """Refuse anything but lower-case letters, digits and inner `.`, `_`, `-` (1 to 64 bytes).

    Raises:
        DecodeError: `name` is not such a name; `what` says whose.
    """
    if len(name) > MAX_NAME_BYTES or not _is_name(name):
        raise DecodeError(
            f"{what}: found {name[:80]!r}; expected 1 to {MAX_NAME_BYTES} of a-z 0-9 . _ - "
            "beginning and ending with a letter or digit",
            field=what,
            code="bad_name",
        )


def check_account_name(name: str, what: str = "account") -> None:
    """Refuse anything but `organisation/account`, both of them names."""
    organisation, slash, account = name.partition("/")
    if len(name) > MAX_ACCOUNT_NAME_BYTES or not slash:
        raise DecodeError(
            f"{what}: found {name[:140]!r}; expected organisation/account",
            field=what,
            code="bad_name",
        )
    check_name(organisation, what)
    check_name(account, what)


def organisation_of(account: str) -> str:
    """Return the organisation part of a checked account name."""
    return account.partition("/")[0]


def check_chain_id(chain_id: str, what: str = "chain_id") -> None:
    """Refuse anything but a schema-less URL-like name such as `sz.gov.example/alliance`.

    It is the origin of the chain's log (C2SP tlog-checkpoint), so it holds no space and no plus sign.
    """
    if len(chain_id) > MAX_CHAIN_ID_BYTES or not _is_chain_id(chain_id):
        raise DecodeError(
            f"{what}: found {chain_id[:140]!r}; expected a name like sz.gov.example/alliance "
            f"(a-z 0-9 . _ - /, at most {MAX_CHAIN_ID_BYTES} bytes)",
            field=what,
            code="bad_name",
        )
