"""S13: a block whose transactions some do not have, until others have long voted for it."""

from __future__ import annotations

import pytest

from tests.support.scenario import (
    BLOCKS,
    COMMIT,
    PREPARE,
    TRANSACTIONS,
    name_of_leader,
    names,
    recover,
    started,
    voters,
)


@pytest.mark.parametrize("victim", range(4))
def test_s13_one_gets_the_transactions_after_all_others_have_voted(victim):
    world = started()
    thirsty = names(world)[victim]
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    if leader == thirsty:
        height += 1
        recover(world, heights=1)
        leader = name_of_leader(world, height, 0)
    world.network.withholds = lambda _from, to, kind: (
        to == thirsty and kind in {TRANSACTIONS, BLOCKS}
    )
    world.submit(3, to=leader)
    others = [n for n in world.running() if n.name != thirsty]
    world.run_until(
        lambda: min(n.ledger.tip.height for n in others) == height,
        within_ms=2_500,
        what="the others decide",
    )
    node = world.nodes[thirsty]
    # It has heard a quorum of both votes, knows what is decided, and votes for nothing that it has not seen.
    world.run_for(500)
    assert node.ledger.tip.height == height - 1
    assert thirsty not in voters(world, PREPARE, height, 0) | voters(world, COMMIT, height, 0)
    world.network.withholds = None
    world.run_until(
        lambda: node.ledger.tip.height == height, within_ms=4_000, what="it has the block as well"
    )
    recover(world)


def test_s13_more_than_may_lack_them_so_that_only_another_leader_can_go_on():
    world = started()
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    # The leader tells nobody what is in its block, nor answers who asks.
    world.network.withholds = lambda sender, _to, kind: sender == leader and kind == TRANSACTIONS
    world.submit(2, to=leader)
    world.submit(2, to=next(n for n in names(world) if n != leader))
    world.run_until(
        lambda: world.height() >= height, within_ms=4_000, what="the next leader's block is decided"
    )
    assert not voters(world, COMMIT, height, 0)
    recover(world)


def test_s13_whoever_prepared_a_block_gives_it_to_those_who_did_not_when_its_leader_is_dead():
    world = started()
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    thirsty = name_of_leader(world, height, 1)
    # The next leader must propose the block again and does not have it.
    world.network.withholds = lambda _from, to, kind: (
        kind == COMMIT or (to == thirsty and kind in {TRANSACTIONS, BLOCKS})
    )
    world.submit(3, to=leader)
    world.run_until(lambda: len(voters(world, COMMIT, height, 0)) == 3, within_ms=2_500)
    world.nodes[leader].crash()
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    world.run_until(
        lambda: thirsty in voters(world, PREPARE, height, 0) | voters(world, PREPARE, height, 1),
        within_ms=4_000,
        what="it has fetched the block",
    )
    world.network.withholds = None
    recover(world)
