"""Seconds of trouble drawn from one seed, and then the proof that the chain comes back by itself.

Each seed draws its own kind of trouble first (swarm testing), since trouble of every kind at once hides what one kind
alone would show: uniform faults heal themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.engine.open_height import MAX_JITTER_PERMILLE
from chainnode.engine.sync import ANSWER_MS
from tests.support.faulty_disk import Fate, FaultPlan
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_network import PERFECT, Conditions
from tests.support.simulated_node import SimulatedNode, State

if TYPE_CHECKING:
    import random

    from chainnode.storage.memory import MemoryStore

NEW_HEIGHTS = 3
"""What must be decided after healing."""

STEP_MS = 250
"""How often trouble is drawn anew."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How often each kind of trouble comes, per `STEP_MS` and in permille."""

    conditions: Conditions
    partition_permille: int
    heal_permille: int
    crash_permille: int
    crash_all_permille: int
    restart_permille: int
    pause_permille: int
    jump_permille: int
    skew_ms: int
    """Clocks are wrong by up to this much."""

    disk_permille: int
    """How many lives end by themselves at one of their first hundred writes."""

    amnesia_permille: int
    """How often one validator, always the same, comes back without its vote log, and perhaps with an old store."""

    submit_permille: int
    burst: int
    verifier_delay_ms: tuple[int, int]


