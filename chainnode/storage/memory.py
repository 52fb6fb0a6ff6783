"""The key-value store in memory, which loses on a crash what a disk may lose.

For tests and the simulator. Like a disk it knows what has been synced: `crash` gives the store as a
restart finds it after a power cut.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.storage.kv import WriteBatch

_INSERT_LIMIT: Final = 64
"""New keys up to this number are inserted one by one; more are merged by one pass over all keys."""


class MemoryStore:
    """A KeyValueStore whose unsynced batches are lost by `crash`.

    Invariant: the keys of `_values` are those of `_sorted` and `_new` together, less `_gone`. Sorting
    waits for the next scan, so that writing costs the same however large the store is.
    """

    __slots__ = ("_closed", "_gone", "_new", "_sorted", "_undo", "_values")

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._sorted: list[bytes] = []
        self._new: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._undo: list[list[tuple[bytes, bytes | None]]] = []
        self._closed = False

    @property
    def unsynced_count(self) -> int:
        """Batches written since the last sync, which a crash may lose."""
        return len(self._undo)

    def crash(self, *, survivors: int = 0) -> MemoryStore:
        """The store as found after a power cut; this one is closed.

        Args:
            survivors: how many of the unsynced batches are found, oldest first; 0 to `unsynced_count`.
        """
        if not 0 <= survivors <= len(self._undo):
            raise ValueError(f"survivors is {survivors}, of {len(self._undo)} unsynced batches")
        self._check_open()
        for steps in reversed(self._undo[survivors:]):
            for key, value in reversed(steps):
                self._set(key, value)
        found = MemoryStore()
        found._values, found._sorted = self._values, self._sorted
        found._new, found._gone = self._new, self._gone
        self._values, self._sorted, self._new, self._gone, self._undo = {}, [], set(), set(), []
        self._closed = True
        return found

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None if there is none."""
        self._check_open()
        return self._values.get(key)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply `batch` atomically; with `sync`, it and all before it survive every later crash."""
        self._check_open()
        steps: list[tuple[bytes, bytes | None]] = []
        for key, value in batch:
            steps.append((key, self._values.get(key)))
            self._set(key, value)
        if sync:
            self._undo.clear()
        else:
            self._undo.append(steps)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (>= 1) entries with start <= key < stop, rising or with `reverse` falling."""
        self._check_open()
        keys = self._settle()
        low, high = bisect_left(keys, start), bisect_left(keys, stop)
        indices = range(high - 1, low - 1, -1) if reverse else range(low, high)
        entries = []
        for index in indices:
            value = self._values.get(keys[index])
            if value is not None:
                entries.append((keys[index], value))
                if len(entries) == limit:
                    break
        return entries

    def compact(self, start: bytes, stop: bytes) -> None:
        """Nothing to give back."""
        self._check_open()

    def approximate_size_bytes(self) -> int:
        """Keys and values together."""
        self._check_open()
        return sum(len(key) + len(value) for key, value in self._values.items())

    def close(self) -> None:
        """Release the store; closing twice is allowed, any other call afterwards is a StorageFault."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageFault("the store is closed")

    def _set(self, key: bytes, value: bytes | None) -> None:
        if value is not None:
            if key not in self._values:
                if key in self._gone:
                    self._gone.discard(key)
                else:
                    self._new.add(key)
            self._values[key] = value
        elif self._values.pop(key, None) is not None:
            if key in self._new:
                self._new.discard(key)
            else:
                self._gone.add(key)

    def _settle(self) -> Sequence[bytes]:
        """All keys in order, among them some of `_gone`, but never more of those than half."""
        if len(self._gone) * 2 > len(self._sorted):
            self._sorted = [key for key in self._sorted if key not in self._gone]
            self._gone.clear()
        if len(self._new) > _INSERT_LIMIT:
            self._sorted += sorted(self._new)
            self._sorted.sort()  # merges two sorted runs in one pass
        else:
            for key in self._new:
                insort(self._sorted, key)
        self._new.clear()
        return self._sorted
