"""Times as people write them."""

import click
import pytest

from cli.times import parse_time


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2026-11-22", 1_795_305_600_000),
        ("20261122", 1_795_305_600_000),
        ("2026-11-22T16:00:00Z", 1_795_363_200_000),
        ("2026-11-22T16:00:00.123", 1_795_363_200_123),
        ("2026-11-23T00:00:00+08:00", 1_795_363_200_000),
        ("1795363200000", 1_795_363_200_000),
    ],
)
def test_dates_times_and_milliseconds_are_read(text, time_ms):
    assert parse_time(text) == time_ms


@pytest.mark.parametrize("text", ["", "today", "2026", "1969-12-31", "-5", "9" * 20, "2026-13-01"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter):
        parse_time(text)
