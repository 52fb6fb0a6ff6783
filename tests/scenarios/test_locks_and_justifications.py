"""S9 to S12, S14: locks that spread, decisions that are hidden, leaders that lie about both."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import ViewChangeMessage
from chainnode.model import votes
from tests.support.adversaries.attacker import JUSTIFICATIONS
from tests.support.scenario import (
    COMMIT,
    DECIDED,
    PREPARE,
    PROPOSE,
    Puppet,
    Recorder,
    begin,
    decide,
    name_of_leader,
    names,
    recover,
    started,
    voters,
    wait_for_leader,
    watched,
)

# -- S9 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_s09_locks_that_spread_over_four_views_leave_one_block_to_decide(seed):
    """In each view a quorum prepares in the sight of one validator only, another one each time."""
    world = started(seed=seed)
    height = world.height() + 1
    everybody = names(world)

    def view():
        return max(node.engine.status().view for node in world.running())

    world.network.withholds = lambda _from, to, kind: (
        kind in {COMMIT, DECIDED} or (kind == PREPARE and to != everybody[view() % 4])
    )
    world.submit(3)
    world.run_until(lambda: view() >= 4, within_ms=40_000, what="four views fail")
    assert world.height() == height - 1
    locked = [voters(world, COMMIT, height, v) for v in range(4)]
    assert len(set.union(*locked)) >= 3, f"the locks did not spread: {locked}"
    assert all(len(who) < 3 for who in locked)
    recover(world)


# -- S10 -----------------------------------------------------------------------------------------------------


class HiddenDecision:
    """One of four decides in view 0 and nobody else hears of it, until a liar leads `view`.

    Of the two other correct validators one has a lock and one has none. If `view` is 2, view 1 has prepared the same
    block again in the sight of the locked one. The liar itself states no lock.
    """

    def __init__(self, view):
        self.view = view
        self.world = world = watched()
        self.liar = liar = names(world)[2]
        self.evil = evil = Puppet(world, [liar])
        begin(world)
        self.height = height = wait_for_leader(world, liar, view)
        self.locked = name_of_leader(world, height, 0)
        # Whoever leads view 1 takes part in it, so it is not the one that has gone on.
        later = name_of_leader(world, height, 1)
        rest = sorted((n for n in evil.targets() if n != self.locked), key=lambda n: n == later)
        self.victim, self.free = rest
        evil.is_deaf_to = frozenset({PREPARE})
        evil.muted_from = (height, view)
        world.network.withholds = lambda sender, to, kind: (
            sender == self.victim
            or (kind in {COMMIT, DECIDED} and to != self.victim)
            or (kind == PREPARE and to == self.free)
        )
        world.submit(3, to=self.locked)
        world.run_until(lambda: self.commits() >= {self.victim, self.locked}, within_ms=3_000)
        ((self.digest, self.outline),) = (
            (digest, outline)
            for (h, digest), outline in evil.knowledge.outlines.items()
            if h == height
        )
        evil.tell(liar, evil.vote(liar, votes.COMMIT, height, 0, self.digest), [self.victim])
        world.run_until(lambda: world.observer.tips[self.victim] == height, within_ms=500)
        world.run_until(
            lambda: all(self.view_of(n) == view for n in (self.locked, self.free)),
            within_ms=8_000,
            what=f"the others come to view {view}",
        )
        world.run_for(50)
        assert not {self.free} & self.commits()

    def commits(self):
        return voters(self.world, COMMIT, self.height, 0)

    def view_of(self, name):
        return self.world.nodes[name].engine.status().view

    def prepared(self):
        """Who has voted for the liar's proposal."""
        return voters(self.world, PREPARE, self.height, self.view)

    def finish(self):
        """Have the others decide without having heard of the decision, and then all go on."""
        self.evil.muted_from = None
        self.evil.is_deaf_to = frozenset()
        world, victim = self.world, self.victim
        world.network.withholds = lambda sender, _to, _kind: sender == victim
        world.run_until(
            lambda: min(world.observer.tips[n] for n in self.evil.targets()) >= self.height,
            within_ms=15_000,
            what="the others decide",
        )
        assert world.observer.decisions[self.height].block_hash == self.digest
        recover(world)


