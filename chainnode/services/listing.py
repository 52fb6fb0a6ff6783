"""Registrations by owner and time: found by few index entries, and by reading on in the log.

Leaves lie in the order of time, so a range of times is a range of the log, which bisecting the headers finds. Of an
account, only the first leaf in each block is indexed (`contracts.owners`); the rest of the block is read. What came
to an owner later, by a mark, has an index entry of its own, and is merged in where the mark lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import ChainError
from chainnode.model.ids import organisation_of
from chainnode.model.marks import Event, mark_of, reference_of
from chainnode.model.record import VERSION, decode_record
from chainnode.services.registrations import FoundPage, RegistrationReader
from contracts.query import acquired_key, mark_opening_of, registered_key

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from chainnode.services.log import LogService
    from chainnode.services.registrations import Found

MAX_LISTED: Final = 100
"""Registrations in one answer; each takes the reading of its transaction."""

MAX_EXAMINED: Final = 100
"""Registrations looked at for one answer, some 0.3 ms each: those that the asker may not see count too."""

MAX_LEAVES: Final = 4_096
"""Leaves read for one answer, 4 ms; a block full of others' records takes several answers to pass."""

MAX_BLOCKS: Final = 128
"""Blocks begun for one answer, some 60 us each."""

MAX_READ_BYTES: Final = 1024 * 1024
"""Transactions read for one answer; decoding them holds up the event loop, some 10 ms at this size."""

_CHUNK: Final = 256
_NOTARY: Final = b"\x9c" + codec.encode(VERSION) + codec.encode("notary")
"""What the leaf of a registration begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which registrations are asked for."""

    owner: str | None = None
    """An account, an organisation, or None for everybody."""

    from_ms: int | None = None
    """First block time, milliseconds UTC, or None for the beginning."""

    until_ms: int | None = None
    """Block time before which they lie, or None for no end."""


class Listing:
    """Lists registrations in log order."""

    def __init__(self, ledger: Ledger, log: LogService) -> None:
        self._ledger = ledger
        self._log = log

    def page(
        self, selection: Selection, *, as_member: bool, limit: int, after: int | None
    ) -> FoundPage:
        """Return registrations in the order in which they were made, or came to their owner.

        Args:
            selection: Which; of an owner, those that it owns as of the tip.
            as_member: Whether blinded registrations may be shown; otherwise only public ones are.
            limit: 1 to `MAX_LISTED`.
            after: Log index after which to begin, or None for the beginning.
        """
        start, stop = self._range(selection, after)
        if selection.owner is None:
            candidates, reached = self._all(start, stop)
        else:
            candidates, reached = self._owned(selection.owner, start, stop)
        reader = RegistrationReader(self._ledger)
        found: list[Found] = []
        for position, index in enumerate(candidates):
            if position and (len(found) == limit or reader.read_bytes > MAX_READ_BYTES):
                return FoundPage(found=tuple(found), next_after=candidates[position - 1])
            one = self._find(reader, index, selection.owner)
            if one is not None and (as_member or one.is_public):
                found.append(one)
        return FoundPage(found=tuple(found), next_after=reached - 1 if reached < stop else None)

    def _range(self, selection: Selection, after: int | None) -> tuple[int, int]:
        """Return the part of the log in question."""
        ledger = self._ledger
        start, stop = 0 if after is None else after + 1, ledger.tip.log_size
        if selection.from_ms is not None:
            start = max(start, ledger.log_size_before(ledger.height_from(selection.from_ms)))
        if selection.until_ms is not None:
            stop = ledger.log_size_before(ledger.height_from(selection.until_ms))
        return start, max(start, stop)

    def _all(self, start: int, stop: int) -> tuple[list[int], int]:
        """Return registrations of a range, and up to where they are all of them."""
        reached = min(stop, start + MAX_LEAVES)
        found = self._registrations(start, reached, b"")
        return _cut(found, reached)

    def _owned(self, owner: str, start: int, stop: int) -> tuple[list[int], int]:
        """Return registrations of a range, and marks, that may be of that owner; and up to where they are all."""
        ledger = self._ledger
        acquired = ledger.lookup(acquired_key(owner), MAX_EXAMINED, start - 1)
        if len(acquired) == MAX_EXAMINED:
            stop = min(stop, acquired[-1] + 1)
        found = [index for index in acquired if index < stop]
        if start == stop:
            return found, stop
        needle = owner.encode("ascii") + (b"" if "/" in owner else b"/")
        first = ledger.log_size_before(ledger.locate_record(start))
        blocks = ledger.lookup(registered_key(owner), MAX_BLOCKS, first - 1)
        # Where the index was not read to its end, what lies behind the last block that it named is not known.
        whole = len(blocks) < MAX_BLOCKS
        reached = stop if whole else min(stop, self._end_of_block(blocks[-1]))
        left = MAX_LEAVES
        for entry in blocks:
            begin, end = max(entry, start), min(self._end_of_block(entry), reached)
            if begin >= end:
                break
            found += self._registrations(begin, min(end, begin + left), needle)
            if end - begin > left:
                reached = begin + left
                break
            left -= end - begin
        return _cut(sorted(index for index in found if index < reached), reached)

    def _end_of_block(self, index: int) -> int:
        """Return the log index behind the block that holds a record."""
        return self._ledger.log_size_before(self._ledger.locate_record(index) + 1)

    def _registrations(self, start: int, stop: int, needle: bytes) -> list[int]:
        """Return the registrations of a range whose leaf holds `needle` somewhere."""
        found: list[int] = []
        for first in range(start, stop, _CHUNK):
            leaves = self._ledger.leaves(first, min(_CHUNK, stop - first))
            found += [
                index
                for index, leaf in enumerate(leaves, first)
                if leaf.startswith(_NOTARY) and needle in leaf
            ]
        return found

    def _find(self, reader: RegistrationReader, index: int, owner: str | None) -> Found | None:
        """Return the registration that a candidate stands for, if the owner has it now and by that very record."""
        leaf = self._ledger.leaf(index)
        if leaf.startswith(_NOTARY):
            found = reader.find(index)
            is_theirs = owner is None or (
                _is_of(owner, found.record.account) and _owns(owner, found)
            )
            return found if is_theirs else None
        record = decode_record(leaf)
        mark = mark_of(leaf, mark_opening_of(reader.transaction(record), record.call))
        is_newer = mark.event is Event.SUPERSEDED
        reference = mark.opening.facts.successor if is_newer else mark.opening.reference
        if reference is None or owner is None or _is_of(owner, reference.account):
            # Its registration is a candidate itself.
            return None
        try:
            found = reader.find(
                self._log.find_record(reference.tx_id, reference.call, reference.item)
            )
        except ChainError:
            # Nobody checks that what is named exists.
            return None
        is_it = reference_of(found.record) == reference and _owns(owner, found)
        return found if is_it else None


def _owns(owner: str, found: Found) -> bool:
    return any(_is_of(owner, account) for account in found.marks.owners)


def _is_of(owner: str, account: str) -> bool:
    return owner in {account, organisation_of(account)}


def _cut(candidates: list[int], reached: int) -> tuple[list[int], int]:
    """Return as many as one answer examines."""
    if len(candidates) <= MAX_EXAMINED:
        return candidates, reached
    return candidates[:MAX_EXAMINED], candidates[MAX_EXAMINED - 1] + 1
