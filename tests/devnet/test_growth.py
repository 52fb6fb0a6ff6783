"""A chain that grows while it is measured, with real processes and few records."""

from __future__ import annotations

import json

import pytest

from chainnode.model.errors import DecodeError
from devnet.bench import growth, growth_plot
from devnet.bench.plan import GROWTH, Plan

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload=GROWTH,
    batch_size=1,
    duration_s=1,
    rate=None,
    clients=1,
    records=4_000,
)


def test_sizes_are_powers_of_ten_and_the_last_one():
    assert growth.sizes_up_to(10_000) == (10_000,)
    assert growth.sizes_up_to(1_000_000) == (10_000, 100_000, 1_000_000)
    assert growth.sizes_up_to(250_000) == (10_000, 100_000, 250_000)


@pytest.mark.e2e
@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("network")
def test_every_size_is_measured_on_the_chain_of_the_one_before(monkeypatch):
    monkeypatch.setattr(growth, "LEAST_RECORDS", 2_000)
    found = growth.run(PLAN, say=lambda _: None)
    small, large = found.sizes
    assert 2_000 <= small.records < large.records
    # What the load of the first size added counts for the second.
    assert large.records > small.records + small.checked_records
    assert large.home_bytes > small.home_bytes
    for size in found.sizes:
        assert size.tps > 0
        assert size.proofs_per_s > 0
        assert size.lookups_per_s > 0
        assert min(size.stopped_ms, size.killed_ms) > 0
        assert size.checked_proofs > 0
    document = growth.as_json(found)
    assert [size["records"] for size in document["sizes"]] == [small.records, large.records]
    assert [len(row) for row in growth.table(found)] == [len(growth.HEADS)] * 2


def size(records, **changes):
    return {
        "records": records,
        "filled_records_per_s": 20_000.0,
        "tps": 3_000.0,
        "ceiling_tps": 9_000.0,
        "proofs_per_s": 800.0,
        "proof_latency_ms": {"p50": 15.5, "p95": 30.0, "p99": 60.0},
        "lookups_per_s": 400.0,
        "memory_bytes": 120_000_000,
        "home_bytes": 3_000_000,
        "ready_ms_after_stop": 1_459,
        "ready_ms_after_kill": 1_787,
    } | changes


def points(figure, title, name):
    (panel,) = (panel for panel in figure.axes if panel.get_title() == title)
    (line,) = (line for line in panel.lines if line.get_label() == name)
    return list(zip(*line.get_data(), strict=True))


def test_the_plot_shows_what_was_measured():
    figure = growth_plot.draw(
        {"sizes": [size(100_000, tps=2_700.0, filled_records_per_s=None), size(10_000)]}
    )
    shares = points(figure, "committed, of the ceiling, %", "one by one")
    assert shares == [(10_000, pytest.approx(100 / 3)), (100_000, 30)]
    lists = points(figure, "committed documents/s", "lists of 1,000")
    assert lists == [(10_000, 20_000)]
    assert points(figure, "MB of a validator", "home") == [(10_000, 3), (100_000, 3)]


def test_the_plot_of_a_document_is_always_the_same_file(tmp_path):
    source = tmp_path / "growth.json"
    source.write_text(json.dumps({"sizes": [size(10_000)]}))
    for target in ("a.svg", "b.svg"):
        growth_plot.main(str(source), str(tmp_path / target))
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    assert "documents on the chain" in drawn


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"sizes": []},
        {"sizes": [{}]},
        {"sizes": [size(1, tps="fast")]},
        {"sizes": [size(0)]},
        {"sizes": [size(1, ceiling_tps=0)]},
        [],
    ],
)
def test_another_document_is_not_drawn(document):
    with pytest.raises(DecodeError, match="workload growth"):
        growth_plot.draw(document)


@pytest.mark.parametrize(("content", "target"), [(None, "a.svg"), ("{", "a.svg"), (True, "a.xyz")])
def test_what_cannot_be_read_or_drawn_is_told(tmp_path, content, target):
    source = tmp_path / "growth.json"
    if content is not None:
        source.write_text(json.dumps({"sizes": [size(10)]}) if content is True else content)
    with pytest.raises(DecodeError, match="cannot be"):
        growth_plot.main(str(source), str(tmp_path / target))
