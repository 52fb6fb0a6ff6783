"""A validator that has lost what it said, or what it knew, keeps silent until it cannot contradict itself."""

from __future__ import annotations

import pytest

from chainnode.model.errors import InvariantViolation, StorageFault
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.kv import WriteBatch
from chainnode.storage.vote_log import VoteLogDamaged
from tests.support.chain import CLERK, GUEST
from tests.support.faulty_disk import Fate, FaultPlan
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_node import State


def started(heights=5, seed=3):
    world = SimulatedChain(seed=seed)
    world.start()
    decide(world, heights)
    return world


def decide(world, count=1):
    for _ in range(count):
        goal = world.height() + 1
        world.submit(2)
        world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),
            within_ms=6_000,
            what=f"height {goal}",
        )


def leader_of_next(world):
    """The node that proposes first at the next height, and the others."""
    height = world.height() + 1
    nodes = list(world.nodes.values())
    leader = nodes[height % len(nodes)]
    return leader, [n for n in nodes if n is not leader]


def propose_unheard(world):
    """Have the next leader propose so that nobody hears it, and cut its power; return it."""
    leader, others = leader_of_next(world)
    world.split([leader.name], [n.name for n in others])
    height = world.height() + 1
    world.submit(1, to=leader.name)
    world.run_until(
        lambda: any(h == height for _, h, _ in world.observer.voted.get(leader.name, ())),
        within_ms=3_000,
    )
    leader.crash()
    world.cut(())
    return leader, height


def votes_at(world, node, height):
    return [v for v in world.observer.voted[node.name] if v[1] == height]


def test_with_its_vote_log_a_leader_proposes_the_same_block_again():
    world = started()
    leader, height = propose_unheard(world)
    leader.boot()
    world.run_until(lambda: world.height() >= height, within_ms=6_000)
    assert votes_at(world, leader, height)  # the observer would have seen another block
    assert leader.engine.status().is_voting


def test_without_its_vote_log_a_validator_observes_until_a_height_that_it_cannot_have_voted_in():
    world = started()
    leader, height = propose_unheard(world)
    before = votes_at(world, leader, height)
    leader.disk.lose_vote_log()
    leader.boot()
    assert not leader.engine.status().is_voting
    decide(world, 1)
    assert votes_at(world, leader, height) == before
    world.run_for(2_000)
    decide(world, 2)
    assert leader.engine.status().is_voting
    world.running()[0 if world.running()[0] is not leader else 1].crash()
    decide(world, 3)
    assert votes_at(world, leader, world.height())


def test_a_second_start_without_the_vote_log_knows_no_more_than_the_first():
    world = started()
    leader, height = propose_unheard(world)
    before = votes_at(world, leader, height)
    leader.disk.lose_vote_log()
    for _ in range(3):
        leader.boot()
        world.run_for(100)
        assert not leader.engine.status().is_voting
        leader.crash()
    leader.boot()
    decide(world, 1)
    assert votes_at(world, leader, height) == before


@pytest.mark.parametrize("behind", [1, 2, 5, 40])
def test_without_vote_log_and_newest_blocks_a_validator_does_not_contradict_itself(behind):
    world = started(3)
    backups = {name: node.disk.copy_store() for name, node in world.nodes.items()}
    height_then = world.height()
    decide(world, behind)
    leader, height = propose_unheard(world)
    before = votes_at(world, leader, height)
    leader.disk.lose_vote_log()
    leader.disk.store = backups[leader.name]
    world.observer.restored(leader.name, height_then)
    leader.boot()
    # Nothing else is decided meanwhile: the chain waits with height `height` still open.
    world.run_until(lambda: leader.ledger.tip.height == height - 1, within_ms=10_000)
    world.run_for(500)
    decide(world, 1)
    assert votes_at(world, leader, height) == before
    world.run_for(2_000)
    decide(world, 4)
    assert leader.engine.status().is_voting


def test_without_its_whole_home_a_validator_knows_itself_by_its_signatures():
    world = started()
    leader, height = propose_unheard(world)
    before = votes_at(world, leader, height)
    leader.disk = SimulatedDisk()
    world.observer.restored(leader.name, 0)
    leader.boot()
    world.run_until(lambda: leader.ledger.tip.height == height - 1, within_ms=10_000)
    assert not leader.engine.status().is_voting
    for _ in range(2):
        # What was recognised once is not forgotten.
        leader.crash()
        leader.boot()
        assert not leader.engine.status().is_voting
    decide(world, 1)
    assert votes_at(world, leader, height) == before
    world.run_for(2_000)
    decide(world, 2)
    assert leader.engine.status().is_voting


@pytest.mark.parametrize("behind", [1, 2, 5])
def test_with_its_vote_log_but_without_newest_blocks_a_validator_goes_on_from_its_votes(behind):
    world = started(3)
    backups = {name: node.disk.copy_store() for name, node in world.nodes.items()}
    height_then = world.height()
    decide(world, behind)
    leader, height = propose_unheard(world)
    before = votes_at(world, leader, height)
    leader.disk.store = backups[leader.name]
    world.observer.restored(leader.name, height_then)
    leader.boot()
    decide(world, 1)
    decide(world, 4)
    assert votes_at(world, leader, height)[: len(before)] == before
    assert leader.engine.status().is_voting
    world.check_history()


# -- what stops a node -------------------------------------------------------------------------------------------


def test_a_vote_log_that_is_torn_in_the_middle_stops_the_node():
    world = started()
    node = next(iter(world.nodes.values()))
    node.crash()
    content = bytearray(node.disk.file.read_all(10**6))
    content[len(content) // 2] ^= 1
    node.disk.file = MemoryFile(bytes(content))
    world.tolerates_faults = True
    node.boot()
    assert isinstance(node.fault, VoteLogDamaged)
    decide(world, 3)


@pytest.mark.parametrize("at", range(6))
def test_a_full_disk_stops_the_node_and_it_votes_no_more(at):
    world = started()
    node = list(world.nodes.values())[1]
    node.crash()
    world.tolerates_faults = True
    node.boot(FaultPlan(at=at, fate=Fate.FULL))
    world.submit(2)
    world.run_until(lambda: node.state is State.STOPPED, within_ms=5_000)
    assert isinstance(node.fault, StorageFault)
    said = len(world.observer.voted[node.name])
    decide(world, 4)
    assert len(world.observer.voted[node.name]) == said
    node.boot()
    world.run_until(world.is_settled, within_ms=5_000)
    world.check_history()


def change_of_heart(node):
    """Give the clerk's account at this node alone what the guest has: no role, and another key."""
    entries = node.disk.store.scan(b"S", b"T", limit=10_000)
    values = {key: value for key, value in entries if b"account" in key}
    clerk = next(key for key in values if key.endswith(CLERK.encode()))
    guest = next(key for key in values if key.endswith(GUEST.encode()))
    batch = WriteBatch()
    batch.put(clerk, values[guest])
    node.disk.store.write(batch, sync=True)


@pytest.mark.parametrize("victim", range(4))
def test_a_node_whose_execution_differs_from_a_certified_root_stops(victim):
    world = started()
    node = list(world.nodes.values())[victim]
    node.crash()
    change_of_heart(node)
    world.tolerates_faults = True
    world.observer.expected_faults = True
    node.boot()
    for _ in range(8):
        world.submit(4)
        world.run_for(1_500)
    assert isinstance(node.fault, InvariantViolation)
    assert node.state is State.STOPPED
    decide(world, 4)
