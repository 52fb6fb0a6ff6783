"""What must be on disk before a message may leave: our votes, in one synced append, and the blocks they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.engine.leaders import leaders_at
from chainnode.engine.vote_records import encode_records
from chainnode.model.errors import InvariantViolation
from consensus.effects import Proposed, Voted
from consensus.messages import Commit, Prepare

if TYPE_CHECKING:
    from chainnode.engine.book import SignatureBook
    from chainnode.engine.candidates import Candidates
    from chainnode.engine.recovery import VotingLicence
    from chainnode.engine.relay import TransactionRelay
    from chainnode.ledger.ledger import Ledger
    from chainnode.services.ports import Witness
    from chainnode.storage.vote_log import VoteLog
    from consensus.effects import Record
    from consensus.messages import Digest


class VoteKeeper:
    """Writes down the core's records of a step."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        vote_log: VoteLog,
        book: SignatureBook,
        relay: TransactionRelay,
        candidates: Candidates,
        licence: VotingLicence,
        witness: Witness,
    ) -> None:
        self._ledger = ledger
        self._vote_log = vote_log
        self._book = book
        self._relay = relay
        self._candidates = candidates
        self._licence = licence
        self._witness = witness
        self.view_changes = 0
        """How often this validator asked for another view since it started."""

    def persist(self, records: tuple[Record, ...]) -> None:
        """Have on disk, when this returns, whatever a message of this step may rest on."""
        leaders = leaders_at(self._ledger, self._ledger.tip.height + 1)
        for record in records:
            # The block of an own PREPARE or proposal is on disk before the vote: after a crash of everybody,
            # a block that may be locked somewhere can still be had from those that voted for it.
            if isinstance(record, Proposed):
                self._keep(record.proposal.digest)
            elif isinstance(record, Voted) and isinstance(record.vote, Prepare):
                self._keep(record.vote.digest)
            if isinstance(record, Voted) and not isinstance(record.vote, Prepare | Commit):
                self.view_changes += 1
                self._witness.event("view_change", height=record.vote.height, view=record.vote.view)
        encoded = encode_records(records, self._book, leaders)
        if encoded:
            self._vote_log.append(encoded)
            self._licence.voted()

    def _keep(self, digest: Digest) -> None:
        executed = self._candidates.executed(digest)
        if executed is None:
            raise InvariantViolation("the core votes for a block that was never executed here")
        self._ledger.keep_candidate(executed)
        self._relay.hold(executed.transactions)
