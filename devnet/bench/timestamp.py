"""`--workload timestamp`: timestamps over HTTP from one validator of a network, each token a leaf of the log.

Clients post requests to the first validator's `/tsa`; the others only vote. `--rate` has each request leave when it is due,
whatever comes back. Afterwards tokens are checked (`timestamp_check.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from chainnode.config import load_config
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.suites import SM2_SM3
from chainnode.pki.pem import parse_bundle
from devnet import processes
from devnet.bench.ceiling import usable_cores
from devnet.bench.client import window_ns
from devnet.bench.cpu import cpu_us_by_part, read_samples
from devnet.bench.load import SIGNING_TIMEOUT_S, hear, processes_for
from devnet.bench.meters import memory_bytes
from devnet.bench.plan import DRAIN_S, LEAST_TRANSACTIONS_PER_S, Plan
from devnet.bench.report import MOST_FUNCTIONS, latency_ms
from devnet.bench.run import fresh_network
from devnet.bench.timestamp_check import check_tokens
from devnet.bench.timestamp_client import TimestampJob, TimestampOutcome, main
from devnet.bench.token_speed import TokenSpeed, token_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devnet.bench.report import Figure
    from devnet.network import Devnet

_NS_PER_S: Final = 1_000_000_000
_LEVEL_TIMEOUT_MS: Final = 60_000
_FIRST: Final = "v1"
"""The validator that is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """What was measured."""

    plan: Plan
    cores: int
    tokens_per_s: float
    """Tokens received per second of the measured time."""

    latencies_us: tuple[int, ...]
    """Of what was sent, or due, in the measured time, rising."""

    refused: Mapping[str, int]
    blocks_per_s: float
    view_changes: int
    cpu_us_per_token: float
    """Of the validator that was asked, with its worker processes."""

    cpu_us_by_part: Mapping[str, float]
    other_cpu_us_per_token: float
    """Of one of the others, on average."""

    functions: tuple[tuple[str, int], ...]
    """Of the asked validator's main thread, with the samples of each; the most costly first."""

    sampled: int
    """Samples of all functions."""

    memory_bytes: int
    token_bytes: int
    """Of one response, on average."""

    checked_serials: int
    """Tokens, no two of which have the same serial number."""

    checked_tokens: int
    """Of a random sample, verified with proofs."""

    speed: TokenSpeed
    """Of one core that does nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meters:
    cpu: Mapping[str, processes.CpuSplit]
    height: int
    view_changes: int


def measure(plan: Plan, *, say: Callable[[str], None]) -> Timestamps:
    """Measure a fresh network.

    Raises:
        ChainError: it did not come up, clients failed or ran out of requests, or a token does not hold. There are no figures
            then.
    """
    with fresh_network(plan, say) as network:
        network.up(is_profiled=True)
        say("making its certificate authority")
        network.establish_authority()
        say("measuring the parts of a token alone")
        speed = _speed(network)
        outcomes, begin_ns, at_first, at_end = _apply(network, plan, say)
        first_ns, end_ns = window_ns(plan, begin_ns)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        granted = [answer for outcome in outcomes for answer in outcome.granted]
        if not granted:
            raise Unavailable("no token was issued", code="no_result")
        say(f"checking {len(granted)} tokens")
        checked = check_tokens(network, granted, issuer=_FIRST)
        memory = memory_bytes(network)
        network.down()
        samples = read_samples([network.profile(_FIRST)], first_ns, end_ns)
    counted = sum(first_ns <= answer.answered_ns < end_ns for answer in granted)
    used = {name: at_end.cpu[name] - at_first.cpu[name] for name in at_end.cpu}
    own = used.pop(_FIRST)
    others = sum(split.total for split in used.values()) / max(1, len(used))
    divisor = max(1, counted)
    return Timestamps(
        plan=plan,
        cores=usable_cores(),
        tokens_per_s=counted / plan.duration_s,
        latencies_us=tuple(
            sorted(
                (answer.answered_ns - answer.begun_ns) // 1000
                for answer in granted
                if first_ns <= answer.begun_ns < end_ns
            )
        ),
        refused=sum((outcome.refused for outcome in outcomes), Counter()),
        blocks_per_s=(at_end.height - at_first.height) / plan.duration_s,
        view_changes=at_end.view_changes - at_first.view_changes,
        cpu_us_per_token=own.total * 1000 / divisor,
        cpu_us_by_part=cpu_us_by_part(own, samples, divisor),
        other_cpu_us_per_token=others * 1000 / divisor,
        functions=tuple(samples.functions.most_common(MOST_FUNCTIONS)),
        sampled=sum(samples.functions.values()),
        memory_bytes=memory,
        token_bytes=sum(len(answer.response) for answer in granted) // len(granted),
        checked_serials=len(granted),
        checked_tokens=checked,
        speed=speed,
    )


def _speed(network: Devnet) -> TokenSpeed:
    home = network.node(_FIRST).home
    unit = "timestamp-sm2" if network.record.suite == SM2_SM3 else "timestamp"
    certificates = parse_bundle((home / f"{unit}.pem").read_bytes())
    return token_speed(certificates, load_config(home).timestamp_policy)


def _apply(
    network: Devnet, plan: Plan, say: Callable[[str], None]
) -> tuple[list[TimestampOutcome], int, _Meters, _Meters]:
    rate = LEAST_TRANSACTIONS_PER_S if plan.rate is None else plan.rate
    jobs = [
        TimestampJob(
            number=number,
            plan=plan,
            url=f"{network.node(_FIRST).rpc}/tsa",
            count=rate * plan.sending_s // plan.clients + 1,
        )
        for number in range(plan.clients)
    ]
    with processes_for(main, jobs) as clients:
        for client in clients:
            hear(client, SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _NS_PER_S
        for client in clients:
            client.send(begin_ns)
        say(f"asking {_FIRST} for {plan.sending_s} s")
        first_ns, end_ns = window_ns(plan, begin_ns)
        at_first, at_end = (_meters(network, at_ns) for at_ns in (first_ns, end_ns))
        say("waiting for the last answers")
        outcomes = [cast("TimestampOutcome", hear(client, 2 * DRAIN_S)) for client in clients]
    if any(outcome.ran_out for outcome in outcomes):
        raise ChainError(
            "the clients ran out of requests, so the load was not kept up; measure at a fixed --rate",
            code="ran_out",
        )
    return outcomes, begin_ns, at_first, at_end


def _meters(network: Devnet, when_ns: int) -> _Meters:
    time.sleep(max(0, when_ns - time.monotonic_ns()) / _NS_PER_S)
    cpu = {
        node.name: processes.cpu_split_ms(node.process)
        for node in network.nodes
        if node.process is not None
    }
    status = network.status(_FIRST)
    return _Meters(cpu=cpu, height=status["tip_height"], view_changes=status["view_changes"])


def rows(found: Timestamps) -> list[tuple[str, object]]:
    """Return the table for people."""
    plan, speed = found.plan, found.speed
    load = "saturation" if plan.rate is None else f"{plan.rate} requests/s, open loop"
    latency = ", ".join(
        f"{name} {ms:,.0f} ms" for name, ms in latency_ms(found.latencies_us).items()
    )
    refused = ", ".join(f"{count} {code}" for code, count in sorted(found.refused.items()))
    return [
        ("network", f"{plan.validators} validators on {found.cores} cores, {plan.suite}"),
        ("load", f"{load}, {plan.clients} clients, {plan.duration_s} s, all on {_FIRST}"),
        ("tokens", f"{found.tokens_per_s:,.0f}/s of {found.token_bytes:,} bytes"),
        ("latency", latency),
        ("without token", refused or "none"),
        ("blocks", f"{found.blocks_per_s:.1f}/s, {found.view_changes} view changes"),
        ("CPU", f"{found.cpu_us_per_token:,.0f} us per token of {_FIRST}"),
        ("", ", ".join(f"{part} {us:,.1f}" for part, us in found.cpu_us_by_part.items())),
        ("", f"{found.other_cpu_us_per_token:,.0f} us per token of each other validator"),
        ("memory", f"{found.memory_bytes / 1e6:,.0f} MB at most, of one validator"),
        ("one core alone", f"{speed.requests_per_s:,.0f} requests read a second"),
        ("", f"{speed.der_per_s:,.0f} tokens encoded a second, unsigned"),
        ("", f"{speed.signatures_per_s:,.0f} signatures a second"),
        ("checked", f"{found.checked_serials:,} serial numbers, all different"),
        ("", f"{found.checked_tokens} tokens of a random sample, verified with their proofs"),
    ]


def as_json(found: Timestamps) -> dict[str, Figure]:
    """Return the document of `--json`."""
    plan = found.plan
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "cores": found.cores,
        "tokens_per_s": round(found.tokens_per_s, 1),
        "latency_ms": latency_ms(found.latencies_us),
        "refused": dict(found.refused),
        "blocks_per_s": round(found.blocks_per_s, 1),
        "view_changes": found.view_changes,
        "cpu_us_per_token": round(found.cpu_us_per_token, 1),
        "cpu_us_by_part": found.cpu_us_by_part,
        "other_cpu_us_per_token": round(found.other_cpu_us_per_token, 1),
        "cpu_share_by_function": {
            name: round(count / found.sampled, 4) for name, count in found.functions
        },
        "memory_bytes": found.memory_bytes,
        "token_bytes": found.token_bytes,
        "requests_read_per_s": round(found.speed.requests_per_s),
        "der_per_s": round(found.speed.der_per_s),
        "signatures_per_s": round(found.speed.signatures_per_s),
        "checked_serials": found.checked_serials,
        "checked_tokens": found.checked_tokens,
    }
