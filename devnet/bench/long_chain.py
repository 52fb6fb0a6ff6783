"""What a long chain costs: a stopped validator until it is ready again, and a new one until it has caught up.

    restart    stopped as an operator would, and killed, three times each; from its start until /readyz says so
    catch-up   a validator that never ran, beside others that do nothing else; from its start until it is level

The chain is made first, by lists of 1,000 documents at saturation; so the live rate is of the same run.
"""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused, Unavailable
from chainnode.model.quorum import faulty_of
from devnet import processes
from devnet.bench.load import fill
from devnet.bench.meters import home_bytes
from devnet.bench.run import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from devnet.bench.plan import Plan
    from devnet.bench.report import Figure
    from devnet.network import Devnet

ROUNDS: Final = 3
"""Restarts of each kind."""

_POLL_S: Final = 0.01
_LEVEL_TIMEOUT_S: Final = 3_600
_MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The chain that was made."""

    records: int
    """Documents, acknowledged."""

    blocks: int
    live_per_s: float
    """Documents a second while it was made."""

    disk_bytes: int
    """One validator's home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How long a validator takes from its start until it is ready."""

    chain: Chain
    stopped_ms: tuple[int, ...]
    """After SIGTERM."""

    killed_ms: tuple[int, ...]
    """After SIGKILL."""

    memory_bytes: int
    """Of the node's process when it was ready the last time, as `meters.memory_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """How long a new validator takes until it is level."""

    chain: Chain
    duration_ms: int
    memory_bytes: int
    """Of the node's process at most, as `meters.memory_bytes`."""

    @property
    def per_s(self) -> float:
        """Documents a second, each executed and every root compared."""
        return self.chain.records * _MS_PER_S / self.duration_ms


def plan_of(plan: Plan) -> Plan:
    """Return the plan by which the chain is made."""
    return replace(
        plan.filling(),
        # One validator may be away meanwhile; no client talks to it.
        dead=1 if plan.validators > 1 else 0,
    )


def restart(plan: Plan, *, say: Callable[[str], None]) -> Restart:
    """Measure restarts. Arguments and errors as `devnet.bench.run.measure`; the plan says how many records."""
    with fresh_network(plan, say) as network:
        network.up()
        chain = _make(network, plan, say)
        name = network.nodes[-1].name
        times: dict[bool, list[int]] = {False: [], True: []}
        for number in range(ROUNDS):
            for is_kill, found in times.items():
                say(f"restarting {name}, {number + 1} of {ROUNDS}")
                (network.kill if is_kill else network.terminate)(name)
                found.append(start_until_ready(network, name))
        memory = _memory_bytes(network, name)
        network.wait_level(timeout_ms=60_000)
    return Restart(
        chain=chain,
        stopped_ms=tuple(times[False]),
        killed_ms=tuple(times[True]),
        memory_bytes=memory,
    )


def catch_up(plan: Plan, *, say: Callable[[str], None]) -> CatchUp:
    """Measure catching up. Arguments and errors as `restart`.

    Raises:
        Refused: the others would not decide anything without one validator.
    """
    if faulty_of(plan.validators) < 1:
        raise Refused(
            f"found {plan.validators} validators; one of them may be away where there are 4 or more",
            code="too_few_validators",
            field="validators",
        )
    with fresh_network(plan, say) as network:
        network.up()
        late = network.nodes[-1]
        network.kill(late.name)
        # As if it had never run: only what `chainnode init` made is left.
        shutil.rmtree(late.home / "data")
        (late.home / "votes.log").unlink(missing_ok=True)
        chain = _make(network, plan, say)
        say(f"starting {late.name}, which has nothing yet")
        began_ns = time.monotonic_ns()
        network.start(late.name)
        memory = _wait_until_level(network, late.name)
        duration_ms = (time.monotonic_ns() - began_ns) // 1_000_000
        network.wait_level(timeout_ms=60_000)
    return CatchUp(chain=chain, duration_ms=duration_ms, memory_bytes=memory)


