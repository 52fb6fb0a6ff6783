"""One measurement from an empty folder to a report."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chainnode.model.errors import ChainError, Unavailable
from devnet import homes, processes
from devnet.bench.ceiling import ceiling_tps, usable_cores
from devnet.bench.check import check_proofs, check_records
from devnet.bench.client import Job, Outcome, main, window_ns
from devnet.bench.cpu import cpu_us_by_part, read_samples
from devnet.bench.plan import DRAIN_S, MOST_SIGNED_RECORDS, Plan
from devnet.bench.report import MOST_FUNCTIONS, Figures, Report
from devnet.network import Devnet
from devnet.processes import CpuSplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from devnet.bench.client import Acknowledged

_NS_PER_S: Final = 1_000_000_000
_HEAD_START_NS: Final = _NS_PER_S // 2
"""From telling the clients to begin until they do."""

_SIGNING_TIMEOUT_S: Final = 600
_LEVEL_TIMEOUT_MS: Final = 60_000

_STILL_S: Final = 3
"""A store that has not changed for so long has compacted what it was given."""

_STILL_TIMEOUT_S: Final = 120
_WIRE_METRIC: Final = "chainnode_peer_bytes_out_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Of all validators together, at one moment."""

    cpu: CpuSplit
    height: int
    view_changes: int
    """Of the first of them, since it started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What the clients and the meters said."""

    outcomes: tuple[Outcome, ...]
    first_ns: int
    end_ns: int
    at_first: _Reading
    at_end: _Reading


def run(plan: Plan, *, say: Callable[[str], None]) -> Report:
    """Measure, beside what the machine could do at most. Arguments and errors as `measure`."""
    say("measuring the idle machine")
    before_tps = ceiling_tps(plan.suite, plan.validators)
    figures = measure(plan, before_tps, say=say)
    say("measuring the idle machine again")
    return Report(
        figures=figures,
        ceiling_before_tps=before_tps,
        ceiling_after_tps=ceiling_tps(plan.suite, plan.validators),
    )


def measure(plan: Plan, ceiling: float, *, say: Callable[[str], None]) -> Figures:
    """Measure one fresh network.

    Args:
        plan: what.
        ceiling: transactions a second that the machine could do at most; for so many a saturating load is prepared.
        say: tells a person how far it is.

    Raises:
        ChainError: the network did not come up, clients failed or ran out of transactions, something acknowledged is
            missing, or a proof does not verify. There are no figures then.
    """
    with fresh_network(plan, say) as network:
        network.up(is_profiled=True)
        filled = _fill_before(network, plan, say)
        if plan.delay_ms is not None:
            network.delay(plan.delay_ms)
        disk_before, wire_before = _disk_bytes(network), _wire_bytes(network)
        dead = [node.name for node in network.nodes[plan.validators - plan.dead :]]
        network.kill(*dead)
        load = _load(network, plan, ceiling, say, filled.clients)
        acknowledged = [tx for outcome in load.outcomes for tx in outcome.acknowledged]
        if not acknowledged:
            raise Unavailable(f"nothing was committed: {_refused(load)}", code="no_result")
        for name in dead:
            network.start(name)
        network.wait_ready()
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        disk_after, wire = _disk_bytes(network), _wire_bytes(network)
        say(f"checking {len(acknowledged)} transactions on every validator")
        checked_records = check_records(network, acknowledged, filled.records)
        checked_proofs = check_proofs(network, acknowledged, plan.digests)
        memory = _memory_bytes(network)
        # They write their profiles when they stop; one that was killed has none of the measured time.
        network.down()
        living = [node.name for node in network.nodes if node.name not in dead]
        samples = read_samples(
            [network.profile(name) for name in living], load.first_ns, load.end_ns
        )
    share = len(acknowledged) * plan.validators
    used = load.at_end.cpu - load.at_first.cpu
    committed = [tx for tx in acknowledged if load.first_ns <= tx.answered_ns < load.end_ns]
    executions = max(1, len(committed) * (plan.validators - plan.dead))
    return Figures(
        plan=plan,
        cores=usable_cores(),
        tps=len(committed) / plan.duration_s,
        records_per_s=sum(tx.record_count for tx in committed) / plan.duration_s,
        latencies_us=_latencies_us(load, acknowledged),
        refused=_refused(load),
        blocks_per_s=(load.at_end.height - load.at_first.height) / plan.duration_s,
        view_changes=load.at_end.view_changes - load.at_first.view_changes,
        cpu_us_per_tx=used.total * 1000 / executions,
        cpu_us_by_part=cpu_us_by_part(used, samples, executions),
        functions=tuple(samples.functions.most_common(MOST_FUNCTIONS)),
        sampled=sum(samples.functions.values()),
        memory_bytes=memory,
        disk_bytes_per_tx=(disk_after - disk_before) / share,
        home_bytes=round(disk_after / plan.validators),
        records=filled.records,
        wire_bytes_per_tx=None
        # A process that was killed has taken its count with it.
        if wire is None or wire_before is None or dead
        else (wire - wire_before) / share,
        checked_records=checked_records,
        checked_proofs=checked_proofs,
    )


