"""Which transactions the chain holds, asked several times about each and read from the store once.

A transaction is looked up when it arrives, when its signature has been verified, and when a block with it is executed.
What was found to be new stays new until a block brings it, and every block passes here.

Only blocks within the window count in which a transaction may still come again: whatever was in an older block has expired.
So the cost does not grow with the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.ledger.block_store import BlockStore
    from chainnode.ledger.tip import Tip

MAX_NEW: Final = 65_536
"""Ids remembered as new; about 8 MiB. Twenty seconds of a busy chain, longer than any waits for its block."""

WINDOW_EVERY: Final = 256
"""Heights after which the window is moved up; until then it reaches a little further back than it needs to."""


class CommittedIds:
    """Answers from memory for ids that were asked about lately. Lives as long as its ledger, the only one to write."""

    __slots__ = ("_blocks", "_moved_height", "_new", "_partitions")

    def __init__(self, blocks: BlockStore, tip: Tip) -> None:
        self._blocks = blocks
        self._new: dict[bytes, None] = {}
        self._moved_height = 0
        self._partitions = range(0)
        self._move(tip)

    def has(self, tx_id: bytes) -> bool:
        """Whether a block of the window holds the transaction."""
        if tx_id in self._new:
            return False
        if self._blocks.find_transaction(tx_id, self._partitions) is not None:
            return True
        if len(self._new) >= MAX_NEW:
            del self._new[next(iter(self._new))]
        self._new[tx_id] = None
        return False

    def committed(self, tip: Tip, tx_ids: Iterable[bytes]) -> None:
        """Note that a block with these transactions is written, as `tip`. To be called before the next question."""
        for tx_id in tx_ids:
            self._new.pop(tx_id, None)
        newest = keys.partition_of(tip.log_size)
        self._partitions = range(self._partitions.start, newest + 1)
        if tip.height >= self._moved_height + WINDOW_EVERY:
            self._move(tip)

    def _move(self, tip: Tip) -> None:
        # A transaction of block h was valid up to h + MAX_VALID_HEIGHTS at most, and is asked for above the tip.
        oldest = tip.height + 1 - MAX_VALID_HEIGHTS
        first = keys.partition_of(self._blocks.header(oldest)[1].log_size) if oldest > 0 else 0
        self._partitions = range(first, keys.partition_of(tip.log_size) + 1)
        self._moved_height = tip.height
