"""A chain that stands still says why: each running node names exactly those who are missing, and what was voted."""

from __future__ import annotations

import pytest

from chainnode.services.standstill import explain
from tests.support.simulated_chain import SimulatedChain

COMMIT = 4
STALL_MS = 12_400


def started(seed=1):
    """A chain whose every validator has decided its first block."""
    world = SimulatedChain(seed=seed)
    world.start()
    world.run_for(500)
    world.submit(3)
    world.run_until(lambda: world.height() >= 1 and world.is_settled(), within_ms=3_000)
    return world


def awaited(status):
    return {s.name for s in status.standings if s.awaited_for is not None}


def crash(world, names):
    for name in names:
        world.nodes[name].crash()


def cut_off(world, names):
    """Cut these off, until keep-alives have noticed it on every connection."""
    others = [n for n in world.nodes if n not in names]

    def is_linked(name, other):
        standings = world.nodes[name].engine.status().standings
        return any(s.is_linked for s in standings if s.name == other)

    world.split(names, others)
    while any(is_linked(name, gone) for name in others for gone in names):
        world.split(names, others)


def test_an_idle_chain_without_a_quorum_says_since_when_it_lacks_the_links():
    world = started()
    first, second, *here = world.nodes
    world.run_for(9_000)
    crash(world, [first])
    world.run_for(4_000)
    crash(world, [second])
    world.run_for(2_000)
    for node in (world.nodes[name] for name in here):
        status = node.engine.status()
        assert status.step == "link"
        assert status.awaited == (first, second)
        assert explain(status, node.clock.now_ms()) == (
            "under way since 2.0 s: 2 of 4 validators are linked; a quorum is 3; "
            f"awaited: {first}, {second} (both not linked)"
        )


@pytest.mark.parametrize("lose", [crash, cut_off])
@pytest.mark.parametrize("lost", [(0, 1), (1, 2), (0, 3)])
def test_two_of_four_that_are_gone_are_named_by_each_of_the_others(lose, lost):
    world = started()
    names = list(world.nodes)
    gone = [names[i] for i in lost]
    here = [world.nodes[n] for n in names if n not in gone]
    lose(world, gone)
    for node in here:
        world.submit(1, to=node.name)
    world.run_for(STALL_MS)
    for node in here:
        status = node.engine.status()
        assert set(status.awaited) == awaited(status) == set(gone)
        assert status.step == "view_change"
        for standing in status.standings:
            is_here = standing.name not in gone
            # A wire that is cut may be noticed late; a process that is gone is noticed at once.
            assert not is_here or standing.is_linked
            assert lose is cut_off or standing.is_linked == is_here
            assert (standing.asked_view is not None) == is_here
            assert standing.locked_digest is None
            assert {vote.kind for vote in standing.votes} <= {"propose", "prepare"}
            assert is_here or standing.votes == ()
        said = explain(status, node.clock.now_ms())
        assert said.startswith("stalled since 12.")
        height = status.open_height
        assert f"2 of 4 validators have asked for view 1 of height {height}; a quorum is 3" in said
        assert "awaited: " in said
        assert all(name in said.partition("awaited: ")[2] for name in gone)
        if lose is crash:
            assert said.endswith(f"awaited: {gone[0]}, {gone[1]} (both not linked)")


def test_validators_that_prepare_and_withhold_their_commits_are_named_with_what_they_voted_for():
    world = started()
    names = list(world.nodes)
    silent = names[:2]
    world.network.withholds = lambda sender, _to, kind: kind == COMMIT and sender in silent
    world.submit(2, to=names[2])
    node = world.nodes[names[2]]
    world.run_until(
        lambda: (
            node.engine.status().step == "commit"
            and set(node.engine.status().awaited) == set(silent)
            and all(standing.votes for standing in node.engine.status().standings)
        ),
        within_ms=900,
        what="all prepared, and two COMMITs came",
    )
    status = node.engine.status()
    assert awaited(status) == set(silent)
    for standing in status.standings:
        first, *rest = standing.votes
        assert first.kind in {"propose", "prepare"}
        assert {v.digest for v in standing.votes} == {status.digest}
        assert [v.kind for v in rest] == ([] if standing.name in silent else ["commit"])
    said = explain(status, node.clock.now_ms())
    assert said.startswith("under way since 0.")
    assert f"2 of 4 validators have committed {status.digest.hex()[:8]} in view 0" in said
    assert said.endswith(f"awaited: {silent[0]}, {silent[1]}")
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(lambda: world.height() >= status.open_height, within_ms=6_000)


def test_whoever_left_a_view_in_which_all_had_prepared_is_shown_with_its_lock():
    world = started()
    world.network.withholds = lambda _sender, _to, kind: kind == COMMIT
    world.submit(2, to=next(iter(world.nodes)))
    world.run_until(
        lambda: all(n.engine.status().view == 1 for n in world.running()),
        within_ms=2_500,
        what="nobody hears a COMMIT, so all leave the view",
    )
    world.run_for(20)
    for node in world.running():
        status = node.engine.status()
        assert {s.asked_view for s in status.standings} == {1}
        assert {s.locked_view for s in status.standings} == {0}
        assert {s.locked_digest for s in status.standings} == {status.digest}


def test_a_leader_that_says_nothing_is_named():
    world = started()
    names = list(world.nodes)
    height = world.height() + 1
    leader = names[height % 4]
    others = [n for n in names if n != leader]
    world.submit(1, to=others[0])
    world.nodes[leader].pause()
    world.run_for(300)
    for name in others:
        status = world.nodes[name].engine.status()
        assert status.awaited == (leader,)
        assert explain(status, world.nodes[name].clock.now_ms()).endswith(
            f"nothing is proposed in view 0 of height {height}; awaited: {leader}"
        )


def test_a_chain_that_has_nothing_to_do_explains_nothing():
    world = started()
    world.run_for(STALL_MS)
    for node in world.running():
        status = node.engine.status()
        assert explain(status, node.clock.now_ms()) is None
        assert awaited(status) == set()
