"""A run of one seed that is about clocks alone: right ones as far apart as may be, and liars at every edge of the bounds.

Nobody crashes and no link is cut; messages take longer than the chain's parameters allow for, now and then. All
certified intervals are judged all the while (`simulated_dating`); in the end clocks are right, and the chain goes on.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.support.adversaries.quiet import TimeLiar
from tests.support.simulated_chain import PARAMETERS, SimulatedChain
from tests.support.simulated_checks import Violation
from tests.support.simulated_network import PERFECT, Conditions
from tests.support.simulated_speed import remembering
from tests.support.specification import Specification

STEP_MS = 250
CLOCKS_MS = 20_000
LEAST_JUDGED = 4

TIGHT = replace(
    PARAMETERS,
    precision_ms=200,
    message_delay_ms=100,
    message_delay_cap_ms=600,
    timeout_ms=500,
    skip_heights=0,
)
"""Short bounds, so that messages exceed them; nobody is passed over, so that liars lead as often as anybody."""

_DELAYS_MS = ((1, 3), (1, 3), (50, 150), (100, 400), (300, 700))


class EdgeLiar(TimeLiar):
    """Draws its clock anew all the time, around everything that a right clock may believe, or might."""

    name = "edge liar"

    def act(self) -> None:
        """Set the clocks."""
        parameters = self.world.parameters
        delays_ms = [parameters.delay_ms(view) for view in (0, 0, 2, 50)]
        for node in self.world.nodes.values():
            if node.name in self.keys:
                ahead_ms = self.random.choice((1, 1, 1, -1)) * self.random.randrange(
                    2 * parameters.precision_ms
                )
                back_ms = self.random.choice((0, 0, 1)) * self.random.choice(delays_ms)
                node.clock.skew_ms = ahead_ms - back_ms


def clock_validators(seed: int) -> int:
    """Return how many validators a seed's run has."""
    return (4, 4, 5, 7)[seed % 4]


def run_clocks(seed: int) -> int:
    """Run one seed; return how many blocks were judged.

    Raises:
        Violation: a certified interval is wrong, or anything else that must hold does not.
    """
    with remembering(enabled=True):
        draw = random.Random(seed)
        world = SimulatedChain(
            seed=seed, validators=clock_validators(seed), parameters=TIGHT, has_governance=False
        )
        liar = EdgeLiar(world)
        world.watch(Specification(world))
        bound_ms = TIGHT.clock_bound_ms
        share = draw.choice((1, 2, bound_ms))
        for node in world.correct():
            node.clock.skew_ms = draw.choice((-1, 1, 1)) * draw.randint(bound_ms // share, bound_ms)
        world.start()
        for _ in range(CLOCKS_MS // STEP_MS):
            if draw.random() < 0.2:
                world.network.conditions = Conditions(delay_ms=draw.choice(_DELAYS_MS))
            liar.act()
            world.submit()
            world.run_for(STEP_MS)
        _go_on(world, liar)
        if world.dating.judged < LEAST_JUDGED:
            raise Violation(f"only {world.dating.judged} blocks could be judged")
        return world.dating.judged


def _go_on(world: SimulatedChain, liar: EdgeLiar) -> None:
    """Liars go on; clocks of all others are right, and the network is fast."""
    world.network.conditions = PERFECT
    for node in world.correct():
        node.clock.skew_ms = 0
    goal = world.height() + 5
    for _ in range(120):
        liar.act()
        world.submit()
        world.run_for(STEP_MS)
        if world.height() >= goal:
            return
    raise Violation(f"does not go on: {world.describe()}")
