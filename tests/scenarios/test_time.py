"""S23, S24, S30: clocks that are wrong, a network slower than the chain believes, and long idleness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.parameters import Parameters
from tests.support.message_kinds import Kind
from tests.support.scenario import (
    decide,
    name_of_leader,
    names,
    recover,
    started,
    wait_for_leader,
)
from tests.support.simulated_chain import PARAMETERS
from tests.support.simulated_clock import EPOCH_MS
from tests.support.simulated_network import Conditions

PRECISION_MS = PARAMETERS.precision_ms
TOLERANCE_MS = PARAMETERS.tolerance_ms
DELAY_MS = PARAMETERS.message_delay_ms
HOUR_MS = 3_600_000
TRAVEL_MS = 7


def view_changes(world):
    return sum(node.view_changes for node in world.nodes.values())


def now_ms(world):
    """True time."""
    return EPOCH_MS + world.time.now_ms


def header_of(world, height):
    return world.observer.decisions[height].header


def check_times(world, since, *, right=None):
    """Every certified interval since a height holds a moment at which a correct clock could have read its time."""
    for height in range(since, max(world.observer.decisions) + 1):
        header = header_of(world, height)
        not_before_ms, _ = world.parameters.interval_ms(header.time_ms, header.first_view)
        assert header.time_ms > header_of(world, height - 1).time_ms
        assert not_before_ms <= (now_ms(world) if right is None else right)


def set_clocks(world, wrong, skew_ms):
    for name in wrong:
        world.nodes[name].clock.skew_ms = skew_ms


# -- S23 -----------------------------------------------------------------------------------------------------

EDGES = {
    "right": (0, True),
    "as fast as may be": (TOLERANCE_MS + TRAVEL_MS, True),
    "one millisecond faster": (TOLERANCE_MS + TRAVEL_MS + 1, False),
    "as slow as may be": (TRAVEL_MS - DELAY_MS - TOLERANCE_MS, True),
    "one millisecond slower": (TRAVEL_MS - DELAY_MS - TOLERANCE_MS - 1, False),
}
AT_ONCE_MS = 150
"""What a height takes at most whose proposal is timely: the interval between blocks, and five messages."""


@pytest.mark.parametrize("edge", EDGES)
def test_s23_a_leaders_stamp_may_be_off_by_the_tolerance_and_not_by_a_millisecond_more(edge):
    skew_ms, is_timely = EDGES[edge]
    world = started()
    leader = names(world)[2]
    wait_for_leader(world, leader, 0)
    # So long that the least time above the parent's is no way out for a clock that is behind.
    world.run_for(2 * (DELAY_MS + PRECISION_MS))
    height = world.height() + 1
    world.network.conditions = Conditions(delay_ms=(TRAVEL_MS, TRAVEL_MS))
    # So that it does not hear what the others' clocks read, and believes its own.
    world.network.withholds = lambda _from, _to, kind: kind == Kind.CLOCK
    set_clocks(world, [leader], skew_ms)
    world.submit(2)
    took_ms = world.run_until(lambda: world.height() == height, within_ms=2_000)
    header = header_of(world, height)
    assert (took_ms <= AT_ONCE_MS) == is_timely, took_ms
    if is_timely:
        assert (header.proposer, header.first_view, view_changes(world)) == (leader, 0, 0)
        assert abs(header.time_ms - now_ms(world) - skew_ms) < AT_ONCE_MS
    elif skew_ms < 0:
        # One that is too fast comes again while its view lasts, and has become timely by then.
        assert (header.proposer == leader, header.first_view) == (False, 1)
        assert abs(header.time_ms - now_ms(world)) < AT_ONCE_MS
    check_times(world, height)
    set_clocks(world, [leader], 0)
    recover(world)


@pytest.mark.parametrize("fast", [0, 1, 2, 3])
def test_s23_correct_clocks_as_far_apart_as_may_be_cost_no_view(fast):
    world = started()
    everybody = names(world)
    half_ms = PARAMETERS.clock_bound_ms // 2
    set_clocks(world, everybody[:fast], half_ms)
    set_clocks(world, everybody[fast:], -half_ms)
    since = world.height() + 1
    decide(world, 12, within_ms=1_000)
    world.run_for(DELAY_MS + PRECISION_MS)
    decide(world, 12, within_ms=1_000)
    assert view_changes(world) == 0
    check_times(world, since)
    recover(world)


@pytest.mark.parametrize("skews", [(1, 1), (-1, -1), (1, -1)], ids=str)
def test_s23_as_many_wrong_leaders_in_a_row_as_may_be_cost_a_timeout_each_once(skews):
    world = started(validators=7)
    height = world.height() + 1
    wrong = [name_of_leader(world, height, view) for view in (0, 1)]
    for name, hours in zip(wrong, skews, strict=True):
        set_clocks(world, [name], hours * HOUR_MS)
    world.run_for(2 * (DELAY_MS + PRECISION_MS))
    limit_ms = sum(1_000 * 3**v // 2**v * 11 // 10 for v in (0, 1)) + 500
    decide(world, within_ms=limit_ms)
    header = header_of(world, height)
    assert (header.first_view, header.proposer) == (2, name_of_leader(world, height, 2))
    # Heights of their turns that come before the chain has learned of it cost timeouts too; then they are passed over.
    decide(world, 4, within_ms=limit_ms)
    before = view_changes(world)
    decide(world, 14, within_ms=1_000)
    assert view_changes(world) == before
    proposers = {header_of(world, h).proposer for h in range(height, world.height() + 1)}
    # A clock that is behind gives its block the least time above its parent's, which may well be timely.
    assert proposers.isdisjoint(n for n, hours in zip(wrong, skews, strict=True) if hours > 0)
    check_times(world, height)
    set_clocks(world, wrong, 0)
    recover(world)


@pytest.mark.parametrize("seconds", [-1, 1])
@pytest.mark.parametrize("pause_ms", [0, 5_000])
def test_s23_a_leap_second_on_all_clocks_at_once_costs_a_view_at_most(seconds, pause_ms):
    world = started()
    decide(world, 2)
    since = world.height() + 1
    world.run_for(pause_ms)
    set_clocks(world, names(world), seconds * 1_000)
    decide(world, within_ms=2_000)
    assert view_changes(world) <= (4 if seconds < 0 and not pause_ms else 0)
    before = view_changes(world)
    decide(world, 8, within_ms=1_000)
    assert view_changes(world) == before
    check_times(world, since, right=now_ms(world) + seconds * 1_000 + PRECISION_MS)
    recover(world)


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("moment_ms", [0, 101, 103, 106, 109])
def test_s23_a_clock_that_jumps_in_the_middle_of_a_height_stops_and_misdates_nothing(
    hours, moment_ms
):
    world = started()
    since = world.height() + 1
    for name in names(world):
        world.submit(2, to=name)
        world.run_for(moment_ms)
        set_clocks(world, [name], hours * HOUR_MS)
        decide(world, 2)
        assert abs(header_of(world, world.height()).time_ms - now_ms(world)) < 3_000
        set_clocks(world, [name], 0)
        decide(world, 1)
    check_times(world, since)
    recover(world)


@pytest.mark.parametrize("hours", [-1, 1])
def test_s23_more_wrong_clocks_than_may_be_stop_the_chain_rather_than_date_a_block(hours):
    world = started()
    wrong = names(world)[:2]
    world.run_for(2 * (DELAY_MS + PRECISION_MS))
    height = world.height()
    set_clocks(world, wrong, hours * HOUR_MS)
    world.submit(3)
    world.run_for(120_000)
    assert {n.ledger.tip.height for n in world.running()} == {height}
    set_clocks(world, wrong, 0)
    # A proposal of the view that is open may have been refused by some, so the next one's must do.
    world.run_until(
        lambda: world.height() > height and world.is_settled(),
        within_ms=2 * world.parameters.timeout_cap_ms * 11 // 10,
        what="right clocks are enough",
    )
    check_times(world, height + 1)
    recover(world)


# -- S24 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("travel_ms", [180, 260, 400])
def test_s24_a_network_slower_than_its_parameter_decides_in_the_first_view_that_allows_for_it(
    travel_ms,
):
    parameters = replace(
        PARAMETERS, precision_ms=50, message_delay_ms=100, message_delay_cap_ms=600, skip_heights=0
    )
    world = started(parameters=parameters)
    expected = next(v for v in range(100) if parameters.is_timely(0, v, travel_ms))
    assert expected >= 2
    world.network.conditions = Conditions(delay_ms=(travel_ms, travel_ms))
    since = world.height() + 1
    bound_ms = sum(min(1_000 * 3**v // 2**v, 4_000) * 11 // 10 for v in range(expected + 1))
    decide(world, 2, within_ms=bound_ms + 8 * travel_ms)
    for height in range(since, world.height() + 1):
        assert header_of(world, height).first_view == expected
    check_times(world, since)
    # As soon as messages are as fast as they should be, view 0 does again.
    world.network.conditions = Conditions()
    decide(world, 2)
    before = view_changes(world)
    decide(world, 4, within_ms=1_000)
    assert view_changes(world) == before
    assert header_of(world, world.height()).first_view == 0
    recover(world)


@pytest.mark.parametrize("travel_ms", [150, 300, 600])
def test_s24_timeouts_grow_until_a_view_lasts_longer_than_messages_take(travel_ms):
    parameters = replace(PARAMETERS, timeout_ms=200, timeout_cap_ms=8_000)
    world = started(parameters=parameters)
    world.network.conditions = Conditions(delay_ms=(travel_ms * 9 // 10, travel_ms))
    since = world.height() + 1
    decide(world, 3, within_ms=30_000)
    views = [header_of(world, h).first_view for h in range(since, world.height() + 1)]
    assert view_changes(world) > 0, "200 ms were enough: this shows nothing"
    # Proposal, PREPARE and COMMIT take three times as long as one message; some views before that is allowed for.
    needed = next(v for v in range(100) if 200 * 1.5**v >= 3 * travel_ms)
    assert max(views) <= needed + 2, views
    world.network.conditions = Conditions()
    decide(world, 2)
    recover(world)


def test_s24_delays_that_differ_wildly_stop_nothing():
    world = started()
    world.network.conditions = Conditions(delay_ms=(10, 2_500), in_order=False)
    decide(world, 4, within_ms=60_000)
    world.network.conditions = Conditions()
    recover(world)


# -- S30 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", [0, 1])
def test_s30_an_idle_hour_costs_no_view_and_no_memory(dead):
    parameters = Parameters()
    world = started(parameters=parameters)
    for name in names(world)[:dead]:
        world.nodes[name].crash()
        # Its turn fails once, and it is passed over from then on.
        decide(world, 6)
    before, height = view_changes(world), world.height()
    sizes = [n.disk.file.size_bytes for n in world.running()]
    world.run_for(HOUR_MS)
    assert view_changes(world) == before
    # Each comes a little later than a minute after the one before.
    assert world.height() - height in {HOUR_MS // parameters.heartbeat_ms - less for less in (0, 1)}
    assert all(world.observer.decisions[h].tx_ids == () for h in range(height + 1, world.height()))
    grown = [n.disk.file.size_bytes - size for n, size in zip(world.running(), sizes, strict=True)]
    assert max(grown) < 100 * 1_000
    # Then the first transaction is as quick as any.
    decide(world, 3, within_ms=300)
    assert view_changes(world) == before
    recover(world)