@pytest.mark.parametrize("view", [1, 2])
@pytest.mark.parametrize("variant", JUSTIFICATIONS, ids=lambda v: v.__name__.strip("_"))
def test_s10_no_justification_makes_the_others_prepare_a_rival_of_a_hidden_decision(variant, view):
    case = HiddenDecision(view)
    evil, liar, height = case.evil, case.liar, case.height
    rival = evil.rival(liar, height, view)
    assert rival.block_hash != case.digest
    justification = variant(evil, height, view)
    evil.tell(
        liar,
        evil.proposal(liar, height, view, rival.encode(), rival.block_hash, justification),
    )
    case.world.run_for(300)
    assert case.prepared() == set()
    assert not case.world.observer.events["block_refused"], "refused for its block, not its reason"
    case.finish()


@pytest.mark.parametrize("view", [1, 2])
@pytest.mark.parametrize("variant", JUSTIFICATIONS, ids=lambda v: v.__name__.strip("_"))
def test_s10_a_hidden_decision_is_prepared_again_for_its_true_justification_only(variant, view):
    case = HiddenDecision(view)
    evil, liar, height = case.evil, case.liar, case.height
    truth = JUSTIFICATIONS[1](evil, height, view)
    changes, proof = variant(evil, height, view)
    is_true = (changes, proof and proof.view) == (truth[0], truth[1].view)
    evil.tell(liar, evil.proposal(liar, height, view, case.outline, case.digest, (changes, proof)))
    case.world.run_for(300)
    assert case.prepared() == ({case.locked, case.free} if is_true else set())
    assert is_true or variant is not JUSTIFICATIONS[1]
    case.finish()


@pytest.mark.parametrize("variant", JUSTIFICATIONS, ids=lambda v: v.__name__.strip("_"))
def test_s10_where_nobody_is_locked_a_new_leader_is_free_if_it_shows_that(variant):
    """The control of the tests above: the same liar, the same kind of block, and no decision to contradict."""
    world = watched()
    liar = names(world)[2]
    evil = Puppet(world, [liar])
    begin(world)
    height = wait_for_leader(world, liar, 1)
    evil.muted_from = (height, 1)
    world.network.withholds = lambda _from, _to, kind: kind == PROPOSE
    world.submit(3)
    world.run_until(
        lambda: all(n.engine.status().view == 1 for n in world.correct()), within_ms=5_000
    )
    world.run_for(50)
    world.network.withholds = None
    rival = evil.rival(liar, height, 1)
    changes, proof = justification = variant(evil, height, 1)
    is_true = proof is None and len({c.sender for c in changes}) >= evil.quorum(height)
    evil.tell(liar, evil.proposal(liar, height, 1, rival.encode(), rival.block_hash, justification))
    world.run_for(300)
    assert voters(world, PREPARE, height, 1) == (set(evil.targets()) if is_true else set())
    assert is_true or variant is not JUSTIFICATIONS[1]
    evil.muted_from = None
    recover(world)


