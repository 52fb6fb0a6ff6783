"""The key-value store on LevelDB; nothing else in the project talks to LevelDB.

Rules:

    1. Every write is synced. LevelDB closes a full log file without syncing it, so that an unsynced
       batch at its end could be lost in a power cut that a later, synced batch survives. An fsync
       costs 0.3 ms on a common SSD, less than executing the smallest block.
    2. After a failed write nothing more is written. LevelDB would append behind the torn record, and
       a torn record in the middle of its log is corruption.
    3. Every checksum is verified at every read, and a damaged log refuses to open.
    4. A directory with data and no CURRENT file is damaged, not new. LevelDB would start afresh.
    5. Scans use the raw iterator. The binding's other one takes an unreadable block for the end of the
       store, and backwards it misses an entry that is alone in its range.

What rule 3 cannot see: LevelDB takes a record whose length runs past the end of its newest log or its
manifest for one that a crash cut short. A flipped bit there makes the store open as it was some batches
ago, whole and in order, in the worst case empty. So the caller compares the height that it finds with
the height of its vote log before it votes, and fetches the blocks between them again.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused, StorageFault

if sys.version_info >= (3, 13):
    import plyvel_next as plyvel  # the same binding, built for newer interpreters under this name
else:
    import plyvel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chainnode.storage.kv import WriteBatch

_WRITE_BUFFER_BYTES: Final = 32 * 1024 * 1024
"""Held twice while one half is written out. Takes a block of 10,000 transactions without a stall. Each time that it is
full, the files of the first level are merged: the larger it is, the less often."""

_BLOCK_CACHE_BYTES: Final = 16 * 1024 * 1024
"""Uncompressed blocks kept for reads: the upper levels of the state tree, touched at every height."""

_TABLE_FILE_BYTES: Final = 16 * 1024 * 1024
"""Eight times the default: 100 GiB then are 6,400 files."""

_MAX_OPEN_FILES: Final = 1_000
"""An open table costs about 100 KiB of index and filter, 100 MiB for all, and its size of mapped memory, which the kernel may drop at
any time; no descriptor, since LevelDB maps as many. Where a chain has more tables than may be open, each read opens one and
closes another, which costs a hundred times the read: with 128 a chain of ten million documents gave fifteen proofs a second."""

_BLOOM_FILTER_BITS: Final = 10
"""Bits per key: 1 % of reads of absent keys (is this transaction new?) touch a block in vain."""


class LevelStore:
    """A KeyValueStore in a directory of its own. Hold the HomeLock of the node's home meanwhile.

    LevelDB's own lock keeps other processes out as well, but a second attempt from within this process
    releases it, which is how POSIX record locks behave.
    """

    __slots__ = ("_database", "_directory", "_fault")

    def __init__(self, directory: Path) -> None:
        """Open the store in `directory`, or make it.

        Raises:
            Refused: `home_in_use`, another process has the store open.
            StorageFault: the disk failed, or what is there is damaged.
        """
        self._directory = directory
        self._fault: str | None = None
        try:
            _prepare(directory)
            self._database = plyvel.DB(
                os.fspath(directory),
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=_WRITE_BUFFER_BYTES,
                lru_cache_size=_BLOCK_CACHE_BYTES,
                max_file_size=_TABLE_FILE_BYTES,
                max_open_files=_MAX_OPEN_FILES,
                bloom_filter_bits=_BLOOM_FILTER_BITS,
                # Hashes, keys and signatures, which are most of what is stored, do not shrink.
                compression=None,
            )
        except plyvel.IOError as error:
            if "IO error: lock " in _message(error):
                raise Refused(
                    f"the store {directory} is in use by another process; stop it first",
                    code="home_in_use",
                ) from error
            raise _fault(directory, "cannot be opened", error) from error
        except (plyvel.Error, OSError) as error:
            raise _fault(directory, "cannot be opened", error) from error

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None if there is none."""
        # Not `_faults`: at a million reads a minute a context manager would cost more than the read.
        try:
            value: bytes | None = self._database.get(key, verify_checksums=True)
        except (plyvel.Error, OSError, RuntimeError) as error:
            raise _fault(self._directory, "cannot be read", error) from error
        return value

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply `batch` atomically; durable when it returns, whatever `sync` asks for (rule 1)."""
        if self._fault is not None:
            raise StorageFault(f"{self._fault}; nothing is written after that")
        try:
            with self._faults("cannot be written"):
                pending = self._database.write_batch(sync=True)
                put, delete = pending.put, pending.delete
                for key, value in batch:
                    if value is None:
                        delete(key)
                    else:
                        put(key, value)
                pending.write()
                # A crash before this line leaves the batch as a whole or nothing of it; after it, the
                # batch and all before it are there.
        except StorageFault as error:
            self._fault = str(error)
            raise

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` (>= 1) entries with start <= key < stop, rising or with `reverse` falling."""
        # The raw iterator (rule 5): it reports its status after every step.
        entries: list[tuple[bytes, bytes]] = []
        with (
            self._faults("cannot be read"),
            contextlib.closing(self._database.raw_iterator(verify_checksums=True)) as cursor,
        ):
            cursor.seek(stop if reverse else start)
            if reverse:
                if cursor.valid():
                    cursor.prev()
                else:
                    cursor.seek_to_last()
            step = cursor.prev if reverse else cursor.next
            while len(entries) < limit and cursor.valid():
                entry = cursor.item()
                if not start <= entry[0] < stop:
                    break
                entries.append(entry)
                step()
        return entries

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give the disk space of deleted and overwritten entries in [start, stop) back."""
        with self._faults("cannot be compacted"):
            self._database.compact_range(start=start, stop=stop)

    def approximate_size_bytes(self) -> int:
        """Bytes of all files in the directory."""
        with self._faults("cannot be measured"):
            total = 0
            for entry in os.scandir(self._directory):
                # A compaction may delete a file between the listing and the look at it.
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    def close(self) -> None:
        """Release the store; closing twice is allowed, any other call afterwards is a StorageFault."""
        with self._faults("cannot be closed"):
            self._database.close()

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except (plyvel.Error, OSError, RuntimeError) as error:  # RuntimeError: used after close
            raise _fault(self._directory, what, error) from error


def _prepare(directory: Path) -> None:
    """Make `directory` so that it outlives a power cut, and check rule 4."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
        parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    if (directory / "CURRENT").exists():
        return
    # LevelDB writes CURRENT before the first of these, so a crash during creation leaves none of them.
    if any(path.suffix in {".log", ".ldb", ".sst"} for path in directory.iterdir()):
        raise StorageFault(
            f"the store {directory} has data but its CURRENT file is missing; "
            "restore it from a backup or fetch the chain again",
        )


def _fault(directory: Path, what: str, error: Exception) -> StorageFault:
    if isinstance(error, plyvel.CorruptionError):
        advice = "; restore it from a backup or fetch the chain again"
    else:
        advice = "; check the disk and its free space" if isinstance(error, OSError) else ""
    return StorageFault(f"the store {directory} {what}: {_message(error)}{advice}")


def _message(error: Exception) -> str:
    """One line; LevelDB's own messages arrive as bytes."""
    detail = error.args[0] if error.args else ""
    text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(error)
    return " ".join(text.split())
