"""The chain's store behind a guard that lets nobody use it after a failed write.

After a failed write the batch may or may not be on disk, so memory and disk may differ by a block. Only a restart
can read which of the two it is; until then every answer would be a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from chainnode.model.errors import StorageFault

if TYPE_CHECKING:
    from chainnode.storage.kv import KeyValueStore, WriteBatch


class GuardedStore:
    """A KeyValueStore that answers with StorageFault once a write has failed."""

    __slots__ = ("_fault", "_store")

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._fault: str | None = None

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None if there is none."""
        if self._fault is not None:
            self._refuse()
        return self._store.get(key)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply `batch` atomically; whatever goes wrong here is final."""
        if self._fault is not None:
            self._refuse()
        try:
            self._store.write(batch, sync=sync)
        except BaseException as error:
            self._fault = str(error) or type(error).__name__
            raise

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` entries with start <= key < stop, rising or with `reverse` falling."""
        if self._fault is not None:
            self._refuse()
        return self._store.scan(start, stop, reverse=reverse, limit=limit)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give the disk space of deleted and overwritten entries in [start, stop) back."""
        if self._fault is not None:
            self._refuse()
        self._store.compact(start, stop)

    def approximate_size_bytes(self) -> int:
        """Bytes on disk."""
        return self._store.approximate_size_bytes()

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def _refuse(self) -> NoReturn:
        raise StorageFault(f"the store is not used after a failed write ({self._fault}); restart")
