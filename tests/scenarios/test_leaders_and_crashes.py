"""S1 to S6: nothing is wrong, a leader is lost, as many are lost as may be, and all come back."""

from __future__ import annotations

import pytest

from tests.support.crash_points import CrashPoint, Step
from tests.support.scenario import (
    COMMIT,
    DECIDED,
    PREPARE,
    PROPOSE,
    decide,
    heal,
    name_of_leader,
    names,
    recover,
    started,
    views_of,
    voters,
    wait_for_leader,
    watched,
)
from tests.support.simulated_node import State

# -- S1 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validators", "heights"),
    [
        *((n, 2 * n + 2) for n in (1, 4, 5, 6, 7, 10)),
        (31, 1),
        pytest.param(100, 1, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_s01_where_nothing_is_wrong_each_height_takes_one_view(validators, heights):
    world = watched(validators=validators)
    world.start()
    world.run_for(500)
    decide(world, heights, within_ms=1_000)
    assert sum(node.view_changes for node in world.nodes.values()) == 0
    assert len(world.observer.decisions) >= heights
    world.check_history()


# -- S2 ------------------------------------------------------------------------------------------------------

LEADER_CRASHES = {
    "before its proposal is on its disk": CrashPoint(Step.WRITE, 0, is_after=False),
    "after its proposal is on its disk": CrashPoint(Step.SEND, 0, kind=PROPOSE, is_after=False),
    "when one has its proposal": CrashPoint(Step.SEND, 0, kind=PROPOSE),
    "when all have its proposal": CrashPoint(Step.SEND, 2, kind=PROPOSE),
    "after its commit is on its disk": CrashPoint(Step.SEND, 0, kind=COMMIT, is_after=False),
    "when one has its commit": CrashPoint(Step.SEND, 0, kind=COMMIT),
    "when all have its commit": CrashPoint(Step.SEND, 2, kind=COMMIT),
    "after the block is stored": CrashPoint(Step.DECIDED, 0),
}


@pytest.mark.parametrize("where", LEADER_CRASHES)
def test_s02_a_leader_is_lost_at_each_point_of_its_height(where):
    world = started()
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    point = LEADER_CRASHES[where]
    point.arm(world, leader)
    world.submit(3, to=leader)
    world.submit(2)
    world.run_until(
        lambda: point.has_struck and world.height() >= height, within_ms=6_000, what="all go on"
    )
    assert world.nodes[leader].state is State.DOWN
    decide(world, 2)
    recover(world)


# -- S3, S4 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("validators", "dead"), [(4, 1), (7, 2)])
def test_s03_as_many_are_dead_as_may_be_and_another_is_slow(validators, dead):
    world = started(validators=validators)
    for name in names(world)[:dead]:
        world.nodes[name].crash()
    slow = world.nodes[names(world)[dead]]
    slow.slow_disk_ms = 150
    slow.verifier_delay_ms = (100, 300)
    # A quorum needs the slow one at every height.
    decide(world, 6, within_ms=10_000)
    recover(world)


@pytest.mark.parametrize(("validators", "lost"), [(4, 2), (5, 2), (7, 3)])
@pytest.mark.parametrize("minutes", [1, 30])
def test_s04_one_more_than_may_be_is_lost_and_one_that_returns_is_enough(validators, lost, minutes):
    world = started(validators=validators)
    gone = names(world)[:lost]
    for name in gone:
        world.nodes[name].crash()
    height = world.height()
    world.submit(3)
    world.run_for(minutes * 60_000)
    for node in world.running():
        assert node.ledger.tip.height == height
        assert node.engine.status().view <= 1, "a view that nobody else is in was left"
        assert set(node.engine.status().awaited) >= set(gone)
    world.nodes[gone[0]].boot()
    world.run_until(
        lambda: world.height() > height and world.is_settled(),
        within_ms=6_000,
        what="one that returns completes the quorum, however long all have waited",
    )
    recover(world)


# -- S5, S6 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_s05_all_restart_in_different_views(seed):
    world = started(seed=seed)
    everybody = names(world)
    height = world.height() + 1
    world.submit(2)
    # One validator after another stops hearing of the height, in the view that it has come to.
    deaf: set[str] = set()
    world.network.withholds = lambda _from, to, kind: kind == COMMIT or to in deaf
    for name in everybody[:-1]:
        world.run_for(2_500)
        deaf.add(name)
    world.run_for(4_000)
    views = {name: node.engine.status().view for name, node in world.nodes.items()}
    assert len(set(views.values())) >= 3, views
    assert world.height() == height - 1
    for node in world.nodes.values():
        node.crash()
    heal(world)
    world.run_until(
        lambda: world.height() >= height and world.is_settled(), within_ms=12_000, what="all meet"
    )
    recover(world)


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("has_committed", [False, True])
def test_s06_a_restart_in_a_view_that_has_been_prepared(role, has_committed):
    world = started()
    victim = names(world)[2]
    view = 0
    if role == "leader":
        height = wait_for_leader(world, victim, 0)
    else:
        height = wait_for_leader(world, names(world)[0], 0)
    kept_back = {COMMIT, DECIDED} if has_committed else {PREPARE, COMMIT, DECIDED}
    world.network.withholds = lambda _from, _to, kind: kind in kept_back
    world.submit(2)
    kind = COMMIT if has_committed else PROPOSE if role == "leader" else PREPARE
    world.run_until(lambda: victim in voters(world, kind, height, view), within_ms=3_000)
    world.nodes[victim].crash()
    world.nodes[victim].boot()
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=3_000, what="the view is finished")
    # It says again what it said, so that nobody needs another view; another vote would be a violation.
    assert views_of(world, height) == 0
    recover(world)
