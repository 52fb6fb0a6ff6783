"""Hashing of documents, here and in pieces: a file of any size takes a megabyte of memory and never leaves."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

import click
from cryptography.hazmat.primitives import hashes

from chainnode.clock import SystemClock
from chainnode.model.commitment import Digest
from chainnode.model.errors import DecodeError
from cli.output import stderr_is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

DEFAULT_ALGORITHMS: Final = ("sha256", "sm3")
"""What `notarize` registers, so that a verifier may trust either."""

_CHUNK_BYTES: Final = 1024 * 1024
_PATIENCE_MS: Final = 1_000
"""Progress is drawn only for what takes longer."""

_REDRAW_MS: Final = 200
"""Between two drawings."""


class _State(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Sm3:
    """SM3 in pieces, from `cryptography`, which always has it; Python's own OpenSSL may not."""

    def __init__(self) -> None:
        self._state = hashes.Hash(hashes.SM3())

    def update(self, data: bytes, /) -> None:
        self._state.update(data)

    def digest(self) -> bytes:
        return self._state.finalize()


_STATES: Final[dict[str, Callable[[], _State]]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "sm3": _Sm3,
}


def digests_of_file(
    path: Path, algorithms: Iterable[str] = DEFAULT_ALGORITHMS
) -> tuple[Digest, ...]:
    """Return the digests of a file in rising order of algorithms.

    Draws a progress bar on stderr if that is a terminal and a second has gone by.

    Raises:
        DecodeError: the file cannot be read to its end, or is a folder.
    """
    states = {algorithm: _STATES[algorithm]() for algorithm in sorted(algorithms)}
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            progress = Progress(f"hashing {path.name}", size)
            while chunk := file.read(_CHUNK_BYTES):
                for state in states.values():
                    state.update(chunk)
                progress.advance(len(chunk))
            progress.finish()
    except OSError as error:
        raise DecodeError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
    return tuple(Digest(algorithm=a, value=state.digest()) for a, state in states.items())


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