def draw_trouble(random: random.Random, precision_ms: int) -> Trouble:
    """Draw the kinds of trouble of one seed."""

    def maybe(*choices: int) -> int:
        return random.choice((0, 0, *choices))

    return Trouble(
        conditions=Conditions(
            loss_permille=maybe(10, 100, 300),
            duplicate_permille=maybe(20, 200, 500),
            delay_ms=random.choice(((1, 3), (1, 20), (10, 300))),
            slow_permille=maybe(5, 50),
            slow_ms=(100, random.choice((1_000, 4_000))),
            in_order=random.random() < 0.5,
        ),
        partition_permille=maybe(20, 100, 300),
        heal_permille=random.choice((50, 150, 500)),
        crash_permille=maybe(10, 50, 150),
        crash_all_permille=maybe(10, 30),
        restart_permille=random.choice((50, 150, 400)),
        pause_permille=maybe(10, 50),
        jump_permille=maybe(20),
        skew_ms=random.choice((0, precision_ms // 4, precision_ms // 2 - 20)),
        disk_permille=maybe(200, 700),
        amnesia_permille=maybe(300, 800),
        submit_permille=random.choice((100, 400, 900)),
        burst=random.choice((1, 3, 10)),
        verifier_delay_ms=random.choice(((0, 0), (0, 0), (0, 50))),
    )


class Chaos:
    """Draws trouble for a chain until told to stop."""

    def __init__(self, world: SimulatedChain, trouble: Trouble) -> None:
        self.world = world
        self.trouble = trouble
        self.forgetful = world.random.choice(list(world.nodes))
        self.backup: tuple[int, MemoryStore] | None = None
        world.network.conditions = trouble.conditions
        for node in world.nodes.values():
            node.verifier_delay_ms = trouble.verifier_delay_ms
            self._jump(node)

    def start(self) -> None:
        """Boot everybody, each with the disk that chance gives it."""
        for node in self.world.nodes.values():
            self._boot(node)

    def run(self, duration_ms: int) -> None:
        """Make trouble for so long."""
        for _ in range(duration_ms // STEP_MS):
            self._draw()
            self.world.run_for(STEP_MS)

    def _happens(self, permille: int) -> bool:
        return self.world.random.randrange(1_000) < permille

    def _boot(self, node: SimulatedNode) -> None:
        # More than f forgetful ones could fork the chain, and below four validators f is 0.
        if node.name == self.forgetful and len(self.world.nodes) > 3 and node.life:
            self._forget(node)
        plan = FaultPlan()
        if self._happens(self.trouble.disk_permille):
            fate = self.world.random.choice((Fate.CRASH_BEFORE, Fate.CRASH_AFTER))
            plan = FaultPlan(at=self.world.random.randrange(100), fate=fate)
        node.boot(plan)

    def _forget(self, node: SimulatedNode) -> None:
        """Take a backup, or come back from one, or lose the vote log alone."""
        height = self.world.observer.tips.get(node.name, 0)
        if height and self._happens(self.trouble.amnesia_permille):
            node.disk.lose_vote_log()
            if self.backup is not None and self._happens(500):
                height, node.disk.store = self.backup
                self.world.observer.restored(node.name, height)
                self.backup = None
        elif height and self.backup is None:
            self.backup = (height, node.disk.copy_store())

    def _jump(self, node: SimulatedNode) -> None:
        skew_ms = self.trouble.skew_ms
        node.clock.skew_ms = self.world.random.randint(-skew_ms, skew_ms)

    def _draw(self) -> None:
        world, trouble, random = self.world, self.trouble, self.world.random
        if self._happens(trouble.partition_permille):
            self._cut()
        elif self._happens(trouble.heal_permille):
            world.cut(())
        if self._happens(trouble.crash_all_permille):
            for node in world.nodes.values():
                if node.is_up:
                    node.crash()
        for node in world.nodes.values():
            if node.state is State.DOWN:
                if self._happens(trouble.restart_permille):
                    self._boot(node)
            elif self._happens(trouble.crash_permille):
                node.crash()
            elif node.state is State.PAUSED:
                if self._happens(trouble.restart_permille):
                    node.resume()
            elif self._happens(trouble.pause_permille):
                node.pause()
            if self._happens(trouble.jump_permille):
                self._jump(node)
        if self._happens(trouble.submit_permille):
            world.submit(random.randint(1, trouble.burst), lasts=random.choice((5, 1_000, 1_000)))

    def _cut(self) -> None:
        world, random = self.world, self.world.random
        names = list(world.nodes)
        if len(names) == 1:
            return
        kind = random.randrange(4)
        if kind == 0:
            random.shuffle(names)
            at = random.randint(1, len(names) - 1)
            world.split(names[:at], names[at:])
        elif kind == 1:
            # One hears nobody, or nobody hears it.
            victim = random.choice(names)
            links = [(victim, other) for other in names if other != victim]
            world.cut(links if random.random() < 0.5 else [(b, a) for a, b in links])
        elif kind == 2:
            # Any set of one-way links.
            permille = random.choice((100, 300, 600))
            world.cut((a, b) for a in names for b in names if random.randrange(1_000) < permille)
        else:
            world.split(*([name] for name in names))


def recovery_bound_ms(world: SimulatedChain) -> int:
    """Return within what time a healed chain must be well again, from the timeouts alone.

    The view that is open may be in vain and have just begun, and so may the next, if its leader is behind; and one who
    is behind may have asked somebody who is not there any more. No heartbeat may be needed.
    """
    capped_ms = world.parameters.timeout_cap_ms * (1_000 + MAX_JITTER_PERMILLE) // 1_000
    bound_ms = 2 * capped_ms + ANSWER_MS
    assert bound_ms < world.parameters.heartbeat_ms
    return bound_ms


def heal(world: SimulatedChain) -> None:
    """End all trouble: everybody runs, everybody hears everybody, at once."""
    world.network.conditions = PERFECT
    world.cut(())
    for node in world.nodes.values():
        # The plan of a disk that was to fail later is void as well.
        node.disk.plan.at = None
        node.verifier_delay_ms = (0, 0)
        if node.state is State.PAUSED:
            node.resume()
        elif node.state is State.DOWN:
            node.boot()


def check_recovery(world: SimulatedChain) -> int:
    """Heal, and see the chain decide, settle and agree within the bound; return how long it took."""
    heal(world)
    goal = max(world.observer.decisions, default=0) + NEW_HEIGHTS
    bound_ms = recovery_bound_ms(world)
    spent_ms = 0
    while max(world.observer.decisions, default=0) < goal:
        # One client that goes on working: without work there is nothing to decide.
        before = max(world.observer.decisions, default=0)
        world.submit()
        spent_ms += world.run_until(
            lambda b=before: max(world.observer.decisions, default=0) > b,
            within_ms=bound_ms - spent_ms,
            what=f"{NEW_HEIGHTS} new heights after healing",
        )
    spent_ms += world.run_until(
        world.is_settled, within_ms=bound_ms - spent_ms, what="all level and nothing pending"
    )
    world.check_history()
    return spent_ms


def run_chaos(
    seed: int, *, validators: int = 4, duration_ms: int = 8_000, real_crypto: bool = False
) -> SimulatedChain:
    """Run one seed from start to recovery."""
    world = SimulatedChain(seed=seed, validators=validators, real_crypto=real_crypto)
    trouble = draw_trouble(world.random, world.parameters.precision_ms)
    chaos = Chaos(world, trouble)
    chaos.start()
    chaos.run(duration_ms)
    check_recovery(world)
    return world
