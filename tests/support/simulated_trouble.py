"""Trouble of every kind but lies: what a seed draws of it, and a hand that makes it for a while.

Each seed draws its own kinds first (swarm testing), since trouble of every kind at once hides what one kind alone would
show: uniform faults heal themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.faulty_disk import Fate, FaultPlan
from tests.support.simulated_network import Conditions
from tests.support.simulated_node import State

if TYPE_CHECKING:
    import random

    from chainnode.storage.memory import MemoryStore
    from tests.support.adversaries.base import Adversary
    from tests.support.simulated_chain import SimulatedChain
    from tests.support.simulated_node import SimulatedNode

STEP_MS = 250
"""How often trouble is drawn anew, and an adversary acts."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How often each kind of trouble comes, per `STEP_MS` and in permille."""

    conditions: Conditions
    """What happens to messages under way, all the time."""

    partition_permille: int
    """How often links are cut, other ones than before."""

    heal_permille: int
    """How often all cuts end."""

    crash_permille: int
    """How often each machine loses its power."""

    crash_all_permille: int
    """How often all of them do at once."""

    restart_permille: int
    """How often each machine that is down, or paused, comes back."""

    pause_permille: int
    """How often each process is stopped as by SIGSTOP."""

    jump_permille: int
    """How often each clock is set to another error of at most `skew_ms`."""

    skew_ms: int
    """Clocks are wrong by up to this much."""

    wild_jump_permille: int
    """How often one validator's clock, always the same, jumps by up to an hour, and back."""

    disk_permille: int
    """How many lives end by themselves at one of their first hundred writes."""

    slow_disk_ms: int
    """A sync takes up to this long; nothing else happens on that machine meanwhile."""

    amnesia_permille: int
    """How often one validator, always the same, comes back without its vote log, and perhaps with an old store."""

    change_permille: int
    """How often the validator set is replaced."""

    submit_permille: int
    """How often a client sends transactions."""

    burst: int
    """At most how many at once."""

    verifier_delay_ms: tuple[int, int]
    """Least and longest time that a machine takes to check signatures of transactions."""


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
        wild_jump_permille=maybe(0, 30),
        disk_permille=maybe(200, 700),
        slow_disk_ms=maybe(0, 5, 60),
        amnesia_permille=maybe(300, 800),
        change_permille=maybe(10, 40),
        submit_permille=random.choice((50, 150, 400)),
        burst=random.choice((1, 3, 10)),
        verifier_delay_ms=random.choice(((0, 0), (0, 0), (0, 50))),
    )


class Chaos:
    """Draws trouble for a chain until told to stop."""

    def __init__(
        self,
        world: SimulatedChain,
        trouble: Trouble,
        adversary: Adversary | None = None,
        *,
        times: int = 1,
    ) -> None:
        """Clients send `times` as many transactions as the trouble says."""
        self.times = times
        self.world = world
        self.trouble = trouble
        self.adversary = adversary
        correct = [n.host for n in world.correct()]
        self.forgetful = world.random.choice(correct)
        validators = world.chain.genesis.validator_set
        self.may_forget = len(world.faulty) < validators.faulty
        """Whoever has forgotten keeps silent for a while: with f liars besides, no quorum would be left."""

        self.backup: tuple[int, MemoryStore] | None = None
        world.network.conditions = trouble.conditions
        for node in world.nodes.values():
            node.verifier_delay_ms = trouble.verifier_delay_ms
            node.slow_disk_ms = trouble.slow_disk_ms
            self._jump(node)

    def start(self) -> None:
        """Boot everybody, each with the disk that chance gives it."""
        for node in self.world.nodes.values():
            self._boot(node)

    def run(self, duration_ms: int) -> None:
        """Make trouble for so long."""
        for _ in range(duration_ms // STEP_MS):
            self._draw()
            if self.adversary is not None:
                self.adversary.act()
            self.world.run_for(STEP_MS)

    def _happens(self, permille: int) -> bool:
        return bool(permille) and self.world.random.randrange(1_000) < permille

    def _boot(self, node: SimulatedNode) -> None:
        if node.host == self.forgetful and self.may_forget and node.life:
            self._forget(node)
        plan = FaultPlan()
        if self._happens(self.trouble.disk_permille):
            fate = self.world.random.choice((Fate.CRASH_BEFORE, Fate.CRASH_AFTER))
            plan = FaultPlan(at=self.world.random.randrange(100), fate=fate)
        node.boot(plan)

    def _forget(self, node: SimulatedNode) -> None:
        """Take a backup, or come back from one, or lose the vote log alone."""
        height = self.world.observer.tips.get(node.host, 0)
        if height and self._happens(self.trouble.amnesia_permille):
            node.disk.lose_vote_log()
            for monitor in self.world.monitors:
                monitor.forgot(node.host)
            if self.backup is not None and self._happens(500):
                height, node.disk.store = self.backup
                self.world.observer.restored(node.host, height)
                self.backup = None
        elif height and self.backup is None:
            self.backup = (height, node.disk.copy_store())

    def _jump(self, node: SimulatedNode) -> None:
        """Set a clock wrong by another error; a liar's clock is its own business."""
        skew_ms = self.trouble.skew_ms
        if node.name not in self.world.faulty:
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
            elif node.state is State.STOPPED:
                continue
            elif self._happens(trouble.crash_permille):
                node.crash()
            elif node.state is State.PAUSED:
                if self._happens(trouble.restart_permille):
                    node.resume()
            elif self._happens(trouble.pause_permille):
                node.pause()
            if self._happens(trouble.jump_permille):
                self._jump(node)
        if self.may_forget and self._happens(trouble.wild_jump_permille):
            wild = world.nodes[self.forgetful]
            wild.clock.skew_ms = random.choice((-3_600_000, 0, 3_600_000))
        if self._happens(trouble.submit_permille):
            count = random.randint(1, trouble.burst) * self.times
            world.submit(count, lasts=random.choice((5, 1_000, 1_000)))
        if self._happens(trouble.change_permille):
            draw_set(world)

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


def draw_set(world: SimulatedChain) -> None:
    """Have the chain replace its validators, if it can, by others of whom no more are faulty than may be."""
    names = [v.name for v in world.chain.validators]
    if not world.has_governance or len(names) < 4:
        return
    chosen = world.random.sample(names, world.random.randint(4, len(names)))
    if sum(name in world.faulty for name in chosen) <= (len(chosen) - 1) // 3:
        world.change_validators(chosen)
