"""Reports of misbehaviour that wait for a block: few, and one for each offence, whoever found it and how often.

A validator can contradict itself in a million ways and anybody may hand that in, so what waits is bounded by what the
chain would record: one report for each (validator, offence, height).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.evidence import Offence, contradiction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.model.evidence import Evidence
    from chainnode.model.transaction import Transaction

MAX_WAITING: Final = 64
"""Reports in the pool. A block takes them all; what is beyond comes again from whoever found it."""

Slot = tuple[int, int, Offence | None]
"""(height, signer, offence): of each the chain records one."""


def slot_of(evidence: Evidence) -> Slot:
    """Return what at most one report is recorded for."""
    offence = contradiction(evidence.first, evidence.second)
    return (evidence.height, evidence.signer, offence)


class Reports:
    """The reports in the pool, by slot."""

    def __init__(self) -> None:
        self._waiting: dict[Slot, Transaction] = {}

    def has_room(self, report: Transaction) -> bool:
        """Whether another report may wait, and none for the same offence does."""
        return len(self._waiting) < MAX_WAITING and slot_of(report.evidence()) not in self._waiting

    def add(self, report: Transaction) -> None:
        """Note that it waits."""
        self._waiting[slot_of(report.evidence())] = report

    def waiting(self) -> tuple[Transaction, ...]:
        """Return them, in order of arrival."""
        return tuple(self._waiting.values())

    def forget(self, reports: Iterable[Transaction]) -> None:
        """Note that these do not wait any more."""
        for report in reports:
            self._waiting.pop(slot_of(report.evidence()), None)
