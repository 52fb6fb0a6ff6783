"""Clock offsets: four stamps give an offset and a round trip; the shortest trip is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.engine.clock_offsets import INTERVAL_MS, SAMPLES, ClockOffsets
from chainnode.engine.messages import ClockMessage

START_MS = 1_790_000_000_000


def exchange(ours: ClockOffsets, *, offset: int, there: int, back: int, now: int) -> None:
    """One round: our sample reaches a peer whose clock is `offset` ahead, and its answer comes back."""
    theirs = ClockOffsets()
    theirs.receive("us", ours.message_to("peer", now), now + there + offset)
    answer = theirs.message_to("us", now + there + offset + 50)
    ours.receive("peer", answer, now + there + 50 + back)


def test_nothing_is_known_of_a_peer_before_its_first_echo() -> None:
    ours = ClockOffsets()
    assert ours.of("peer") is None
    assert ours.message_to("peer", START_MS) == ClockMessage(
        sent_ms=START_MS, echoed_ms=0, received_ms=0
    )
    ours.receive("peer", ClockMessage(sent_ms=5, echoed_ms=0, received_ms=0), START_MS)
    assert ours.of("peer") is None


def test_each_sample_echoes_the_last_one_that_was_heard() -> None:
    ours = ClockOffsets()
    ours.receive("peer", ClockMessage(sent_ms=70, echoed_ms=0, received_ms=0), START_MS)
    assert ours.message_to("peer", START_MS + 1) == ClockMessage(
        sent_ms=START_MS + 1, echoed_ms=70, received_ms=START_MS
    )
    assert ours.message_to("another", START_MS + 1).echoed_ms == 0


@given(st.integers(-(10**9), 10**9), st.integers(0, INTERVAL_MS), st.integers(0, INTERVAL_MS))
def test_the_offset_is_right_to_within_half_the_round_trip(
    offset: int, there: int, back: int
) -> None:
    ours = ClockOffsets()
    exchange(ours, offset=offset, there=there, back=back, now=START_MS)
    found, round_trip = ours.of("peer")
    assert round_trip == there + back
    assert 2 * abs(found - offset) <= round_trip + 1


def test_the_shortest_round_trip_of_the_last_few_counts() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=100, there=1, back=1, now=START_MS)
    for i in range(1, SAMPLES):
        exchange(ours, offset=100, there=900, back=1, now=START_MS + i * INTERVAL_MS)
    assert ours.of("peer") == (100, 2)
    exchange(ours, offset=100, there=900, back=900, now=START_MS + SAMPLES * INTERVAL_MS)
    assert ours.of("peer")[1] == 901


@pytest.mark.parametrize("round_trip", [-1, 2 * INTERVAL_MS + 1])
def test_a_round_trip_that_cannot_be_is_not_counted(round_trip: int) -> None:
    ours = ClockOffsets()
    message = ClockMessage(sent_ms=START_MS, echoed_ms=START_MS, received_ms=START_MS)
    ours.receive("peer", message, START_MS + round_trip)
    assert ours.of("peer") is None
