"""What a validator asks after its start, before it votes: what have you heard of me?

    us     STATUS that holds nothing, CLOCK that echoes nothing
    peer   pushes what it holds at the open height, our own last votes and view change among it; STATUS; CLOCK

Each link keeps the order, so the peer's CLOCK that echoes ours comes after all that the peer had to push. As many
answers are awaited as a decision needs other validators anyway.

The same exchange tells how far each peer's clock is ahead of our monotonic one: when the question left, the peer's
clock read no more than when the question came to it. Our wall clock, which a restored machine may have wrong, is not
asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chainnode.engine.messages import ClockMessage
    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.ports import Clock
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.validators import ValidatorSet

ASK_EVERY_MS: Final = 500
"""Between two questions to a peer that has not answered: a message may be lost with its link."""

ASK_LATE_MS: Final = 5_000
"""The same when no answer is awaited any more, and all that is still wanted of a peer is how far its clock is ahead."""


class Inquiry:
    """Questions and answers of this life of the node."""

    def __init__(self, *, ledger: Ledger, neighbours: Neighbours, clock: Clock) -> None:
        self._ledger = ledger
        self._neighbours = neighbours
        self._clock = clock
        self._next_ms = 0
        self._height = 0
        self._asked: dict[str, tuple[int, int, int]] = {}
        self._answered: set[str] = set()
        self._ahead_ms: dict[str, int] = {}
        self.is_open = True
        """Whether answers are still awaited."""

    @property
    def deadline_ms(self) -> int | None:
        """When to ask again."""
        return self._next_ms if self.is_open or self._without_clock() else None

    def hurry(self) -> None:
        """Ask as soon as possible: a peer is there."""
        self._next_ms = min(self._next_ms, self._clock.monotonic_ms())

    def due(self, now_ms: int) -> tuple[tuple[str, int], ...]:
        """Return (peer, wall clock to send) of the questions that are due now, and note them as asked."""
        height = self._ledger.tip.height + 1
        if height != self._height:
            self._height = height
            self._answered.clear()
            if self.is_open:
                self._next_ms = now_ms
        if now_ms < self._next_ms:
            return ()
        if self.is_open:
            self._next_ms = now_ms + ASK_EVERY_MS
            peers = [p for p in self._neighbours.linked() if p not in self._answered]
        else:
            # Up to f of those that have answered may have lied about their clocks, and whoever is linked later may
            # be the honest one by which a quarantine can end.
            self._next_ms = now_ms + ASK_LATE_MS
            peers = self._without_clock()
        wall_ms = self._clock.now_ms()
        for peer in peers:
            self._asked[peer] = (wall_ms, now_ms, height)
        return tuple((peer, wall_ms) for peer in peers)

    def _without_clock(self) -> list[str]:
        return [p for p in self._neighbours.linked() if p not in self._ahead_ms]

    def heard(self, peer: str, message: ClockMessage) -> None:
        """Take a peer's CLOCK: is it the answer to our last question?"""
        asked = self._asked.get(peer)
        if asked is None or message.echoed_ms != asked[0]:
            return
        _, asked_ms, height = asked
        ahead_ms = message.received_ms - asked_ms
        self._ahead_ms[peer] = min(ahead_ms, self._ahead_ms.get(peer, ahead_ms))
        tip_height = self._ledger.tip.height
        # Of a peer at another height it is not known what it has heard of us at this one.
        if height == tip_height + 1 and self._neighbours.tip_height(peer) == tip_height:
            self._answered.add(peer)

    def answers(self, validators: ValidatorSet) -> int:
        """Return how many of the open height's `validators` have answered at it.

        Who is linked and is none of them, since it was removed, may be one of any number of liars.
        """
        if self._height != self._ledger.tip.height + 1:
            return 0
        return sum(validators.index_of(peer) is not None for peer in self._answered)

    def is_younger(self, time_ms: int, than_ms: int, validators: ValidatorSet) -> bool:
        """Whether a block's time is later than a moment of our monotonic clock, by the clock of one honest peer.

        Args:
            time_ms: the block's time, less whatever it may be ahead.
            than_ms: monotonic.
            validators: of whom f may lie; nobody else's clock counts.
        """
        later = sum(
            time_ms > than_ms + ahead_ms
            for peer, ahead_ms in self._ahead_ms.items()
            if validators.index_of(peer) is not None
        )
        return later > validators.faulty
