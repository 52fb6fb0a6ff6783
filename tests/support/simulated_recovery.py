"""The end of all trouble, and the proof that the chain comes back by itself: in what time, level, and calm afterwards.

The bounds follow from the chain's timeouts and from how many validators still lie, and from nothing that was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.engine.clock_offsets import INTERVAL_MS
from chainnode.engine.open_height import MAX_JITTER_PERMILLE
from chainnode.engine.sync import ANSWER_MS
from chainnode.services.ports import ClockVerdict
from tests.support.simulated_checks import Violation
from tests.support.simulated_network import PERFECT
from tests.support.simulated_node import State
from tests.support.simulated_trouble import STEP_MS

if TYPE_CHECKING:
    from tests.support.adversaries.base import Adversary
    from tests.support.simulated_chain import SimulatedChain
    from tests.support.simulated_node import SimulatedNode

NEW_HEIGHTS = 3
"""What must be decided after healing, besides the first."""

CLOCKS_MS = 2 * INTERVAL_MS
"""Two samples of each peer's clock: the first may have been on its way when that was set."""

LEAST_HEIGHTS = 30
"""What a whole run must decide, or it has shown too little."""

LEAST_CALM_HEIGHTS = 10
"""How many of them are decided once all is well, whatever chaos has brought; times of idleness lie between them."""


def capped_timeout_ms(world: SimulatedChain) -> int:
    """Return the longest that a view can last once its timer runs."""
    return world.parameters.timeout_cap_ms * (1_000 + MAX_JITTER_PERMILLE) // 1_000


def progress_bound_ms(world: SimulatedChain) -> int:
    """Return within what time a healed chain must decide its first block, from the timeouts alone.

    Two timeouts: the view that is open may be in vain and have just begun, and so may the next, if its leader is
    behind. Each validator that still lies may lead one more.
    """
    return (2 + len(world.faulty)) * capped_timeout_ms(world)


def recovery_bound_ms(world: SimulatedChain) -> int:
    """Return within what time `NEW_HEIGHTS` more must be decided after that, and all be level.

    Whoever is behind may ask somebody who does not answer. Each height may begin with the views of those that lie.
    """
    lying = len(world.faulty)
    bound_ms = (1 + lying) * ANSWER_MS + (NEW_HEIGHTS + 1) * _lying_views_ms(world) + 2_000
    return progress_bound_ms(world) + bound_ms


def backlog_bound_ms(world: SimulatedChain) -> int:
    """Return within what time all that waits now must be decided after that: in full blocks, at half the fastest pace."""
    parameters = world.parameters
    waiting = max((len(node.pool) for node in world.running()), default=0)
    heights = waiting // parameters.max_block_transactions
    return heights * (2 * parameters.min_interval_ms + _lying_views_ms(world))


