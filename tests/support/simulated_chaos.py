"""A run of one seed: trouble, with or without an adversary, and then the proof that the chain comes back by itself.

    chaos    40 virtual seconds; whatever happens, nothing that must hold breaks
    healed   60 virtual seconds; correct machines run, hear each other and keep time; what an adversary owns goes on lying.
             The chain must decide again within a bound that follows from the timeouts, settle, and stay calm

Each seed draws its own kind of trouble first (swarm testing), since trouble of every kind at once hides what one kind
alone would show: uniform faults heal themselves.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chainnode.engine.open_height import MAX_JITTER_PERMILLE
from chainnode.engine.sync import ANSWER_MS
from tests.support.adversaries.catalogue import ADVERSARIES, CHOICES, NOBODY
from tests.support.faulty_disk import Fate, FaultPlan
from tests.support.simulated_chain import PARAMETERS, SimulatedChain
from tests.support.simulated_checks import Violation
from tests.support.simulated_network import PERFECT, Conditions
from tests.support.simulated_node import SimulatedNode, State
from tests.support.simulated_speed import remembering
from tests.support.specification import Specification

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from chainnode.storage.memory import MemoryStore
    from tests.support.adversaries.base import Adversary

CHAOS_MS = 40_000
HEALED_MS = 60_000

NEW_HEIGHTS = 3
"""What must be decided after healing, besides the first."""

LEAST_HEIGHTS = 30
"""What a whole run must decide, or it has shown too little."""

STEP_MS = 250
"""How often trouble is drawn anew, and an adversary acts."""

LEAST_CALM_HEIGHTS = 10
"""How many of them are decided once all is well, whatever chaos has brought; times of idleness lie between them."""

SIZES = (4, 5, 6, 7, 4, 5, 6, 4, 5, 10, 4, 6, 5, 4, 7, 4, 5, 6, 4)
"""Numbers of validators; each seed of a soak has its own. A run costs their square: most runs are small. There are 19 of
them, a prime, so that each size meets everything else that a seed's number decides."""

SKIP_HEIGHTS = (0, 6, 1_000)
"""For how long a failed leader is passed over; each seed has one of these."""

FULL_BLOCK, FULL_TIMES = 60, 25
"""With real signatures, blocks are full: so many transactions fit, and clients send so many times more."""

_MAX_MACHINES = 10


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


# -- healing -----------------------------------------------------------------------------------------------------


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
    parameters, lying = world.parameters, len(world.faulty)
    timeouts_ms = sum(parameters.timeout_ms * 3**v // 2**v for v in range(lying + 1))
    bound_ms = (1 + lying) * ANSWER_MS + (NEW_HEIGHTS + 1) * timeouts_ms * lying + 2_000
    return progress_bound_ms(world) + bound_ms


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
        if abs(node.clock.skew_ms) > world.parameters.precision_ms // 2:
            node.clock.skew_ms = 0
        if node.state is State.PAUSED:
            node.resume()
        elif node.state is State.DOWN:
            node.boot()


def check_recovery(world: SimulatedChain, adversary: Adversary | None = None) -> int:
    """Heal, and see the chain decide, settle and agree within the bounds; return how long it took."""
    heal(world, adversary)
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
        within_ms=recovery_bound_ms(world) - spent_ms,
        what="all level and nothing pending",
    )
    spent_ms += _end_quarantines(world, adversary)
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


# -- a run -------------------------------------------------------------------------------------------------------


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
