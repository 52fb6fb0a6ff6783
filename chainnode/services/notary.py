"""Registrations of a document, found by its digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.commitment import PUBLIC_SALT
from chainnode.model.errors import InvariantViolation
from chainnode.model.record import Record, decode_record
from chainnode.model.transaction import Transaction, decode_transaction
from contracts.query import Registration, opening_of

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger

MAX_LOOKUP: Final = 100
"""Registrations in one answer; each takes the reading of its transaction."""

MAX_EXAMINED: Final = 1_000
"""Registrations looked at for one answer: those that the asker may not see count too, so that somebody who registers
a digest a million times cannot keep the node busy with one question."""

MAX_READ_BYTES: Final = 1024 * 1024
"""Transactions read for one answer. Decoding them holds up the event loop, some 10 ms at this size; the page ends
early instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A registration that the asker may see."""

    index: int
    leaf: bytes
    record: Record
    registration: Registration

    @property
    def is_public(self) -> bool:
        """Whether it was registered so that anybody may find it."""
        return self.registration.opening.salt == PUBLIC_SALT


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """Some registrations, and where to go on."""

    found: tuple[Found, ...]
    next_after: int | None
    """Log index after which to look next, or None at the end."""


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
        key = b"digest/" + algorithm.encode("ascii") + b"/" + digest
        indices = self._ledger.lookup(key, MAX_EXAMINED, after)
        reader = _Reader(self._ledger)
        found: list[Found] = []
        for position, index in enumerate(indices):
            if position and (len(found) == limit or reader.read_bytes > MAX_READ_BYTES):
                return FoundPage(found=tuple(found), next_after=indices[position - 1])
            candidate = reader.find(index)
            if as_member or candidate.is_public:
                found.append(candidate)
        more = len(indices) == MAX_EXAMINED
        return FoundPage(found=tuple(found), next_after=indices[-1] if more else None)


class _Reader:
    """Reads registrations for one answer; those of one transaction, which lie together, at the price of one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._transaction: Transaction | None = None
        self.read_bytes = 0
        """Transactions read so far."""

    def find(self, index: int) -> Found:
        """Return the registration that left the record `index`."""
        leaf = self._ledger.leaf(index)
        record = decode_record(leaf)
        domain = self._ledger.genesis.domain
        transaction = self._transaction
        if transaction is None or transaction.id != record.tx_id:
            place = self._ledger.find_transaction(record.tx_id)
            if place is None:
                raise InvariantViolation(f"record {index} is of a transaction that no block holds")
            transaction = decode_transaction(domain, self._ledger.transaction(*place))
            self._transaction = transaction
            self.read_bytes += len(transaction.envelope)
        registration = opening_of(transaction, record.call, record.item, domain)
        return Found(index=index, leaf=leaf, record=record, registration=registration)
