"""A file that grows at its end: the port, the real one, and one in memory that crashes like a disk.

What a crash leaves of bytes appended since the last sync: any number of the first of them, possibly
followed by zeros where the file had grown and the data had not arrived. Bytes before those are intact.
`replace` is all or nothing.

A file that has failed once stays failed. After a failed fsync the kernel may have dropped the dirty
pages and report success the next time, so a retry would vouch for data that is lost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from chainnode.model.errors import StorageFault

if TYPE_CHECKING:
    from pathlib import Path

_MODE: Final = 0o600
"""Only the node's own user may read or write what it keeps."""


class AppendFile(Protocol):
    """A file of bytes; every method raises StorageFault if the disk fails, and ever after."""

    @property
    def size_bytes(self) -> int:
        """All that has been appended, synced or not."""
        ...

    def read_all(self, limit: int) -> bytes:
        """The whole content; StorageFault if that is more than `limit` bytes."""
        ...

    def append(self, data: bytes) -> None:
        """Add `data` at the end; lost by a crash until `sync`."""
        ...

    def sync(self) -> None:
        """Return only once everything appended is durable."""
        ...

    def replace(self, data: bytes) -> None:
        """Make `data` the whole content, durably; a crash leaves either the old content or the new."""
        ...

    def close(self) -> None:
        """Release the file without syncing it; closing twice is allowed."""
        ...


class DiskFile:
    """An AppendFile in the file system. One process at a time (see HomeLock)."""

    __slots__ = ("_descriptor", "_fault", "_path", "_size_bytes")

    def __init__(self, path: Path) -> None:
        """Open `path`, or make it empty, so that it outlives a power cut; its folder must exist."""
        self._path = path
        self._fault: str | None = None
        self._descriptor = -1
        try:
            self._descriptor = _open(path)
            self._size_bytes = os.fstat(self._descriptor).st_size
            os.fsync(self._descriptor)
            _sync_folder(path)
        except OSError as error:
            self.close()
            raise self._fail("opened", error) from error

    @property
    def size_bytes(self) -> int:
        """All that has been appended, synced or not."""
        return self._size_bytes

    def read_all(self, limit: int) -> bytes:
        """The whole content; StorageFault if that is more than `limit` bytes."""
        self._check_usable()
        if self._size_bytes > limit:
            raise StorageFault(
                f"{self._path} has {self._size_bytes} bytes; at most {limit} are valid"
            )
        try:
            return _read_all(self._descriptor, self._size_bytes)
        except OSError as error:
            raise self._fail("read", error) from error

    def append(self, data: bytes) -> None:
        """Add `data` at the end; lost by a crash until `sync`."""
        self._check_usable()
        try:
            _write_all(self._descriptor, data)
        except OSError as error:
            raise self._fail("written", error) from error
        self._size_bytes += len(data)

    def sync(self) -> None:
        """Return only once everything appended is durable."""
        self._check_usable()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._fail("synced", error) from error

    def replace(self, data: bytes) -> None:
        """Make `data` the whole content, durably; a crash leaves either the old content or the new."""
        self._check_usable()
        fresh_path = self._path.with_name(self._path.name + ".new")
        fresh = -1
        try:
            fresh = _open(fresh_path, os.O_TRUNC)
            _write_all(fresh, data)
            os.fsync(fresh)
            # Up to here a crash leaves the old content, and a `.new` file that the next call empties.
            fresh_path.replace(self._path)
            # From here it leaves either, and the next line settles it.
            _sync_folder(self._path)
        except OSError as error:
            if fresh >= 0:
                os.close(fresh)
            raise self._fail("replaced", error) from error
        os.close(self._descriptor)
        self._descriptor, self._size_bytes = fresh, len(data)

    def close(self) -> None:
        """Release the file without syncing it; closing twice is allowed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._fault = self._fault or f"{self._path} is closed"

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise StorageFault(self._fault)

    def _fail(self, what: str, error: OSError) -> StorageFault:
        reason = error.strerror or str(error)
        self._fault = f"{self._path} cannot be {what}: {reason}; check the disk and its free space"
        return StorageFault(self._fault)


class MemoryFile:
    """An AppendFile in memory whose unsynced end is lost by `crash`; for tests and the simulator."""

    __slots__ = ("_closed", "_content", "_durable_bytes")

    def __init__(self, content: bytes = b"") -> None:
        self._content = bytearray(content)
        self._durable_bytes = len(content)
        self._closed = False

    @property
    def size_bytes(self) -> int:
        """All that has been appended, synced or not."""
        return len(self._content)

    @property
    def unsynced_bytes(self) -> int:
        """Bytes appended since the last sync, which a crash may lose."""
        return len(self._content) - self._durable_bytes

    def crash(self, *, survivors: int = 0, zeros: int = 0) -> MemoryFile:
        """The file as found after a power cut; this one is closed.

        Args:
            survivors: how many of the unsynced bytes are found, oldest first; 0 to `unsynced_bytes`.
            zeros: how many bytes follow them as zeros; both together at most `unsynced_bytes`.
        """
        if survivors < 0 or zeros < 0 or survivors + zeros > self.unsynced_bytes:
            raise ValueError(f"{survivors} + {zeros} of {self.unsynced_bytes} unsynced bytes")
        self._check_open()
        self._closed = True
        return MemoryFile(bytes(self._content[: self._durable_bytes + survivors]) + bytes(zeros))

    def read_all(self, limit: int) -> bytes:
        """The whole content; StorageFault if that is more than `limit` bytes."""
        self._check_open()
        if len(self._content) > limit:
            raise StorageFault(
                f"the file has {len(self._content)} bytes; at most {limit} are valid"
            )
        return bytes(self._content)

    def append(self, data: bytes) -> None:
        """Add `data` at the end; lost by `crash` until `sync`."""
        self._check_open()
        self._content += data

    def sync(self) -> None:
        """Everything appended so far survives every later crash."""
        self._check_open()
        self._durable_bytes = len(self._content)

    def replace(self, data: bytes) -> None:
        """Make `data` the whole content, durably."""
        self._check_open()
        self._content = bytearray(data)
        self._durable_bytes = len(data)

    def close(self) -> None:
        """Release the file; closing twice is allowed."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageFault("the file is closed")


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | flags, _MODE)


def _read_all(descriptor: int, size_bytes: int) -> bytes:
    parts, at = [], 0
    while at < size_bytes:
        part = os.pread(descriptor, size_bytes - at, at)
        if not part:
            raise OSError(f"it ends after {at} of {size_bytes} bytes")
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(path: Path) -> None:
    """Make the name of `path` durable: the file itself may be synced and still have no name."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
