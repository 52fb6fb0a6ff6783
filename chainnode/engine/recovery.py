"""When this node may vote: never at a height in which it may have voted before and forgotten what.

At the start, from the home alone (codes of `quarantine`):

    the vote log is level with the store      vote, once the others were asked; its records go back to the core (R14)
    it speaks of a height above ours          `store_older`: observe until that height, then go on from the records
    it holds nothing, and the store has a     `vote_log_lost`
    note that we have voted, or a certificate
    of the last CERTIFICATES with our COMMIT
    it ends below such a note or COMMIT       `vote_log_older`

Afterwards, from the others: each verified claim in our own name is known, or we have said it in a life that the log
has forgotten (`unknown_vote`, `unknown_signature`). So that this is found out before the first vote and not after it,
a node that has started asks first (`inquiry`).

All but `store_older` end with a block that was proposed after the start, or after the last such claim came: a height
opens when the block below it is decided, which takes votes of honest validators for a proposal that was timely when
they got it. So if that block is younger, whatever we said at that height, we said since. How old a block is, is
reckoned by f + 1 peers' clocks and our monotonic one, never by our wall clock.

If a quorum has lost its logs, no block ever comes. Then the alliance may say from which height a validator votes again
(`chainnode reinstate`); what it said there before is given up, and is no longer held against it here. The word is good
for one loss: once the validator has voted, what it says is in the log again, and must not be lost.

Observing means following decisions without a vote. It costs the chain one validator for a moment; a vote on a guess
could cost it agreement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine import quarantine
from chainnode.engine.leaders import leaders_at
from chainnode.engine.vote_records import decode_records
from consensus.effects import ViewEntered
from consensus.messages import Commit, Digest, Height, ValidatorIndex, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.book import SignatureBook
    from chainnode.engine.inquiry import Inquiry
    from chainnode.engine.ports import Clock
    from chainnode.engine.quarantine import Quarantine
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.certificate import Certificate
    from chainnode.model.validators import ValidatorSet
    from chainnode.services.ports import Witness
    from chainnode.storage.vote_log import VoteRecord
    from consensus.effects import Record
    from consensus.messages import Claim

_MARGIN: Final = 3
"""In units of the chain's clock precision: a block's time may be ahead of the clock of an honest validator that voted for
it by one, and that clock ahead of the peer's by which we reckon by two."""

CERTIFICATES: Final = 1_000
"""Newest certificates of the store that are looked through for our signature: it is missing in as many only if we were."""


