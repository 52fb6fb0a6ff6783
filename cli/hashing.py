"""Hashing of files that a person waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from chainnode.client.digesting import DEFAULT_ALGORITHMS, digests_of_stream
from chainnode.clock import SystemClock
from chainnode.model.errors import DecodeError
from cli.output import stderr_is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chainnode.model.commitment import Digest

_PATIENCE_MS: Final = 1_000
"""Progress is drawn only for what takes longer."""

_REDRAW_MS: Final = 200
"""Between two drawings."""


def digests_of_file(
    path: Path, algorithms: Iterable[str] = DEFAULT_ALGORITHMS
) -> tuple[Digest, ...]:
    """Return the digests of a file in rising order of algorithms.

    Draws a progress bar on stderr if that is a terminal and a second has gone by.

    Raises:
        DecodeError: the file cannot be read to its end, or is a folder.
    """
    try:
        with path.open("rb") as file:
            progress = Progress(f"hashing {path.name}", path.stat().st_size)
            digests = digests_of_stream(file, algorithms, progress.advance)
            progress.finish()
    except OSError as error:
        raise DecodeError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
    return digests


class Progress:
    """A bar on stderr for work that takes longer than a second, drawn only on a terminal."""

    def __init__(self, label: str, total: int) -> None:
        """Begin; nothing is drawn yet."""
        self._label, self._total, self._done = label, max(total, 1), 0
        self._clock = SystemClock()
        self._next_ms = self._clock.monotonic_ms() + _PATIENCE_MS
        self._drawn = 0
        self._is_terminal = stderr_is_terminal()

    def advance(self, amount: int) -> None:
        """Count `amount` more as done; redraws a few times a second at most."""
        self._done += amount
        now_ms = self._clock.monotonic_ms()
        if self._is_terminal and now_ms >= self._next_ms:
            share = min(self._done * 30 // self._total, 30)
            percent = min(self._done * 100 // self._total, 100)
            bar = "#" * share + "-" * (30 - share)
            drawn = f"{self._label} [{bar}] {percent:3d}%"
            click.echo(f"\r{drawn}", nl=False, err=True)
            self._next_ms, self._drawn = now_ms + _REDRAW_MS, len(drawn)

    def finish(self) -> None:
        """Wipe the bar away."""
        if self._drawn:
            click.echo("\r" + " " * self._drawn + "\r", nl=False, err=True)