# -- S11 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [(1, 2), (2, 1), (3, 0)])
@pytest.mark.parametrize("all_hear_both", [True, False])
def test_s11_a_leader_proposes_two_blocks_and_votes_for_both(split, all_hear_both):
    world = watched()
    liar = names(world)[1]
    evil = Puppet(world, [liar])
    begin(world)
    height = wait_for_leader(world, liar, 0)
    evil.muted_from = (height, 0)
    world.run_for(20)
    world.submit(2)
    blocks = [evil.rival(liar, height, 0, label=label) for label in (0, 7)]
    assert blocks[0].block_hash != blocks[1].block_hash
    targets = evil.targets()
    groups = (targets[: split[0]], targets[split[0] :])
    for outline, group in zip(blocks, groups, strict=True):
        evil.tell(liar, evil.proposal(liar, height, 0, outline.encode(), outline.block_hash), group)
    for outline in blocks:
        for kind in (votes.PREPARE, votes.COMMIT):
            to = targets if all_hear_both else groups[blocks.index(outline)]
            evil.tell(liar, evil.vote(liar, kind, height, 0, outline.block_hash), to)
    if all_hear_both:
        world.run_until(
            lambda: world.observer.events["misbehaviour_proven"] > 0,
            within_ms=3_000,
            what="two votes of one view are proof",
        )
    evil.muted_from = None
    recover(world)


# -- S12 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", range(4))
def test_s12_a_quorum_of_commits_of_view_0_that_comes_in_view_2_decides(victim):
    world = started()
    recorder = Recorder(world)
    late = names(world)[victim]
    height = world.height() + 1
    world.network.withholds = lambda _from, _to, kind: kind in {COMMIT, DECIDED}
    world.submit(2)
    world.run_until(lambda: len(voters(world, COMMIT, height, 0)) == 4, within_ms=3_000)
    world.network.withholds = lambda _from, _to, kind: kind in {PROPOSE, COMMIT, DECIDED}
    node = world.nodes[late]
    world.run_until(lambda: node.engine.status().view == 2, within_ms=8_000)
    world.network.withholds = lambda _from, to, kind: (
        kind in {PROPOSE, DECIDED} or (kind == COMMIT and to != late)
    )
    for host, data in recorder.of_kind(COMMIT):
        message = decode_message(data)
        if (message.height, message.view) == (height, 0) and host != late:
            world.network.inject(host, late, data)
    world.run_for(20)
    assert node.ledger.tip.height == height
    assert node.ledger.header(height)[1].view == 0
    recover(world)


# -- S14 -----------------------------------------------------------------------------------------------------

LIES = ("no proof", "own proof", "restated proof", "of another block")


@pytest.mark.parametrize("lie", LIES)
def test_s14_a_lock_that_never_was_does_not_hold_up_the_next_leader(lie):
    world = watched()
    liar = names(world)[0]
    evil = Puppet(world, [liar])
    begin(world)
    # The liar leads view 0 and says nothing, so that all ask for view 1; two requests are not enough without its own.
    height = wait_for_leader(world, liar, 0)
    evil.muted = frozenset({PROPOSE, PREPARE, COMMIT, 5})
    earlier = evil.knowledge.proofs.get(height - 1, [])
    leader = name_of_leader(world, height, 1)
    world.submit(2)
    world.run_until(
        lambda: any(n.engine.status().view == 1 for n in world.correct()), within_ms=3_000
    )
    for view in (1, 2, 5):
        digest = world.observer.decisions[height - 1].block_hash
        proof = None
        if lie == "own proof":
            proof = evil.own_proof(height, view - 1, digest)
        elif lie == "of another block" and earlier:
            proof = earlier[0]
        elif lie == "restated proof":
            held = evil.knowledge.prepares(height - 1, 0, digest)
            proof = dataclasses.replace(
                evil.own_proof(height, 0, digest),
                view=view - 1,
                signatures=tuple(sorted(held.items())),
            )
        change = evil.change(liar, height, view, (view - 1, digest))
        evil.tell(liar, ViewChangeMessage(change=change, proof=proof))
    took_ms = world.run_until(
        lambda: min(world.observer.tips[n] for n in evil.targets()) >= height,
        within_ms=1_400,
        what="view 1 decides",
    )
    assert took_ms < world.parameters.timeout_ms * 3 // 2
    assert world.observer.decisions[height].header.proposer == leader
    evil.muted = frozenset()
    decide(world, 2)
    recover(world)
