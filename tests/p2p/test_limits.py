from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.limits import MAX_MESSAGE_BYTES
from chainnode.p2p.limits import LinkLimits, redial_pause_ms

LIMITS = LinkLimits()


@given(st.integers(0, 10_000), st.text(max_size=20))
def test_pauses_double_up_to_a_cap_give_or_take_a_quarter(attempt, pair):
    pause_ms = redial_pause_ms(LIMITS, attempt, pair)
    nominal_ms = min(LIMITS.redial_least_ms * 2**attempt, LIMITS.redial_most_ms)
    assert nominal_ms * 3 // 4 <= pause_ms <= nominal_ms * 5 // 4


def test_pairs_do_not_redial_in_step():
    pauses = {redial_pause_ms(LIMITS, 6, f"ash peer-{number}") for number in range(20)}
    assert len(pauses) > 10


def test_a_largest_message_never_costs_a_pause_that_looks_like_silence():
    # Reading pauses for at most the debt of one frame; the peer must not take that for death.
    pause_ms = MAX_MESSAGE_BYTES * 1_000 // LIMITS.inbound.bytes_per_s
    assert pause_ms < LIMITS.beat_ms * LIMITS.silent_beats // 2
