"""Clock offsets: four stamps give an offset and a round trip; the shortest trip is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.engine.clock_offsets import (
    DRIFT_PPM,
    INTERVAL_MS,
    MAX_AGE_MS,
    SAMPLES,
    ClockOffsets,
)
from chainnode.engine.messages import ClockMessage

START_MS = 1_790_000_000_000


LEAD_MS = START_MS - 70_000
"""Our wall clock less our monotonic one."""


def exchange(
    ours: ClockOffsets, *, offset: int, there: int, back: int, now: int, held: int = 50
) -> None:
    """One round: our sample reaches a peer whose clock is `offset` ahead, and its answer comes back.

    `now` is our monotonic clock at first.
    """
    theirs, wall = ClockOffsets(), now + LEAD_MS
    theirs.receive("us", ours.message_to("peer", wall, now), wall + there + offset, 0)
    answer = theirs.message_to("us", wall + there + offset + held, 0)
    spent = there + held + back
    ours.receive("peer", answer, wall + spent, now + spent)


def test_nothing_is_known_of_a_peer_before_its_first_echo() -> None:
    ours = ClockOffsets()
    assert ours.of("peer", 0) is None
    assert ours.message_to("peer", START_MS, 0) == ClockMessage(
        sent_ms=START_MS, echoed_ms=0, received_ms=0
    )
    ours.receive("peer", ClockMessage(sent_ms=5, echoed_ms=0, received_ms=0), START_MS, 0)
    assert ours.of("peer", 0) is None


def test_each_sample_echoes_the_last_one_that_was_heard() -> None:
    ours = ClockOffsets()
    ours.receive("peer", ClockMessage(sent_ms=70, echoed_ms=0, received_ms=0), START_MS, 0)
    assert ours.message_to("peer", START_MS + 1, 1) == ClockMessage(
        sent_ms=START_MS + 1, echoed_ms=70, received_ms=START_MS
    )
    assert ours.message_to("another", START_MS + 1, 1).echoed_ms == 0


@given(st.integers(-(10**9), 10**9), st.integers(0, INTERVAL_MS), st.integers(0, INTERVAL_MS))
def test_a_reading_is_right_to_within_its_error(offset: int, there: int, back: int) -> None:
    ours = ClockOffsets()
    exchange(ours, offset=offset, there=there, back=back, now=0)
    now = there + 50 + back
    found = ours.of("peer", now)
    assert found is not None
    assert found.round_trip_ms == there + back
    assert abs(found.ahead_ms - offset - LEAD_MS) <= found.error_ms(now)


def test_the_shortest_round_trip_of_the_last_few_counts() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=100, there=1, back=1, now=0)
    for i in range(1, SAMPLES):
        exchange(ours, offset=100, there=900, back=1, now=i * INTERVAL_MS)
    found = ours.of("peer", SAMPLES * INTERVAL_MS)
    assert (found.ahead_ms - LEAD_MS, found.round_trip_ms) == (100, 2)
    exchange(ours, offset=100, there=900, back=900, now=SAMPLES * INTERVAL_MS)
    assert ours.of("peer", SAMPLES * INTERVAL_MS).round_trip_ms == 901


def test_a_reading_gets_worse_with_age_and_is_none_in_the_end() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=0, there=1, back=1, now=0)
    found = ours.of("peer", 52)
    assert found.error_ms(52) == 2
    assert found.error_ms(52 + 50_000) == 2 + 50_000 * DRIFT_PPM // 1_000_000
    assert ours.of("peer", 52 + MAX_AGE_MS) == found
    assert ours.of("peer", 53 + MAX_AGE_MS) is None


def test_a_peers_clock_that_jumps_is_believed_from_its_next_sample_on() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=0, there=1, back=1, now=0)
    exchange(ours, offset=700, there=20, back=20, now=5_000)
    assert ours.of("peer", 5_100).ahead_ms - LEAD_MS == 700


def test_after_a_jump_of_our_own_clock_all_is_measured_anew() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=0, there=1, back=1, now=0)
    ours.own_clock_jumped()
    assert ours.of("peer", 100) is None
    assert ours.message_to("peer", START_MS, 100).echoed_ms == 0
    exchange(ours, offset=0, there=1, back=1, now=200)
    assert ours.of("peer", 300).ahead_ms == LEAD_MS


def test_an_echo_of_what_was_never_sent_says_nothing() -> None:
    ours = ClockOffsets()
    message = ClockMessage(sent_ms=START_MS, echoed_ms=START_MS - 7, received_ms=START_MS)
    ours.receive("peer", message, START_MS, 0)
    assert ours.of("peer", 0) is None


def test_a_peer_whose_clock_gains_a_hundredth_is_still_measured() -> None:
    ours = ClockOffsets()
    exchange(ours, offset=0, there=1, back=1, now=0, held=4_000)
    ours.message_to("peer", START_MS, 10_000)
    # It held our sample for 4,000 ms, and says 4,039.
    message = ClockMessage(sent_ms=START_MS + 4_040, echoed_ms=START_MS, received_ms=START_MS + 1)
    ours.receive("peer", message, START_MS + 4_002, 14_002)
    assert ours.of("peer", 14_002).round_trip_ms == 0


@pytest.mark.parametrize("round_trip", [-1, 2 * INTERVAL_MS + 1])
def test_a_round_trip_that_cannot_be_is_not_counted(round_trip: int) -> None:
    ours = ClockOffsets()
    ours.message_to("peer", START_MS, 0)
    message = ClockMessage(sent_ms=START_MS, echoed_ms=START_MS, received_ms=START_MS)
    ours.receive("peer", message, START_MS + round_trip, round_trip)
    assert ours.of("peer", 0) is None
