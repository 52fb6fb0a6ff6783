"""The report on what one dead validator costs, and whom it concerns."""

from dataclasses import replace

import pytest

from chainnode.model.errors import Refused
from devnet.bench.one_dead import HEADS, OneDead, as_json, rows, run, table
from tests.devnet.test_bench import FIGURES, PLAN


def slower(factor, **changes):
    """Figures like those of the other benchmark, with every latency times `factor`."""
    return replace(
        FIGURES, latencies_us=tuple(us * factor for us in FIGURES.latencies_us), **changes
    )


FOUND = OneDead(
    plan=replace(PLAN, workload="one-dead", rate=700),
    saturation_tps=1_400.0,
    cases={
        "all_alive": FIGURES,
        "one_dead_unskipped": slower(12, view_changes=9),
        "one_dead_skipped": slower(2, view_changes=0, refused={}),
    },
)


def test_programs_get_every_case_and_its_ratio_to_all_alive():
    document = as_json(FOUND)
    assert (document["rate"], document["saturation_tps"]) == (700, 1_400.0)
    cases = document["cases"]
    assert cases["all_alive"]["latency_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert cases["one_dead_unskipped"]["latency_ms"]["p99"] == 12 * 99.0
    assert cases["one_dead_unskipped"]["view_changes"] == 9
    assert document["ratio_to_all_alive"] == {
        "one_dead_unskipped": dict.fromkeys(("p50", "p95", "p99", "max"), 12.0),
        "one_dead_skipped": dict.fromkeys(("p50", "p95", "p99", "max"), 2.0),
    }


def test_people_get_a_line_for_each_case_and_for_each_ratio():
    lines = table(FOUND)
    assert {len(line) for line in lines} == {len(HEADS)}
    assert [line[0] for line in lines] == [
        "all alive",
        "one dead, not skipped",
        "one dead, skipped",
        "one dead, not skipped / all alive",
        "one dead, skipped / all alive",
    ]
    assert lines[0][1:5] == ("50", "95", "99", "100")
    assert lines[0][6] == "3 overloaded"
    assert lines[3][1:5] == ("12.00",) * 4


def test_the_report_says_where_its_rate_comes_from():
    (_, load), *_ = [row for row in rows(FOUND) if row[0] == "load"]
    assert "700 transactions/s" in load
    assert "half of 1,400/s" in load
    (_, load), *_ = [row for row in rows(replace(FOUND, saturation_tps=None)) if row[0] == "load"]
    assert "as asked for" in load


@pytest.mark.parametrize("validators", [1, 3])
def test_where_nobody_may_die_there_is_nothing_to_measure(validators):
    with pytest.raises(Refused, match="4 or more"):
        run(replace(PLAN, validators=validators), say=lambda _: None)
