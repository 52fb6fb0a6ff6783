"""Validators that die, sleep, come late or come back: the others go on, and they catch up without help."""

from __future__ import annotations

import pytest

from chainnode.model.parameters import Parameters
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_clock import EPOCH_MS

OUTLINE, BLOCKS = 10, 12
PROPOSE, COMMIT = 2, 4
TRANSACTIONS = 7


def started(seed=1, **options):
    """A chain whose every validator has decided its first block."""
    world = SimulatedChain(seed=seed, **options)
    world.start()
    world.run_for(500)
    world.submit(3)
    world.run_until(lambda: world.height() >= 1 and world.is_settled(), within_ms=3_000)
    return world


def names(world):
    return list(world.nodes)


def decide(world, count=1, *, within_ms=3_000):
    """Have `count` more heights decided at every running node, each within the time."""
    slowest_ms = 0
    for _ in range(count):
        goal = world.height() + 1
        world.submit(2)
        took_ms = world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),
            within_ms=within_ms,
            what=f"height {goal}",
        )
        slowest_ms = max(slowest_ms, took_ms)
    return slowest_ms


def total_view_changes(world):
    return sum(node.view_changes for node in world.nodes.values())


# -- nothing is wrong ------------------------------------------------------------------------------------------


def test_a_busy_chain_changes_no_view_and_decides_fast():
    world = started()
    assert decide(world, 40) < 300
    assert total_view_changes(world) == 0
    world.check_history()


def test_an_idle_chain_changes_no_view_and_makes_heartbeats_only():
    world = SimulatedChain(seed=1, parameters=Parameters())
    world.start()
    world.run_for(10 * 60_000)
    assert total_view_changes(world) == 0
    assert world.height() == 10
    world.check_history()


def test_an_idle_validator_is_woken_a_few_times_a_second_at_most():
    world = SimulatedChain(seed=1, parameters=Parameters())
    world.start()
    world.run_for(60_000)
    before = world.time.events
    world.run_for(60_000)
    # Messages and wakings of all four together, each with the moment after it in which the node sends what it has to say.
    assert world.time.events - before < 2 * 60 * 4 * 6


@pytest.mark.parametrize("validators", [1, 2, 3, 4, 7])
def test_each_size_decides_and_cosigns(validators):
    world = started(validators=validators)
    decide(world, 3)
    world.run_for(500)
    heights = {node.engine.newest_checkpoint().height for node in world.nodes.values()}
    assert heights == {world.height()}


# -- one of four is missing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", range(4))
def test_one_of_four_may_die_and_comes_back_level(victim):
    world = started()
    dead = world.nodes[names(world)[victim]]
    dead.crash()
    # Every fourth height is the dead one's to propose, so some take a view more.
    assert decide(world, 8) < 3_000
    dead.boot()
    world.run_until(world.is_settled, within_ms=3_000, what="the dead one is level")
    decide(world)
    world.check_history()


@pytest.mark.parametrize("victim", range(4))
def test_one_of_four_may_sleep_for_a_minute(victim):
    world = started()
    sleeper = world.nodes[names(world)[victim]]
    sleeper.pause()
    until_ms = world.time.now_ms + 60_000
    while world.time.now_ms < until_ms:
        assert decide(world) < 3_000
        world.run_for(2_000)
    sleeper.resume()
    world.run_until(world.is_settled, within_ms=5_000, what="the sleeper is level")
    assert decide(world, 4) < 3_000
    world.check_history()


def test_a_late_joiner_fetches_every_block_since_genesis():
    world = SimulatedChain(seed=2)
    *early, late = names(world)
    world.start(early)
    decide(world, 100)
    world.start([late])
    world.run_until(world.is_settled, within_ms=10_000, what="the late one is level")
    world.check_history()
    before = world.nodes[late].engine.status()
    assert before.tip_height >= 100
    decide(world, 8)
    assert world.nodes[late].engine.status().is_voting


def test_a_late_joiner_votes_when_the_chain_needs_it():
    world = SimulatedChain(seed=2)
    *early, late = names(world)
    world.start(early)
    decide(world, 10)
    world.start([late])
    world.run_for(2_000)
    decide(world, 2)
    world.nodes[early[0]].crash()
    assert decide(world, 3) < 3_000


def test_a_late_joiner_votes_at_once_where_nobody_could_decide_without_it():
    world = SimulatedChain(seed=2)
    *early, late = names(world)
    world.start(early)
    decide(world, 10)
    world.start([late])
    world.run_until(world.is_settled, within_ms=3_000)
    world.nodes[early[0]].crash()
    assert decide(world, 3) < 3_000
    world.nodes[late].crash()
    world.nodes[late].boot()
    assert decide(world, 3) < 3_000


