"""S19, S20, S32: catching up, from liars, while the chain goes on, and with blocks that are not what was decided.

There are no snapshots: whoever is behind executes every block. The corrupt chunk of a snapshot is therefore a corrupt
certified block.
"""

from __future__ import annotations

import pytest

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import BlocksMessage
from tests.support.adversaries.quiet import SyncLiar
from tests.support.scenario import BLOCKS, DECIDED, Puppet, decide, names, recover, watched
from tests.support.simulated_network import Conditions


@pytest.mark.parametrize("seed", range(6))
def test_s19_whoever_lies_about_heights_and_blocks_delays_a_late_one_and_no_more(seed):
    world = watched(seed=seed)
    adversary = SyncLiar(world)
    late = next(n for n in names(world) if n not in adversary.faulty)
    # With a liar and a late one nothing would be decided, so the liar votes like anybody.
    world.start([n for n in names(world) if n != late])
    decide(world, 20)
    world.start([late])
    world.run_until(world.is_level, within_ms=25_000, what="the late one is level")
    decide(world, 3, within_ms=8_000)
    world.check_history()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("in_order", [True, False])
def test_s20_blocks_and_votes_of_one_height_come_together_and_it_is_committed_once(seed, in_order):
    """The observer counts: a height that is committed twice, or out of order, is a violation."""
    world = watched(seed=seed)
    late = names(world)[seed % 4]
    others = [n for n in names(world) if n != late]
    world.start(others)
    decide(world, 30)
    world.network.conditions = Conditions(
        delay_ms=(1, 60), duplicate_permille=300, in_order=in_order
    )
    node = world.nodes[late]
    for _ in range(6):
        node.boot()
        for _ in range(12):
            world.submit(2, to=others[0])
            world.run_for(100)
        node.crash()
        for _ in range(5):
            world.submit(2, to=others[0])
            world.run_for(100)
    world.network.conditions = Conditions()
    recover(world)


def test_s20_a_decision_overtakes_the_blocks_that_were_asked_for():
    world = watched()
    late, *others = names(world)
    world.start(others)
    decide(world, 10)
    node = world.nodes[late]
    world.network.withholds = lambda _from, to, kind: to == late and kind == BLOCKS
    node.boot()
    for _ in range(5):
        world.submit(2, to=others[0])
        world.run_for(400)
    assert node.ledger.tip.height == 0
    world.network.withholds = lambda _from, to, kind: to == late and kind == DECIDED
    world.run_until(world.is_level, within_ms=6_000, what="blocks without decisions do as well")
    recover(world)


# -- S32 -----------------------------------------------------------------------------------------------------


class Corrupter(Puppet):
    """Gives blocks of which one is not what was decided."""

    def __init__(self, world, owned, spoil):
        super().__init__(world, owned)
        self.spoil = spoil
        self.spoilt = 0

    def alters(self, host, receiver, data):
        if data[1] != BLOCKS:
            return ((0, data),)
        message = decode_message(data)
        self.spoilt += 1
        return ((0, encode_message(BlocksMessage(tuple(self.spoil(list(message.blocks)))))),)


def flip(share):
    def spoil(blocks):
        middle = bytearray(blocks[len(blocks) // 2])
        middle[int(share * (len(middle) - 1))] ^= 1
        blocks[len(blocks) // 2] = bytes(middle)
        return blocks

    return spoil


SPOILERS = {
    **{f"bit at {share}": flip(share) for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)},
    "cut short": lambda blocks: [*blocks[:-1], blocks[-1][:-1]],
    "one left out": lambda blocks: blocks[:2] + blocks[3:],
    "backwards": lambda blocks: blocks[::-1],
    "the first one only, again and again": lambda blocks: blocks[:1] * len(blocks),
    "nothing": lambda blocks: [],
}


@pytest.mark.parametrize("what", SPOILERS)
def test_s32_corrupt_blocks_are_not_taken_and_true_ones_are_had_from_others(what):
    world = watched()
    late, liar, *others = names(world)
    evil = Corrupter(world, [liar], SPOILERS[what])
    world.start([liar, *others])
    decide(world, 12)
    # At first there is only the liar to ask.
    world.cut((o, late) for o in others)
    world.nodes[late].boot()
    world.run_for(3_000)
    reached = world.nodes[late].ledger.tip.height
    for height in range(1, reached + 1):
        block = world.nodes[late].ledger.certified_block(height)
        assert block.header == world.observer.decisions[height].header
    world.cut(())
    world.run_until(world.is_level, within_ms=15_000, what="the others give the true ones")
    decide(world, 2)
    world.check_history()
    assert evil.spoilt > 0
