"""S31: more work than can be done, a pool that is full, and one validator slower than the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chainnode.mempool.pool import PoolLimits
from tests.support.scenario import decide, names, recover, watched
from tests.support.simulated_chain import PARAMETERS

PER_BLOCK = 10
POOL = 80
"""Transactions that wait at most; one organisation may hold half of them."""

LOAD_MS = 100
OVERLOAD = 30
"""Transactions in `LOAD_MS`: three times as many as blocks can take."""


def overloadable(seed=1, validators=4):
    world = watched(
        seed=seed,
        validators=validators,
        parameters=replace(PARAMETERS, max_block_transactions=PER_BLOCK),
    )
    for node in world.nodes.values():
        node.pool_limits = PoolLimits(max_transactions=POOL)
    world.start()
    world.run_for(500)
    decide(world)
    return world


def slow_down(node):
    """Its disk and its processors take much longer than the others'; it still keeps up with an idle chain."""
    node.slow_disk_ms = 60
    node.verifier_delay_ms = (100, 400)


def overload(world, duration_ms, *, to=None):
    """Send more than can be done; return the heights that the others made meanwhile, and the largest pool."""
    until_ms = world.time.now_ms + duration_ms
    since = max(world.observer.decisions)
    largest = 0
    while world.time.now_ms < until_ms:
        world.submit(OVERLOAD, to=to)
        world.run_for(LOAD_MS)
        largest = max(largest, *(len(node.pool) for node in world.running()))
    return max(world.observer.decisions) - since, largest


def check_accounts(world):
    """Everything that was sent was refused or is decided; what was refused was refused for want of room."""
    world.run_until(world.is_settled, within_ms=20_000, what="all that was taken is decided")
    refusals = Counter()
    for node in world.nodes.values():
        refusals += node.refusals
    assert set(refusals) <= {"pool_full", "share_used_up"}, refusals
    assert refusals.total() > 0, "it was no overload"
    assert len(world.accepted) + refusals.total() == len(world.submitted)
    assert set(world.accepted) <= set(world.observer.acknowledged)
    world.check_history()


def view_changes(world):
    return sum(node.view_changes for node in world.nodes.values())


DURATION_MS = 6_000


@pytest.mark.parametrize("slow", [None, 1, 3])
def test_s31_more_work_than_can_be_done_leaves_blocks_full_and_pools_bounded(slow):
    world = overloadable()
    if slow is not None:
        slow_down(world.nodes[names(world)[slow]])
    heights, largest = overload(world, DURATION_MS)
    # Without a slow one there is a block in nearly every interval; with it, in every other one at least.
    assert heights >= DURATION_MS // (130 if slow is None else 200)
    assert view_changes(world) <= (0 if slow is None else 4), (
        "the slow one's turn fails once at most"
    )
    assert largest == POOL
    full = [h for h, d in world.observer.decisions.items() if len(d.tx_ids) == PER_BLOCK]
    assert len(full) >= heights - 6
    assert world.height() >= max(world.observer.decisions) - 4, "the slow one is left behind"
    check_accounts(world)
    # What is over is over: the next transactions are as quick as ever.
    before = view_changes(world)
    for node in world.nodes.values():
        node.slow_disk_ms, node.verifier_delay_ms = 0, (0, 0)
    decide(world, 8, within_ms=1_000)
    assert view_changes(world) == before
    recover(world)


def test_s31_all_work_comes_to_the_slow_one():
    world = overloadable()
    slow = names(world)[2]
    slow_down(world.nodes[slow])
    overload(world, DURATION_MS, to=slow)
    check_accounts(world)
    assert view_changes(world) <= 4
    recover(world)


@pytest.mark.parametrize("is_asleep", [True, False], ids=["asleep", "dead"])
def test_s31_pools_that_fill_while_the_chain_stands_are_worked_off_when_it_goes_on(is_asleep):
    world = overloadable()
    height = world.height()
    lost = names(world)[:2]
    for name in lost:
        if is_asleep:
            world.nodes[name].pause()
        else:
            world.nodes[name].crash()
    overload(world, DURATION_MS // 2)
    assert {len(n.pool) for n in world.running()} == {POOL}
    assert world.height() == height
    refused = sum(n.refusals.total() for n in world.running())
    world.run_for(60_000)
    for name in lost:
        if is_asleep:
            world.nodes[name].resume()
        else:
            world.nodes[name].boot()
    check_accounts(world)
    assert refused > 0
    assert len(world.observer.acknowledged) >= POOL
    recover(world)


def test_s31_one_that_is_too_slow_for_the_load_catches_up_when_the_load_is_gone():
    """Its verifier does less than comes in: it follows with what it can, and votes again when it can."""
    world = overloadable()
    node = world.nodes[names(world)[3]]
    node.verifier_delay_ms = (3_000, 6_000)
    node.slow_disk_ms = 200
    heights, _ = overload(world, DURATION_MS)
    assert heights >= DURATION_MS // 250
    check_accounts(world)
    node.verifier_delay_ms, node.slow_disk_ms = (0, 0), 0
    world.nodes[names(world)[0]].crash()
    decide(world, 4)
    recover(world)
