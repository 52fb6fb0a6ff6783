"""One validator of a network asked over HTTP by all clients, while the others only vote; what it did and what that cost."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar, cast

from chainnode.model.errors import ChainError
from devnet import processes
from devnet.bench.ceiling import usable_cores
from devnet.bench.client import window_ns
from devnet.bench.cpu import cpu_us_by_part, read_samples
from devnet.bench.http_load import HttpOutcome
from devnet.bench.load import SIGNING_TIMEOUT_S, hear, processes_for
from devnet.bench.meters import memory_bytes
from devnet.bench.plan import DRAIN_S, Plan
from devnet.bench.report import MOST_FUNCTIONS, latency_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from devnet.bench.http_load import HttpJob
    from devnet.bench.report import Figure
    from devnet.network import Devnet

FIRST: Final = "v1"
"""The validator that is asked."""

_NS_PER_S: Final = 1_000_000_000

MOST_REQUESTS_PER_S: Final = 12_000
"""How many requests a second are prepared for saturation: more than one node answers that shares two cores with others."""

Outcome = TypeVar("Outcome", bound=HttpOutcome)


class Timed(Protocol):
    """An answer of the kind that is wanted."""

    @property
    def begun_ns(self) -> int:
        """When the request was sent or, at a fixed rate, should have been. Monotonic clock."""

    @property
    def answered_ns(self) -> int:
        """When the answer was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The meters at one moment."""

    cpu: Mapping[str, processes.CpuSplit]
    height: int
    view_changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Outcome]):
    """What clients heard, and the meters at both ends of the measured time."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    first_ns: int
    end_ns: int
    at_first: Reading
    at_end: Reading

    @property
    def refused(self) -> Counter[str]:
        """Answers of another kind than wanted, and missing ones."""
        return sum((outcome.refused for outcome in self.outcomes), Counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the validator did, and what that cost, in the measured time."""

    plan: Plan
    cores: int
    per_s: float
    """Wanted answers a second."""

    latencies_us: tuple[int, ...]
    """Of what was sent, or due, in the measured time, rising."""

    refused: Mapping[str, int]
    blocks_per_s: float
    view_changes: int
    cpu_us: float
    """For each answer: of the validator that was asked, with its worker processes."""

    cpu_us_by_part: Mapping[str, float]
    other_cpu_us: float
    """For each answer: of one of the others, on average."""

    functions: tuple[tuple[str, int], ...]
    """Of the asked validator's main thread, with the samples of each; the most costly first."""

    sampled: int
    """Samples of all functions."""

    memory_bytes: int

    def head_rows(self) -> list[tuple[str, object]]:
        """Return what was asked for, for people."""
        plan = self.plan
        load = "saturation" if plan.rate is None else f"{plan.rate} requests/s, open loop"
        return [
            ("network", f"{plan.validators} validators on {self.cores} cores, {plan.suite}"),
            ("load", f"{load}, {plan.clients} clients, {plan.duration_s} s, all on {FIRST}"),
        ]

    def rows(self, what: str) -> list[tuple[str, object]]:
        """Return what it cost, for people; `what` names one answer."""
        latency = ", ".join(
            f"{name} {ms:,.0f} ms" for name, ms in latency_ms(self.latencies_us).items()
        )
        refused = ", ".join(f"{count} {code}" for code, count in sorted(self.refused.items()))
        return [
            ("latency", latency),
            (f"without {what}", refused or "none"),
            ("blocks", f"{self.blocks_per_s:.1f}/s, {self.view_changes} view changes"),
            ("CPU", f"{self.cpu_us:,.0f} us per {what} of {FIRST}"),
            ("", ", ".join(f"{part} {us:,.1f}" for part, us in self.cpu_us_by_part.items())),
            ("", f"{self.other_cpu_us:,.0f} us per {what} of each other validator"),
            ("memory", f"{self.memory_bytes / 1e6:,.0f} MB at most, of one validator"),
        ]

    def as_json(self, what: str) -> dict[str, Figure]:
        """Return the common part of the document of `--json`."""
        plan = self.plan
        return {
            "workload": plan.workload,
            "validators": plan.validators,
            "suite": plan.suite,
            "clients": plan.clients,
            "rate": plan.rate,
            "duration_s": plan.duration_s,
            "cores": self.cores,
            f"{what}s_per_s": round(self.per_s, 1),
            "latency_ms": latency_ms(self.latencies_us),
            "refused": dict(self.refused),
            "blocks_per_s": round(self.blocks_per_s, 1),
            "view_changes": self.view_changes,
            f"cpu_us_per_{what}": round(self.cpu_us, 1),
            "cpu_us_by_part": self.cpu_us_by_part,
            f"other_cpu_us_per_{what}": round(self.other_cpu_us, 1),
            "cpu_share_by_function": {
                name: round(count / self.sampled, 4) for name, count in self.functions
            },
            "memory_bytes": self.memory_bytes,
        }


def requests_of_each(plan: Plan) -> int:
    """Return how many requests each client must have ready."""
    rate = MOST_REQUESTS_PER_S if plan.rate is None else plan.rate
    return rate * plan.sending_s // plan.clients + 1


def ask(
    network: Devnet,
    plan: Plan,
    main: Callable[[HttpJob, Connection], None],
    jobs: Sequence[HttpJob],
    *,
    say: Callable[[str], None],
) -> Asked[Outcome]:
    """Have clients ask, each in a process that runs `main(job, connection)` and sends an outcome of that kind.

    Raises:
        ChainError: clients failed, or ran out of requests.
    """
    with processes_for(main, jobs) as clients:
        for client in clients:
            hear(client, SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _NS_PER_S
        for client in clients:
            client.send(begin_ns)
        say(f"asking {FIRST} for {plan.sending_s} s")
        first_ns, end_ns = window_ns(plan, begin_ns)
        at_first, at_end = (_read(network, at_ns) for at_ns in (first_ns, end_ns))
        say("waiting for the last answers")
        outcomes = tuple(cast("Outcome", hear(client, 2 * DRAIN_S)) for client in clients)
    if any(outcome.ran_out for outcome in outcomes):
        raise ChainError(
            "the clients ran out of requests, so the load was not kept up; measure at a fixed --rate",
            code="ran_out",
        )
    return Asked(
        plan=plan,
        outcomes=outcomes,
        first_ns=first_ns,
        end_ns=end_ns,
        at_first=at_first,
        at_end=at_end,
    )


def served(network: Devnet, asked: Asked[Outcome], answers: Sequence[Timed]) -> Served:
    """Stop the network, and return what these answers cost."""
    plan, first_ns, end_ns = asked.plan, asked.first_ns, asked.end_ns
    memory = memory_bytes(network)
    network.down()
    samples = read_samples([network.profile(FIRST)], first_ns, end_ns)
    counted = sum(first_ns <= answer.answered_ns < end_ns for answer in answers)
    used = {name: asked.at_end.cpu[name] - asked.at_first.cpu[name] for name in asked.at_end.cpu}
    own = used.pop(FIRST)
    others = sum(split.total for split in used.values()) / max(1, len(used))
    divisor = max(1, counted)
    return Served(
        plan=plan,
        cores=usable_cores(),
        per_s=counted / plan.duration_s,
        latencies_us=tuple(
            sorted(
                (answer.answered_ns - answer.begun_ns) // 1000
                for answer in answers
                if first_ns <= answer.begun_ns < end_ns
            )
        ),
        refused=asked.refused,
        blocks_per_s=(asked.at_end.height - asked.at_first.height) / plan.duration_s,
        view_changes=asked.at_end.view_changes - asked.at_first.view_changes,
        cpu_us=own.total * 1000 / divisor,
        cpu_us_by_part=cpu_us_by_part(own, samples, divisor),
        other_cpu_us=others * 1000 / divisor,
        functions=tuple(samples.functions.most_common(MOST_FUNCTIONS)),
        sampled=sum(samples.functions.values()),
        memory_bytes=memory,
    )


def _read(network: Devnet, when_ns: int) -> Reading:
    time.sleep(max(0, when_ns - time.monotonic_ns()) / _NS_PER_S)
    cpu = {
        node.name: processes.cpu_split_ms(node.process)
        for node in network.nodes
        if node.process is not None
    }
    status = network.status(FIRST)
    return Reading(cpu=cpu, height=status["tip_height"], view_changes=status["view_changes"])
