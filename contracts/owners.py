"""Keys of the local index by which registrations are found by owner: an account, or all accounts of an organisation.

A list of a thousand documents makes a thousand leaves of one account, which lie together. So an account's first leaf of
a block is indexed, and whoever looks reads on to the block's end. Records that came to an owner by a mark are indexed one
by one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from chainnode.model.ids import organisation_of

_MEMORISED: Final = 4_096


def registered_key(owner: str) -> bytes:
    """Return the key of the first registration in each block by an account, or by any of an organisation."""
    return b"registered/" + owner.encode("ascii")


def acquired_key(owner: str) -> bytes:
    """Return the key of each mark by which an account, or one of an organisation, became owner of a registration."""
    return b"acquired/" + owner.encode("ascii")


@lru_cache(maxsize=_MEMORISED)
def registered_keys(account: str) -> tuple[bytes, ...]:
    """Return the keys for a registration by `account`."""
    return (registered_key(account), registered_key(organisation_of(account)))


def acquired_keys(accounts: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the keys for a mark by which these accounts became owners, each once."""
    owners = {*accounts, *(organisation_of(account) for account in accounts)}
    return tuple(acquired_key(owner) for owner in sorted(owners))
