"""Clocks that are wrong, jump, drift and leap: no certified interval is wrong, the culprit is seen, the chain goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.engine.clock_offsets import INTERVAL_MS, MAX_AGE_MS
from chainnode.services.ports import ClockVerdict
from tests.support.message_kinds import Kind
from tests.support.scenario import decide, name_of_leader, names, recover, started, watched
from tests.support.simulated_chain import PARAMETERS
from tests.support.simulated_chaos import run_chaos
from tests.support.simulated_clocks import run_clocks

BOUND_MS = PARAMETERS.clock_bound_ms
AT_ONCE_MS = 300
"""What a height takes at most in which no timeout ran out, though its leader declined: a block and two view changes."""

DAY_MS = 86_400_000


def clock_of(world, name):
    return world.nodes[name].engine.status().clock


def verdicts(world):
    return {node.name: clock_of(world, node.name).verdict for node in world.running()}


def seen_off(world, culprit):
    """Who sees that this validator's clock is off, of all others."""
    return {
        node.name
        for node in world.running()
        for peer in node.engine.status().peers
        if peer.name == culprit and peer.clock_is_off
    }


def measure(world):
    """Have everybody measure everybody's clock."""
    world.run_for(2 * INTERVAL_MS + 100)


def proposers(world, since):
    return {world.observer.decisions[h].header.proposer for h in range(since, world.height() + 1)}


def all_judged(world):
    assert world.dating.judged == world.height()


# -- one wrong clock -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [10, -10])
def test_one_that_is_ten_seconds_off_declines_its_turns_and_no_timeout_is_waited_for(seconds):
    world = started(parameters=replace(PARAMETERS, skip_heights=0))
    culprit = names(world)[1]
    world.nodes[culprit].clock.skew_ms = seconds * 1_000
    measure(world)
    assert clock_of(world, culprit).verdict is ClockVerdict.WRONG
    assert not clock_of(world, culprit).vouches
    assert seen_off(world, culprit) == set(names(world)) - {culprit}
    since = world.height() + 1
    turns = 0
    for _ in range(12):
        turns += name_of_leader(world, world.height() + 1, 0) == culprit
        decide(world, within_ms=AT_ONCE_MS)
    assert turns >= 3
    assert clock_of(world, culprit).declined == turns
    assert culprit not in proposers(world, since)
    others = [clock_of(world, n) for n in names(world) if n != culprit]
    assert all(c.verdict is ClockVerdict.RIGHT and c.vouches for c in others)
    all_judged(world)
    # Set right, it proposes again by itself.
    world.nodes[culprit].clock.skew_ms = 0
    measure(world)
    assert clock_of(world, culprit).verdict is ClockVerdict.RIGHT
    assert seen_off(world, culprit) == set()
    since = world.height() + 1
    decide(world, 8, within_ms=AT_ONCE_MS)
    assert culprit in proposers(world, since)
    recover(world)


def test_one_that_is_a_second_fast_proposes_nothing_and_votes_as_ever():
    world = started(parameters=replace(PARAMETERS, skip_heights=0))
    culprit = names(world)[2]
    world.nodes[culprit].clock.skew_ms = 1_000
    measure(world)
    since = world.height() + 1
    decide(world, 8, within_ms=AT_ONCE_MS)
    assert culprit not in proposers(world, since)
    voted = {h for _, h, _ in world.observer.voted[culprit]}
    assert voted >= {
        h for h in range(since, world.height()) if name_of_leader(world, h, 0) != culprit
    }


def test_one_that_jumps_to_and_fro_is_counted_dates_nothing_wrongly_and_goes_nowhere_back():
    world = started()
    culprit = names(world)[2]
    jumps = (4_000, -4_000, 0, 700, -90_000, 0)
    for skew_ms in jumps:
        world.nodes[culprit].clock.skew_ms = skew_ms
        for _ in range(6):
            decide(world, within_ms=3_000)
        measure(world)
    clock = clock_of(world, culprit)
    assert clock.jumps == len(jumps)
    assert (clock.last_jump_ms, clock.verdict) == (90_000, ClockVerdict.RIGHT)
    assert world.observer.events["clock_jumped"] == len(jumps)
    # The observer has seen that time rises from block to block.
    all_judged(world)
    recover(world)


def test_one_that_drifts_is_found_wrong_at_the_bound_before_it_could_misdate_anything():
    world = started()
    culprit, began_ms = names(world)[3], world.time.now_ms
    node = world.nodes[culprit]
    node.clock.wander = lambda now_ms: (now_ms - began_ms) // 200
    found_at_ms = None
    while node.clock.error_ms() < 2 * BOUND_MS:
        decide(world, within_ms=3_000)
        world.run_for(1_000)
        if found_at_ms is None and clock_of(world, culprit).verdict is ClockVerdict.WRONG:
            found_at_ms = node.clock.error_ms()
    assert BOUND_MS < found_at_ms <= BOUND_MS + 60
    assert clock_of(world, culprit).jumps == 0
    assert seen_off(world, culprit) == set(names(world)) - {culprit}
    all_judged(world)
    recover(world)


def test_a_clock_at_the_edge_does_not_come_and_go():
    world = started()
    culprit = names(world)[0]
    changes = []
    for skew_ms in (
        BOUND_MS + 20,
        BOUND_MS - 20,
        BOUND_MS // 2 + 20,
        BOUND_MS // 2 - 20,
        BOUND_MS - 20,
    ):
        world.nodes[culprit].clock.skew_ms = skew_ms
        measure(world)
        changes.append(clock_of(world, culprit).verdict)
    wrong, right = ClockVerdict.WRONG, ClockVerdict.RIGHT
    assert changes == [wrong, wrong, wrong, right, right]


# -- too few judges ------------------------------------------------------------------------------------------


