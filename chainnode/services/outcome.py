"""What became of a transaction, and of a block, in the words that clients hear."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainnode.model.header import Header
    from chainnode.model.receipt import Receipt
    from chainnode.model.transaction import Transaction


class Status(StrEnum):
    """Where a transaction stands. Only `COMMITTED` and `FAILED` are promises that no crash undoes."""

    UNKNOWN = "unknown"
    """This node knows nothing of it."""

    PENDING = "pending"
    """Accepted here, not yet decided; a crash may lose it."""

    COMMITTED = "committed"
    """In a decided block that is synced to disk; all of its calls succeeded."""

    FAILED = "failed"
    """In a decided block that is synced to disk; none of its calls had any effect."""

    EXPIRED = "expired"
    """In no block, and no later block may hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A transaction's status, with its place and receipt if it has them."""

    tx_id: bytes
    status: Status
    height: int | None = None
    """Block that holds it."""

    position: int | None = None
    """Its place in that block, from 0."""

    time_ms: int | None = None
    """That block's time, milliseconds UTC."""

    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBlock:
    """A block that was just committed, as subscribers see it."""

    header: Header
    block_hash: bytes
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    first_record: int
    """Log index of its first record."""

    @property
    def record_count(self) -> int:
        """How many records it added to the log."""
        return self.header.log_size - self.first_record


def outcome_in_block(receipt: Receipt, *, height: int, position: int, time_ms: int) -> Outcome:
    """Return the outcome of a transaction that a committed block holds."""
    return Outcome(
        tx_id=receipt.tx_id,
        status=Status.COMMITTED if receipt.succeeded else Status.FAILED,
        height=height,
        position=position,
        time_ms=time_ms,
        receipt=receipt,
    )
