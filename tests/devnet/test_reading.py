"""Workloads that read while others write, with real processes and few records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devnet.bench import load, reading, run
from devnet.bench.plan import HTTP, PROOF, QUERY, STREAM, TILES, Plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload=PROOF,
    batch_size=1,
    duration_s=1,
    rate=50,
    clients=1,
    records=1_000,
)


def silent(_sentence):
    pass


@pytest.fixture(scope="module")
def filled():
    """A network with a thousand documents, and what was acknowledged of them."""
    with run.fresh_network(PLAN, silent) as network:
        network.up()
        done = load.fill(network, PLAN.filling(), silent)
        network.wait_level(timeout_ms=60_000)
        yield network, done


@pytest.mark.parametrize(
    ("number", "workload", "path"),
    [
        (1, PROOF, HTTP),
        (2, PROOF, TILES),
        pytest.param(3, PROOF, STREAM, marks=pytest.mark.soak),
        pytest.param(4, QUERY, HTTP, marks=pytest.mark.soak),
    ],
)
def test_readers_get_right_answers_while_others_write(filled, number, workload, path):
    network, done = filled
    plan = replace(PLAN, workload=workload, path=path)
    found = reading.read(network, plan, done.acknowledged, silent, done.clients + number)
    assert found.records == 1_000
    # All that came in so short a time is kept and checked.
    assert found.checked == round(found.reads_per_s * plan.duration_s) > 0
    assert found.written_per_s > 0
    assert not found.refused
    document = reading.as_json(found)
    assert document["workload"] == workload
    assert document["path"] == (path if workload == PROOF else None)
    assert 0 < document["read_latency_ms"]["p50"] <= document["read_latency_ms"]["max"]
    assert dict(reading.rows(found))["refused"] == "none"
