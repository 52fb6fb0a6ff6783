"""Recorded evidence: who was proven to have broken the protocol, in what, and the proof itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import NotFound
from chainnode.model.record import Record, decode_record
from contracts.query import EVIDENCE_KEY, Finding, evidence_key, parse_finding, report_key

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger

MAX_LISTED: Final = 100
"""Evidences in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An evidence that the chain recorded."""

    index: int
    """Log index of its record."""

    leaf: bytes
    record: Record
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPage:
    """Some of them, and where to go on."""

    found: tuple[Recorded, ...]
    next_after: int | None
    """Log index after which to look next, or None at the end."""


class EvidenceService:
    """Finds evidence through the ledger's local index."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def list(self, validator: str | None, *, limit: int, after: int | None) -> RecordedPage:
        """Return evidence in log order, against one validator or all.

        Args:
            validator: a name, or None for all.
            limit: 1 to `MAX_LISTED`.
            after: log index after which to begin, or None for the beginning.
        """
        key = EVIDENCE_KEY if validator is None else evidence_key(validator)
        indices = self._ledger.lookup(key, limit + 1, after)
        more = len(indices) > limit
        return RecordedPage(
            found=tuple(self._read(index) for index in indices[:limit]),
            next_after=indices[limit - 1] if more else None,
        )

    def get(self, tx_id: bytes) -> Recorded:
        """Return the evidence that a report recorded. Raises NotFound `unknown_evidence`."""
        indices = self._ledger.lookup(report_key(tx_id), 1)
        if not indices:
            raise NotFound(
                f"no evidence is recorded by a report {tx_id.hex()}",
                code="unknown_evidence",
                field="id",
            )
        return self._read(indices[0])

    def _read(self, index: int) -> Recorded:
        leaf = self._ledger.leaf(index)
        record = decode_record(leaf)
        return Recorded(index=index, leaf=leaf, record=record, finding=parse_finding(record.body))
