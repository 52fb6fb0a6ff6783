"""What systems ask the gateway for, and which of it goes into one list.

A list is public or blinded as a whole, fits a transaction, and fails as a whole. So documents by an algorithm that the alliance
is about to close are apart from all others: a closure may come into force between a list's signing and its block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainnode.model.calls import Document
    from chainnode.model.errors import ChainError

    Done = Callable[[bytes | ChainError], None]
    """Hears once the id of a document that is accepted, or why it is not."""

MAX_LIST_BYTES: Final = 200 * 1024
"""Of one list's documents, so that its transaction stays under 256 KiB."""

_DOCUMENT_BYTES: Final = 194
"""A document with three digests and a metadata hash in a transaction, but for the bytes of its title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client asks for."""

    token: str
    """Name of its token."""

    key: str | None
    """Its idempotency key."""

    request_hash: bytes
    """Of what it asks for."""

    document: Document
    is_public: bool
    webhook: str | None = None
    """Name of the target that shall be told how it ended."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wish, and who waits for it to be accepted."""

    wish: Wish
    done: Done


def gathered(queue: Sequence[Waiting], closing: frozenset[str]) -> Iterator[Sequence[Waiting]]:
    """Yield what came together in lists, each with as many documents as fit.

    Args:
        queue: In the order in which it came.
        closing: Algorithms whose closure is announced or in force.
    """
    groups: dict[tuple[bool, frozenset[str]], list[Waiting]] = {}
    for waiting in queue:
        wish = waiting.wish
        concerned = closing.intersection(digest.algorithm for digest in wish.document.digests)
        groups.setdefault((wish.is_public, concerned), []).append(waiting)
    for group in groups.values():
        yield from _lists_of(group)


def document_bytes(document: Document) -> int:
    """Return what a document is counted for in a list: what it takes in a transaction, or more."""
    return _DOCUMENT_BYTES + len((document.title or "").encode())


def _lists_of(group: Sequence[Waiting]) -> Iterator[Sequence[Waiting]]:
    begin, size = 0, 0
    for end, waiting in enumerate(group):
        cost = document_bytes(waiting.wish.document)
        if end - begin == MAX_DOCUMENTS_PER_CALL or size + cost > MAX_LIST_BYTES:
            yield group[begin:end]
            begin, size = end, 0
        size += cost
    yield group[begin:]
