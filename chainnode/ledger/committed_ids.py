"""Which transactions the chain holds, asked several times about each and read from the store once.

A transaction is looked up when it arrives, when its signature has been verified, and when a block with it is executed.
What was found to be new stays new until a block brings it, and every block passes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.ledger.block_store import BlockStore

MAX_NEW: Final = 65_536
"""Ids remembered as new; about 8 MiB. Twenty seconds of a busy chain, longer than any waits for its block."""


class CommittedIds:
    """Answers from memory for ids that were asked about lately. Lives as long as its ledger, the only one to write."""

    __slots__ = ("_blocks", "_new")

    def __init__(self, blocks: BlockStore) -> None:
        self._blocks = blocks
        self._new: dict[bytes, None] = {}

    def has(self, tx_id: bytes) -> bool:
        """Whether a committed block holds the transaction."""
        if tx_id in self._new:
            return False
        if self._blocks.has_transaction(tx_id):
            return True
        if len(self._new) >= MAX_NEW:
            del self._new[next(iter(self._new))]
        self._new[tx_id] = None
        return False

    def committed(self, tx_ids: Iterable[bytes]) -> None:
        """Note that a block with these transactions is written. To be called before the next question."""
        for tx_id in tx_ids:
            self._new.pop(tx_id, None)
