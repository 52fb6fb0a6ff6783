"""What became of a registration: its marks, its owners, the versions before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, NotFound, Refused
from chainnode.model.marks import Mark, mark_of, reference_of, state_key
from chainnode.model.record import decode_record
from chainnode.services.registrations import RegistrationReader
from contracts.query import history_key, mark_opening_of

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.marks import RecordReference
    from chainnode.services.log import LogService
    from chainnode.services.registrations import Found

MAX_MARKS: Final = 100
"""Marks in one answer; each takes the reading of its transaction."""

_KIND: Final = "notary"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMark:
    """A mark of the registration, or that which made it a newer version of another."""

    index: int
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What became of one registration."""

    found: Found
    state_key: bytes
    """Where the state keeps what the marks come to."""

    predecessor_index: int | None
    """Log index of the version before, or None if there is none, or no such record."""

    successor_index: int | None
    """The same of the version after."""

    marks: tuple[FoundMark, ...]
    """In log order."""

    next_after: int | None
    """Log index after which to look for further marks, or None at the end."""


class HistoryService:
    """Reads histories through the ledger's local index."""

    def __init__(self, ledger: Ledger, log: LogService) -> None:
        self._ledger = ledger
        self._log = log

    def history(self, index: int, *, as_member: bool, limit: int, after: int | None) -> History:
        """Return the history of a registration.

        Args:
            index: Log index of its record.
            as_member: Whether a blinded registration may be shown; otherwise only a public one is.
            limit: Marks in the answer, 1 to `MAX_MARKS`.
            after: Log index after which to begin with the marks, or None for the beginning.

        Raises:
            NotFound: `unknown_record`; `not_a_registration`: it is about no document.
            Refused: `auth_required`.
        """
        kind = decode_record(self._ledger.leaf(index)).kind
        if kind != _KIND:
            raise NotFound(
                f"record {index} is of kind {kind}; expected {_KIND}, which is about a document",
                code="not_a_registration",
                field="index",
            )
        reader = RegistrationReader(self._ledger)
        found = reader.find(index)
        if not (as_member or found.is_public):
            raise Refused(
                "the registration is blinded, and its history for members; sign the request (parameter auth)",
                code="auth_required",
                field="auth",
            )
        domain, salt = self._ledger.genesis.domain, found.registration.opening.salt
        reference = reference_of(found.record)
        indices = self._ledger.lookup(history_key(domain, reference, salt), limit + 1, after)
        return History(
            found=found,
            state_key=state_key(domain.suite, reference, salt),
            predecessor_index=self._index_of(found.marks.predecessor),
            successor_index=self._index_of(found.marks.successor),
            marks=tuple(self._mark(reader, i) for i in indices[:limit]),
            next_after=indices[limit - 1] if len(indices) > limit else None,
        )

    def _index_of(self, reference: RecordReference | None) -> int | None:
        if reference is None:
            return None
        try:
            index = self._log.find_record(reference.tx_id, reference.call, reference.item)
            record = decode_record(self._ledger.leaf(index))
        except ChainError:
            # Nobody checks that what is named exists.
            return None
        is_it = record.kind == _KIND and reference_of(record) == reference
        return index if is_it else None

    def _mark(self, reader: RegistrationReader, index: int) -> FoundMark:
        leaf = self._ledger.leaf(index)
        record = decode_record(leaf)
        opening = mark_opening_of(reader.transaction(record), record.call)
        return FoundMark(index=index, mark=mark_of(leaf, opening))
