"""One validator in a simulation: the real engine, ledger, pool and vote log, in one life after another."""

from __future__ import annotations

import hashlib
from collections import Counter
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any

from chainnode.engine.clock_offsets import Reading
from chainnode.engine.engine import Engine
from chainnode.keystore.signer import local_signer
from chainnode.ledger.ledger import Ledger
from chainnode.mempool.pool import Pool, PoolLimits
from chainnode.model.errors import ChainError, NodeFault, PeerFault
from chainnode.model.keys import KeyPurpose
from chainnode.storage.vote_log import VoteLog
from tests.support.faulty_disk import FaultPlan, SimulatedCrash
from tests.support.message_kinds import Kind, kind_of
from tests.support.simulated_checks import Violation
from tests.support.simulated_clock import SimulatedClock
from tests.support.simulated_disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.ledger.execution import Executed
    from chainnode.model.certificate import Certificate
    from chainnode.model.transaction import Transaction
    from tests.support.chain import ValidatorKeys
    from tests.support.simulated_chain import SimulatedChain

MAX_TICKS_PER_SECOND = 400
"""More wakings than this in a virtual second are a busy loop: no honest timer needs them."""

TIME_SOURCE_EVERY_MS = 16_000
"""Between two measurements of a time source, where a node has one."""

_PRESENCE_KINDS = {Kind.PRESENCE, Kind.CLONE}


class State(Enum):
    """What the process is doing."""

    DOWN = auto()
    RUNNING = auto()
    PAUSED = auto()
    """As by SIGSTOP: it holds its connections and its memory, and does nothing."""

    STOPPED = auto()
    """A NodeFault stopped it; see `fault`."""


