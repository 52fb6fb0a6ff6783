"""Log lines: one event per line, whatever the values."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.logs import MAX_VALUE_CHARACTERS, Level, Log, level_named, utc

NOW_MS = 1_795_363_200_123


def make_log(**options):
    lines = []
    return Log(lines.append, now_ms=lambda: NOW_MS, **options), lines


def test_an_event_is_one_line_with_time_level_name_and_fields():
    log, lines = make_log()
    log.event("block_committed", height=812, txs=240, proposer="justice-1", empty=False, view=None)
    (line,) = lines
    assert line == (
        "2026-11-22T16:00:00.123Z info block_committed "
        "height=812 txs=240 proposer=justice-1 empty=false view=-\n"
    )


def test_values_that_would_break_the_line_are_quoted():
    log, lines = make_log()
    log.warning(
        "peer_fault", reason='said "no"\nand left', peer="a b", nothing="", dash="-", eq="a=b"
    )
    assert lines[0].endswith(
        'reason="said \\"no\\"\\nand left" peer="a b" nothing="" dash="-" eq="a=b"\n'
    )


def test_lines_below_the_level_are_dropped():
    log, lines = make_log(level=Level.WARNING)
    log.debug("a")
    log.event("b")
    log.warning("c")
    log.error("d")
    assert [line.split(" ")[1:] for line in lines] == [["warning", "c\n"], ["error", "d\n"]]


def test_json_lines_keep_fields_with_reserved_names_apart():
    log, lines = make_log(format_="json")
    log.event("view_changed", view=3, level="x", time=5)
    assert json.loads(lines[0]) == {
        "time": "2026-11-22T16:00:00.123Z",
        "level": "info",
        "event": "view_changed",
        "view": 3,
        "level_": "x",
        "time_": 5,
    }


def test_a_long_value_is_cut():
    log, lines = make_log()
    log.event("peer_fault", reason="x" * 5_000)
    assert lines[0].endswith("reason=" + "x" * MAX_VALUE_CHARACTERS + "...\n")


@pytest.mark.parametrize("error", [OSError("no space left"), ValueError("closed file")])
def test_a_line_that_cannot_be_written_is_counted_and_stops_nobody(error):
    def fail(_line):
        raise error

    log = Log(fail, now_ms=lambda: NOW_MS)
    log.event("a")
    log.event("b")
    assert log.lost == 2


def test_level_names_are_lower_case():
    assert [level_named(n) for n in ("debug", "info", "warning", "error")] == list(Level)


def test_times_show_milliseconds():
    assert utc(0) == "1970-01-01T00:00:00.000Z"
    assert utc(1) == "1970-01-01T00:00:00.001Z"


@given(st.text(max_size=50))
def test_no_value_makes_a_second_line_or_field(value):
    log, lines = make_log()
    log.event("seen", what=value)
    (line,) = lines
    assert line.count("\n") == 1
    written = line.split(" seen what=", 1)[1][:-1]
    if written.startswith('"'):
        assert json.loads(written) == value
    else:
        assert written == value
        assert " " not in written
