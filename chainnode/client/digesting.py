"""Digests of documents: computed here and in pieces, so that a document of any size takes a megabyte of memory and never leaves."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives import hashes

from chainnode.model.calls import Document
from chainnode.model.commitment import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO

DEFAULT_ALGORITHMS: Final = ("sha256", "sm3")
"""What is registered unless somebody asks for more, so that a verifier may trust either."""

_CHUNK_BYTES: Final = 1024 * 1024


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


def _nobody(_: int) -> None:
    """Hear of no progress."""


def digests_of_stream(
    file: BinaryIO,
    algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
    advance: Callable[[int], None] = _nobody,
) -> tuple[Digest, ...]:
    """Return the digests of what is left to read of `file`, in rising order of algorithms. Raises OSError.

    Args:
        file: opened in binary mode.
        algorithms: of `sha256`, `sha384`, `sha512`, `sm3`.
        advance: hears how many bytes every piece had; may raise to stop.
    """
    states = {algorithm: _STATES[algorithm]() for algorithm in sorted(algorithms)}
    while chunk := file.read(_CHUNK_BYTES):
        for state in states.values():
            state.update(chunk)
        advance(len(chunk))
    return tuple(Digest(algorithm=a, value=state.digest()) for a, state in states.items())


def document_of_bytes(
    content: bytes, *, title: str | None = None, algorithms: Iterable[str] = DEFAULT_ALGORITHMS
) -> Document:
    """Return what is registered about a document that is in memory; `algorithms` as in `digests_of_stream`."""
    return Document(digests=digests_of_stream(io.BytesIO(content), algorithms), title=title)


def document_of_file(
    path: Path, *, title: str | None = None, algorithms: Iterable[str] = DEFAULT_ALGORITHMS
) -> Document:
    """Return what is registered about a file; `algorithms` as in `digests_of_stream`. Raises OSError."""
    with path.open("rb") as file:
        return Document(digests=digests_of_stream(file, algorithms), title=title)
