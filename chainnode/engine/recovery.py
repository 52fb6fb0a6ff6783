"""When this node may vote: never at a height in which it may have voted before and forgotten what.

    the vote log was there                vote; records of the open height are given back to the core (R14)
    it speaks of a height above ours      the ledger lost blocks: observe until that height, then go on from the records
    it is new, the ledger is not          it was lost: observe until a height begins that cannot have been voted in
    both are new                          a new validator; but if blocks come by sync, the chain is older than we are,
                                          and so may our votes be: as above

Observing means following decisions without a vote. It costs the chain one validator for a moment; a vote on a guess
could cost it agreement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.vote_records import decode_records

if TYPE_CHECKING:
    from chainnode.engine.book import SignatureBook
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.vote_log import VoteRecord
    from consensus.effects import Record

SAFE_DISTANCE: Final = 2
"""A vote may have been cast in the height above the last one decided, so the one after that is the first safe one."""


class VotingLicence:
    """Decides at which heights this node votes, and with which memory."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        signer: Signer,
        records: tuple[VoteRecord, ...],
        log_is_new: bool,
    ) -> None:
        self._key = signer.public_key
        self._records = records
        self._is_untried = log_is_new
        self._votes_from = 0
        tip_height = ledger.tip.height
        highest = max((r.height for r in records), default=0)
        if highest > tip_height + 1:
            self._votes_from = highest
        elif log_is_new and tip_height > 0:
            self._votes_from = tip_height + SAFE_DISTANCE

    @property
    def votes_from(self) -> int:
        """Lowest height at which this node votes."""
        return self._votes_from

    def committed(self, height: int, *, was_synced: bool) -> None:
        """Note a decided height, and whether it was fetched rather than followed."""
        if self._is_untried and was_synced:
            self._votes_from = max(self._votes_from, height + SAFE_DISTANCE)
        elif height >= self._votes_from:
            self._is_untried = False

    def index_at(self, height: int, validators: ValidatorSet) -> int | None:
        """Return our index if we vote at `height`, None if we observe."""
        if height < self._votes_from:
            return None
        return next(
            (i for i, v in enumerate(validators.members) if v.consensus_key == self._key), None
        )

    def take_records(
        self, height: int, book: SignatureBook, validators: ValidatorSet
    ) -> tuple[Record, ...]:
        """Return what the log remembers of `height`, once, with the signatures entered into `book`.

        Raises:
            StorageFault: a record cannot be read.
        """
        records = tuple(r for r in self._records if r.height == height)
        if height >= max((r.height for r in self._records), default=0):
            self._records = ()
        me = self.index_at(height, validators)
        return () if me is None else decode_records(records, book, validators, me)
