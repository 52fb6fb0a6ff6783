"""What clocks agree on: whatever f of them say, the right ones bound it, and none of these is put outside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainnode.engine.cluster_time import Span, agree

TIMES = st.integers(-10_000, 10_000)
ERRORS = st.integers(0, 500)


@st.composite
def clocks(draw: st.DrawFn) -> tuple[list[int], list[Span], list[Span], int]:
    """True readings of right clocks, what was measured of them, what liars say, and how many may lie."""
    faulty = draw(st.integers(0, 4))
    right = draw(st.lists(TIMES, min_size=faulty + 1, max_size=3 * faulty + 2))
    measured = []
    for reading in right:
        below, above = draw(ERRORS), draw(ERRORS)
        measured.append(Span(earliest_ms=reading - below, latest_ms=reading + above))
    liars = []
    for _ in range(faulty):
        one, other = sorted((draw(TIMES), draw(TIMES)))
        liars.append(Span(earliest_ms=one, latest_ms=other))
    return right, measured, liars, faulty


@given(clocks())
def test_the_ends_lie_between_those_of_right_clocks(drawn: tuple) -> None:
    _, measured, liars, faulty = drawn
    found = agree([*measured, *liars], faulty)
    assert found is not None
    assert found.earliest_ms <= found.latest_ms
    assert found.earliest_ms >= min(span.earliest_ms for span in measured)
    assert found.latest_ms <= max(span.latest_ms for span in measured)


@given(clocks())
def test_a_right_clock_is_no_farther_away_than_from_the_farthest_right_clock(drawn: tuple) -> None:
    right, measured, liars, faulty = drawn
    found = agree([*measured, *liars], faulty)
    for own in right:
        farthest = max(abs(own - other) for other in right)
        assert abs(found.distance_ms(own)) <= farthest


@given(clocks(), TIMES)
def test_a_clock_far_from_all_right_ones_is_outside_by_that_less_what_measuring_may_err(
    drawn: tuple, own: int
) -> None:
    right, measured, liars, faulty = drawn
    found = agree([*measured, *liars], faulty)
    nearest = min(max(0, span.earliest_ms - own, own - span.latest_ms) for span in measured)
    if own < min(right) or own > max(right):
        assert abs(found.distance_ms(own)) >= nearest


def test_fewer_than_twice_as_many_and_one_as_may_lie_agree_on_nothing() -> None:
    one = Span(earliest_ms=0, latest_ms=0)
    assert agree([one, one], 1) is None
    assert agree([one, one, one], 1) == one
    assert agree([], 0) is None


def test_f_liars_alone_move_nothing() -> None:
    near = [Span(earliest_ms=i - 2, latest_ms=i + 2) for i in (0, 1, 3)]
    for lie in (-(10**12), 10**12):
        found = agree([*near, Span(earliest_ms=lie, latest_ms=lie)], 1)
        assert -2 <= found.earliest_ms <= found.latest_ms <= 5
