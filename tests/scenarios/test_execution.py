"""S28 and S29: machines that compute something else than others, and blocks that are executed in vain."""

from __future__ import annotations

import pytest

from chainnode.ledger.rebuild import rebuild
from chainnode.model.errors import InvariantViolation
from chainnode.services.standstill import explain
from chainnode.storage.kv import WriteBatch
from chainnode.storage.memory import MemoryStore
from tests.support.chain import CLERK, GUEST
from tests.support.scenario import (
    COMMIT,
    DECIDED,
    PREPARE,
    VIEW_CHANGE,
    name_of_leader,
    names,
    recover,
    started,
    views_of,
    voters,
    wait_for_leader,
)
from tests.support.simulated_node import State

# -- S28 -----------------------------------------------------------------------------------------------------


def diverge(world, name):
    """Have a machine hold, from its next start on, a state by which the clerk may not notarize."""
    node = world.nodes[name]
    node.crash()
    entries = {
        key: value
        for key, value in node.disk.store.scan(b"S", b"T", limit=10_000)
        if b"account" in key
    }
    clerk = next(key for key in entries if key.endswith(CLERK.encode()))
    guest = next(key for key in entries if key.endswith(GUEST.encode()))
    batch = WriteBatch()
    batch.put(clerk, entries[guest])
    node.disk.store.write(batch, sync=True)
    node.boot()


def mend(world, name):
    """What its operator does: make the store anew from the blocks that a quorum has signed, and start."""
    node = world.nodes[name]
    if node.is_up:
        node.crash()
    fresh = MemoryStore()
    rebuild(node.disk.store, fresh, world.chain.genesis, progress=lambda _now, _last: None)
    node.disk.store = fresh
    node.boot()


def with_diverged(validators, count):
    world = started(validators=validators)
    world.tolerates_faults = world.observer.expected_faults = True
    wrong = names(world)[:count]
    for name in wrong:
        diverge(world, name)
    return world, wrong, [world.nodes[n] for n in names(world) if n not in wrong]


@pytest.mark.parametrize(("validators", "count"), [(4, 1), (7, 1), (7, 2)])
def test_s28_as_many_as_may_be_that_compute_something_else_stop_and_the_others_go_on(
    validators, count
):
    world, wrong, right = with_diverged(validators, count)
    since = min(n.ledger.tip.height for n in right)
    for goal in range(since + 1, since + 9):
        world.submit(4, to=right[0].name)
        world.run_until(
            lambda goal=goal: min(n.ledger.tip.height for n in right) >= goal,
            within_ms=6_000,
            what=f"height {goal} by those who agree",
        )
    for name in wrong:
        node = world.nodes[name]
        assert node.state is State.STOPPED
        assert isinstance(node.fault, InvariantViolation)
        # It never took what it had computed for what was decided.
        assert node.ledger.tip.height < world.height()
        # Nor does it vote for anything when it is started again as it is.
        before = list(world.observer.voted[name])
        node.boot()
        world.run_for(2_000)
        assert node.state is State.STOPPED
        assert world.observer.voted[name] == before
    for name in wrong:
        mend(world, name)
    world.run_until(world.is_settled, within_ms=10_000, what="they are mended and level")
    world.tolerates_faults = world.observer.expected_faults = False
    recover(world, heights=validators)


@pytest.mark.parametrize(("validators", "count"), [(4, 2), (5, 2), (7, 3)])
def test_s28_one_more_than_may_be_computes_something_else_and_nothing_is_decided(validators, count):
    world, wrong, right = with_diverged(validators, count)
    height = world.height()
    # Whoever leads, proposes what some refuse: neither kind is a quorum.
    for _ in range(6):
        world.submit(4)
        world.run_for(5_000)
    assert {n.ledger.tip.height for n in world.nodes.values()} == {height}
    assert world.observer.events["block_refused"] > 0
    # Though f + 1 refuse every block at sight, views take their time: 1, 1.5, 2.2, 3.3, 4, 4, ... seconds.
    last = views_of(world, height + 1)
    assert 6 <= last <= 10 + 2 * count, last
    assert not any(voters(world, COMMIT, height + 1, view) for view in range(last + 1))
    # Whoever refuses the block of the view tells its operator; the others wait for its vote.
    world.run_until(
        lambda: {n.engine.status().step for n in world.running()} == {"prepare", "refused"},
        within_ms=2 * world.parameters.timeout_cap_ms,
        what="all have judged a block of one view",
    )
    statuses = [n.engine.status() for n in world.running()]
    assert len({status.view for status in statuses}) == 1
    refusing = [status for status in statuses if status.step == "refused"]
    assert len(refusing) in {len(wrong), len(right)}
    assert all("is not valid here" in explain(status, 0) for status in refusing)
    # The wrong ones may have voted for blocks of their own kind; what they hold of them goes with the old store.
    for name in wrong:
        mend(world, name)
    world.run_until(
        lambda: world.height() > height and world.is_settled(),
        within_ms=3 * world.parameters.timeout_cap_ms,
        what="all compute the same again",
    )
    assert len(right) + len(wrong) == len(world.running())
    recover(world, heights=validators)