@contextlib.contextmanager
def fresh_network(plan: Plan, say: Callable[[str], None]) -> Iterator[Devnet]:
    """Make a network in a folder of its own; in the end its processes are ended and the folder is removed."""
    place = Path(tempfile.mkdtemp(prefix="chainnode-bench-"))
    try:
        say(f"making {plan.validators} validators")
        with Devnet.create(
            place / "net",
            validators=plan.validators,
            suite=plan.suite,
            can_cut=plan.delay_ms is not None,
            parameters=plan.parameters,
        ) as network:
            yield network
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A chain that was made."""

    acknowledged: tuple[Acknowledged, ...]
    clients: int
    """How many clients, numbered from 0, made it; others' transactions are about other documents."""

    duration_s: float
    """From the first transaction to the last answer; of more rounds than one, their sum."""

    @property
    def records(self) -> int:
        """Documents."""
        return sum(tx.record_count for tx in self.acknowledged)


def fill(network: Devnet, plan: Plan, say: Callable[[str], None]) -> Filled:
    """Have `plan.records` documents committed, at saturation; many of them in rounds (`MOST_SIGNED_RECORDS`).

    Raises:
        Unavailable: not all of them were acknowledged.
    """
    filled = Filled(acknowledged=(), clients=0, duration_s=0)
    while (left := plan.records - filled.records) > 0:
        this_round = replace(plan, records=min(left, MOST_SIGNED_RECORDS))
        added = _fill_round(network, this_round, say, filled.clients)
        filled = Filled(
            acknowledged=filled.acknowledged + added.acknowledged,
            clients=filled.clients + added.clients,
            duration_s=filled.duration_s + added.duration_s,
        )
    return filled


