"""What the other validators' clocks read, measured all the time.

Each CLOCK message carries the sender's time and echoes the last one it got, as in NTP: of four stamps follow how far
the peer's clock is ahead and how long the round trip took. The sample with the shortest of the last round trips is
believed. What is kept is a peer's lead over our *monotonic* clock, so that no sample is spoilt by our own wall clock when
that jumps while it is under way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chainnode.engine.messages import ClockMessage

INTERVAL_MS: Final = 5_000
"""Between two samples sent to each peer: a message of 30 bytes."""

SAMPLES: Final = 8
"""Samples of which the one with the shortest round trip counts."""

MAX_AGE_MS: Final = 60_000
"""An older reading says nothing: twelve samples have failed since. Also longer than `SAMPLES` of them take."""

DRIFT_PPM: Final = 200
"""How fast two quartz clocks may come apart: 100 parts in a million each, as the cheapest ones do."""

FAST_SHARE: Final = 100
"""A peer's clock that gains a hundredth is wrong, and shall be seen: by it, the peer held our sample for longer than we waited."""

_UNANSWERED: Final = 4
"""Samples on their way to a peer whose echoes are still known; one every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A measurement of a clock, taken at one moment."""

    ahead_ms: int
    """That clock less our monotonic one, in the middle of what is possible."""

    round_trip_ms: int
    measured_ms: int
    """When (monotonic)."""

    def error_ms(self, now_ms: int) -> int:
        """Return how far off `ahead_ms` may be now (monotonic): half the round trip, rounding, and drift since."""
        age_ms = max(0, now_ms - self.measured_ms)
        return (self.round_trip_ms + 1) // 2 + 1 + -(-age_ms * DRIFT_PPM // 1_000_000)

    def agrees_with(self, other: Reading) -> bool:
        """Whether one clock that did not jump can have given both."""
        now_ms = max(self.measured_ms, other.measured_ms)
        apart_ms = abs(self.ahead_ms - other.ahead_ms)
        return apart_ms <= self.error_ms(now_ms) + other.error_ms(now_ms)


@dataclass(slots=True)
class _Peer:
    heard_ms: int = 0
    heard_at_ms: int = 0
    sent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_UNANSWERED))
    """(wall, monotonic) of what we sent last."""

    samples: deque[Reading] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class ClockOffsets:
    """Clock samples by peer."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}

    def question_to(self, peer: str, wall_ms: int, now_ms: int) -> ClockMessage:
        """Return a sample that echoes nothing, sent when the wall clock reads `wall_ms` and the monotonic `now_ms`."""
        self._known(peer).sent.append((wall_ms, now_ms))
        return ClockMessage(sent_ms=wall_ms, echoed_ms=0, received_ms=0)

    def message_to(self, peer: str, wall_ms: int, now_ms: int) -> ClockMessage:
        """Return the sample to send to a peer now."""
        known = self._known(peer)
        known.sent.append((wall_ms, now_ms))
        return ClockMessage(
            sent_ms=wall_ms, echoed_ms=known.heard_ms, received_ms=known.heard_at_ms
        )

    def receive(self, peer: str, message: ClockMessage, wall_ms: int, now_ms: int) -> None:
        """Take a peer's sample, received when the wall clock read `wall_ms` and the monotonic one `now_ms`."""
        known = self._known(peer)
        known.heard_ms, known.heard_at_ms = message.sent_ms, wall_ms
        asked_ms = next((at for wall, at in known.sent if wall == message.echoed_ms), None)
        if message.echoed_ms == 0 or asked_ms is None:
            return
        held_ms = message.sent_ms - message.received_ms
        round_trip_ms = (now_ms - asked_ms) - held_ms
        ahead_ms = ((message.received_ms - asked_ms) + (message.sent_ms - now_ms)) // 2
        if not -(abs(held_ms) // FAST_SHARE) <= round_trip_ms <= 2 * INTERVAL_MS:
            return
        found = Reading(ahead_ms=ahead_ms, round_trip_ms=max(0, round_trip_ms), measured_ms=now_ms)
        # A clock that has jumped is where it is now.
        kept = [sample for sample in known.samples if sample.agrees_with(found)]
        known.samples = deque((*kept, found), maxlen=SAMPLES)

    def own_clock_jumped(self) -> None:
        """Forget all readings, and the stamps that the next echoes would carry.

        Where all clocks are set at once, as by a leap second, readings of before would make each of us believe that it
        alone has jumped.
        """
        for known in self._peers.values():
            known.heard_ms = known.heard_at_ms = 0
            known.samples.clear()

    def of(self, peer: str, now_ms: int) -> Reading | None:
        """Return the best reading of a peer's clock; None if there is none that is fresh (monotonic)."""
        known = self._peers.get(peer)
        if known is None:
            return None
        fresh = [s for s in known.samples if now_ms - s.measured_ms <= MAX_AGE_MS]
        return min(fresh, key=lambda sample: sample.error_ms(now_ms), default=None)

    def _known(self, peer: str) -> _Peer:
        return self._peers.setdefault(peer, _Peer())
