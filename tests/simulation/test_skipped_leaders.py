"""A validator that is gone costs the chain its turn once, and not at each turn that comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.simulated_chain import PARAMETERS, SimulatedChain

SKIP_HEIGHTS = 100


def started(validators=4, *, skip_heights=SKIP_HEIGHTS):
    world = SimulatedChain(
        seed=1,
        validators=validators,
        parameters=replace(PARAMETERS, skip_heights=skip_heights),
    )
    world.start()
    decide(world)
    return world


def decide(world, count=1):
    """Have `count` heights decided; return those that took more than a view, by what all have of them."""
    late = []
    for _ in range(count):
        goal = world.height() + 1
        world.submit(2)
        world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),
            within_ms=20_000,
            what=f"height {goal}",
        )
        if world.observer.decisions[goal].header.first_view > 0:
            late.append(goal)
    return late


def view_changes(world):
    return sum(node.view_changes for node in world.nodes.values())


def orders(world):
    """What every running node takes for the order of leaders of the next two heights."""
    height = world.height()
    return {(n.ledger.leaders(height + 1), n.ledger.leaders(height + 2)) for n in world.running()}


@pytest.mark.parametrize("victim", range(4))
def test_one_dead_of_four_costs_one_timeout_and_then_none_while_it_is_skipped(victim):
    world = started()
    dead = list(world.nodes.values())[victim]
    dead.crash()
    (first,) = decide(world, 4)
    before = view_changes(world)
    assert before == 3
    assert decide(world, 60) == []
    assert view_changes(world) == before
    assert {n.engine.status().skipped for n in world.running()} == {(dead.name,)}
    world.check_history()
    # It is tried again once that long has passed, and no more than once.
    again = decide(world, first + 2 + SKIP_HEIGHTS + 4 - world.height())
    assert len(again) == 1
    assert again[0] > first + 2 + SKIP_HEIGHTS


def test_without_the_rule_one_dead_of_four_costs_a_timeout_each_time():
    world = started(skip_heights=0)
    list(world.nodes.values())[2].crash()
    late = decide(world, 20)
    assert late == [h for h in range(min(late), world.height() + 1) if h % 4 == 2]
    assert len(late) == 5


def test_two_dead_of_seven_cost_two_timeouts():
    world = started(7)
    for name in list(world.nodes)[2:4]:
        world.nodes[name].crash()
    decide(world, 7)
    before = view_changes(world)
    assert decide(world, 40) == []
    assert view_changes(world) == before
    assert len(world.running()[0].engine.status().skipped) == 2
    world.check_history()


def test_who_is_back_votes_at_once_and_leads_again_when_its_time_is_over():
    world = started()
    name, back = list(world.nodes.items())[3]
    back.crash()
    (failed,) = decide(world, 4)
    back.boot()
    world.run_until(world.is_settled, within_ms=3_000)
    other = next(iter(world.nodes.values()))
    other.crash()
    # With another one gone nothing is decided without it: it votes. The other one's turn is now the newest to fail.
    decide(world, 8)
    other.boot()
    world.run_until(world.is_settled, within_ms=3_000)
    led = {h: d.header.proposer for h, d in world.observer.decisions.items()}
    assert name in {led[h] for h in range(world.height() - 4, world.height() + 1)}
    assert world.running()[0].engine.status().skipped == (other.name,)
    decide(world, SKIP_HEIGHTS + 4)
    assert world.running()[0].engine.status().skipped == ()
    led = [world.observer.decisions[h].header.proposer for h in range(failed, world.height() + 1)]
    assert set(led[-4:]) == set(world.nodes)


def test_a_restart_of_everybody_changes_no_order():
    world = started()
    list(world.nodes.values())[1].crash()
    decide(world, 6)
    before = orders(world)
    assert len(before) == 1
    for node in world.running():
        node.crash()
        node.boot()
    assert orders(world) == before
    assert decide(world, 20) == []
    world.check_history()


def test_a_node_that_fetches_the_chain_has_the_order_of_the_others():
    world = SimulatedChain(seed=2, parameters=replace(PARAMETERS, skip_heights=SKIP_HEIGHTS))
    *early, late = list(world.nodes)
    world.start(early)
    decide(world, 20)
    world.start([late])
    world.run_until(world.is_settled, within_ms=10_000, what="the late one is level")
    assert len(orders(world)) == 1
    assert world.nodes[late].engine.status().skipped == (late,)
    assert decide(world, 20) == []
    world.check_history()


def test_a_restart_in_a_later_view_goes_on_with_the_votes_it_has_given():
    """The vote log names no leaders: they are found again from the blocks."""
    world = started()
    nodes = list(world.nodes.values())
    nodes[2].crash()
    decide(world, 6)
    # Whoever leads next is gone as well, so that the open height stays open in later views.
    height = world.height() + 1
    leader = nodes[world.running()[0].ledger.leaders(height)[0]]
    leader.crash()
    world.submit(2)
    world.run_for(8_000)
    for node in world.running():
        node.crash()
        node.boot()
    leader.boot()
    decide(world, 3)
    world.check_history()