def test_a_chain_that_starts_knows_nothing_of_its_clocks_and_makes_blocks():
    world = watched()
    world.start()
    assert set(verdicts(world).values()) == {ClockVerdict.UNKNOWN}
    world.run_for(500)
    world.network.withholds = lambda _from, _to, kind: kind == Kind.CLOCK
    # What was measured before anybody voted is too old by now.
    world.run_for(MAX_AGE_MS + 5_000)
    assert set(verdicts(world).values()) == {ClockVerdict.UNKNOWN}
    assert not any(clock_of(world, n).vouches for n in names(world))
    decide(world, 4, within_ms=1_000)


def test_with_f_down_the_others_still_judge_and_one_more_wrong_clock_costs_what_a_dead_leader_does():
    world = started(validators=7)
    down, culprit = names(world)[0], names(world)[4]
    world.nodes[down].crash()
    world.nodes[culprit].clock.skew_ms = -5_000
    measure(world)
    assert clock_of(world, culprit).verdict is ClockVerdict.WRONG
    decide(world, 14, within_ms=4_000)
    all_judged(world)
    recover(world)


def test_four_clocks_of_which_two_are_wrong_tell_nobody_who_is_right():
    world = started()
    for name in names(world)[:2]:
        world.nodes[name].clock.skew_ms = 30_000
    measure(world)
    assert set(verdicts(world).values()) == {ClockVerdict.DISPUTED}
    assert not any(clock_of(world, n).vouches for n in names(world))


# -- a time source of one's own ------------------------------------------------------------------------------


def test_a_drift_that_all_share_is_seen_by_the_one_that_has_an_independent_source():
    world = watched(parameters=replace(PARAMETERS, skip_heights=0))
    watcher = names(world)[1]
    world.nodes[watcher].time_source = lambda: 0
    world.start()
    world.run_for(500)
    decide(world)
    for node in world.nodes.values():
        node.clock.wander = lambda now_ms: now_ms // 200
    for _ in range(30):
        world.run_for(3_000)
        decide(world, within_ms=1_000)
    assert verdicts(world) == {
        name: ClockVerdict.WRONG if name == watcher else ClockVerdict.RIGHT for name in names(world)
    }
    clock = clock_of(world, watcher)
    assert clock.source.offset_ms < -BOUND_MS
    assert "receiver" in clock.sentence
    assert world.observer.events["clock_wrong"] == 1
    since = world.height() + 1
    decide(world, 8, within_ms=AT_ONCE_MS)
    assert watcher not in proposers(world, since)
    # Nothing is judged any more: all clocks are off by more than right ones may be.
    assert world.dating.judged < world.height()


def test_a_source_that_falls_silent_stops_nobody_and_its_node_ceases_to_vouch():
    world = watched()
    watcher = names(world)[0]
    answers = [0]
    world.nodes[watcher].time_source = lambda: answers[0]
    world.start()
    world.run_for(500)
    decide(world)
    measure(world)
    assert clock_of(world, watcher).vouches
    answers[0] = None
    world.run_for(700_000)
    clock = clock_of(world, watcher)
    assert (clock.verdict, clock.vouches) == (ClockVerdict.RIGHT, False)
    assert "no answer" in clock.sentence
    decide(world, 4, within_ms=1_000)
    recover(world)


# -- leap seconds --------------------------------------------------------------------------------------------

LEAP_AT_MS = 20_000


def stepping(now_ms):
    """Reads 23:59:59 twice."""
    return -1_000 * (now_ms >= LEAP_AT_MS)


def smearing(now_ms):
    """Runs slow from noon to noon; the day is put in the middle of its smear here."""
    done = now_ms + DAY_MS // 2 - LEAP_AT_MS
    return -1_000 * max(0, min(DAY_MS, done)) // DAY_MS


LEAPS = {
    "all step": (stepping,) * 4,
    "all smear": (smearing,) * 4,
    "half and half": (stepping, stepping, smearing, smearing),
    "one smears": (stepping, stepping, stepping, smearing),
}


@pytest.mark.parametrize("kind", LEAPS)
def test_a_leap_second_misdates_nothing_where_the_precision_covers_what_clocks_make_of_it(kind):
    """A smear is off by half a second at most: right clocks may be, where the precision is a second."""
    world = watched(parameters=replace(PARAMETERS, precision_ms=1_100))
    world.time.leap_at_ms = LEAP_AT_MS
    for node, wander in zip(world.nodes.values(), LEAPS[kind], strict=True):
        node.clock.wander = wander
    world.start()
    while world.time.now_ms < LEAP_AT_MS + 8_000:
        decide(world, within_ms=2_000)
        is_near = abs(world.time.now_ms - LEAP_AT_MS) < 3_000
        world.run_for(100 if is_near else 1_500)
    assert world.dating.judged == world.height() >= 20


def test_a_leap_second_that_all_clocks_step_over_costs_half_a_second_at_most_and_no_view():
    world = watched()
    world.time.leap_at_ms = LEAP_AT_MS
    for node in world.nodes.values():
        node.clock.wander = stepping
    world.start()
    world.run_for(LEAP_AT_MS - 10)
    decide(world, 12, within_ms=AT_ONCE_MS + 1_000 - PARAMETERS.tolerance_ms)
    assert sum(node.view_changes for node in world.nodes.values()) == 0
    all_judged(world)


# -- random runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 4])
def test_no_liar_at_the_edge_of_the_bounds_has_a_block_misdated(first):
    for seed in range(first, first + 4):
        assert run_clocks(seed)


def test_seed_29_a_block_that_waited_for_its_clock_is_forgotten_with_its_height():
    run_chaos(29, validators=4, adversary="time liar", chaos_ms=12_000, healed_ms=8_000)
