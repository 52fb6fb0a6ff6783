"""S21 and S22: validators come and go, while leaders fail, while some are late, and under load.

A set that block h makes governs from h + 2 on. The observer sees that all headers say so, and the specification counts
quorums and leaders by the set of each height.
"""

from __future__ import annotations

import pytest

from chainnode.engine.messages import ViewChangeMessage, Vote
from chainnode.model import votes
from chainnode.model.votes import view_change_message, vote_message
from tests.support.crash_points import CrashPoint, Step
from tests.support.scenario import (
    PROPOSE,
    Puppet,
    begin,
    decide,
    heal,
    name_of_leader,
    names,
    recover,
    started,
    views_of,
    watched,
)

LAG = 2
"""Heights from the block that changes the set to the first that the new set governs."""


def members(world, height):
    """The validators of a height, in their order."""
    return [v.name for v in world.observer.validators(height).members]


def change(world, wanted):
    """Have the set replaced; return the first height that the new one governs, once that is open."""
    world.change_validators(wanted)
    before = world.height()
    decide(world, 1)
    first = before + 1 + LAG
    assert set(members(world, first)) == set(wanted)
    assert set(members(world, first - 1)) != set(wanted)
    while world.height() < first - 1:
        decide(world)
    return first


def said_at(world, heights):
    """Who of the correct validators has voted at some of these heights."""
    return {
        name for name, said in world.observer.voted.items() if any(h in heights for _, h, _ in said)
    }


def view_changes(world):
    return sum(node.view_changes for node in world.nodes.values())


# -- S21 -----------------------------------------------------------------------------------------------------

