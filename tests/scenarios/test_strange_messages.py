"""S15 to S18: what was said of another height or another chain, what cannot be, and too much of everything."""

from __future__ import annotations

import pytest

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import FetchBlocksMessage, FetchOutlineMessage, ViewChangeMessage
from chainnode.model import votes
from chainnode.model.parameters import Parameters
from chainnode.model.votes import vote_message
from tests.support.chain import random_bytes
from tests.support.scenario import (
    COMMIT,
    PREPARE,
    PROPOSE,
    VIEW_CHANGE,
    Puppet,
    Recorder,
    begin,
    decide,
    name_of_leader,
    names,
    recover,
    started,
    watched,
)

AGREEMENT = (PROPOSE, PREPARE, COMMIT, VIEW_CHANGE)


def with_liar(**options):
    """A chain of which one validator says what the test says."""
    world = watched(**options)
    liar = names(world)[0]
    evil = Puppet(world, [liar])
    return begin(world), evil, liar


def view_changes(world):
    return sum(node.view_changes for node in world.correct())


def repeat_all(world, evil, messages):
    """Have the liar say all of it to everybody."""
    host = evil.hosts()[0].host
    for data in messages:
        for target in evil.targets():
            world.network.inject(host, target, data)
    world.run_for(200)


# -- S15, S16 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AGREEMENT)
def test_s15_what_was_said_at_an_earlier_height_moves_nobody(kind):
    world, evil, _liar = with_liar()
    recorder = Recorder(world)
    # A height that takes some views, so that there are requests for views to repeat.
    world.network.withholds = lambda _from, _to, k: k == COMMIT
    world.submit(2)
    world.run_for(4_500)
    world.network.withholds = None
    decide(world, 2, within_ms=8_000)
    old = [data for _, data in recorder.of_kind(kind)]
    assert old
    before = view_changes(world)
    for _ in range(4):
        repeat_all(world, evil, old)
        decide(world)
        repeat_all(world, evil, old)
    assert view_changes(world) == before
    recover(world)


@pytest.mark.parametrize("kind", AGREEMENT)
def test_s15_s16_what_was_said_on_another_chain_by_the_same_keys_moves_nobody(kind):
    other = started(parameters=Parameters(min_interval_ms=100, timeout_ms=1_000))
    world, evil, _liar = with_liar()
    assert other.chain.genesis.domain != world.chain.genesis.domain
    assert [v.consensus.public for v in other.chain.validators] == [
        v.consensus.public for v in world.chain.validators
    ]
    recorder = Recorder(other)
    other.network.withholds = lambda _from, _to, k: k == COMMIT
    while other.height() < world.height():
        decide(other)
    other.submit(2)
    other.run_for(4_500)
    strange = [data for _, data in recorder.of_kind(kind)]
    assert strange
    before, height = view_changes(world), world.height()
    repeat_all(world, evil, strange)
    assert (view_changes(world), world.height()) == (before, height)
    assert not world.observer.events["misbehaviour_proven"], "other chains' votes prove nothing"
    decide(world, 4)
    assert view_changes(world) == before
    recover(world)


def test_s16_a_vote_signed_for_another_genesis_counts_for_nothing():
    """Two of four are dead; the third's quorum lacks one vote, which the liar has for another genesis only."""
    world, evil, liar = with_liar()
    other = watched(parameters=Parameters(min_interval_ms=100, timeout_ms=1_000)).chain.genesis
    height = world.height() + 1
    evil.muted = frozenset({PROPOSE, PREPARE, COMMIT})
    dead = evil.targets()[0]
    world.nodes[dead].crash()
    world.submit(2, to=evil.targets()[1])
    world.run_for(3_000)
    digests = {digest for (h, digest) in evil.knowledge.outlines if h == height}
    for digest in digests:
        for view in range(4):
            for kind in (votes.PREPARE, votes.COMMIT):
                genuine = evil.vote(liar, kind, height, view, digest)
                message = vote_message(other.domain, kind, height, view, digest)
                forged = type(genuine)(
                    kind=kind,
                    height=height,
                    view=view,
                    sender=genuine.sender,
                    digest=digest,
                    signature=evil.keys[liar].sign(message),
                )
                evil.tell(liar, forged)
    world.run_for(3_000)
    assert digests
    assert {n.ledger.tip.height for n in world.running()} == {height - 1}
    evil.muted = frozenset()
    recover(world)


# -- S17 -----------------------------------------------------------------------------------------------------

FAR = (2, 100, 2**31, 2**53, 2**62)
LAST_VIEW = 2**31 - 1


def test_s17_huge_heights_and_views_of_f_validators_move_nobody():
    world, evil, liar = with_liar()
    digest = random_bytes("far away")
    for _ in range(4):
        height = world.height() + 1
        before = view_changes(world)
        for ahead in (0, *FAR):
            for view in (0, 1, 7, 10_000, LAST_VIEW):
                for kind in (votes.PREPARE, votes.COMMIT):
                    if (ahead, view) != (0, 0):
                        vote = evil.vote(liar, kind, 1, view, digest)
                        evil.tell(liar, dated(evil, liar, vote, height + ahead))
                if view:
                    change = dated_change(evil, liar, height + ahead, view)
                    evil.tell(liar, ViewChangeMessage(change=change, proof=None))
            evil.tell(liar, FetchBlocksMessage(height + ahead, 64))
            evil.tell(liar, FetchOutlineMessage(height + ahead, digest))
        decide(world, within_ms=2_000)
        # Whoever asks for another view than the one it leads is rightly taken at its word, once.
        own = len(world.correct()) if name_of_leader(world, height, 0) == liar else 0
        assert view_changes(world) - before <= own
    recover(world)


def dated(evil, liar, vote, height):
    """The vote for another height, whose set is supposed to be that of height 1."""
    domain = evil.world.chain.genesis.domain
    message = vote_message(domain, vote.kind, height, vote.view, vote.digest)
    return type(vote)(
        kind=vote.kind,
        height=height,
        view=vote.view,
        sender=vote.sender,
        digest=vote.digest,
        signature=evil.keys[liar].sign(message),
    )


def dated_change(evil, liar, height, view):
    """A request for a view of any height."""
    change = evil.change(liar, 1, view, None)
    domain = evil.world.chain.genesis.domain
    message = votes.view_change_message(domain, height, view, None)
    return type(change)(
        height=height,
        view=view,
        sender=change.sender,
        prepared=None,
        signature=evil.keys[liar].sign(message),
    )


# -- S18 -----------------------------------------------------------------------------------------------------


def test_s18_a_flood_of_votes_for_blocks_that_are_not_stops_nobody():
    world, evil, liar = with_liar()
    before = view_changes(world)
    for round_ in range(4):
        height = world.height() + 1
        for number in range(300):
            digest = random_bytes(f"flood {round_} {number}")
            kind = (votes.PREPARE, votes.COMMIT)[number % 2]
            view = number % 5
            evil.tell(liar, evil.vote(liar, kind, height + number % 3 // 2, view, digest))
        decide(world, within_ms=3_000)
    assert view_changes(world) == before
    recover(world)


def test_s18_one_request_for_a_view_said_a_thousand_times_is_one_request():
    world, evil, liar = with_liar()
    before = view_changes(world)
    height = world.height() + 1
    change = evil.change(liar, height, 3, None)
    data = encode_message(ViewChangeMessage(change=change, proof=None))
    repeat_all(world, evil, [data] * 1_000)
    assert view_changes(world) == before
    assert all(n.engine.status().view == 0 for n in world.correct())
    recover(world)
