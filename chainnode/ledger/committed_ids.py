"""Which transactions the chain holds, asked several times about each and read from the store once.

A transaction is looked up when it arrives, when its signature has been verified, and when a block with it is executed.
What was found to be new stays new until a block brings it, and every block passes here.

Only blocks within the window count in which a transaction may still come again: whatever was in an older block has expired.
So the cost does not grow with the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.limits import MAX_VALID_HEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.ledger.transaction_index import TransactionIndex

MAX_NEW: Final = 65_536
"""Ids remembered as new; about 8 MiB. Twenty seconds of a busy chain, longer than any waits for its block."""


class CommittedIds:
    """Answers from memory for ids that were asked about lately. Lives as long as its ledger, the only one to write."""

    __slots__ = ("_from_height", "_index", "_new")

    def __init__(self, index: TransactionIndex, tip_height: int) -> None:
        self._index = index
        self._new: dict[bytes, None] = {}
        self._from_height = _window_from(tip_height)

    def has(self, tx_id: bytes) -> bool:
        """Whether a block of the window holds the transaction."""
        if tx_id in self._new:
            return False
        if self._index.find(tx_id, self._from_height) is not None:
            return True
        if len(self._new) >= MAX_NEW:
            del self._new[next(iter(self._new))]
        self._new[tx_id] = None
        return False

    def committed(self, height: int, tx_ids: Iterable[bytes]) -> None:
        """Note that block `height`, with these transactions, is written. To be called before the next question."""
        for tx_id in tx_ids:
            self._new.pop(tx_id, None)
        self._from_height = _window_from(height)


def _window_from(tip_height: int) -> int:
    # A transaction of block h was valid up to h + MAX_VALID_HEIGHTS at most, and is asked for above the tip.
    return tip_height + 1 - MAX_VALID_HEIGHTS