class SimulatedNode:
    """A machine with a validator's keys: its process and its disk."""

    def __init__(self, world: SimulatedChain, keys: ValidatorKeys, host: str | None = None) -> None:
        self.name = keys.name
        self.host = keys.name if host is None else host
        """The name of the machine; differs from the validator's for a twin only."""

        self.is_deaf_to_presence = False
        """Whether it hears nothing by which two processes of one validator notice each other, as an adversary would not."""

        self.dates_regardless = False
        """Whether it proposes blocks however wrong its clock is, as a liar does."""

        self.disk = SimulatedDisk()
        self.clock = SimulatedClock(world.time)
        self.state = State.DOWN
        self.fault: NodeFault | None = None
        self.life = 0
        self.view_changes = 0
        self.verifier_delay_ms = (0, 0)
        self.slow_disk_ms = 0
        """A sync takes up to this long, and the process does nothing else meanwhile."""

        self.time_source: Callable[[], int | None] | None = None
        """How far a time source of its own, which it measures, is ahead of UTC; None when it does not answer."""

        self.pool_limits = PoolLimits()
        """Of the lives that begin from now on."""

        self.refusals: Counter[str] = Counter()
        """How often a client was refused, by error code."""

        self.engine: Engine
        self.ledger: Ledger
        self.pool: Pool
        self._world = world
        self.keys = keys
        self._waiting: list[Callable[[], None]] = []
        self._busy_until_ms = 0
        self._is_settling = False
        self._tick_at_ms: int | None = None
        self._ticks: tuple[int, int] = (0, 0)

    # -- lives ---------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether there is a process, running or paused."""
        return self.state is State.RUNNING or self.state is State.PAUSED

    def boot(self, plan: FaultPlan | None = None) -> None:
        """Start a process on what the disk holds; its writes follow `plan`."""
        assert not self.is_up, f"{self.name} runs already"
        self.life += 1
        self.fault = None
        self.state = State.RUNNING
        self._tick_at_ms = None
        self._waiting.clear()
        self.clock.monotonic_base_ms = self._world.random.randrange(10_000_000)
        self._busy_until_ms = 0
        plan = FaultPlan() if plan is None else plan
        plan.on_write = self._wait_for_disk
        self._guard(partial(self._open, plan))
        if self.state is State.RUNNING:
            self._world.booted(self)
        if self.time_source is not None:
            self._ask_time_source()
        self._after()

    def _ask_time_source(self) -> None:
        """Measure it now, and every few seconds in this life."""
        assert self.time_source is not None
        off_ms = self.time_source()
        now_ms = self.clock.monotonic_ms()
        if off_ms is None:
            self.engine.time_measured(None, "no answer within 1000 ms")
        else:
            ahead_ms = self._world.time.utc_ms + off_ms - now_ms
            self.engine.time_measured(
                Reading(ahead_ms=ahead_ms, round_trip_ms=2, measured_ms=now_ms), None
            )
        self.later(TIME_SOURCE_EVERY_MS, self._ask_time_source)

    def _open(self, plan: FaultPlan) -> None:
        world, life = self._world, self.life
        genesis = world.chain.genesis
        store, file = self.disk.attach(plan)
        self.ledger = Ledger.open(store, genesis)
        vote_log, records = VoteLog.open(file, genesis.domain.genesis_hash)
        world.observed_boot(self)
        self.pool = Pool(self.pool_limits)
        self.engine = Engine(
            genesis=genesis,
            name=self.name,
            ledger=self.ledger,
            pool=self.pool,
            vote_log=vote_log,
            vote_records=records,
            consensus_signer=local_signer(
                name="consensus",
                suite=self.keys.consensus.suite,
                purpose=KeyPurpose.CONSENSUS,
                private_key=self.keys.consensus.private,
            ),
            cosigner_signer=local_signer(
                name="cosigner",
                suite=self.keys.cosigner.suite,
                purpose=KeyPurpose.COSIGNER,
                private_key=self.keys.cosigner.private,
            ),
            network=world.network.port(
                self.host, lambda: self.life == life and self.state is State.RUNNING
            ),
            clock=self.clock,
            verifier=_Verifier(self),
            witness=_Witness(self),
            challenge=hashlib.sha256(f"{world.seed} {self.host} {life}".encode()).digest(),
            time_sources=("receiver",) if self.time_source is not None else (),
            time_check="receiver" if self.time_source is not None else None,
        )
        if self.is_deaf_to_presence:
            # Nor does it fall silent when it hears what the other machine has said.
            self.engine._book.exposed = lambda _claim: None
            self.engine._licence.reason = lambda _height, _validators: None
        if self.dates_regardless:
            self.engine._timekeeper.may_date = lambda: True
        self.engine.start()

    def crash(self) -> None:
        """End the process as a power cut does."""
        assert self.state is not State.DOWN, f"{self.name} is down already"
        self.state = State.DOWN
        self.disk.crash(self._world.random)
        self._world.crashed(self)

    def pause(self) -> None:
        """SIGSTOP."""
        assert self.state is State.RUNNING
        self.state = State.PAUSED

    def resume(self) -> None:
        """SIGCONT: what came meanwhile is read now."""
        assert self.state is State.PAUSED
        self.state = State.RUNNING
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            self._do(action)
        self._after()

    # -- inputs --------------------------------------------------------------------------------------------

    def receive(self, peer: str, data: bytes) -> None:
        """A message reaches the socket."""
        if self.is_up and not (self.is_deaf_to_presence and kind_of(data) in _PRESENCE_KINDS):
            self._do(self._take, peer, data)

    def _take(self, peer: str, data: bytes) -> None:
        self._world.dating.heard(self.host, data)
        for monitor in self._world.monitors:
            monitor.heard(self.host, data)
        try:
            self.engine.receive(peer, data, self.clock.now_ms())
        except PeerFault as fault:
            self.heard("peer_fault", {"peer": peer, "reason": fault.message})

    def link(self, peer: str, *, is_up: bool) -> None:
        """A connection comes or goes."""
        if self.is_up:
            self._do(lambda: self.engine.link(peer, is_up=is_up))

    def submit(self, transaction: Transaction) -> None:
        """A client sends a transaction; refusals are the client's business."""
        life = self.life

        def answered(answer: Transaction | ChainError) -> None:
            if isinstance(answer, ChainError):
                self.refusals[answer.error_code] += 1
            else:
                self._world.accepted[answer.id] = (self, life, answer)

        def take() -> None:
            try:
                self.engine.submit(transaction.envelope, answered)
            except ChainError as error:
                self.refusals[error.error_code] += 1

        if self.is_up:
            self._do(take)

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do `action` in this life of the process, or never."""
        life = self.life

        def due() -> None:
            if self.life == life and self.is_up:
                self._do(action)

        self._world.time.after(delay_ms, due)

    def _do(self, action: Callable[..., None], *args: Any) -> None:
        if self.state is State.PAUSED:
            self._waiting.append(partial(action, *args))
            return
        if self._busy_until_ms > self._world.time.now_ms:
            life = self.life
            self._world.time.after(
                self.lag_ms, lambda: self._do(action, *args) if self.life == life else None
            )
        elif self.state is State.RUNNING:
            self._guard(action, *args)
            if not self._is_settling:
                # As in production: what has come is worked off first, then what is to be said is sent.
                self._is_settling = True
                self._world.time.after(0, self._settle)

    def _settle(self) -> None:
        self._is_settling = False
        self._after()

    @property
    def core_height(self) -> int:
        """The height that its core works on; 0 if it works on none."""
        state = self.engine._replica._state
        return 0 if state is None or state.decided is not None else int(state.height)

    @property
    def core_votes(self) -> bool:
        """Whether its core votes on that height, or only observes."""
        state = self.engine._replica._state
        return state is not None and state.me is not None

    @property
    def voting_since_ms(self) -> int:
        """When its core took up the open height, as an observer or to vote."""
        state = self.engine._replica._state
        return -1 if state is None else state.started_ms - self.clock.monotonic_base_ms

    @property
    def lag_ms(self) -> int:
        """For how long the process still waits for its disk: what it says leaves then, what it hears is read then."""
        return max(0, self._busy_until_ms - self._world.time.now_ms)

    def _wait_for_disk(self) -> None:
        if self.slow_disk_ms:
            now_ms = self._world.time.now_ms
            wait_ms = self._world.random.randint(0, self.slow_disk_ms)
            self._busy_until_ms = max(now_ms, self._busy_until_ms) + wait_ms

    def _guard(self, action: Callable[..., None], *args: Any) -> None:
        """Do something in the process, and see how that ends."""
        try:
            action(*args)
        except SimulatedCrash:
            self.crash()
        except NodeFault as fault:
            self.state = State.STOPPED
            self.fault = fault
            self._world.crashed(self)
            self._world.stopped(self)

    def _after(self) -> None:
        """Flush, and be woken when the engine wants to be."""
        if self.state is not State.RUNNING:
            return
        self._guard(self.engine.flush)
        if self.state is not State.RUNNING:
            return
        now_ms = self._world.time.now_ms
        due_ms = max(now_ms, self.engine.deadline_ms - self.clock.monotonic_base_ms)
        if self._tick_at_ms is None or due_ms < self._tick_at_ms:
            self._tick_at_ms = due_ms
            life = self.life
            self._world.time.after(due_ms - now_ms, lambda: self._tick(life, due_ms))

    def _tick(self, life: int, due_ms: int) -> None:
        if self.life != life or self._tick_at_ms != due_ms or not self.is_up:
            return
        self._tick_at_ms = None
        second = due_ms // 1_000
        count = self._ticks[1] + 1 if self._ticks[0] == second else 1
        self._ticks = (second, count)
        if count > MAX_TICKS_PER_SECOND:
            raise Violation(f"{self.name} is woken {count} times in a second: a busy loop")
        self._do(self.engine.tick)

    # -- what the witness hears ------------------------------------------------------------------------------

    def heard(self, event: str, fields: dict[str, int | str]) -> None:
        """The engine logs an event."""
        if event == "view_change":
            self.view_changes += 1
        self._world.happened(self, event, fields)

    def heard_commit(self, executed: Executed, certificate: Certificate) -> None:
        """The engine says that a block is committed."""
        self._world.committed(self, executed, certificate)

    def heard_cosigned(self, height: int) -> None:
        """The engine says that a checkpoint is cosigned."""
        newest = self.engine.newest_checkpoint()
        assert newest is not None
        assert newest.height == height
        self._world.cosigned(self, newest)

    def verdict_delay_ms(self) -> int:
        """How long the verifier takes this time."""
        return self._world.random.randint(*self.verifier_delay_ms)

    def is_genuine(self, transaction: Transaction) -> bool:
        """The verifier's verdict."""
        domain = self._world.chain.genesis.domain
        return domain.suite.is_signature(
            transaction.public_key,
            domain.transaction_signature + transaction.id,
            transaction.signature,
        )


class _Verifier:
    def __init__(self, node: SimulatedNode) -> None:
        self._node = node

    def verify(
        self, transactions: Sequence[Transaction], done: Callable[[Sequence[bool]], None]
    ) -> None:
        verdicts = [self._node.is_genuine(t) for t in transactions]
        delay_ms = self._node.verdict_delay_ms()
        if delay_ms:
            self._node.later(delay_ms, lambda: done(verdicts))
        else:
            done(verdicts)


class _Witness:
    def __init__(self, node: SimulatedNode) -> None:
        self._node = node

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        self._node.heard_commit(executed, certificate)

    def checkpoint_cosigned(self, height: int) -> None:
        self._node.heard_cosigned(height)

    def event(self, name: str, **fields: int | str) -> None:
        self._node.heard(name, fields)
