"""A chain that grows while it is measured, with real processes and few records."""

from __future__ import annotations

import pytest

from devnet.bench import growth
from devnet.bench.plan import GROWTH, Plan

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload=GROWTH,
    batch_size=1,
    duration_s=2,
    rate=None,
    clients=1,
    records=4_000,
)


def test_sizes_are_powers_of_ten_and_the_last_one():
    assert growth.sizes_up_to(10_000) == (10_000,)
    assert growth.sizes_up_to(1_000_000) == (10_000, 100_000, 1_000_000)
    assert growth.sizes_up_to(250_000) == (10_000, 100_000, 250_000)


@pytest.mark.e2e
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