def test_a_network_may_be_born_with_work_waiting():
    # The first block is proposed while the others come one by one.
    world = SimulatedChain(seed=3)
    leader = names(world)[1]
    world.start([leader])
    world.submit(2, to=leader)
    for name in names(world):
        if name != leader:
            world.run_for(1_900)
            world.start([name])
    world.run_until(lambda: world.height() >= 1 and world.is_settled(), within_ms=6_000)
    # The last one may still have to ask what the others have heard of it.
    world.run_for(700)
    assert all(node.engine.status().is_voting for node in world.nodes.values())
    world.nodes[leader].crash()
    assert decide(world, 5) < 3_000


# -- two of four are missing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [0, 1])
def test_two_of_four_decide_nothing_and_say_whom_they_wait_for(back):
    world = started()
    dead = names(world)[:2]
    for name in dead:
        world.nodes[name].crash()
    world.submit(5)
    height = world.height()
    world.run_for(60_000)
    for node in world.running():
        assert node.ledger.tip.height == height
        assert set(node.engine.status().awaited) >= set(dead)
    world.nodes[dead[back]].boot()
    world.run_until(
        lambda: world.height() > height and world.is_settled(),
        within_ms=5_000,
        what="commits go on when one of two returns",
    )
    world.check_history()


def test_a_view_reached_alone_holds_nobody_up():
    world = started()
    lonely, *others = names(world)
    world.split([lonely], others)
    world.submit(2, to=lonely)
    world.run_for(120_000)
    assert world.nodes[lonely].engine.status().view <= 1
    world.cut(())
    assert decide(world, 4, within_ms=5_000) < 5_000


@pytest.mark.parametrize("is_deaf", [True, False])
def test_one_that_hears_nobody_or_is_heard_by_nobody_stops_nothing(is_deaf):
    world = started()
    victim, *others = names(world)
    links = [(other, victim) if is_deaf else (victim, other) for other in others]
    world.cut(links)
    running = [world.nodes[name] for name in others]
    for _ in range(20):
        goal = min(n.ledger.tip.height for n in running) + 1
        world.submit(2, to=others[0])
        world.run_until(
            lambda goal=goal: min(n.ledger.tip.height for n in running) >= goal, within_ms=3_000
        )
    world.cut(())
    world.run_until(world.is_settled, within_ms=6_000, what="the victim is level")
    world.check_history()


@pytest.mark.parametrize("hours", [-1, 1])
def test_one_clock_that_is_wrong_by_an_hour_stops_nothing_and_dates_nothing(hours):
    world = started()
    wrong = next(iter(world.nodes.values()))
    wrong.clock.skew_ms = hours * 3_600_000
    for _ in range(8):
        assert decide(world) < 3_000
        header = world.observer.decisions[world.height()].header
        assert abs(header.time_ms - EPOCH_MS - world.time.now_ms) < 3_000
        # A clock that is behind gives its block the least time above its parent's, which may well be timely.
        assert hours < 0 or header.proposer != wrong.name
    wrong.clock.skew_ms = 0
    decide(world, 4)
    world.check_history()


# -- messages that are lost --------------------------------------------------------------------------------------


def test_a_transaction_whose_telling_was_lost_is_told_again():
    world = started(parameters=Parameters())
    world.network.withholds = lambda _from, _to, kind: kind == TRANSACTIONS
    world.submit(3, to=names(world)[0])
    world.run_for(500)
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(
        world.is_settled, within_ms=world.parameters.timeout_ms + 2_500, what="all is decided"
    )
    assert len(world.observer.acknowledged) == 6


def test_a_transaction_that_one_node_alone_has_heard_of_costs_nobody_a_view_change():
    world = started()
    # The leader of the next height must hear of it before the patience of the one that has it ends.
    world.network.withholds = lambda _from, _to, kind: kind == TRANSACTIONS
    lonely = names(world)[world.height() % 4]
    world.submit(1, to=lonely)
    world.run_for(world.parameters.timeout_ms // 4)
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(world.is_settled, within_ms=3_000, what="it is decided")
    assert total_view_changes(world) == 0


def test_a_node_that_knows_a_decision_and_lacks_its_block_helps_others_with_what_it_has():
    world = started()
    thirsty, deaf, *_ = names(world)
    height = world.height() + 1

    def withholds(_from, to, kind):
        if to == thirsty:
            return kind in {PROPOSE, OUTLINE, BLOCKS}
        return to == deaf and kind in {COMMIT, 6, BLOCKS}

    world.network.withholds = withholds
    world.submit(2)
    world.run_for(4_000)
    assert world.nodes[thirsty].ledger.tip.height < height
    assert world.nodes[thirsty].engine.status().is_syncing
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(world.is_settled, within_ms=5_000, what="all are level")
    world.check_history()
