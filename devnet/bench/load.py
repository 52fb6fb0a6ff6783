"""Driving a network: processes that send what they have signed, and a chain that is made beforehand."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chainnode.model.errors import ChainError, Unavailable
from devnet import homes, processes
from devnet.bench.client import Job, Outcome, main, window_ns
from devnet.bench.meters import wait_until_still
from devnet.bench.plan import DRAIN_S, MOST_SIGNED_RECORDS, Plan
from devnet.processes import CpuSplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from devnet.bench.client import Acknowledged
    from devnet.network import Devnet

_NS_PER_S: Final = 1_000_000_000
_HEAD_START_NS: Final = _NS_PER_S // 2
"""From telling the clients to begin until they do."""

SIGNING_TIMEOUT_S: Final = 600
_LEVEL_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Of all validators together, at one moment."""

    cpu: CpuSplit
    height: int
    view_changes: int
    """Of the first of them, since it started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the clients and the meters said."""

    outcomes: tuple[Outcome, ...]
    first_ns: int
    end_ns: int
    at_first: _Reading
    at_end: _Reading

    @property
    def acknowledged(self) -> list[Acknowledged]:
        """What was committed, warm-up and drain included."""
        return [tx for outcome in self.outcomes for tx in outcome.acknowledged]

    @property
    def committed(self) -> list[Acknowledged]:
        """What was committed within the measured time."""
        return [tx for tx in self.acknowledged if self.first_ns <= tx.answered_ns < self.end_ns]

    @property
    def latencies_us(self) -> tuple[int, ...]:
        """Of what was sent within the measured time, rising."""
        return latencies_us(self.acknowledged, self.first_ns, self.end_ns)

    @property
    def refused(self) -> Counter[str]:
        """What was not acknowledged as committed, by code."""
        return sum((outcome.refused for outcome in self.outcomes), Counter())


def apply_load(
    network: Devnet, plan: Plan, ceiling: float, say: Callable[[str], None], first: int
) -> Load:
    """Have clients send what the plan says.

    Args:
        network: to which; it runs.
        plan: what.
        ceiling: transactions a second that the machine could do at most; for so many a saturating load is prepared.
        say: tells a person how far it is.
        first: number of the first client.

    Raises:
        ChainError: clients failed, ran out of transactions, or nothing was committed.
    """
    count = plan.transactions_per_client(ceiling)
    say(f"signing {count * plan.clients} transactions")
    with clients_of(network, plan, count, first) as clients:
        for client in clients:
            hear(client, SIGNING_TIMEOUT_S)
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
    load = Load(
        outcomes=outcomes, first_ns=first_ns, end_ns=end_ns, at_first=at_first, at_end=at_end
    )
    if not load.acknowledged:
        raise Unavailable(f"nothing was committed: {load.refused}", code="no_result")
    return load


def latencies_us(
    acknowledged: Sequence[Acknowledged], first_ns: int, end_ns: int
) -> tuple[int, ...]:
    """Return the latencies of what was sent, or due, within this time, rising."""
    return tuple(
        sorted(
            (tx.answered_ns - tx.begun_ns) // 1000
            for tx in acknowledged
            if first_ns <= tx.begun_ns < end_ns
        )
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
    """Return what a process says next.

    Raises:
        ChainError: it said so.
        Unavailable: it has ended, or says nothing in time.
    """
    try:
        if client.poll(timeout_s):
            said = client.recv()
            if isinstance(said, ChainError):
                raise said
            return said
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A chain that was made."""

    acknowledged: tuple[Acknowledged, ...]
    clients: int
    """How many clients, numbered from the first on, made it; others' transactions are about other documents."""

    duration_s: float
    """From the first transaction to the last answer; of more rounds than one, their sum."""

    @property
    def records(self) -> int:
        """Documents."""
        return sum(tx.record_count for tx in self.acknowledged)


def fill(network: Devnet, plan: Plan, say: Callable[[str], None], first: int = 0) -> Filled:
    """Have `plan.records` documents committed, at saturation; many of them in rounds (`MOST_SIGNED_RECORDS`).

    `first` is the number of the first client. What an overloaded node refuses is made up for by others, so that there may be
    a few more rounds.

    Raises:
        Unavailable: nothing of a round was acknowledged, or something was refused for another reason.
    """
    filled = Filled(acknowledged=(), clients=0, duration_s=0)
    while (left := plan.records - filled.records) > 0:
        this_round = replace(plan, records=min(left, MOST_SIGNED_RECORDS))
        added = _fill_round(network, this_round, say, first + filled.clients)
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
            hear(client, SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _HEAD_START_NS
        for client in clients:
            client.send(begin_ns)
        say("filling the chain")
        outcomes = [_hear_outcome(client, plan.sending_s + 2 * DRAIN_S) for client in clients]
    acknowledged = tuple(tx for outcome in outcomes for tx in outcome.acknowledged)
    refused = sum((outcome.refused for outcome in outcomes), Counter())
    # What an overloaded node did not take is made up for by the next round.
    if not acknowledged or set(refused) - {"overloaded"}:
        raise Unavailable(f"not all was committed: {dict(refused)}", code="no_result")
    duration_ns = max(tx.answered_ns for tx in acknowledged) - begin_ns
    return Filled(
        acknowledged=acknowledged, clients=plan.clients, duration_s=duration_ns / _NS_PER_S
    )


def fill_before(network: Devnet, plan: Plan, say: Callable[[str], None]) -> Filled:
    """Make the chain that the load comes on top of, and wait until the validators have nothing left to do with it."""
    filled = fill(network, plan.filling(), say)
    if filled.records:
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        wait_until_still(network, say)
    return filled