CHANGES = {
    "one is added": (4, lambda old, spares: [*old, spares[0]]),
    "one is removed": (5, lambda old, _spares: old[1:]),
    "one of four is removed": (4, lambda old, _spares: old[1:]),
    "one is replaced": (4, lambda old, spares: [*old[1:], spares[0]]),
    "all are replaced": (4, lambda _old, spares: spares),
    "one becomes four": (1, lambda old, spares: [*old, *spares[:3]]),
    "four become one": (4, lambda old, _spares: old[2:3]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_s21_a_new_set_governs_from_the_second_height_after_its_block(what):
    size, chosen = CHANGES[what]
    world = started(validators=size, spares=4)
    old, spares = names(world)[:size], names(world)[size:]
    new = chosen(old, spares)
    first = change(world, new)
    assert said_at(world, range(first)) <= set(old)
    decide(world, len(new) + 1, within_ms=1_000)
    assert view_changes(world) == 0, "a change of the set costs no view"
    assert said_at(world, range(first, world.height() + 1)) == set(new)
    # Whoever is out is not needed any more, and of the new ones as many may be lost as their number allows.
    faulty = world.observer.validators(first).faulty
    for name in [n for n in names(world) if n not in new] + new[:faulty]:
        world.nodes[name].crash()
    decide(world, 3)
    recover(world)
    assert said_at(world, range(first, world.height() + 1)) == set(new)


@pytest.mark.parametrize("what", ["one of four is removed", "one is added", "all are replaced"])
def test_s21_a_quorum_is_counted_in_the_set_of_its_height(what):
    """One more than may fail is lost: of the new set too few are left, however many others run."""
    size, chosen = CHANGES[what]
    world = started(validators=size, spares=4)
    new = chosen(names(world)[:size], names(world)[size:])
    first = change(world, new)
    lost = new[: world.observer.validators(first).faulty + 1]
    for name in lost:
        world.nodes[name].crash()
    height = world.height()
    world.submit(2)
    world.run_for(10_000)
    assert {n.ledger.tip.height for n in world.running()} == {height}
    world.nodes[lost[0]].boot()
    world.run_until(lambda: world.height() > height, within_ms=6_000, what="a quorum is back")
    recover(world)


@pytest.mark.parametrize("is_added", [True, False], ids=["another is added", "none is added"])
@pytest.mark.parametrize("offset", range(LAG + 2))
def test_s21_a_leader_is_lost_and_voted_out_while_others_change_views(offset, is_added):
    """It leads the block that removes it, the last one of its set, or would have led the first ones without it."""
    world = started(validators=5, spares=1)
    old, (spare,) = names(world)[:5], names(world)[5:]
    height = world.height() + 1
    victim = name_of_leader(world, height + offset, 0)
    new = [name for name in old if name != victim] + [spare] * is_added
    if offset == 0:
        # It is gone when one other has its block, so that nobody can finish the view.
        CrashPoint(Step.SEND, 0, kind=PROPOSE).arm(world, victim)
    world.change_validators(new)
    for at in range(height, height + LAG + 2):
        if at == height + offset and offset:
            world.nodes[victim].crash()
        if at >= height + LAG:
            assert set(members(world, at)) == set(new)
            # The new set changes views as well, over whoever leads in it.
            leader = name_of_leader(world, at, 0)
            failed = world.nodes[leader]
            if at == height + LAG and failed.is_up:
                failed.crash()
        decide(world)
        for node in world.nodes.values():
            if not node.is_up and node.name != victim:
                node.boot()
    assert not world.nodes[victim].is_up
    if offset < LAG:
        assert views_of(world, height + offset) >= 1
    assert views_of(world, height + LAG) >= 1
    recover(world, heights=6)
    assert victim not in said_at(world, range(height + LAG, world.height() + 1))
    assert said_at(world, range(height + LAG, world.height() + 1)) == set(new)


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "kept"])
@pytest.mark.parametrize("behind", range(1, 4))
def test_s21_one_that_asks_for_views_of_the_old_set_alone_joins_the_new_one(behind, is_removed):
    world = started(validators=4, spares=2)
    old, spares = names(world)[:4], names(world)[4:]
    late = old[1]
    removed = late if is_removed else old[2]
    new = [n for n in old if n != removed] + spares[:1]
    height = world.height() + 1
    world.change_validators(new)
    decide(world, LAG - 1)
    others = [n for n in names(world) if n != late]
    world.split([late], others)
    # Alone with work to do, it asks for a view of the last height of the old set, and for no other.
    world.submit(1, to=late)
    group = [world.nodes[n] for n in others]
    for _ in range(behind):
        goal = min(n.ledger.tip.height for n in group) + 1
        world.submit(2, to=others[0])
        world.run_until(
            lambda goal=goal: min(n.ledger.tip.height for n in group) >= goal, within_ms=4_000
        )
    node = world.nodes[late]
    world.run_until(lambda: node.engine.status().view == 1, within_ms=3_000)
    assert node.ledger.tip.height == height + LAG - 2
    world.cut(())
    world.run_until(world.is_settled, within_ms=6_000, what="it is level")
    assert node.engine.status().view == 0
    decide(world, 6)
    assert (late in said_at(world, range(world.height() - 3, world.height() + 1))) != is_removed
    recover(world)


@pytest.mark.parametrize("spare_heights", [0, 40])
def test_s21_one_that_is_added_before_it_runs_counts_as_failed_until_it_is_level(spare_heights):
    world = watched(validators=4, spares=1)
    *old, added = names(world)
    world.start(old)
    world.run_for(500)
    decide(world, 1 + spare_heights)
    first = change(world, [*old, added])
    decide(world, 6)
    assert views_of(world, world.height()) == 0, (
        "it leads after all others once its turn has failed"
    )
    world.nodes[added].boot()
    world.run_until(world.is_level, within_ms=8_000, what="it has fetched all blocks")
    # From nothing that it holds could it have voted before, so it votes at once, and is one of a bare quorum.
    world.nodes[old[0]].crash()
    decide(world, 6)
    assert added in said_at(world, range(first, world.height() + 1))
    recover(world)


class FormerValidator(Puppet):
    """Is voted out, and goes on signing as before."""

    def votes(self, name, height, index, view, digest):
        """All that somebody of that index could say of a block."""
        domain = self.world.chain.genesis.domain
        key = self.keys[name]
        for kind in (votes.PREPARE, votes.COMMIT):
            yield Vote(
                kind=kind,
                height=height,
                view=view,
                sender=index,
                digest=digest,
                signature=key.sign(vote_message(domain, kind, height, view, digest)),
            )
        for to_view in (view + 1, view + 4):
            signature = key.sign(view_change_message(domain, height, to_view, None))
            change = type(self.change(name, 1, 1, None))(
                height=height, view=to_view, sender=index, prepared=None, signature=signature
            )
            yield ViewChangeMessage(change=change, proof=None)


