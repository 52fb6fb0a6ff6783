"""S7 and S8: lines that carry one way only, and groups that do not hear each other."""

from __future__ import annotations

import itertools

import pytest

from tests.support.scenario import decide, names, recover, started


@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("is_deaf", [True, False], ids=["deaf", "mute"])
def test_s07_one_is_deaf_or_mute_and_the_others_go_on(victim, is_deaf):
    world = started()
    lonely = names(world)[victim]
    others = [name for name in names(world) if name != lonely]
    world.cut((other, lonely) if is_deaf else (lonely, other) for other in others)
    group = [world.nodes[name] for name in others]
    for _ in range(5):
        goal = min(n.ledger.tip.height for n in group) + 1
        world.submit(2, to=others[0])
        world.run_until(
            lambda goal=goal: min(n.ledger.tip.height for n in group) >= goal,
            within_ms=4_000,
            what=f"height {goal} without {lonely}",
        )
    recover(world)


@pytest.mark.parametrize("first", [(0, 1), (0, 2), (0, 3)])
def test_s08_two_and_two_decide_nothing_and_meet_again(first):
    world = started()
    everybody = names(world)
    side = [everybody[i] for i in first]
    other = [name for name in everybody if name not in side]
    world.split(side, other)
    height = world.height()
    world.submit(2, to=side[0])
    world.submit(2, to=other[0])
    world.run_for(60_000)
    assert {n.ledger.tip.height for n in world.running()} == {height}
    world.cut(())
    world.run_until(
        lambda: world.height() > height and world.is_settled(),
        within_ms=6_000,
        what="both halves together decide",
    )
    recover(world)


@pytest.mark.parametrize("alone", range(4))
def test_s08_three_go_on_and_the_one_alone_decides_nothing(alone):
    world = started()
    lonely = names(world)[alone]
    three = [name for name in names(world) if name != lonely]
    world.split([lonely], three)
    height = world.height()
    for goal in range(height + 1, height + 6):
        world.submit(2, to=three[0])
        world.run_until(
            lambda goal=goal: min(world.nodes[n].ledger.tip.height for n in three) >= goal,
            within_ms=4_000,
        )
    assert world.nodes[lonely].ledger.tip.height == height
    recover(world)


@pytest.mark.parametrize("pause_ms", [300, 1_100, 2_500])
def test_s08_a_partition_that_rotates_never_makes_two_chains_and_leaves_one_alive(pause_ms):
    world = started()
    for lonely in itertools.islice(itertools.cycle(names(world)), 12):
        world.split([lonely], [name for name in names(world) if name != lonely])
        world.submit(1)
        world.run_for(pause_ms)
    recover(world)
    decide(world, 4)


def test_s08_halves_that_are_drawn_anew_all_the_time_never_make_two_chains():
    world = started()
    a, b, c, d = names(world)
    halves = [((a, b), (c, d)), ((a, c), (b, d)), ((a, d), (b, c))]
    for one, other in itertools.islice(itertools.cycle(halves), 30):
        world.split(one, other)
        world.submit(1)
        world.run_for(world.random.randint(100, 1_500))
    recover(world)
