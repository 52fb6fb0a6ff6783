"""S13: a block whose transactions some do not have, until others have long voted for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import OutlineMessage
from chainnode.model.block import decode_outline
from chainnode.storage.keys import CANDIDATES, end_of
from chainnode.storage.kv import WriteBatch
from tests.support.scenario import (
    BLOCKS,
    COMMIT,
    PREPARE,
    PROPOSE,
    TRANSACTIONS,
    Puppet,
    begin,
    name_of_leader,
    names,
    recover,
    started,
    voters,
    watched,
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


def test_s13_a_leader_that_serves_a_bare_quorum_and_goes_holds_nobody_up():
    world = started(validators=7)
    height = world.height() + 1
    leader = name_of_leader(world, height, 0)
    others = [name for name in names(world) if name != leader]
    # With the leader five have the block, which is a quorum of seven.
    thirsty = others[:2]
    world.network.withholds = lambda from_, to, kind: (
        from_ == leader and to in thirsty and kind in {TRANSACTIONS, BLOCKS}
    )
    world.submit(3, to=leader)
    world.run_until(lambda: set(others[2:]) <= voters(world, PREPARE, height, 0), within_ms=900)
    world.nodes[leader].crash()
    # Those that lack it ask those that have voted for it, before its view comes to an end.
    world.run_until(
        lambda: min(world.nodes[name].ledger.tip.height for name in others) == height,
        within_ms=900,
        what="all others have decided it",
    )
    assert not voters(world, PREPARE, height, 1)
    recover(world)


class Swapper:
    """A liar that tells one validator, before anybody else does, the next block with two transactions swapped."""

    def __init__(self, world, evil, liar, victim, *, whole):
        self.evil, self.liar, self.victim, self.whole = evil, liar, victim, whole
        self.domain = world.chain.genesis.domain
        self.told = 0
        world.network.watchers.append(self)

    def said(self, host, data):
        if host == self.liar or data[1] != PROPOSE:
            return
        proposal = decode_message(data)
        outline = decode_outline(self.domain, proposal.outline)
        if len(outline.tx_hashes) < 2:
            return
        swapped = replace(outline, tx_hashes=outline.tx_hashes[::-1]).encode()
        message = replace(proposal, outline=swapped) if self.whole else OutlineMessage(swapped)
        self.told += 1
        self.evil.tell(self.liar, message, [self.victim])


@pytest.mark.parametrize("whole", [True, False], ids=["in-its-proposal", "alone"])
def test_s13_other_transactions_under_a_genuine_header_neither_stop_nor_mislead_anybody(whole):
    world = watched()
    liar, victim = names(world)[0], names(world)[1]
    evil = Puppet(world, [liar])
    begin(world)
    swapper = Swapper(world, evil, liar, victim, whole=whole)
    for _ in range(4):
        height = world.height() + 1
        world.network.withholds = lambda sender, to, kind: (
            kind == PROPOSE and to == victim and sender != liar
        )
        world.submit(3)
        world.run_until(
            lambda height=height: world.height() == height, within_ms=6_000, what="all decide"
        )
        world.network.withholds = None
        recover(world, heights=1)
    assert swapper.told
    assert not world.observer.events["block_refused"], (
        "what is refused is the message, not the block"
    )


def lose_candidates(node):
    """Take from a machine that is down the blocks that it voted for and that were never decided."""
    store, batch = node.disk.store, WriteBatch()
    for key, _ in store.scan(CANDIDATES, end_of(CANDIDATES), limit=100):
        batch.delete(key)
    assert len(batch)
    store.write(batch, sync=True)


def test_s13_what_all_prepared_and_nobody_has_any_more_is_not_committed():
    """Three restored stores and one machine that is gone for good: another block must be decided, not that one."""
    world = started()
    height = world.height() + 1
    world.network.withholds = lambda _from, _to, kind: kind == PREPARE
    world.submit(2)
    prepared = lambda: voters(world, PREPARE, height, 0) | voters(world, PROPOSE, height, 0)  # noqa: E731
    world.run_until(lambda: len(prepared()) == 4, within_ms=900, what="all have prepared")
    world.run_for(5)
    gone, *others = [world.nodes[name] for name in names(world)]
    for node in world.nodes.values():
        node.crash()
    for node in others:
        lose_candidates(node)
        node.boot()
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=15_000, what="three go on")
    assert not voters(world, COMMIT, height, 0)
    gone.boot()
    recover(world)
