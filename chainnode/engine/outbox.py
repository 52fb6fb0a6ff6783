"""What goes out: the core's claims with the signatures behind them, and what a peer should hear of us unasked.

Nothing is signed here: the book signed each own claim when it was made durable, and only then may it be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Turns
from chainnode.engine.clock_offsets import INTERVAL_MS
from chainnode.engine.leaders import leaders_at
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    ClockMessage,
    DecidedMessage,
    OutlineMessage,
    StatusMessage,
)
from chainnode.engine.ports import Urgency
from consensus.messages import Commit, Prepare, Proposal, ProvenViewChange, Status

if TYPE_CHECKING:
    from chainnode.engine.allowance import Allowance
    from chainnode.engine.book import SignatureBook
    from chainnode.engine.candidates import Candidates
    from chainnode.engine.cosigning import Cosigner
    from chainnode.engine.messages import FetchOutlineMessage
    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.ports import Clock, Network
    from chainnode.ledger.ledger import Ledger
    from consensus.effects import Send
    from consensus.messages import Leaders
    from consensus.messages import Message as CoreMessage

DECISION_INTERVAL_MS: Final = 250
"""A peer that is behind is told a decision at most this often; sync does the rest."""

STATUS_EVERY_MS: Final = 3_000
"""How often peers hear of our heights even when the core says nothing, as when it only observes."""

CLOCK_AGAIN_MS: Final = 1_000
"""After our clock has jumped, peers are shown it so soon: by then their answers have come, and can be echoed."""

ANSWER_EVERY_MS: Final = 20
"""A peer's question is answered at most this often; it asks again after half a second."""


