"""How far the other validators' clocks are from ours, measured all the time. For people, never for consensus.

Each CLOCK message carries the sender's time and echoes the last one it got, as in NTP: of four stamps follow
the offset and the round trip. The sample with the shortest of the last round trips is believed.
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


@dataclass(slots=True)
class _Peer:
    heard_ms: int = 0
    heard_at_ms: int = 0
    samples: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class ClockOffsets:
    """Clock samples by peer."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}

    def message_to(self, peer: str, now_ms: int) -> ClockMessage:
        """Return the sample to send to a peer now (wall clock)."""
        known = self._peers.setdefault(peer, _Peer())
        return ClockMessage(sent_ms=now_ms, echoed_ms=known.heard_ms, received_ms=known.heard_at_ms)

    def receive(self, peer: str, message: ClockMessage, now_ms: int) -> None:
        """Take a peer's sample, received now (wall clock)."""
        known = self._peers.setdefault(peer, _Peer())
        known.heard_ms, known.heard_at_ms = message.sent_ms, now_ms
        if message.echoed_ms == 0:
            return
        round_trip = (now_ms - message.echoed_ms) - (message.sent_ms - message.received_ms)
        offset = ((message.received_ms - message.echoed_ms) + (message.sent_ms - now_ms)) // 2
        if 0 <= round_trip <= 2 * INTERVAL_MS:
            known.samples.append((round_trip, offset))

    def of(self, peer: str) -> tuple[int, int] | None:
        """Return (offset, round trip) of a peer in milliseconds, or None; offset is its clock minus ours."""
        known = self._peers.get(peer)
        if known is None or not known.samples:
            return None
        round_trip, offset = min(known.samples)
        return offset, round_trip
