"""A journal in a folder of a client's: one process at a time, and errors that a person can act on."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, Refused, StorageFault
from chainnode.storage.append_file import DiskFile
from chainnode.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK_NAME: Final = "lock"
JOURNAL_NAME: Final = "journal"


class JournalFile:
    """A `Journal` at `folder/journal`, locked while it is open."""

    __slots__ = ("_descriptor", "_journal")

    def __init__(self, descriptor: int, journal: Journal) -> None:
        self._descriptor = descriptor
        self._journal = journal

    @classmethod
    def open(cls, folder: Path, magic: bytes) -> tuple[JournalFile, tuple[bytes, ...]]:
        """Open or make the journal of a folder, which is made if need be, for its owner only.

        Raises:
            Refused: with code `in_use` if another process has it.
            ChainError: with code `file_error` if the disk refuses, or the journal is damaged.
        """
        descriptor = -1
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with _as_file_error(folder):
                journal, payloads = Journal.open(DiskFile(folder / JOURNAL_NAME), magic)
        except BlockingIOError as error:
            os.close(descriptor)
            raise Refused(
                f"{folder} is in use by another process; wait until that one has ended",
                code="in_use",
            ) from error
        except OSError as error:
            _close(descriptor)
            raise ChainError(
                f"cannot write {folder}: {error.strerror}", code="file_error"
            ) from error
        except ChainError:
            _close(descriptor)
            raise
        return cls(descriptor, journal), payloads

    @property
    def size_bytes(self) -> int:
        """Length of the journal."""
        return self._journal.size_bytes

    def append(self, payload: bytes) -> None:
        """Make a record durable. Raises ChainError with code `file_error`; nothing that depends on it may be done."""
        with _as_file_error(None):
            self._journal.append(payload)

    def rewrite(self, payloads: Sequence[bytes]) -> None:
        """Make these all the records there are, in one step. Raises as `append`."""
        with _as_file_error(None):
            self._journal.rewrite(payloads)

    def close(self) -> None:
        """Release journal and lock."""
        self._journal.close()
        _close(self._descriptor)
        self._descriptor = -1


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


@contextmanager
def _as_file_error(folder: Path | None) -> Iterator[None]:
    """A full disk stops a node; it is no fault of a client's, which goes on when there is room."""
    try:
        yield
    except StorageFault as fault:
        where = "" if folder is None else f"{folder}: "
        raise ChainError(f"{where}{fault}", code="file_error") from fault
