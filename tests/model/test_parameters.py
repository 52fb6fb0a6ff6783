"""Parameters: ranges, and the certified interval that follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_BLOCK_BYTES, MAX_TRANSACTION_BYTES
from chainnode.model.parameters import Parameters, parse_parameters

DEFAULT = Parameters()
RANGES = {
    "precision_ms": (1, 60_000),
    "message_delay_ms": (1, 60_000),
    "message_delay_cap_ms": (1, 600_000),
    "min_interval_ms": (1, 60_000),
    "heartbeat_ms": (100, 86_400_000),
    "timeout_ms": (10, 600_000),
    "timeout_cap_ms": (10, 600_000),
    "max_block_transactions": (1, 10_000),
    "max_block_bytes": (MAX_TRANSACTION_BYTES, MAX_BLOCK_BYTES),
    "max_block_records": (20_000, 1_000_000),
    "skip_heights": (0, 10_000),
}


def test_the_defaults_are_in_range() -> None:
    assert parse_parameters(DEFAULT.as_value()) == DEFAULT


@pytest.mark.parametrize(("name", "least", "most"), [(n, *r) for n, r in RANGES.items()])
def test_each_parameter_has_a_range(name: str, least: int, most: int) -> None:
    widest = {
        "message_delay_ms": 1,
        "message_delay_cap_ms": 600_000,
        "min_interval_ms": 1,
        "heartbeat_ms": 86_400_000,
        "timeout_ms": 10,
        "timeout_cap_ms": 600_000,
    }
    for value in (least, most):
        good = replace(DEFAULT, **(widest | {name: value}))
        assert parse_parameters(good.as_value()) == good
    for value in (least - 1, most + 1):
        with pytest.raises(DecodeError) as caught:
            parse_parameters(replace(DEFAULT, **(widest | {name: value})).as_value())
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("message_delay_ms", "message_delay_cap_ms"),
        ("timeout_ms", "timeout_cap_ms"),
        ("min_interval_ms", "heartbeat_ms"),
    ],
)
def test_what_grows_begins_below_where_it_ends(small: str, large: str) -> None:
    equal = replace(DEFAULT, **{small: 1_000, large: 1_000})
    assert parse_parameters(equal.as_value()) == equal
    with pytest.raises(DecodeError) as caught:
        parse_parameters(replace(DEFAULT, **{small: 1_001, large: 1_000}).as_value())
    assert caught.value.field == small


def test_there_is_one_version() -> None:
    with pytest.raises(DecodeError, match="version"):
        parse_parameters((1, *DEFAULT.as_value()[1:]))


def test_the_delay_grows_by_a_tenth_with_each_view_to_its_cap() -> None:
    assert [DEFAULT.delay_ms(view) for view in (0, 1, 2, 16, 17, 2**31 - 1)] == [
        2_000,
        2_201,
        2_422,
        9_213,
        10_000,
        10_000,
    ]
    small = replace(DEFAULT, message_delay_ms=1, message_delay_cap_ms=3)
    assert [small.delay_ms(view) for view in range(4)] == [1, 2, 3, 3]


@given(st.integers(0, 2**62), st.integers(0, 40), st.integers(-20_000, 20_000))
def test_a_stamp_is_timely_exactly_where_a_right_clock_says_that_its_interval_holds(
    time_ms: int, first_view: int, offset: int
) -> None:
    earliest, latest = DEFAULT.interval_ms(time_ms, first_view)
    assert earliest == max(0, time_ms - 500)
    assert latest == time_ms + DEFAULT.delay_ms(first_view) + 500
    received = time_ms + offset
    first, last = time_ms - 250, time_ms + DEFAULT.delay_ms(first_view) + 250
    assert DEFAULT.is_timely(time_ms, first_view, received) == (first <= received <= last)
    for moment, is_timely in ((first, True), (last, True), (first - 1, False), (last + 1, False)):
        assert DEFAULT.is_timely(time_ms, first_view, moment) == is_timely


@given(st.integers(1, 60_000), st.integers(0, 40), st.integers(0, 10**6))
def test_whatever_a_right_clock_finds_timely_it_is_in_the_interval_by_true_time(
    precision_ms: int, first_view: int, wrong_by: int
) -> None:
    parameters = replace(DEFAULT, precision_ms=precision_ms)
    time_ms, error_ms = 10**12, wrong_by % (parameters.clock_bound_ms + 1)
    earliest, latest = parameters.interval_ms(time_ms, first_view)
    delay_ms = parameters.delay_ms(first_view)
    for read_ms in (
        time_ms - parameters.tolerance_ms,
        time_ms + delay_ms + parameters.tolerance_ms,
    ):
        assert parameters.is_timely(time_ms, first_view, read_ms)
        for true_ms in (read_ms - error_ms, read_ms + error_ms):
            assert earliest <= true_ms <= latest
