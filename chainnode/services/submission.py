"""Transactions from clients: taken in, waited for, asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.mempool.admission import REPLAYED
from chainnode.model.errors import ChainError, Refused
from chainnode.model.header import decode_header
from chainnode.model.transaction import decode_transaction
from chainnode.services.outcome import Outcome, Status, outcome_in_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.ledger.ledger import Ledger
    from chainnode.model.transaction import Transaction
    from chainnode.services.commits import Commits, Done
    from chainnode.services.ports import EnginePort


class Submission:
    """What clients may do with transactions."""

    def __init__(self, *, engine: EnginePort, ledger: Ledger, commits: Commits) -> None:
        self._engine = engine
        self._ledger = ledger
        self._commits = commits

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Hand a transaction to the engine; `done` hears once whether it was accepted.

        Raises:
            ChainError: refused at once.
        """

        def judged(verdict: Transaction | ChainError) -> None:
            if not isinstance(verdict, ChainError):
                self._commits.remember(verdict)
            done(verdict)

        self._engine.submit(envelope, judged)

    def submit_and_wait(self, envelope: bytes, *, timeout_ms: int, done: Done) -> None:
        """Hand a transaction to the engine; `done` hears once what became of it.

        So whoever lost the answer asks again with the same bytes, and hears of a committed transaction what the first
        answer was. `done` hears ChainError if it was refused, or with code `timeout` if it is still pending after
        `timeout_ms`, counted from acceptance.

        Raises:
            ChainError: refused at once; Unavailable with code `overloaded` if too many clients wait.
        """

        def judged(verdict: Transaction | ChainError) -> None:
            if isinstance(verdict, ChainError):
                done(self._committed(envelope) if verdict.error_code == REPLAYED else verdict)
            elif self._ledger.is_replayed(verdict.id):
                # It came by another node too, and was committed while its signature was being checked here.
                done(self.find(verdict.id))
            else:
                self._commits.remember(verdict)
                self._commits.wait(verdict, timeout_ms=timeout_ms, done=done)

        self._commits.check_room()
        try:
            self._engine.submit(envelope, judged)
        except Refused as refusal:
            if refusal.error_code != REPLAYED:
                raise
            done(self._committed(envelope))

    def _committed(self, envelope: bytes) -> Outcome:
        """Return the outcome of a transaction that a block holds, in this envelope or another."""
        return self.find(decode_transaction(self._ledger.genesis.domain, envelope).id)

    def find(self, tx_id: bytes, *, last_valid_height: int | None = None) -> Outcome:
        """Return what is known of a transaction.

        Args:
            tx_id: 32 bytes.
            last_valid_height: The transaction's, if the asker knows it: then a transaction that a crash lost reads
                `expired` once that height is decided, even if this node has no memory of it.
        """
        place = self._ledger.find_transaction(tx_id)
        if place is not None:
            height, position = place
            return outcome_in_block(
                self._ledger.receipt(height, position),
                height=height,
                position=position,
                time_ms=decode_header(self._ledger.header(height)[0]).time_ms,
            )
        remembered = self._commits.remembered(tx_id)
        last = remembered if remembered is not None else last_valid_height
        if last is not None and last <= self._ledger.tip.height:
            return Outcome(tx_id=tx_id, status=Status.EXPIRED)
        if remembered is not None or self._engine.is_pending(tx_id):
            return Outcome(tx_id=tx_id, status=Status.PENDING)
        return Outcome(tx_id=tx_id, status=Status.UNKNOWN)
