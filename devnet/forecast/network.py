"""A simulated network of validators in its normal case: nobody fails, no view is left.

Transactions travel in batches, as clients send them. Each validator takes a batch from a client or a peer (main thread),
verifies it (worker), and has it in its pool (main thread); who has it from a client sends it on to all others. The leader of a
height proposes what it has once the block before is decided and the least interval has passed; a validator executes a proposal
when it has all of it, and votes; a quorum of PREPAREs makes it vote COMMIT, a quorum of those decides. What it has voted, and a
decided block, is on its disk before anything else happens.

Not in it: timers and view changes, fetching what is missing, gossip that is repeated, TLS, and what else a machine does. So it
says what a network does at best.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.model.parameters import Parameters
from chainnode.model.quorum import quorum_of
from devnet.bench.report import percentile
from devnet.forecast.schedule import Events, Machine, Thread
from devnet.forecast.sizes import sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from devnet.forecast.costs import Costs

BATCH: Final = 100
"""Transactions that travel together at most."""

CLIENT_MS: Final = 5
"""What falls due within so long is sent together, at a fixed rate."""

_US: Final = 1_000_000
_BITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Which network."""

    validators: int
    cores: int
    """Of each machine."""

    is_shared: bool
    """Whether all validators, and the clients, share one machine; else each validator has its own, and clients have enough."""

    delay_ms: float
    """From any validator to any other, one way."""

    mbit_per_s: float | None
    """What each validator can send; None if that does not matter."""

    clients: int
    in_flight: int
    """Transactions that are unanswered at any time, of all clients together; unless there is a rate."""

    rate: int | None = None
    """Transactions a second of all clients together, sent when due."""

    envelope_bytes: int
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What it would do."""

    setting: Setting
    tps: float
    latencies_us: tuple[float, ...]
    """Of transactions, by batch, rising."""

    blocks_per_s: float
    wire_bytes_per_tx: float
    """Sent by one validator, on average."""

    busy: float
    """Share of the cores of the busiest machine."""

    def latency_ms(self, percent: int) -> float:
        """Return what that share of the transactions did not exceed."""
        return percentile(self.latencies_us, percent) / 1_000


@dataclass(slots=True, eq=False)
class _Batch:
    count: int
    client: _Client
    begun_us: float


@dataclass(slots=True, eq=False)
class _Block:
    height: int
    time_us: float
    batches: tuple[_Batch, ...]
    count: int


class _Client:
    """Sends to one validator."""

    def __init__(self, thread: Thread, costs: Costs, validator: _Validator) -> None:
        self._thread, self._costs = thread, costs
        self.validator = validator

    def send(self, count: int, begun_us: float) -> None:
        batch = _Batch(count, self, begun_us)
        self._thread.do(
            count * self._costs.client, lambda: self.validator.take(batch, is_client=True)
        )


class _Validator:
    """One of them; `_Run` connects it with the others."""

    def __init__(self, run: _Run, index: int, machine: Machine) -> None:
        self._run, self._index = run, index
        self._costs = run.costs
        self.machine = machine
        self._main, self._worker = Thread(machine), Thread(machine)
        self._store = Thread(machine)
        self._height = 1
        self._parent_us = float("-inf")
        self._pool: dict[_Batch, None] = {}
        self._has: set[_Batch] = set()
        """Batches that were verified here, until their block is decided."""

        self._proposed: dict[int, _Block] = {}
        self._judging = 0
        self._votes: dict[tuple[int, str], int] = defaultdict(int)
        self._committing = 0
        self._is_building = False
        self.sent_bytes = 0
        self._line_free_us = 0.0

    # -- transactions --------------------------------------------------------------------------------------

    def take(self, batch: _Batch, *, is_client: bool) -> None:
        costs, count = self._costs, batch.count
        arrive = costs.arrive + (costs.request if is_client else costs.copy / 2)
        self._main.do(
            count * arrive,
            lambda: self._worker.do(
                count * costs.verify,
                lambda: self._main.do(0, lambda: self._pooled(batch, is_client)),
            ),
        )

    def _pooled(self, batch: _Batch, is_client: bool) -> None:  # noqa: FBT001
        self._has.add(batch)
        self._pool[batch] = None
        if is_client:
            others = self._run.setting.validators - 1
            size = batch.count * self._run.sizes.envelope
            # The pool has it already; telling others takes time of the same thread.
            self._main.do(
                others * batch.count * self._costs.copy / 2,
                lambda: self._broadcast(size, lambda other: other.take(batch, is_client=False)),
            )
        self._propose()
        self._judge()

    # -- consensus -----------------------------------------------------------------------------------------

    def _propose(self) -> None:
        run, height = self._run, self._height
        if height % run.setting.validators != self._index or self._is_building or not self._pool:
            return
        if self._proposed.get(height) is not None:
            return
        wait_us = (
            self._parent_us + run.setting.parameters.min_interval_ms * 1_000 - run.events.now_us
        )
        if wait_us > 0:
            self._is_building = True
            run.events.after(wait_us, self._waited)
            return
        batches, count = [], 0
        for batch in self._pool:
            if count + batch.count > run.setting.parameters.max_block_transactions:
                break
            batches.append(batch)
            count += batch.count
        block = _Block(height, run.events.now_us, tuple(batches), count)
        self._is_building = True
        self._proposed[height] = block
        # It executes its own block once, and its proposal is its PREPARE.
        self._judging = height
        self._main.do(
            count * self._costs.execute,
            lambda: self._built(block),
            disk_us=self._costs.sync,
        )

    def _waited(self) -> None:
        self._is_building = False
        self._propose()

    def _built(self, block: _Block) -> None:
        self._is_building = False
        size = self._run.sizes.outline + block.count * self._run.sizes.tx_hash
        self._broadcast(size, lambda other: other.hear_proposal(block))
        self._count(block.height, "prepare")

    def hear_proposal(self, block: _Block) -> None:
        self._main.do(self._costs.message, lambda: self._heard_proposal(block))

    def _heard_proposal(self, block: _Block) -> None:
        self._proposed[block.height] = block
        # The leader's proposal is its PREPARE.
        self._count(block.height, "prepare")
        self._judge()

    def _judge(self) -> None:
        block = self._proposed.get(self._height)
        if block is None or self._judging >= self._height:
            return
        if not self._has.issuperset(block.batches):
            return
        self._judging = self._height
        self._main.do(
            block.count * self._costs.execute,
            lambda: self._vote(block.height, "prepare"),
            disk_us=self._costs.sync,
        )

    def _vote(self, height: int, kind: str) -> None:
        self._broadcast(self._run.sizes.vote, lambda other: other.hear_vote(height, kind))
        self._count(height, kind)

    def hear_vote(self, height: int, kind: str) -> None:
        self._main.do(self._costs.message, lambda: self._count(height, kind))

    def _count(self, height: int, kind: str) -> None:
        if height < self._height:
            return
        self._votes[height, kind] += 1
        self._step()

    def _step(self) -> None:
        height, quorum = self._height, self._run.quorum
        if self._judging < height:
            return
        # Its own PREPARE is among them, or its judgement is not done yet.
        if self._votes[height, "prepare"] >= quorum and self._committing < height:
            self._committing = height
            self._main.do(0, lambda: self._vote(height, "commit"), disk_us=self._costs.sync)
        if self._votes[height, "commit"] >= quorum:
            # Once: the height is left when the job begins.
            self._votes[height, "commit"] = -len(self._run.validators)
            block = self._proposed[height]
            self._main.do(
                block.count * self._costs.store + self._costs.block,
                lambda: self._decided(block),
                disk_us=self._costs.sync,
            )

    def _decided(self, block: _Block) -> None:
        costs = self._costs
        self._store.do(block.count * costs.compact)
        for kind in ("prepare", "commit"):
            self._votes.pop((block.height, kind), None)
        del self._proposed[block.height]
        for batch in block.batches:
            self._has.discard(batch)
            self._pool.pop(batch, None)
            self._run.committed(self, batch)
        self._height = block.height + 1
        self._parent_us = block.time_us
        self._broadcast(self._run.sizes.cosignature, lambda other: other.hear_cosignature())
        if self._index == 0:
            self._run.blocks += 1
        self._propose()
        self._judge()
        self._step()

    def hear_cosignature(self) -> None:
        self._main.do(self._costs.message)

    # -- wires ---------------------------------------------------------------------------------------------

    def _broadcast(self, size_bytes: int, arrive: Callable[[_Validator], None]) -> None:
        events, setting = self._run.events, self._run.setting
        for other in self._run.validators:
            if other is self:
                continue
            self.sent_bytes += size_bytes
            start_us = max(events.now_us, self._line_free_us)
            if setting.mbit_per_s is not None:
                start_us += size_bytes * _BITS / setting.mbit_per_s
                self._line_free_us = start_us
            wait_us = start_us - events.now_us + setting.delay_ms * 1_000
            events.after(wait_us, lambda o=other: arrive(o))  # type: ignore[misc]


class _Run:
    """One network, from its first transaction on."""

    def __init__(self, setting: Setting, costs: Costs) -> None:
        self.setting, self.costs = setting, costs
        self.events = Events()
        self.sizes = sizes_of(setting.validators, setting.envelope_bytes)
        self.quorum = quorum_of(setting.validators)
        shared = Machine(self.events, setting.cores)
        self.validators = [
            _Validator(
                self, index, shared if setting.is_shared else Machine(self.events, setting.cores)
            )
            for index in range(setting.validators)
        ]
        self.blocks = 0
        self._answered: deque[tuple[float, float, int]] = deque()
        """When, after how long, how many."""

        # Machines of their own have a core for each client.
        elsewhere = shared if setting.is_shared else Machine(self.events, setting.clients)
        self._clients = deque(
            [
                _Client(Thread(elsewhere), costs, self.validators[number % setting.validators])
                for number in range(setting.clients)
            ]
        )
        self._due = 0.0

    def measure(self, warm_up_s: float, duration_s: float) -> Forecast:
        setting = self.setting
        if setting.rate is None:
            self._saturate()
        else:
            self._keep_rate(setting.rate)
        self.events.run(warm_up_s * _US)
        blocks, sent = self.blocks, self._sent_bytes()
        busy = self._busy_us()
        self._answered.clear()
        self.events.run((warm_up_s + duration_s) * _US)
        answered = list(self._answered)
        count = sum(n for _, _, n in answered)
        latencies = sorted(latency for _, latency, n in answered for _ in range(n))
        cores_us = setting.cores * duration_s * _US
        return Forecast(
            setting=setting,
            tps=count / duration_s,
            latencies_us=tuple(latencies),
            blocks_per_s=(self.blocks - blocks) / duration_s,
            wire_bytes_per_tx=(self._sent_bytes() - sent) / max(1, count) / setting.validators,
            busy=max(
                (now - before) / cores_us for now, before in zip(self._busy_us(), busy, strict=True)
            ),
        )

    def _saturate(self) -> None:
        left = self.setting.in_flight // self.setting.clients
        while left > 0:
            for client in self._clients:
                client.send(min(BATCH, left), 0)
            left -= BATCH

    def _keep_rate(self, rate: int) -> None:
        self._due += rate * CLIENT_MS / 1_000
        count = int(self._due)
        self._due -= count
        share, left = divmod(count, len(self._clients))
        # What cannot be divided goes to another client each time.
        self._clients.rotate(-left)
        for number, client in enumerate(self._clients):
            if sent := share + (number < left):
                client.send(sent, self.events.now_us)
        self.events.after(CLIENT_MS * 1_000, lambda: self._keep_rate(rate))

    def committed(self, validator: _Validator, batch: _Batch) -> None:
        """Answer a client if it asked this validator; at saturation it sends as many again."""
        if batch.client.validator is not validator:
            return
        now_us = self.events.now_us
        self._answered.append((now_us, now_us - batch.begun_us, batch.count))
        if self.setting.rate is None:
            batch.client.send(batch.count, now_us)

    def _sent_bytes(self) -> int:
        return sum(validator.sent_bytes for validator in self.validators)

    def _busy_us(self) -> list[float]:
        if self.setting.is_shared:
            return [self.validators[0].machine.busy_us]
        return [validator.machine.busy_us for validator in self.validators]


def forecast(
    setting: Setting, costs: Costs, *, warm_up_s: float = 3, duration_s: float = 10
) -> Forecast:
    """Return what a network would do, of the time after the warm-up."""
    return _Run(setting, costs).measure(warm_up_s, duration_s)