REINSTATED_VIEW: Final = View(1 << 16)
"""Where a reinstated validator begins, and so many views higher each other time that it is reinstated at one height: lost
lives would have to have changed views for two weeks to have been here."""


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
        inquiry: Inquiry,
        book: SignatureBook,
        clock: Clock,
        witness: Witness,
    ) -> None:
        """`records` are all of the vote log's; `log_is_new` says that it never held any."""
        self._ledger = ledger
        self._clock = clock
        self._inquiry = inquiry
        self._book = book
        self._witness = witness
        self._started_ms = clock.monotonic_ms()
        self._margin_ms = _MARGIN * ledger.genesis.parameters.precision_ms
        self._key = signer.public_key
        self._records = records
        self._log_height = max((r.height for r in records), default=0)
        self._is_recalling = False
        self.voted_height = self._log_height
        """The highest height at which we know to have voted."""

        self.changed: Callable[[], None] = lambda: None
        """Called when we begin or cease to vote at the open height."""

        self.quarantine = self._look_at_the_home(log_is_new=log_is_new)
        self._given_up_height = 0
        """Up to where what we said in lost lives is given up, by word of the alliance."""

        self._reinstated_view = REINSTATED_VIEW
        self._is_word_unused = False
        self._reinstate()
        if self.quarantine is not None:
            self._tell_begin(self.quarantine)

    # -- what is found -------------------------------------------------------------------------------------

    def _look_at_the_home(self, *, log_is_new: bool) -> Quarantine | None:
        ledger, now_ms = self._ledger, self._started_ms
        tip_height, log_height = ledger.tip.height, self._log_height
        if ledger.validators(tip_height + 1).size == 1:
            return None
        if log_height > tip_height + 1:
            return quarantine.store_older(log_height, tip_height, now_ms)
        noted = ledger.voted_height
        seen = max(0 if noted is None else noted, self._last_signature(above=log_height))
        if log_is_new:
            lost = noted is not None or seen > 0
            return quarantine.vote_log_lost(seen, now_ms) if lost else None
        return quarantine.vote_log_older(seen, log_height, now_ms) if seen > log_height else None

    def _reinstate(self) -> None:
        """Take the alliance's word, if it was given, for what the home alone leaves open."""
        found, word = self.quarantine, self._ledger.reinstatement
        if word is None or word.height > self._ledger.tip.height + 1:
            return
        self._given_up_height = word.height
        self._reinstated_view = View(word.times * REINSTATED_VIEW)
        if word.has_voted:
            return
        if self._log_height >= word.height:
            # A crash came between the first vote by this word and the note of it; nothing was sent yet.
            self._ledger.use_reinstatement()
            return
        self._is_word_unused = True
        if found is not None and found.until_height is None and found.height <= word.height:
            self.quarantine = None
            self._witness.event("reinstated", height=word.height, instead_of=found.code.value)

    def _last_signature(self, *, above: int) -> int:
        """Return the newest stored height whose certificate we signed, of those above a height; 0 if there is none."""
        tip_height = self._ledger.tip.height
        for height in range(tip_height, max(above, tip_height - CERTIFICATES), -1):
            _, certificate = self._ledger.header(height)
            me = index_of(self._key, self._ledger.validators(height))
            if any(me == signer for signer, _ in certificate.signatures):
                return height
        return 0

    def exposed(self, claim: Claim) -> None:
        """Note a verified claim in our own name that the book does not know as ours."""
        if not self._is_recalling and not self._is_explained(claim):
            self._doubt(claim)

    def _doubt(self, claim: Claim) -> None:
        if claim.height == self._given_up_height:
            # We have voted by the word, and this home is older than that: another word counts as another time.
            self._ledger.use_reinstatement()
            self._is_word_unused = False
        kind = type(claim).__name__
        self._enter(
            quarantine.unknown_vote(kind, claim.height, claim.view, self._clock.monotonic_ms())
        )

    def _is_explained(self, claim: Claim) -> bool:
        """Whether the log may hold this vote though it was not read back, for its records come with their height; or it is given up."""
        found = self.quarantine
        if found is not None and found.until_height is not None:
            return claim.height <= found.until_height
        return self._is_given_up(claim) or (
            bool(self._records) and claim.height <= self._log_height
        )

    def _is_given_up(self, claim: Claim) -> bool:
        """Whether a life said this that was lost before the alliance's word; what the word itself brought about is later."""
        if claim.height == self._given_up_height:
            return claim.view < self._reinstated_view
        return claim.height < self._given_up_height

    def _enter(self, found: Quarantine) -> None:
        before = self.quarantine
        self.quarantine = found
        # A restart before the end must not take the log for level.
        self._ledger.note_vote(found.height)
        if before is None:
            self._tell_begin(found)
        if before is None and not self._is_recalling:
            # Else the height is about to be opened, and whether we vote at it is asked then.
            self.changed()

    def _leave(self) -> None:
        found, self.quarantine = self.quarantine, None
        if found is not None:
            self._witness.event(
                "quarantine_ended", code=found.code.value, height=self._ledger.tip.height + 1
            )

    def _tell_begin(self, found: Quarantine) -> None:
        self._witness.event(
            "quarantine_began", code=found.code.value, height=found.height, reason=found.sentence
        )

    # -- as the chain goes on ------------------------------------------------------------------------------

    def voted(self) -> None:
        """Note that votes of the open height are in the log, and are about to be sent."""
        self.voted_height = self._ledger.tip.height + 1
        if self._is_word_unused:
            # A crash before this finds the vote in the log, and the note is made up for.
            self._ledger.use_reinstatement()
            self._is_word_unused = False
        if self._ledger.voted_height is None:
            # A crash before this finds the log with its first votes, and is as good.
            self._ledger.note_vote(self.voted_height)

    def committed(self, certificate: Certificate) -> None:
        """Note that the tip was decided, by this certificate; to be called before its claims are forgotten."""
        tip = self._ledger.tip
        validators = self._ledger.validators(tip.height)
        me = index_of(self._key, validators)
        if me is not None and any(me == signer for signer, _ in certificate.signatures):
            claim = Commit(
                height=Height(tip.height),
                view=View(certificate.view),
                digest=Digest(certificate.block_hash),
                sender=ValidatorIndex(me),
            )
            is_known = self._book.is_own(claim) or self._is_explained(claim)
            if not is_known and validators.size > 1:
                self._enter(quarantine.unknown_signature(tip.height, self._clock.monotonic_ms()))
        found = self.quarantine
        if found is not None and found.until_height is not None:
            if tip.height + 1 >= found.until_height:
                self._leave()
        elif found is not None and self._is_younger(found.since_ms):
            self._leave()
        if self._inquiry.is_open and self._is_younger(self._started_ms):
            self._inquiry.is_open = False

    def answered(self) -> None:
        """Note that a peer has answered: enough may have."""
        validators = self._ledger.validators(self._ledger.tip.height + 1)
        if self._inquiry.is_open and self._inquiry.answers(validators) >= validators.quorum - 1:
            self._inquiry.is_open = False
            self.changed()

    def _is_younger(self, than_ms: int) -> bool:
        tip = self._ledger.tip
        if tip.height == 0:
            return False
        validators = self._ledger.validators(tip.height)
        return self._inquiry.is_younger(tip.time_ms - self._margin_ms, than_ms, validators)

    # -- what follows --------------------------------------------------------------------------------------

    def index_at(self, height: int, validators: ValidatorSet) -> int | None:
        """Return our index if we vote at `height`, None if we observe."""
        # Whoever validates alone has nobody to contradict itself to, and nobody to wait for.
        if validators.size > 1 and self.reason(height, validators) is not None:
            return None
        return index_of(self._key, validators)

    def reason(self, height: int, validators: ValidatorSet) -> Quarantine | None:
        """Return why we do not vote at `height`; None if we do, or are no validator there."""
        if self.quarantine is not None or not self._inquiry.is_open:
            return self.quarantine
        if index_of(self._key, validators) is None or validators.size == 1:
            return None
        return quarantine.asking_others(
            height, self._inquiry.answers(validators), validators.quorum - 1, self._started_ms
        )

    def take_records(self, height: int, validators: ValidatorSet) -> tuple[Record, ...]:
        """Return what the log remembers of `height`, once, with the signatures entered into the book.

        Raises:
            StorageFault: a record cannot be read.
        """
        records = tuple(r for r in self._records if r.height == height)
        if height >= self._log_height:
            self._records = ()
        me = index_of(self._key, validators)
        if me is None:
            return ()
        if not records and height == self._given_up_height:
            # What is new is said in views that no lost life can have reached, so that it contradicts nothing.
            return (ViewEntered(height=Height(height), view=self._reinstated_view),)
        self._is_recalling = True
        decoded = decode_records(
            records, self._book, validators, leaders_at(self._ledger, height), me
        )
        if records:
            self._look_at_what_came_early(Height(height), ValidatorIndex(me))
        self._is_recalling = False
        return decoded

    def _look_at_what_came_early(self, height: Height, me: ValidatorIndex) -> None:
        """Doubt what came in our name before its height's records were read, and is not among them.

        It was thought to be, and is verified by now: nobody who says it again would be listened to.
        """
        for claim in self._book.in_name_of(height, me):
            if not self._book.is_own(claim) and not self._is_given_up(claim):
                self._doubt(claim)
