"""A run of one seed: trouble, with or without an adversary, and then the proof that the chain comes back by itself.

chaos    40 virtual seconds; whatever happens, nothing that must hold breaks (`simulated_trouble`)
healed   60 virtual seconds; correct machines run, hear each other and keep time; what an adversary owns goes on lying.
         The chain must decide again within a bound that follows from the timeouts, settle, and stay calm
         (`simulated_recovery`)
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.support.adversaries.catalogue import ADVERSARIES, CHOICES, NOBODY
from tests.support.simulated_chain import PARAMETERS, SimulatedChain
from tests.support.simulated_checks import Violation
from tests.support.simulated_recovery import LEAST_HEIGHTS, check_recovery, stay_calm
from tests.support.simulated_speed import remembering
from tests.support.simulated_trouble import Chaos, draw_trouble
from tests.support.specification import Specification

if TYPE_CHECKING:
    from collections.abc import Callable

CHAOS_MS = 40_000
HEALED_MS = 60_000

SIZES = (4, 5, 6, 7, 4, 5, 6, 4, 5, 10, 4, 6, 5, 4, 7, 4, 5, 6, 4)
"""Numbers of validators; each seed of a soak has its own. A run costs their square: most runs are small. There are 19 of
them, a prime, so that each size meets everything else that a seed's number decides."""

SKIP_HEIGHTS = (0, 6, 1_000)
"""For how long a failed leader is passed over; each seed has one of these."""

FULL_BLOCK, FULL_TIMES = 60, 25
"""With real signatures, blocks are full: so many transactions fit, and clients send so many times more."""

_MAX_MACHINES = 10


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one seed came to."""

    seed: int
    validators: int
    adversary: str
    heights: int
    events: int
    virtual_ms: int
    recovery_ms: int
    view_changes: int
    trace: str


def run_chaos(
    seed: int,
    *,
    validators: int = 4,
    adversary: str | None = None,
    chaos_ms: int = CHAOS_MS,
    healed_ms: int = HEALED_MS,
    real_crypto: bool = False,
    tell_adversary: Callable[[str], object] = lambda _name: None,
) -> Outcome:
    """Run one seed from start to end; `adversary` is the name of a kind, by default drawn and told."""
    with remembering(enabled=not real_crypto):
        gc.disable()
        try:
            return _run(
                seed,
                validators,
                adversary,
                chaos_ms,
                healed_ms,
                real_crypto=real_crypto,
                tell_adversary=tell_adversary,
            )
        finally:
            gc.enable()


def _run(
    seed: int,
    validators: int,
    kind: str | None,
    chaos_ms: int,
    healed_ms: int,
    *,
    real_crypto: bool,
    tell_adversary: Callable[[str], object],
) -> Outcome:
    governed = validators >= 4 and seed % 3 == 0
    spares = min(2, _MAX_MACHINES - validators) if governed else 0
    world = SimulatedChain(
        seed=seed,
        validators=validators,
        parameters=replace(
            PARAMETERS,
            skip_heights=SKIP_HEIGHTS[seed // 3 % len(SKIP_HEIGHTS)],
            max_block_transactions=FULL_BLOCK if real_crypto else PARAMETERS.max_block_transactions,
        ),
        real_crypto=real_crypto,
        spares=spares,
        has_governance=governed,
    )
    # Drawn even where it is given, so that naming the kind that a seed draws is the same run.
    drawn = world.random.choice(CHOICES) if validators >= 4 else NOBODY
    kind = drawn if kind is None else kind
    tell_adversary(kind)
    adversary = None if kind == NOBODY else ADVERSARIES[kind](world)
    specification = Specification(world)
    world.watch(specification)
    trouble = draw_trouble(world.random, world.parameters.precision_ms)
    chaos = Chaos(world, trouble, adversary, times=FULL_TIMES if real_crypto else 1)
    chaos.start()
    chaos.run(chaos_ms)
    recovery_ms = check_recovery(world, adversary)
    stay_calm(world, adversary, healed_ms - recovery_ms)
    specification.check_talkative()
    heights = max(world.observer.decisions)
    if healed_ms == HEALED_MS and heights < LEAST_HEIGHTS:
        raise Violation(f"only {heights} heights in {world.time.now_ms} ms")
    return Outcome(
        seed=seed,
        validators=validators,
        adversary=kind,
        heights=heights,
        events=world.time.events,
        virtual_ms=world.time.now_ms,
        recovery_ms=recovery_ms,
        view_changes=sum(n.view_changes for n in world.correct()),
        trace=world.trace_hash(),
    )
