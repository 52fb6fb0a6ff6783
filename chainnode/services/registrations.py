"""Registrations as services read them: a record, what opens it, and what its marks come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.commitment import PUBLIC_SALT
from chainnode.model.errors import InvariantViolation
from chainnode.model.marks import reference_of
from chainnode.model.record import Record, decode_record
from chainnode.model.transaction import Transaction, decode_transaction
from contracts.query import Registration, mark_summary, opening_of

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.marks import MarkSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A registration."""

    index: int
    leaf: bytes
    record: Record
    registration: Registration
    marks: MarkSummary
    """As of the tip."""

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


class RegistrationReader:
    """Reads registrations for one answer; those of one transaction, which lie together, at the price of one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._transaction: Transaction | None = None
        self.read_bytes = 0
        """Transactions read so far."""

    def find(self, index: int) -> Found:
        """Return the registration that left the record `index`.

        Raises:
            NotFound: with code `not_a_registration`: the record is of another kind.
        """
        leaf = self._ledger.leaf(index)
        record = decode_record(leaf)
        domain = self._ledger.genesis.domain
        registration = opening_of(self.transaction(record), record.call, record.item, domain)
        salt = registration.opening.salt
        return Found(
            index=index,
            leaf=leaf,
            record=record,
            registration=registration,
            marks=mark_summary(self._ledger.state, domain, reference_of(record), salt),
        )

    def transaction(self, record: Record) -> Transaction:
        """Return the transaction that left a record of the log."""
        if self._transaction is None or self._transaction.id != record.tx_id:
            place = self._ledger.find_transaction(record.tx_id)
            if place is None:
                raise InvariantViolation(
                    f"a record is of transaction {record.tx_id.hex()}, which no block holds"
                )
            domain = self._ledger.genesis.domain
            self._transaction = decode_transaction(domain, self._ledger.transaction(*place))
            self.read_bytes += len(self._transaction.envelope)
        return self._transaction