def _fill_round(network: Devnet, plan: Plan, say: Callable[[str], None], first: int) -> Filled:
    lists = -(-plan.records // (plan.batch_size * plan.clients))
    say(f"signing {lists * plan.clients} lists of {plan.batch_size}")
    with clients_of(network, plan, lists, first) as clients:
        for client in clients:
            hear(client, _SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _HEAD_START_NS
        for client in clients:
            client.send(begin_ns)
        say("filling the chain")
        outcomes = [_hear_outcome(client, plan.sending_s + 2 * DRAIN_S) for client in clients]
    acknowledged = tuple(tx for outcome in outcomes for tx in outcome.acknowledged)
    if len(acknowledged) != lists * plan.clients:
        refused = sum((outcome.refused for outcome in outcomes), Counter())
        raise Unavailable(f"not all was committed: {dict(refused)}", code="no_result")
    duration_ns = max(tx.answered_ns for tx in acknowledged) - begin_ns
    return Filled(
        acknowledged=acknowledged, clients=plan.clients, duration_s=duration_ns / _NS_PER_S
    )


def _fill_before(network: Devnet, plan: Plan, say: Callable[[str], None]) -> Filled:
    """Make the chain that the load comes on top of, and wait until the validators have nothing left to do with it."""
    filled = fill(network, plan.filling(), say)
    if filled.records:
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        say("waiting until the stores have compacted it")
        _wait_until_still(network)
    return filled


def _wait_until_still(network: Devnet) -> None:
    """Wait until the homes have not changed in size for a while, so that they grow by the load only; give up at some point."""
    deadline = time.monotonic() + _STILL_TIMEOUT_S
    size, since = _disk_bytes(network), time.monotonic()
    while (now := time.monotonic()) < min(deadline, since + _STILL_S):
        time.sleep(_STILL_S / 10)
        if (found := _disk_bytes(network)) != size:
            size, since = found, now


def _load(
    network: Devnet, plan: Plan, ceiling: float, say: Callable[[str], None], first: int
) -> _Load:
    count = plan.transactions_per_client(ceiling)
    say(f"signing {count * plan.clients} transactions")
    with clients_of(network, plan, count, first) as clients:
        for client in clients:
            hear(client, _SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _HEAD_START_NS
        for client in clients:
            client.send(begin_ns)
        first_ns, end_ns = window_ns(plan, begin_ns)
        say(f"sending for {plan.sending_s} s")
        at_first = _read_at(network, first_ns)
        at_end = _read_at(network, end_ns)
        say("waiting for the last answers")
        outcomes = tuple(_hear_outcome(client) for client in clients)
    if any(outcome.ran_out for outcome in outcomes):
        raise ChainError(
            "the clients ran out of signed transactions, so the load was not kept up; "
            "measure at a fixed --rate",
            code="ran_out",
        )
    return _Load(
        outcomes=outcomes, first_ns=first_ns, end_ns=end_ns, at_first=at_first, at_end=at_end
    )


@contextlib.contextmanager
def clients_of(
    network: Devnet, plan: Plan, count: int, first: int = 0
) -> Iterator[list[Connection]]:
    """Start the processes that send; end them whatever happens.

    Args:
        network: to which.
        plan: what.
        count: transactions of each.
        first: number of the first of them; transactions of other numbers are about other documents.
    """
    living = network.nodes[: plan.validators - plan.dead]
    tip_height = min(network.status(node.name)["tip_height"] for node in living)
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
    jobs = [
        Job(
            number=first + number,
            plan=plan,
            url=living[number % len(living)].rpc,
            home=network.client_home,
            account=homes.NOTARY_ACCOUNT,
            passphrase=passphrase,
            count=count,
            tip_height=tip_height,
        )
        for number in range(plan.clients)
    ]
    with processes_for(main, jobs) as ends:
        yield ends


@contextlib.contextmanager
def processes_for(
    target: Callable[[Any, Connection], None], jobs: Sequence[object]
) -> Iterator[list[Connection]]:
    """Start `target(job, connection)` in a process for each job; yield our ends; end them whatever happens."""
    context = multiprocessing.get_context("spawn")
    started, ends = [], []
    try:
        for job in jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            started.append(process)
            ends.append(ours)
        yield ends
    finally:
        for process, end in zip(started, ends, strict=True):
            end.close()
            process.terminate()
            process.join()


def hear(client: Connection, timeout_s: int) -> object:
    """Return what a process says next. Raises Unavailable if it has ended, or says nothing in time."""
    try:
        if client.poll(timeout_s):
            return client.recv()
    except EOFError as error:
        raise Unavailable("a client process ended early", code="client_ended") from error
    raise Unavailable(f"a client process said nothing for {timeout_s} s", code="client_silent")


def _hear_outcome(client: Connection, timeout_s: int = 2 * DRAIN_S) -> Outcome:
    outcome = hear(client, timeout_s)
    if not isinstance(outcome, Outcome):
        raise TypeError(f"a client sent {type(outcome).__name__}")
    return outcome


def _read_at(network: Devnet, when_ns: int) -> _Reading:
    time.sleep(max(0, when_ns - time.monotonic_ns()) / _NS_PER_S)
    running = [node.process for node in network.nodes if node.process is not None]
    cpu = sum((processes.cpu_split_ms(process) for process in running), CpuSplit(0, 0, 0))
    status = network.status(network.nodes[0].name)
    return _Reading(cpu=cpu, height=status["tip_height"], view_changes=status["view_changes"])


def _memory_bytes(network: Devnet) -> int:
    """Return what the largest validator process had in memory at most, without its workers."""
    running = [node.process for node in network.nodes if node.process is not None]
    return max(processes.memory_bytes(process, "VmHWM") for process in running)


def _disk_bytes(network: Devnet) -> int:
    """Return the size of all files in all validators' homes."""
    total = 0
    for node in network.nodes:
        for path in node.home.rglob("*"):
            # The store removes files as it goes.
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
    return total


def _wire_bytes(network: Devnet) -> int | None:
    """Return what all validators have sent to one another, or None if they do not count it."""
    total, is_counted = 0, False
    for node in network.nodes:
        _, body = network.ask(node.name, lambda client: client.get("/metrics"))
        for line in body.decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name.partition("{")[0] == _WIRE_METRIC:
                total += int(float(value))
                is_counted = True
    return total if is_counted else None


def _latencies_us(load: _Load, acknowledged: list[Acknowledged]) -> tuple[int, ...]:
    return tuple(
        sorted(
            (tx.answered_ns - tx.begun_ns) // 1000
            for tx in acknowledged
            if load.first_ns <= tx.begun_ns < load.end_ns
        )
    )


def _refused(load: _Load) -> Counter[str]:
    return sum((outcome.refused for outcome in load.outcomes), Counter())
