"""Putting proofs in their places: each is there whole or not at all, whatever happens. Runs in threads."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError
from cli.folder.examine import digest_file
from cli.folder.names import proof_name, unfinished_name
from cli.proofs import SUFFIX, read_proof

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from chainnode.client.proving import ProvenDocument
    from chainnode.model.tlog_proof import Proof
    from cli.folder.journal import OpenList
    from cli.folder.walk import FoundFile

_MODE: Final = 0o644


class Missed(Enum):
    """Why a file has no proof, though its digests are registered."""

    CHANGED = "changed"
    GONE = "gone"


class Placer:
    """Writes proofs of files below `root` to places below `out`."""

    def __init__(
        self, *, root: Path, out: Path, threads: Executor, advance: Callable[[int], None]
    ) -> None:
        """Tell `advance` of bytes that are read again; it may raise to stop."""
        self._root, self._out = root, out
        self._threads = threads
        self._advance = advance

    def place(
        self, of: OpenList, proven: tuple[ProvenDocument, ...]
    ) -> tuple[FoundFile | Missed, ...]:
        """Write the proofs of a list; durable on return.

        Returns:
            By item, the file as it is now, or why it has no proof.

        Raises:
            ChainError: with code `file_error`: the disk refuses or is full, or a place is taken by what is no proof.
        """
        items = range(len(of.files))
        try:
            found = tuple(self._threads.map(lambda item: self._one(of, item, proven[item]), items))
            paths = [of.files[item].path for item in items if not isinstance(found[item], Missed)]
            for folder in {above for path in paths for above in PurePath(path).parents}:
                sync_folder(self._out / folder)
        except OSError as error:
            raise file_error(error) from error
        return found

    def restore(self, path: str, proven: ProvenDocument) -> None:
        """Write the proof of a file anew where there is none; durable on return. Raises ChainError with code `file_error`."""
        target = self._out / proof_name(path)
        try:
            write_whole(target, proven.encode())
            sync_folder(target.parent)
        except OSError as error:
            raise file_error(error) from error

    def _one(self, of: OpenList, item: int, proven: ProvenDocument) -> FoundFile | Missed:
        listed = of.files[item]
        now = self._unchanged(listed, of, item)
        if isinstance(now, Missed):
            return now
        target = self._out / proof_name(listed.path)
        if os.path.lexists(target) and not _make_room(target, proven.proof):
            return now
        write_whole(target, proven.proof.encode())
        return now

    def _unchanged(self, listed: FoundFile, of: OpenList, item: int) -> FoundFile | Missed:
        """Return the file as it is now if it still is what was registered."""
        try:
            found = (self._root / listed.path).lstat()
            if (found.st_size, found.st_mtime_ns) == (listed.size, listed.mtime_ns):
                return listed
            registered = of.made.documents[item].digests
            now, digests = digest_file(
                self._root, listed, self._advance, [d.algorithm for d in registered]
            )
        except FileNotFoundError:
            return Missed.GONE
        except (OSError, ChainError):
            return Missed.CHANGED
        return now if digests == registered else Missed.CHANGED


def _make_room(target: Path, new: Proof) -> bool:
    """Move an older proof out of the way, to `FILE.<log index>.tlog-proof`; False if one of this very record is there."""
    try:
        older = read_proof(target)
    except ChainError as error:
        raise ChainError(
            f"{target} is there and is no proof: {error.message}; move it away", code="file_error"
        ) from error
    if (older.index, older.extra) == (new.index, new.extra):
        # Written before a crash, perhaps under an older checkpoint.
        return False
    kept = target.with_name(f"{target.name.removesuffix(SUFFIX)}.{older.index}{SUFFIX}")
    if not os.path.lexists(kept):
        # A link first: a crash leaves the older proof under one name or both.
        kept.hardlink_to(target)
    return True


def write_whole(target: Path, content: bytes) -> None:
    """Write a file under its `unfinished_name`, sync it and rename it. Raises OSError. One thread at a time for each file.

    The caller syncs the folder; until then a crash leaves the file as a whole, or what was there before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(unfinished_name(target.name))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(target)) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_error(error: OSError) -> ChainError:
    """Return what a person is told about a disk that refuses."""
    return ChainError(f"cannot write {error.filename}: {error.strerror}", code="file_error")
