"""Power cuts: at every write, at random moments, of one and of all. What was acknowledged is there afterwards."""

from __future__ import annotations

import pytest

from tests.support.faulty_disk import Fate, FaultPlan
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_node import State

COMMIT = 4
SCRIPT_HEIGHTS = 2
"""Heights of the scripted run; both leaders and followers write in each."""


def run_script(plans):
    """Decide some heights with these disks; whoever goes down is up again after a while."""
    world = SimulatedChain(seed=7)
    world.tolerates_faults = True
    for name, node in world.nodes.items():
        node.boot(plans.get(name))
    for _ in range(SCRIPT_HEIGHTS):
        world.run_for(200)
        world.submit(2)
        for _ in range(20):
            world.run_for(100)
            if not world.running() or world.is_settled():
                break
    return world


def bring_back(world):
    """Restart whoever is down, and see everybody level and all of it decided."""
    for node in world.nodes.values():
        node.disk.plan.at = None
        if not node.is_up:
            node.boot()
    for _ in range(SCRIPT_HEIGHTS):
        goal = world.height() + 1
        world.submit()
        world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),
            within_ms=6_000,
            what="all are level again",
        )
    world.check_history()


def writes_of_the_script():
    """How many times each validator's disk is written to when nothing fails."""
    plans = {name: FaultPlan() for name in SimulatedChain(seed=7).nodes}
    run_script(plans)
    return {name: plan.writes for name, plan in plans.items()}


WRITES = writes_of_the_script()


@pytest.mark.parametrize("fate", list(Fate), ids=lambda fate: fate.name.lower())
@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(1, id="first-leader"),
        pytest.param(2, id="second-leader", marks=pytest.mark.soak),
        pytest.param(3, id="follower"),
        pytest.param(0, id="other-follower", marks=pytest.mark.soak),
    ],
)
def test_one_validator_survives_a_fault_at_any_of_its_writes(victim, fate):
    name = list(WRITES)[victim]
    for at in range(WRITES[name]):
        plan = FaultPlan(at=at, fate=fate)
        world = run_script({name: plan})
        node = world.nodes[name]
        assert plan.has_struck, f"write {at} of {name} did not happen"
        assert node.state is (State.DOWN if "CRASH" in fate.name else State.STOPPED)
        bring_back(world)


@pytest.mark.parametrize(
    "fate", [Fate.CRASH_BEFORE, Fate.CRASH_AFTER], ids=lambda f: f.name.lower()
)
def test_all_validators_survive_a_crash_at_the_same_write(fate):
    for at in range(max(WRITES.values())):
        world = run_script({name: FaultPlan(at=at, fate=fate) for name in WRITES})
        bring_back(world)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.soak) for s in range(1, 20))]
)
def test_all_validators_may_crash_at_any_moment_fifty_times(seed):
    world = SimulatedChain(seed=seed)
    world.start()
    for _ in range(50):
        for _ in range(world.random.randint(1, 5)):
            world.submit(world.random.randint(0, 4))
            world.run_for(world.random.randint(1, 400))
        for node in world.nodes.values():
            node.crash()
        world.run_for(world.random.randint(0, 500))
        for node in world.nodes.values():
            node.boot()
    world.submit()
    world.run_until(world.is_settled, within_ms=10_000, what="all are level again")
    world.check_history()
    assert len(world.observer.acknowledged) > 100


def test_a_block_that_some_prepared_before_all_crashed_can_be_had_from_them():
    """Its transactions are in no pool any more: only those that voted for it have them, on their disks."""
    world = SimulatedChain(seed=1)
    world.start()
    world.run_for(500)
    *_, ignorant = world.nodes
    leader = list(world.nodes)[1]
    # One hears of votes only; the others prepare a block and lock on it, and cannot decide.
    world.network.withholds = lambda _from, to, kind: kind == COMMIT or to == ignorant
    world.submit(to=leader)
    world.run_for(800)
    for node in world.nodes.values():
        assert node.ledger.tip.height == 0
        node.crash()
    world.network.withholds = lambda _from, _to, _kind: False
    for name, node in world.nodes.items():
        if name != leader:
            node.boot()
    world.run_until(
        lambda: world.height() >= 1 and world.is_settled(),
        within_ms=6_000,
        what="the ignorant one has fetched the block",
    )
    assert set(world.observer.acknowledged) == {world.submitted[0].id}
