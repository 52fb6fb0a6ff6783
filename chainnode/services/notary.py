"""Registrations of a document, found by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.services.registrations import FoundPage, RegistrationReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.ledger.ledger import Ledger
    from chainnode.services.registrations import Found

MAX_LOOKUP: Final = 100
"""Registrations in one answer; each takes the reading of its transaction."""

MAX_EXAMINED: Final = 250
"""Registrations looked at for one answer: those that the asker may not see, or does not want, count too, so that somebody who registers
a digest a million times cannot keep the node busy with one question. They hold up the event loop, some 20 ms."""

MAX_READ_BYTES: Final = 1024 * 1024
"""Transactions read for one answer. Decoding them holds up the event loop, some 10 ms at this size; the page ends
early instead."""


class NotaryService:
    """Looks up documents through the ledger's local index."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def lookup(
        self, algorithm: str, digest: bytes, *, as_member: bool, limit: int, after: int | None
    ) -> FoundPage:
        """Return registrations of a digest in log order.

        Args:
            algorithm: A key of `DIGEST_BYTES`.
            digest: of that algorithm's length.
            as_member: whether blinded registrations may be shown; otherwise only public ones are.
            limit: 1 to `MAX_LOOKUP`.
            after: log index after which to begin, or None for the beginning.
        """
        return self.search(
            algorithm, digest, lambda one: as_member or one.is_public, limit=limit, after=after
        )

    def search(
        self,
        algorithm: str,
        digest: bytes,
        is_wanted: Callable[[Found], bool],
        *,
        limit: int,
        after: int | None,
    ) -> FoundPage:
        """Return those registrations of a digest that are wanted; the others count as examined. Arguments as of `lookup`."""
        key = b"digest/" + algorithm.encode("ascii") + b"/" + digest
        indices = self._ledger.lookup(key, MAX_EXAMINED, after)
        reader = RegistrationReader(self._ledger)
        found: list[Found] = []
        for position, index in enumerate(indices):
            if position and (len(found) == limit or reader.read_bytes > MAX_READ_BYTES):
                return FoundPage(found=tuple(found), next_after=indices[position - 1])
            candidate = reader.find(index)
            if is_wanted(candidate):
                found.append(candidate)
        more = len(indices) == MAX_EXAMINED
        return FoundPage(found=tuple(found), next_after=indices[-1] if more else None)
