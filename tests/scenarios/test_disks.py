"""S25 and S26: disks that fail, lie or are full, and vote logs that are not what was written.

Logs torn at each byte: `tests/simulation/test_crash_points.py`. Logs that are lost or older than what was said:
`tests/simulation/test_memory.py` and `test_quarantine.py`.
"""

from __future__ import annotations

import functools

import pytest

from chainnode.model.errors import StorageFault
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.vote_log import VoteLogDamaged
from tests.support.faulty_disk import Fate
from tests.support.scenario import (
    COMMIT,
    PREPARE,
    decide,
    name_of_leader,
    names,
    recover,
    started,
    voters,
)
from tests.support.simulated_node import State

ROLES = ("leader", "follower")


def open_height(role):
    """A chain with its next height open, and who has that role in it."""
    world = started(seed=5)
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    follower = next(n for n in names(world) if n != leader)
    return world, height, world.nodes[leader if role == "leader" else follower]


def play(world, until):
    world.submit(2, to=names(world)[0])
    world.run_until(until, within_ms=6_000, what="the height is decided")
    world.run_for(100)


@functools.cache
def writes_of(role):
    """How many writes a height takes: appends and syncs of the vote log, batches of the store."""
    world, height, node = open_height(role)
    before = node.disk.plan.writes
    play(world, lambda: world.height() >= height and world.is_settled())
    return node.disk.plan.writes - before


def fail_at_each_write(role, fate):
    """For each write of a height: the node stops there, the others go on, and it comes back as if it had crashed."""
    count = writes_of(role)
    assert count >= 8
    for number in range(count):
        world, height, node = open_height(role)
        world.tolerates_faults = True
        plan = node.disk.plan
        plan.at, plan.fate = plan.writes + number, fate
        play(world, lambda world=world, node=node: node.state is State.STOPPED)
        where = f"write {number} of {count}"
        assert isinstance(node.fault, StorageFault), where
        said = list(world.observer.voted.get(node.name, ()))
        world.run_until(
            lambda world=world, height=height: world.height() >= height and world.is_settled(),
            within_ms=6_000,
            what=f"the others go on after {where}",
        )
        decide(world)
        assert world.observer.voted.get(node.name, []) == said, where
        world.tolerates_faults = False
        # Its next life finds on the disk what it had said, or less than it had written: never less than it had said.
        recover(world)
        assert node.engine.status().is_voting, where


# -- S25 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.KEPT], ids=["nothing is written", "all is"])
@pytest.mark.parametrize("role", ROLES)
def test_s25_a_write_or_sync_that_fails_stops_the_node_before_it_says_what_hangs_on_it(role, fate):
    fail_at_each_write(role, fate)


def hold_open(world, node):
    """Have `node` alone lock a block and say COMMIT, which all others hear; return the height."""
    height = world.height() + 1
    world.network.withholds = lambda _from, to, kind: kind == PREPARE and to != node.name
    world.submit(2, to=node.name)
    world.run_until(lambda: node.name in voters(world, COMMIT, height, 0), within_ms=900)
    world.run_for(20)
    assert world.height() < height
    return height


def flip(node, at):
    """Turn a bit of the vote log, `at` bytes before its end."""
    content = bytearray(node.disk.file.read_all(1 << 20))
    content[-1 - at] ^= 1 << (at % 8)
    node.disk.file = MemoryFile(bytes(content))


def codes(world, node, for_ms=500):
    """Every reason for silence that a node gives in this time."""
    found = set()
    for _ in range(for_ms // 10):
        world.run_for(10)
        reason = node.engine.status().quarantine
        if reason is not None:
            found.add(reason.code.value)
    return found


LAST_BYTES = range(0, 480, 12)
"""Of the last append, which holds the lock and the COMMIT, and some before."""


def test_s25_a_bit_that_turns_in_what_was_said_last_never_lets_it_be_unsaid():
    """At the end of the log it looks like a torn write that nobody was told of; the others know better."""
    silenced = stopped = 0
    for at in LAST_BYTES:
        world = started(seed=3)
        node = world.nodes[names(world)[1]]
        height = hold_open(world, node)
        before = [v for v in world.observer.voted[node.name] if v[1] == height]
        node.crash()
        flip(node, at)
        world.tolerates_faults = True
        node.boot()
        if node.state is State.STOPPED:
            stopped += 1
            assert isinstance(node.fault, VoteLogDamaged)
            # As its operator is told: the log goes, and the validator keeps silent for a while.
            node.disk.lose_vote_log()
            node.boot()
            assert codes(world, node) & {"vote_log_lost", "unknown_vote"}
        else:
            silenced += 1
            assert "unknown_vote" in codes(world, node), f"{at} bytes before the end"
        assert [v for v in world.observer.voted[node.name] if v[1] == height] == before
        world.tolerates_faults = False
        world.network.withholds = None
        world.run_until(lambda world=world, h=height: world.height() >= h, within_ms=6_000)
        world.run_for(2_000)
        recover(world, heights=4)
        assert node.engine.status().is_voting
    assert silenced >= 5
    assert stopped >= 5


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_s25_a_bit_that_turns_in_the_middle_of_the_log_stops_the_start(share):
    world = started(seed=3)
    decide(world, 3)
    node = world.nodes[names(world)[1]]
    node.crash()
    flip(node, int((1 - share) * (node.disk.file.size_bytes - 1)))
    world.tolerates_faults = True
    said = list(world.observer.voted[node.name])
    for _ in range(2):
        node.boot()
        assert isinstance(node.fault, VoteLogDamaged)
        decide(world, 2)
    assert world.observer.voted[node.name] == said


# -- S26 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_s26_a_disk_that_is_full_at_any_write_stops_the_node_until_there_is_space(role):
    fail_at_each_write(role, Fate.FULL)


def test_s26_more_full_disks_than_may_be_stop_the_chain_and_lose_nothing():
    world = started()
    world.tolerates_faults = True
    decide(world, 3)
    height = world.height()
    full = [world.nodes[name] for name in names(world)[:3]]
    for number, node in enumerate(full):
        node.disk.plan.at = node.disk.plan.writes + 2 * number
        node.disk.plan.fate = Fate.FULL
    world.submit(4, to=names(world)[3])
    world.run_until(
        lambda: sum(n.state is State.STOPPED for n in full) >= 2, within_ms=30_000, what="full"
    )
    world.run_for(20_000)
    reached = max(n.ledger.tip.height for n in world.nodes.values())
    assert reached <= height + 1
    for node in full:
        node.disk.plan.at = None
    world.tolerates_faults = False
    recover(world)
    assert len(world.observer.acknowledged) == len(world.submitted)