class Outbox:
    """Turns what is to be said into bytes on the way."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        book: SignatureBook,
        candidates: Candidates,
        cosigner: Cosigner,
        neighbours: Neighbours,
        allowance: Allowance,
        network: Network,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._candidates = candidates
        self._cosigner = cosigner
        self._neighbours = neighbours
        self._allowance = allowance
        self._network = network
        self._clock = clock
        self._decision_turns = Turns(clock, DECISION_INTERVAL_MS)
        self._answer_turns = Turns(clock, ANSWER_EVERY_MS)
        self._next_status_ms = 0
        self._next_clock_ms = 0

    # -- by the clock --------------------------------------------------------------------------------------

    @property
    def deadline_ms(self) -> int:
        """When `repeat` has something to say next."""
        return min(self._next_status_ms, self._next_clock_ms)

    def repeat(self, now_ms: int) -> None:
        """Tell all where we stand and what our clock reads, if it is time (monotonic) to."""
        if now_ms >= self._next_status_ms:
            self._next_status_ms = now_ms + STATUS_EVERY_MS
            self._network.broadcast(self._status_message(None), Urgency.VOTE)
        if now_ms >= self._next_clock_ms:
            self._next_clock_ms = now_ms + INTERVAL_MS
            for peer in self._neighbours.linked():
                self._tell_time(peer)

    def own_clock_jumped(self) -> None:
        """Ask all what their clocks read, and soon show them ours: what they have measured of it is void."""
        wall_ms, now_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        for peer in self._neighbours.linked():
            self.ask(peer, wall_ms)
        self._next_clock_ms = min(self._next_clock_ms, now_ms + CLOCK_AGAIN_MS)

    def _tell_time(self, peer: str) -> None:
        sample = self._neighbours.offsets.message_to(
            peer, self._clock.now_ms(), self._clock.monotonic_ms()
        )
        self._network.send(peer, encode_message(sample), Urgency.VOTE)

    # -- what the core says --------------------------------------------------------------------------------

    def send(self, send: Send) -> None:
        """Say what the core wants said."""
        data = self._encode(send.message)
        if data is None:
            # Forgotten between two steps under a flood of outlines; whoever wants it asks again.
            return
        if isinstance(send.message, Status):
            self._next_status_ms = self._clock.monotonic_ms() + STATUS_EVERY_MS
        if send.to is None:
            self._network.broadcast(data, Urgency.VOTE)
        else:
            self._network.send(send.to, data, Urgency.VOTE)

    def _encode(self, message: CoreMessage) -> bytes | None:
        match message:
            case Proposal():
                outline = self._candidates.outline(message.digest)
                if outline is None:
                    return None
                return encode_message(
                    self._book.seal_proposal(message, outline, self._open_leaders())
                )
            case Prepare() | Commit():
                return encode_message(self._book.seal_vote(message))
            case ProvenViewChange():
                return encode_message(self._book.seal_view_change(message, self._open_leaders()))
            case Status():
                return self._status_message(message)

    def _open_leaders(self) -> Leaders:
        return leaders_at(self._ledger, self._ledger.tip.height + 1)

    def _status_message(self, status: Status | None) -> bytes:
        """Return a STATUS with what the core says, or with our heights alone."""
        newest = self._cosigner.newest
        tip_height = self._ledger.tip.height
        n = self._ledger.validators(tip_height + 1).size
        return encode_message(
            StatusMessage(
                height=tip_height + 1 if status is None else status.height,
                view=0 if status is None else status.view,
                digest=None if status is None else status.digest,
                has_proposal=False if status is None else status.has_proposal,
                prepares=() if status is None else status.prepares,
                commits=() if status is None else status.commits,
                view_changes=(-1,) * n if status is None else status.view_changes,
                tip_height=tip_height,
                cosigned_height=0 if newest is None else newest.height,
                tip_cosigners=self._cosigner.tip_cosigners(),
            )
        )

    # -- to one peer ---------------------------------------------------------------------------------------

    def greet(self, peer: str) -> None:
        """Tell one peer our heights."""
        self._network.send(peer, self._status_message(None), Urgency.VOTE)

    def ask(self, peer: str, wall_ms: int) -> None:
        """Ask a peer what it has heard of us; `wall_ms` is what its answer will echo. See `inquiry`."""
        self.greet(peer)
        question = self._neighbours.offsets.question_to(peer, wall_ms, self._clock.monotonic_ms())
        self._network.send(peer, encode_message(question), Urgency.VOTE)

    def answer(self, peer: str, question: ClockMessage, received_ms: int) -> None:
        """Answer a question, after what was to be pushed: where we stand, and an echo of the peer's clock."""
        if self._answer_turns.take(peer):
            # Not noted before: the next sample echoes what is noted, and would pass for the answer.
            self._neighbours.offsets.receive(
                peer, question, received_ms, self._clock.monotonic_ms()
            )
            self.greet(peer)
            self._tell_time(peer)

    def tell_decision(self, peer: str, height: int) -> None:
        """Help a peer that works on a decided height, at most once in a while."""
        if height < 1 or not self._decision_turns.take(peer):
            return
        if height <= self._ledger.tip.height:
            certificate = self._ledger.certificate_bytes(height)
        elif self._candidates.awaited is not None:
            # Decided by others, and its block is still on its way to us: what proves it is here already.
            certificate = self._book.seal_certificate(self._candidates.awaited).encode()
        else:
            return
        message = encode_message(DecidedMessage(certificate))
        self._network.send(peer, message, Urgency.VOTE)
        self.greet(peer)

    def answer_fetch_outline(self, peer: str, message: FetchOutlineMessage) -> None:
        """Send the outline of a block to whoever wants to judge it."""
        outline = self._candidates.outline(message.digest)
        if outline is None:
            if message.height <= self._ledger.tip.height:
                # Gone with its height; the decision tells the peer where to get the whole block.
                self.tell_decision(peer, message.height)
        elif self._allowance.has(peer):
            answer = encode_message(OutlineMessage(outline.encode()))
            self._allowance.spend(peer, len(answer))
            self._network.send(peer, answer, Urgency.NORMAL)