def _lying_views_ms(world: SimulatedChain) -> int:
    """Return how long one height may take for the views of those that lie."""
    lying, timeout_ms = len(world.faulty), world.parameters.timeout_ms
    return lying * sum(timeout_ms * 3**v // 2**v for v in range(lying + 1))


def heal(world: SimulatedChain, adversary: Adversary | None = None) -> None:
    """End all trouble: every correct machine runs, all hear all, at once. Liars go on."""
    if adversary is not None:
        adversary.heal()
    world.network.conditions = PERFECT
    world.cut(())
    for node in world.nodes.values():
        # The plan of a disk that was to fail later is void as well.
        node.disk.plan.at = None
        node.verifier_delay_ms = (0, 0)
        node.slow_disk_ms = 0
        if abs(node.clock.skew_ms) > world.parameters.clock_bound_ms // 2:
            # Right clocks that are no farther apart than the bound cost no view.
            node.clock.skew_ms = 0
        if node.state is State.PAUSED:
            node.resume()
        elif node.state is State.DOWN:
            node.boot()


def check_recovery(world: SimulatedChain, adversary: Adversary | None = None) -> int:
    """Heal, and see the chain decide, settle and agree within the bounds; return how long it took."""
    heal(world, adversary)
    backlog_ms = backlog_bound_ms(world)
    spent_ms = 0
    for number in range(NEW_HEIGHTS + 1):
        # One client that goes on working: without work there is nothing to decide.
        before = max(world.observer.decisions, default=0)
        world.submit()
        bound_ms = recovery_bound_ms(world) if number else progress_bound_ms(world)
        spent_ms += _run_acting(
            world,
            adversary,
            lambda b=before: max(world.observer.decisions, default=0) > b,
            within_ms=bound_ms - spent_ms,
            what=f"new height {number + 1} after healing",
        )
    spent_ms += _run_acting(
        world,
        adversary,
        world.is_settled,
        within_ms=recovery_bound_ms(world) + backlog_ms - spent_ms,
        what="all level and nothing pending",
    )
    spent_ms += _end_quarantines(world, adversary)
    spent_ms += _run_acting(
        world,
        adversary,
        lambda: all(_believes_its_clock(node) for node in world.running()),
        within_ms=CLOCKS_MS,
        what="all clocks are right, and everybody knows that of its own",
    )
    world.check_history()
    return spent_ms


def _end_quarantines(world: SimulatedChain, adversary: Adversary | None) -> int:
    """Decide what it takes for whoever lost its memory to vote again; return how long that took."""
    spent_ms = 0
    # A block must be younger than their start by three precisions (docs/consensus.md, voting licence).
    for _ in range(4 * world.parameters.precision_ms // STEP_MS + NEW_HEIGHTS):
        if _everybody_votes(world):
            return spent_ms
        world.run_for(STEP_MS)
        spent_ms += STEP_MS
        world.submit()
        spent_ms += _run_acting(
            world,
            adversary,
            world.is_settled,
            within_ms=recovery_bound_ms(world),
            what="all level and nothing pending before all vote",
        )
    if not _everybody_votes(world):
        raise Violation(f"somebody still does not vote: {world.describe()}")
    return spent_ms


def _believes_its_clock(node: SimulatedNode) -> bool:
    return node.engine.status().clock.verdict is not ClockVerdict.WRONG


def _everybody_votes(world: SimulatedChain) -> bool:
    """Whether every correct validator of the open height votes on it."""
    members = world.observer.validators(max(world.observer.decisions) + 1)
    return all(
        n.engine.status().is_voting for n in world.running() if members.index_of(n.name) is not None
    )


def _run_acting(world: SimulatedChain, adversary: Adversary | None, condition, **how) -> int:
    """Run until a condition holds while the adversary acts."""
    if adversary is None:
        return world.run_until(condition, **how)
    within_ms, spent_ms = how["within_ms"], 0
    while True:
        adversary.act()
        if condition():
            return spent_ms
        slice_ms = min(STEP_MS, within_ms - spent_ms)
        if slice_ms <= 0:
            raise Violation(f"not within {within_ms} ms: {how['what']}; {world.describe()}")
        world.run_for(slice_ms)
        spent_ms += slice_ms


def stay_calm(world: SimulatedChain, adversary: Adversary | None, duration_ms: int) -> None:
    """Go on working with all well: nobody who is not provoked changes a view."""
    before = {n.host: n.view_changes for n in world.correct()}
    until_ms = world.time.now_ms + duration_ms
    wanted = max(LEAST_CALM_HEIGHTS, LEAST_HEIGHTS + 4 - max(world.observer.decisions))
    calm_ms = max(STEP_MS, duration_ms // (wanted + 1))
    due_ms = 0
    while world.time.now_ms < until_ms:
        if adversary is not None:
            adversary.act()
        if world.time.now_ms >= due_ms:
            due_ms = world.time.now_ms + calm_ms
            world.submit()
        world.run_for(min(STEP_MS if adversary else calm_ms, until_ms - world.time.now_ms))
    _run_acting(
        world,
        adversary,
        world.is_settled,
        within_ms=recovery_bound_ms(world),
        what="all level and nothing pending in the end",
    )
    world.check_history()
    changed = {n.host: n.view_changes - before[n.host] for n in world.correct()}
    if adversary is None and any(changed.values()):
        raise Violation(f"view changes though all was well: {changed}")
