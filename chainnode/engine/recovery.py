"""When this node may vote: never at a height in which it may have voted before and forgotten what.

    the vote log holds votes              vote; records of the open height are given back to the core (R14)
    it speaks of a height above ours      the ledger lost blocks: observe until that height, then go on from the records
    it is empty, and the ledger has the   it was lost: observe until a block comes that was proposed after this start
    note that we have voted
    both know of no vote                  a new validator: vote; but if a block comes whose certificate has our signature,
                                          which this life did not make, then we have voted before: as above

A height opens when the block below it is decided. So if that block was proposed after this start, whatever we said at
that height, we said since. What cannot be told from a new validator is one whose whole home was lost before any of its
votes came to be in a certificate.

Observing means following decisions without a vote. It costs the chain one validator for a moment; a vote on a guess
could cost it agreement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.leaders import leaders_at
from chainnode.engine.vote_records import decode_records

if TYPE_CHECKING:
    from chainnode.engine.book import SignatureBook
    from chainnode.engine.ports import Clock
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.certificate import Certificate
    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.vote_log import VoteRecord
    from consensus.effects import Record

_MARGIN: Final = 3
"""In units of the chain's clock precision: our clock may be wrong by one, and a block's time may be ahead by two, its
proposer's and those of the validators that found it timely."""


def index_of(key: bytes, validators: ValidatorSet) -> int | None:
    """Return the index of the validator that votes with `key`, or None."""
    return next((i for i, v in enumerate(validators.members) if v.consensus_key == key), None)


class VotingLicence:
    """Decides at which heights this node votes, and with which memory."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        signer: Signer,
        records: tuple[VoteRecord, ...],
        log_is_new: bool,
        clock: Clock,
    ) -> None:
        """`records` are all of the vote log's; `log_is_new` says that it never held any."""
        self._ledger = ledger
        self._clock = clock
        self._started_ms = clock.monotonic_ms()
        self._margin_ms = _MARGIN * ledger.genesis.parameters.precision_ms
        self._key = signer.public_key
        self._records = records
        self._is_untried = log_is_new
        self._votes_from = 0
        self._voted_at = 0
        self._is_noted = ledger.has_voted()
        tip_height = ledger.tip.height
        self._is_unsure = log_is_new and ledger.has_voted()
        highest = max((r.height for r in records), default=0)
        if highest > tip_height + 1:
            self._votes_from = highest

    def voted(self) -> None:
        """Note that votes of the open height are in the log, and are about to be sent."""
        self._voted_at = self._ledger.tip.height + 1
        if not self._is_noted:
            # A crash before this finds the log with its first votes, and is as good.
            self._ledger.note_vote()
            self._is_noted = True

    def committed(self, certificate: Certificate) -> None:
        """Note that the tip was decided, by this certificate: what does it say about who we are?"""
        if not self._is_untried:
            return
        tip = self._ledger.tip
        me = index_of(self._key, self._ledger.validators(tip.height))
        if self._voted_at != tip.height and any(
            me == signer for signer, _ in certificate.signatures
        ):
            self._is_unsure = True
            self._ledger.note_vote()
        now_ms = self._clock.now_ms()
        # Reckoned from now, so that a clock that was set right meanwhile does not count.
        start_ms = now_ms - (self._clock.monotonic_ms() - self._started_ms)
        if start_ms + self._margin_ms < tip.time_ms <= now_ms + self._margin_ms:
            self._is_unsure = self._is_untried = False

    def index_at(self, height: int, validators: ValidatorSet) -> int | None:
        """Return our index if we vote at `height`, None if we observe."""
        # Whoever validates alone has nobody to contradict itself to, and nobody to wait for.
        is_unsure = self._is_unsure and validators.size > 1
        if is_unsure or height < self._votes_from:
            return None
        return index_of(self._key, validators)

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
        if me is None:
            return ()
        return decode_records(records, book, validators, leaders_at(self._ledger, height), me)
