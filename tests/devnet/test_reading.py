"""Workloads that read while others write, with real processes and few records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devnet.bench import reading
from devnet.bench.plan import PROOF, QUERY, Plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload=PROOF,
    batch_size=1,
    duration_s=2,
    rate=50,
    clients=1,
    records=1_000,
)


def silent(_sentence):
    pass


@pytest.mark.parametrize("workload", [PROOF, pytest.param(QUERY, marks=pytest.mark.soak)])
def test_readers_get_right_answers_while_others_write(workload):
    found = reading.read_while_writing(replace(PLAN, workload=workload), say=silent)
    assert found.records == 1_000
    assert found.reads_per_s > 0
    assert found.written_per_s > 0
    assert not found.refused
    document = reading.as_json(found)
    assert document["workload"] == workload
    assert 0 < document["read_latency_ms"]["p50"] <= document["read_latency_ms"]["max"]
    assert dict(reading.rows(found))["refused"] == "none"
