"""One height, and a power cut at every point of it: around each write and each message, at each byte of a torn vote.

Whoever went down restarts at once, while the others still are in the view in which it was, and must go on without
contradicting what it had said: the observer and the specification see every word.
"""

from __future__ import annotations

import functools
import itertools

import pytest

from tests.support.crash_points import CrashPoint, Step
from tests.support.scenario import (
    PROPOSE,
    decide,
    name_of_leader,
    names,
    started,
)
from tests.support.simulated_node import State
from tests.support.simulated_speed import remembering

ROLES = ("leader", "follower")
VIEWS = (0, 1)
"""The height is decided in view 0, or, as its first proposal gets lost, in view 1."""

PAUSE_MS = 2_000
"""For which the other kind of restart waits: by then the others have gone on."""


def open_height(role, view):
    """A chain with work for its next height, and who has that role in it."""
    world = started(seed=5)
    height = world.height() + 1
    leader = name_of_leader(world, height, view)
    first = name_of_leader(world, height, 0)
    follower = next(n for n in names(world) if n not in {leader, first})
    if view:
        world.network.withholds = lambda sender, _to, kind: sender == first and kind == PROPOSE
    return world, height, leader if role == "leader" else follower


def play(world, height, until):
    """Have the height decided by those who run, or until something happens."""
    world.submit(2, to=names(world)[0])
    world.run_until(
        lambda: until() or (world.height() >= height and world.is_settled()),
        within_ms=8_000,
        what=f"height {height}",
    )


@functools.cache
def steps(role, view, step):
    """How often a validator does that in the height, and what a crash after each write could tear."""
    world, height, name = open_height(role, view)
    point = CrashPoint(step, -1)
    point.arm(world, name)
    play(world, height, lambda: False)
    # A little more, so that cosignatures and the record of the decision are among them.
    world.run_for(100)
    return point.count, tuple(sorted(point.unsynced.items()))


def survive(role, view, point, *, torn=None, pause_ms=0):
    """Cut the power at that point, restart, and see the chain go on."""
    world, height, name = open_height(role, view)
    node = world.nodes[name]
    node.disk.torn = torn
    point.arm(world, name)
    play(world, height, lambda: point.has_struck)
    world.run_until(lambda: point.has_struck, within_ms=200, what="the power is cut")
    assert node.state is State.DOWN
    if pause_ms:
        world.run_for(pause_ms)
    node.boot()
    if not any(len(n.pool) for n in world.running()) and world.height() < height:
        # It went down with what only it had heard of: the client sends it again.
        world.submit()
    world.run_until(
        lambda: world.height() >= height and world.is_settled(),
        within_ms=8_000,
        what="the height is decided by all",
    )
    world.network.withholds = None
    decide(world, 2)
    world.check_history()
    assert node.engine.status().is_voting


def survive_all(role, view, points, *, pauses=(0,)):
    """One chain for each; a failure says which."""
    with remembering():
        for (step, number, is_after, torn), pause_ms in itertools.product(points, pauses):
            try:
                point = CrashPoint(step, number, is_after=is_after)
                survive(role, view, point, torn=torn, pause_ms=pause_ms)
            except BaseException as error:
                when = "after" if is_after else "before"
                error.add_note(
                    f"{role} in view {view}: {when} {step.name} {number}, torn {torn}, {pause_ms} ms"
                )
                raise


def around_each(role, view, step):
    """Before and after each of the steps."""
    count, _ = steps(role, view, step)
    return [(step, number, is_after, None) for number in range(count) for is_after in (False, True)]


def between_sends(role, view):
    """Before each message and after the last one: what happens between two of them is a write, if anything."""
    points = around_each(role, view, Step.SEND)
    return [p for p in points if not p[2]] + points[-1:]


def torn_at_each_byte(role, view):
    """After each append that is not synced yet: any number of its first bytes, and the rest gone or zeros."""
    _, unsynced = steps(role, view, Step.WRITE)
    return [
        (Step.WRITE, number, True, (survivors, zeros))
        for number, size in unsynced
        for survivors in range(size + 1 if size else 0)
        for zeros in sorted({0, size - survivors})
    ]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ROLES)
def test_a_height_survives_a_crash_before_and_after_each_write(role, view):
    points = around_each(role, view, Step.WRITE)
    assert len(points) >= 12
    survive_all(role, view, points)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ROLES)
def test_a_height_survives_a_crash_between_any_two_messages(role, view):
    points = between_sends(role, view)
    assert len(points) >= 12
    survive_all(role, view, points)


@pytest.mark.parametrize("role", ROLES)
def test_a_height_survives_a_vote_log_torn_at_some_bytes_of_each_append(role):
    """Every fifth case, with zeros and without; the soak takes every one."""
    points = torn_at_each_byte(role, 0)
    assert len(points) > 500
    survive_all(role, 0, points[::5])


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ROLES)
def test_a_height_survives_every_crash_point_with_every_torn_byte(role, view):
    points = around_each(role, view, Step.WRITE) + around_each(role, view, Step.SEND)
    survive_all(role, view, points, pauses=(0, PAUSE_MS))
    survive_all(role, view, torn_at_each_byte(role, view), pauses=(0, PAUSE_MS))
