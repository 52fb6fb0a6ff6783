"""Where each transaction is, found by its id; kept apart by age, so that new ids are never merged into old ones.

A partition begins with a block and is named by its height. The next begins with the first block that lies at least
`MAX_VALID_HEIGHTS` above and has at least `PARTITION_RECORDS` records between. So the blocks in which a transaction may
still come again lie in two partitions at most, and a long chain has few: one per million records, or fewer.

Where partitions begin follows from the blocks alone: every store of the same chain has the same.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from chainnode.ledger.stored import damaged, stored
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.transaction import Transaction
    from chainnode.storage.kv import KeyValueStore, WriteBatch

PARTITION_RECORDS: Final = 1_048_576
"""About 60 MB of a partition's own keys if each record has a transaction of its own: what LevelDB merges new ones into."""

_PAGE: Final = 1_000
"""Beginnings of partitions read at once."""


class TransactionIndex:
    """Finds transactions. Memory changes only through `load` and `committed`."""

    __slots__ = ("_begun", "_log_sizes", "_store")

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._begun: list[int] = []
        """First heights of the partitions, rising."""

        self._log_sizes: list[int] = []
        """Of the log before that height, of each."""

    def load(self, tip_height: int, log_size_before: Callable[[int], int]) -> None:
        """Read from the store where partitions begin: 16 bytes each.

        Args:
            tip_height: of the chain.
            log_size_before: returns the size of the log before a block that is there.

        Raises:
            StorageFault: those that say whether a transaction is new are not what the blocks call for.
        """
        self._begun, self._log_sizes = [], []
        start, stop = keys.transactions_from(0), keys.transactions_from(2**64 - 1)
        while page := self._store.scan(start, stop, limit=_PAGE):
            with stored("where the transactions' partitions begin"):
                self._begun += (keys.parse_number(key) for key, _ in page)
                self._log_sizes += (keys.parse_size(value) for _, value in page)
            start = page[-1][0] + b"\0"
        if tip_height:
            self._check(tip_height, log_size_before)

    def stage(
        self, batch: WriteBatch, height: int, log_size: int, transactions: Sequence[Transaction]
    ) -> None:
        """Stage the places of the transactions of block `height`, above all before; `log_size` is before it."""
        if self._begins(height, log_size):
            partition = height
            batch.put(keys.transactions_from(height), keys.size(log_size))
        else:
            partition = self._begun[-1]
        for position, transaction in enumerate(transactions):
            batch.put(keys.transaction(partition, transaction.id), keys.place(height, position))

    def committed(self, height: int, log_size: int) -> None:
        """Note that what was staged with these arguments is written."""
        if self._begins(height, log_size):
            self._begun.append(height)
            self._log_sizes.append(log_size)

    def find(self, tx_id: bytes, from_height: int = 1) -> tuple[int, int] | None:
        """Return (height, position) of a transaction, or None.

        Args:
            tx_id: its id.
            from_height: where to look: all blocks from there on, and perhaps others before them.
        """
        first = max(0, bisect_right(self._begun, from_height) - 1)
        for partition in reversed(self._begun[first:]):
            value = self._store.get(keys.transaction(partition, tx_id))
            if value is not None:
                with stored(f"place of transaction {tx_id.hex()}"):
                    return keys.parse_place(value)
        return None

    def _begins(self, height: int, log_size: int) -> bool:
        return not self._begun or _is_full(self._begun[-1], self._log_sizes[-1], height, log_size)

    def _check(self, tip_height: int, log_size_before: Callable[[int], int]) -> None:
        # With an entry lost, what its partition holds would pass for new. The window lies in the newest two.
        partitions = list(zip(self._begun, self._log_sizes, strict=True))
        following = tip_height + 1
        for begun, log_size in partitions[:-3:-1]:
            last = following - 1
            if begun > last or log_size != log_size_before(begun):
                raise damaged(f"a partition of transactions begins with block {begun}")
            if _is_full(begun, log_size, last, log_size_before(last)):
                raise damaged(f"no partition of transactions begins between {begun} and {last}")
            following = begun
        if not partitions or (len(partitions) < 2 and partitions[0][0] != 1):
            raise damaged("the first partition of transactions is missing")


def _is_full(begun: int, log_size: int, height: int, log_size_before: int) -> bool:
    """Whether a partition that began so leaves a block to the next one."""
    return height >= begun + MAX_VALID_HEIGHTS and log_size_before >= log_size + PARTITION_RECORDS
