from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainnode.p2p.budget import Budget, Rate

RATE = Rate(messages_per_s=10, bytes_per_s=1_000)


def test_one_seconds_worth_may_come_at_once():
    assert Budget(RATE, 0).spend(10, 1_000, 0) == 0


def test_too_many_messages_cost_a_pause():
    assert Budget(RATE, 0).spend(12, 1, 0) == 200


def test_too_many_bytes_cost_a_pause():
    assert Budget(RATE, 0).spend(1, 1_001, 0) == 1
    assert Budget(RATE, 0).spend(1, 3_000, 0) == 2_000


def test_saved_tokens_never_exceed_one_seconds_worth():
    assert Budget(RATE, 0).spend(11, 1, 1_000_000) == 100


@given(
    st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(1, 30), st.integers(0, 3_000)), max_size=30
    )
)
def test_who_obeys_the_pauses_never_exceeds_the_rate(arrivals):
    budget = Budget(RATE, 0)
    now_ms = messages = size_bytes = 0
    for gap_ms, count, size in arrivals:
        now_ms += gap_ms
        now_ms += budget.spend(count, size, now_ms)
        messages += count
        size_bytes += size
        assert messages * 1_000 <= (now_ms + 1_000) * RATE.messages_per_s
        assert size_bytes * 1_000 <= (now_ms + 1_000) * RATE.bytes_per_s