def _make(network: Devnet, plan: Plan, say: Callable[[str], None]) -> Chain:
    filled = fill(network, plan, say)
    first = network.nodes[0]
    return Chain(
        records=filled.records,
        blocks=network.status(first.name)["tip_height"],
        live_per_s=filled.records / filled.duration_s,
        disk_bytes=home_bytes(first.home),
    )


def start_until_ready(network: Devnet, name: str) -> int:
    """Start a validator that does not run; return after how many milliseconds it was ready. Raises Unavailable if it ends."""
    began_ns = time.monotonic_ns()
    network.start(name)
    while network.why_not_ready(name) is not None:
        if not network.is_running(name):
            raise Unavailable(f"{name} has ended: {network.last_words(name)}", code="ended")
        time.sleep(_POLL_S)
    return (time.monotonic_ns() - began_ns) // 1_000_000


def _wait_until_level(network: Devnet, name: str) -> int:
    """Return the most memory that the node's process had meanwhile."""
    most = 0
    goal = network.status(network.nodes[0].name)["tip_height"]
    deadline = time.monotonic() + _LEVEL_TIMEOUT_S
    while _height(network, name) < goal:
        if not network.is_running(name):
            raise Unavailable(f"{name} has ended: {network.last_words(name)}", code="ended")
        if time.monotonic() > deadline:
            raise Unavailable(f"{name} is not level after {_LEVEL_TIMEOUT_S} s", code="not_level")
        most = max(most, _memory_bytes(network, name))
        time.sleep(_POLL_S)
    return most


def _height(network: Devnet, name: str) -> int:
    try:
        return network.status(name)["tip_height"]
    except Unavailable:
        # It is not up yet, or too busy to answer.
        return -1


def _memory_bytes(network: Devnet, name: str) -> int:
    process = network.node(name).process
    return 0 if process is None else processes.memory_bytes(process)


def _chain_rows(chain: Chain) -> list[tuple[str, object]]:
    return [
        (
            "chain",
            f"{chain.records:,} documents in {chain.blocks:,} blocks, made at {chain.live_per_s:,.0f}/s",
        ),
        ("disk", f"{chain.disk_bytes / 1e6:,.0f} MB per validator"),
    ]


def restart_rows(found: Restart) -> list[tuple[str, object]]:
    """Return what was measured, for people."""
    return [
        *_chain_rows(found.chain),
        ("ready after", f"{statistics.median(found.stopped_ms):,.0f} ms (SIGTERM before, median)"),
        ("", f"{statistics.median(found.killed_ms):,.0f} ms (SIGKILL before, median)"),
        ("memory", f"{found.memory_bytes / 1e6:,.0f} MB"),
    ]


def catch_up_rows(found: CatchUp) -> list[tuple[str, object]]:
    """Return what was measured, for people."""
    ratio = found.per_s / found.chain.live_per_s
    return [
        *_chain_rows(found.chain),
        ("caught up in", f"{found.duration_ms / _MS_PER_S:,.1f} s, {found.per_s:,.0f} documents/s"),
        ("to live rate", f"{ratio:.2f}"),
        ("memory", f"{found.memory_bytes / 1e6:,.0f} MB at most"),
    ]


def _chain_json(plan: Plan, chain: Chain) -> dict[str, Figure]:
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "digests": plan.digests,
        "records": chain.records,
        "blocks": chain.blocks,
        "live_records_per_s": round(chain.live_per_s, 1),
        "disk_bytes": chain.disk_bytes,
    }


def restart_json(plan: Plan, found: Restart) -> dict[str, Figure]:
    """Return the document of `--json`."""
    return {
        **_chain_json(plan, found.chain),
        "ready_ms_after_stop": statistics.median(found.stopped_ms),
        "ready_ms_after_kill": statistics.median(found.killed_ms),
        "memory_bytes": found.memory_bytes,
    }


def catch_up_json(plan: Plan, found: CatchUp) -> dict[str, Figure]:
    """Return the document of `--json`."""
    return {
        **_chain_json(plan, found.chain),
        "duration_ms": found.duration_ms,
        "records_per_s": round(found.per_s, 1),
        "ratio_to_live_rate": round(found.per_s / found.chain.live_per_s, 3),
        "memory_bytes": found.memory_bytes,
    }
