"""Which files a folder holds, in an order that is the same wherever and however often it is asked."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, Refused
from cli.folder.names import fits, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILES: Final = 1_000_000
"""Files in one folder with all below it; what is remembered of each takes about a kilobyte while the command runs."""

MAX_PATH_BYTES: Final = 4_096
"""Of a path from the folder on; Linux takes no longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A regular file below the folder, as it was when it was looked at."""

    path: str
    """From the folder on, with `/`; bytes that are not UTF-8 as Python's surrogate escapes."""

    size: int
    mtime_ns: int
    """When it was changed last, nanoseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that cannot be notarized, and why."""

    path: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a folder holds."""

    files: tuple[FoundFile, ...]
    """By the bytes of their paths, rising."""

    problems: tuple[Problem, ...]
    others: int
    """Symbolic links, sockets and the like, which are passed over."""


def walk(root: Path, *, skip_hidden: bool, besides: Path | None) -> Walk:
    """Look through a folder and all below it; symbolic links are not followed.

    Args:
        root: The folder.
        skip_hidden: Whether files and folders whose names begin with a dot are passed over.
        besides: A folder that is passed over if it lies within: where the proofs go.

    Raises:
        DecodeError: the folder itself cannot be read.
        Refused: with code `too_many_files`.
    """
    walker = _Walker(
        skip_hidden=skip_hidden, besides=None if besides is None else _identity(besides)
    )
    try:
        entries = list(os.scandir(root))
    except OSError as error:
        raise DecodeError(f"cannot read {root}: {error.strerror}", code="unreadable") from error
    walker.take(entries, "")
    return Walk(
        files=tuple(sorted(walker.files, key=lambda file: os.fsencode(file.path))),
        problems=tuple(sorted(walker.problems, key=lambda problem: os.fsencode(problem.path))),
        others=walker.others,
    )


class _Walker:
    def __init__(self, *, skip_hidden: bool, besides: tuple[int, int] | None) -> None:
        self._skip_hidden = skip_hidden
        self._besides = besides
        self.files: list[FoundFile] = []
        self.problems: list[Problem] = []
        self.others = 0

    def take(self, entries: list[os.DirEntry[str]], prefix: str) -> None:
        """Take what a folder holds, and what its folders hold; depth costs no stack."""
        waiting = [(entries, prefix)]
        while waiting:
            here, above = waiting.pop()
            for entry in here:
                if is_ours(entry.name) or (self._skip_hidden and entry.name.startswith(".")):
                    continue
                path = above + entry.name
                try:
                    waiting.extend(self._look(entry, path))
                except OSError as error:
                    self.problems.append(Problem(path=path, sentence=error.strerror or str(error)))

    def _look(
        self, entry: os.DirEntry[str], path: str
    ) -> Iterator[tuple[list[os.DirEntry[str]], str]]:
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            if (found.st_dev, found.st_ino) != self._besides:
                with os.scandir(entry.path) as inner:
                    yield list(inner), f"{path}/"
        elif not stat.S_ISREG(found.st_mode):
            self.others += 1
        elif not fits(entry.name):
            self.problems.append(
                Problem(path=path, sentence="its name is too long to add .tlog-proof to it")
            )
        else:
            self.files.append(FoundFile(path=path, size=found.st_size, mtime_ns=found.st_mtime_ns))
            if len(self.files) > MAX_FILES:
                raise Refused(
                    f"more than {MAX_FILES} files; notarize the folders in it one by one",
                    code="too_many_files",
                )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
