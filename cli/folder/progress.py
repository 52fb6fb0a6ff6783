"""How far a folder is: one line on stderr, drawn only on a terminal."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

import click

from cli.output import size_text, stderr_is_terminal

if TYPE_CHECKING:
    from chainnode.clock import Clock

REDRAW_MS: Final = 250
"""Between two drawings."""

_PATIENCE_MS: Final = 1_000
"""It is drawn only for what takes longer."""


class FolderProgress:
    """Counts files and bytes; threads may count too."""

    def __init__(self, label: str, clock: Clock) -> None:
        self._label = label
        self._clock = clock
        self._begun_ms = clock.monotonic_ms()
        self._is_terminal = stderr_is_terminal()
        self._lock = Lock()
        self._drawn = 0
        self.total_files = 0
        self.total_bytes = 0
        self._files = 0
        self._bytes = 0

    def expect(self, files: int, size_bytes: int) -> None:
        """Count what is still to come."""
        self.total_files += files
        self.total_bytes += size_bytes

    def read(self, size_bytes: int) -> None:
        """Count bytes that were read."""
        with self._lock:
            self._bytes += size_bytes

    def done(self, files: int) -> None:
        """Count files that are done."""
        self._files += files

    def draw(self) -> None:
        """Draw the line if there is a terminal and a second has gone by."""
        elapsed_ms = self._clock.monotonic_ms() - self._begun_ms
        if not self._is_terminal or elapsed_ms < _PATIENCE_MS:
            return
        line = progress_line(
            self._label,
            files=(self._files, self.total_files),
            size_bytes=(min(self._bytes, self.total_bytes), self.total_bytes),
            elapsed_ms=elapsed_ms,
        )
        click.echo("\r" + line.ljust(self._drawn), nl=False, err=True)
        self._drawn = len(line)

    def wipe(self) -> None:
        """Take the line away."""
        if self._drawn:
            click.echo("\r" + " " * self._drawn + "\r", nl=False, err=True)
            self._drawn = 0


def progress_line(
    label: str, *, files: tuple[int, int], size_bytes: tuple[int, int], elapsed_ms: int
) -> str:
    """Return the line, for example `notarizing  1200/10000 files  3.1 MiB/26.0 MiB  600/s  ETA 0:14`.

    Args:
        label: What is done.
        files: How many are done, of how many.
        size_bytes: How many bytes were read, of how many.
        elapsed_ms: Since the beginning.
    """
    # Small files take their time one by one, large ones by their bytes: the slower of both tells.
    per_mille = min(
        1_000 * files[0] // max(files[1], 1),
        1_000 * size_bytes[0] // size_bytes[1] if size_bytes[1] else 1_000,
    )
    rate = files[0] * 1_000 // max(elapsed_ms, 1)
    if per_mille:
        left_s = elapsed_ms * (1_000 - per_mille) // per_mille // 1_000
        eta = f"{left_s // 60}:{left_s % 60:02}"
    else:
        eta = "?"
    return (
        f"{label}  {files[0]}/{files[1]} files  {size_text(size_bytes[0])}/{size_text(size_bytes[1])}  "
        f"{rate}/s  ETA {eta}"
    )