@pytest.mark.parametrize(("validators", "count"), [(4, 3), (7, 5)])
def test_s28_a_quorum_that_computes_something_else_leaves_the_right_ones_stopped(validators, count):
    """The rules cannot know who is right; they see to it that nobody goes on with results that are not its own."""
    world, wrong, right = with_diverged(validators, count)
    world.observer.tolerates_forks = True
    lonely = [world.nodes[name] for name in wrong]
    goal = min(n.ledger.tip.height for n in lonely) + 4
    for _ in range(12):
        world.submit(4, to=wrong[0])
        world.run_for(2_000)
    assert min(n.ledger.tip.height for n in lonely) >= goal
    for node in right:
        assert node.state is State.STOPPED
        assert isinstance(node.fault, InvariantViolation)
    assert not world.observer.forks, "one history, whatever it is worth"


# -- S29 -----------------------------------------------------------------------------------------------------


class Executions:
    """Which blocks each machine executes, in order; of the lives that run now and those that begin later."""

    def __init__(self, world):
        self.world = world
        self.of = {name: [] for name in world.nodes}
        world.monitors.append(self)
        for name in world.nodes:
            self.booted(name)

    def booted(self, host):
        ledger, done = self.world.nodes[host].ledger, self.of[host]
        execute, build = ledger.execute, ledger.build

        def executed(outline, transactions):
            result = execute(outline, transactions)
            done.append(outline.block_hash)
            return result

        def built(**parts):
            result = build(**parts)
            done.append(result.outline.block_hash)
            return result

        ledger.execute, ledger.build = executed, built

    def heard(self, host, data):
        pass

    said = opened = refused = heard

    def forgot(self, host):
        pass


def two_blocks(world):
    """In view 0 one of four locks a block, in view 1 all vote for another one; return (height, who locked)."""
    locked = names(world)[1]
    height = wait_for_leader(world, locked, 2)
    others = [n for n in names(world) if n != locked]
    world.network.withholds = lambda sender, to, kind: (
        kind in {COMMIT, DECIDED}
        or (kind == PREPARE and to != locked)
        or (kind == VIEW_CHANGE and sender == locked)
    )
    world.submit(3)
    world.run_until(lambda: voters(world, COMMIT, height, 0) == {locked}, within_ms=3_000)
    world.network.withholds = lambda sender, _to, kind: (
        kind in {COMMIT, DECIDED, PREPARE} or (kind == VIEW_CHANGE and sender == locked)
    )
    # What comes now is in the second block only.
    world.submit(2)
    second = name_of_leader(world, height, 1)
    world.run_until(
        lambda: voters(world, PREPARE, height, 1) >= set(others) - {second},
        within_ms=4_000,
        what="the others vote for the block of view 1",
    )
    world.run_for(20)
    assert len(world.submitted) - len(world.observer.acknowledged) == 5
    return height, locked


@pytest.mark.parametrize("restarted", ["nobody", "one", "the locked one", "all but it", "all"])
def test_s29_a_block_that_gave_way_to_another_is_proposed_and_executed_again(restarted):
    world = started()
    executions = Executions(world)
    height, locked = two_blocks(world)
    others = [n for n in names(world) if n != locked]
    one, other = next(d for name, d in executions.of.items() if name == others[0])[-2:]
    assert one != other
    for name in others:
        assert executions.of[name][-2:] == [one, other], "each once, in this order"
    gone = {
        "nobody": [],
        "one": others[:1],
        "the locked one": [locked],
        "all but it": others,
        "all": names(world),
    }[restarted]
    for name in gone:
        world.nodes[name].crash()
    for name in gone:
        world.nodes[name].boot()
    # The one that is locked leads view 2, and only its block is lawful there.
    world.network.withholds = lambda _from, _to, kind: kind in {COMMIT, DECIDED, PREPARE}
    world.run_until(
        lambda: all(n.engine.status().view == 2 for n in world.running()), within_ms=6_000
    )
    world.network.withholds = None
    world.run_until(
        lambda: world.height() >= height, within_ms=3_000, what="the first block is decided"
    )
    decision = world.observer.decisions[height]
    assert decision.block_hash == one
    assert decision.header.first_view == 0
    for name in names(world):
        # A life that had it at hand executes nothing twice; one that began anew executes what it had voted for.
        again = executions.of[name].count(one)
        assert again == 1 + (name in gone) or name == locked, (name, again)
    # What only the other block held is decided later, once; the observer counts.
    world.run_until(world.is_settled, within_ms=4_000, what="nothing is left")
    assert len(world.observer.acknowledged) == len(world.submitted)
    recover(world)


def test_s29_fifty_blocks_executed_in_vain_leave_nothing_behind():
    """A height that takes many views: everything but the decided block is as if it had not been."""
    world = started()
    executions = Executions(world)
    height = world.height() + 1
    # No PREPARE arrives, so nobody is locked, and each leader makes a block of its own.
    world.network.withholds = lambda _from, _to, kind: kind in {PREPARE, COMMIT, DECIDED}
    world.submit(3)
    while len(set(executions.of[names(world)[0]])) < 50:
        world.submit(1)
        world.run_for(4_500)
        assert world.time.now_ms < 600_000
    assert world.height() == height - 1
    before = [n.ledger.state.root() for n in world.nodes.values()]
    assert len(set(before)) == 1
    world.network.withholds = None
    recover(world)
    assert len(world.observer.acknowledged) == len(world.submitted)
    for node in world.nodes.values():
        assert node.ledger.recover_candidates() == ()
