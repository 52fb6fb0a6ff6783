"""The port to the key-value store: what the ledger may ask of a disk, and what it may rely on.

A store maps byte strings to byte strings, ordered by key as unsigned bytes. Three promises hold for
every implementation, and the ledger is built on nothing else:

    atomic    after a crash, a batch is there as a whole or not at all
    ordered   if a batch survived a crash, so did every batch written before it
    durable   when a write with sync=True has returned, that batch survives every later crash

A read sees every batch whose write has returned, durable or not. One store has one writer; reads may
come from other threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class WriteBatch:
    """Puts and deletes that take effect together, in the order in which they were added.

    Later operations on a key win over earlier ones of the same batch.
    """

    __slots__ = ("_operations", "_size_bytes")

    def __init__(self) -> None:
        self._operations: list[tuple[bytes, bytes | None]] = []
        self._size_bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key` to `value`, which may be empty."""
        self._operations.append((key, value))
        self._size_bytes += len(key) + len(value)

    def delete(self, key: bytes) -> None:
        """Remove `key`; no error if it is not there."""
        self._operations.append((key, None))
        self._size_bytes += len(key)

    @property
    def size_bytes(self) -> int:
        """Keys and values together, without the overhead of any store."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The operations in order: (key, value), or (key, None) for a delete."""
        return iter(self._operations)


class Readable(Protocol):
    """What values are read from."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None if there is none."""
        ...


class KeyValueStore(Readable, Protocol):
    """An ordered map on disk; every method raises StorageFault if the disk or the data fails.

    After a StorageFault from `write`, the batch may or may not survive: the node stops, and a restart
    reads which of the two it was.
    """

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply `batch` atomically; with `sync`, return only once it and all before it are durable.

        An empty batch with `sync` still makes everything before it durable.
        """
        ...

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (>= 1) entries with start <= key < stop.

        Rising by key from `start`, or with `reverse` falling by key from just below `stop`. Empty
        if start >= stop. The list is a snapshot: a later write does not change it.
        """
        ...

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give the disk space of deleted and overwritten entries in [start, stop) back.

        Takes as long as rewriting the range does; changes nothing that a read can see.
        """
        ...

    def approximate_size_bytes(self) -> int:
        """Bytes on disk, give or take what was written most recently."""
        ...

    def close(self) -> None:
        """Release the store; closing twice is allowed, any other call afterwards is an error."""
        ...