@pytest.mark.parametrize("is_shrunk", [True, False], ids=["index of nobody", "index of another"])
def test_s21_whoever_was_voted_out_counts_no_more_under_any_index(is_shrunk):
    world = watched(validators=5, spares=1)
    old = names(world)[:5]
    liar = old[-1]
    evil = FormerValidator(world, [liar])
    begin(world)
    index = evil.index(liar, 1)
    new = old[:-1] + ([] if is_shrunk else names(world)[5:])
    first = change(world, new)
    assert evil.index(liar, first) is None
    assert (index < len(new)) != is_shrunk
    # Two of the new set are gone; the others lack one voice, and the former validator offers as many as they like.
    lost = evil.targets()[: world.observer.validators(first).faulty + 1]
    kept = [name for name in new if name not in lost]
    for name in lost:
        world.nodes[name].crash()
    height = world.height()
    world.submit(2, to=kept[0])
    for _ in range(6):
        world.run_for(500)
        digests = [d for (h, d) in evil.knowledge.outlines if h == height + 1]
        for digest in [*digests, bytes(32)]:
            for sender in range(len(new) + 1):
                for message in evil.votes(liar, height + 1, sender, 0, digest):
                    evil.tell(liar, message, kept)
    assert {n.ledger.tip.height for n in world.running()} == {height}
    assert not world.observer.events["misbehaviour_proven"], "it speaks for nobody"
    assert all(n.engine.status().view <= 1 for n in world.running() if n.name in kept)
    recover(world)


# -- S22 -----------------------------------------------------------------------------------------------------

SIZES = {
    "at once": ((7, 4), 12),
    "one by one": ((5, 6, 7, 6, 5, 4), 6),
    "to and fro": ((7, 4, 7, 4, 7, 4), 4),
}


@pytest.mark.parametrize("how", SIZES)
def test_s22_four_become_seven_and_four_again_under_load_and_lose_nothing(how):
    sizes, heights = SIZES[how]
    world = started(validators=4, spares=3)
    everybody = names(world)
    for size in sizes:
        # Others leave than came, so that in the end the set is not the first one.
        wanted = everybody[-size:] if size < 6 else everybody[:size]
        world.change_validators(wanted)
        until = world.height() + LAG + heights
        since = world.height()
        while world.height() < until:
            world.submit(3)
            world.run_for(40)
            assert world.time.now_ms < 120_000
        assert set(members(world, until)) == set(wanted)
        assert said_at(world, range(since + LAG + 2, until)) == set(wanted)
    assert view_changes(world) == 0
    assert len(members(world, world.height())) == 4
    world.run_until(world.is_settled, within_ms=2_000, what="all that was sent is decided")
    assert len(world.accepted) == len(world.submitted) == len(world.observer.acknowledged)
    # Those that are not in it are not missed.
    for name in everybody[:3]:
        world.nodes[name].crash()
    decide(world, 4, within_ms=1_000)
    recover(world)


def test_s22_seven_bear_the_loss_of_two_and_four_of_one_while_the_set_changes():
    world = started(validators=4, spares=3)
    everybody = names(world)
    for wanted, lost in ((everybody, 2), (everybody[3:], 1), (everybody, 2), (everybody[:4], 1)):
        change(world, wanted)
        # Two of seven, whose set is replaced meanwhile; each time others.
        victims = wanted[len(wanted) // 2 :][:lost]
        for name in victims:
            world.nodes[name].crash()
        for _ in range(8):
            world.submit(6)
            decide(world)
        height = world.height()
        assert said_at(world, range(height - 2, height + 1)) == set(wanted) - set(victims)
        heal(world)
        world.run_until(world.is_settled, within_ms=6_000, what="the lost ones are level")
    recover(world)
