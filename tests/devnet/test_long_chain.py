"""Workloads on a chain that is made first, with real processes and few records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.errors import Refused
from devnet.bench import long_chain
from devnet.bench.plan import CATCH_UP, RESTART, Plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

RECORDS = 3_000


def plan_for(workload):
    plan = Plan(
        validators=4,
        suite="ed25519-sha256",
        workload=workload,
        batch_size=1,
        duration_s=20,
        rate=None,
        clients=2,
        records=RECORDS,
    )
    return long_chain.plan_of(plan)


def silent(_sentence):
    pass


@pytest.mark.soak
def test_a_new_validator_catches_up_with_all_records():
    plan = plan_for(CATCH_UP)
    found = long_chain.catch_up(plan, say=silent)
    assert RECORDS <= found.chain.records < RECORDS + 2 * plan.batch_size
    assert found.chain.blocks >= 1
    document = long_chain.catch_up_json(plan, found)
    assert document["records"] == found.chain.records
    assert document["records_per_s"] > 0
    assert document["memory_bytes"] > 10_000_000
    assert dict(long_chain.catch_up_rows(found))["caught up in"]


def test_a_rate_is_of_seconds():
    chain = long_chain.Chain(records=3_000, blocks=3, live_per_s=1_000.0, disk_bytes=1)
    found = long_chain.CatchUp(chain=chain, duration_ms=500, memory_bytes=1)
    document = long_chain.catch_up_json(plan_for(CATCH_UP), found)
    assert (document["records_per_s"], document["ratio_to_live_rate"]) == (6_000, 6)


@pytest.mark.parametrize("validators", [1, 3])
def test_nobody_is_left_out_where_the_others_decide_nothing(validators):
    with pytest.raises(Refused, match="4 or more"):
        long_chain.catch_up(replace(plan_for(CATCH_UP), validators=validators), say=silent)


@pytest.mark.soak
def test_a_validator_that_was_stopped_or_killed_is_ready_again():
    plan = plan_for(RESTART)
    found = long_chain.restart(plan, say=silent)
    assert len(found.stopped_ms) == len(found.killed_ms) == long_chain.ROUNDS
    assert all(ms > 0 for ms in found.stopped_ms + found.killed_ms)
    assert long_chain.restart_json(plan, found)["ready_ms_after_kill"] in found.killed_ms
    assert dict(long_chain.restart_rows(found))["ready after"]
