"""From what the core proves to what the chain records: evidence is sealed, verified, told once and reported.

A crash before the report is in a block may lose it here; it is lost everywhere only if all who saw the contradiction
crash before any of them has told its peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.reports import Slot, slot_of
from chainnode.model.errors import ChainError, InvariantViolation, ProofInvalid
from chainnode.model.evidence import pair, verify_evidence
from chainnode.model.transaction import make_report
from consensus.effects import DoubleVote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.engine.book import SignatureBook
    from chainnode.engine.relay import TransactionRelay
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.evidence import Evidence
    from chainnode.services.ports import Witness
    from consensus.effects import Misbehaviour

MAX_REMEMBERED: Final = 1_000
"""Offences that were told; beyond, the oldest may be told again."""


class Misconduct:
    """Proven misbehaviour of validators."""

    def __init__(
        self, *, ledger: Ledger, book: SignatureBook, relay: TransactionRelay, witness: Witness
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._relay = relay
        self._witness = witness
        self._told: dict[Slot, None] = {}

    def seal(self, faults: Iterable[Misbehaviour]) -> tuple[Evidence, ...]:
        """Return the evidence of what the core found, while its signatures are at hand: before anything is decided."""
        found: list[Evidence] = []
        for fault in faults:
            if isinstance(fault, DoubleVote):
                claims = (fault.first, fault.second)
            else:
                claims = (fault.commit, fault.view_change)
            one, other = (self._book.statement(claim) for claim in claims)
            found.append(pair(one, other))
        return tuple(found)

    def prove(self, evidence: Iterable[Evidence]) -> None:
        """Tell of each offence once, and have it reported on the chain.

        Raises:
            InvariantViolation: one of them proves nothing, so that the core or the book is wrong.
        """
        for one in evidence:
            slot = slot_of(one)
            if slot in self._told:
                continue
            self._told[slot] = None
            if len(self._told) > MAX_REMEMBERED:
                del self._told[next(iter(self._told))]
            self._report(one)

    def _report(self, evidence: Evidence) -> None:
        genesis = self._ledger.genesis
        try:
            accused, offence = verify_evidence(
                evidence, genesis.domain, self._ledger.validators(evidence.height)
            )
        except ProofInvalid as error:
            raise InvariantViolation(f"misbehaviour that the core found: {error}") from error
        report = make_report(genesis.domain, genesis.chain_id, evidence)
        self._witness.event(
            "misbehaviour_proven",
            validator=accused.name,
            offence=offence.value,
            height=evidence.height,
            view=evidence.first.view,
            report=report.id.hex(),
            evidence=evidence.encode().hex(),
        )
        try:
            self._relay.report(report)
        except ChainError as error:
            self._witness.event(
                "report_refused",
                report=report.id.hex(),
                code=error.error_code,
                reason=error.message,
            )
