"""One measurement from an empty folder to a report."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devnet.bench.ceiling import ceiling_tps, usable_cores
from devnet.bench.check import check_proofs, check_records
from devnet.bench.cpu import cpu_us_by_part, read_samples
from devnet.bench.load import apply_load, fill_before
from devnet.bench.meters import disk_bytes, memory_bytes
from devnet.bench.report import MOST_FUNCTIONS, Figures, Report
from devnet.network import Devnet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devnet.bench.plan import Plan

_LEVEL_TIMEOUT_MS: Final = 60_000
_WIRE_METRIC: Final = "chainnode_peer_bytes_out_total"


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
        filled = fill_before(network, plan, say)
        if plan.delay_ms is not None:
            network.delay(plan.delay_ms)
        disk_before, wire_before = disk_bytes(network), _wire_bytes(network)
        dead = [node.name for node in network.nodes[plan.validators - plan.dead :]]
        network.kill(*dead)
        load = apply_load(network, plan, ceiling, say, filled.clients)
        acknowledged = load.acknowledged
        for name in dead:
            network.start(name)
        network.wait_ready()
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        disk_after, wire = disk_bytes(network), _wire_bytes(network)
        say(f"checking {len(acknowledged)} transactions on every validator")
        checked_records = check_records(network, acknowledged, filled.records)
        checked_proofs = check_proofs(network, acknowledged, plan.digests)
        memory = memory_bytes(network)
        # They write their profiles when they stop; one that was killed has none of the measured time.
        network.down()
        living = [node.name for node in network.nodes if node.name not in dead]
        samples = read_samples(
            [network.profile(name) for name in living], load.first_ns, load.end_ns
        )
    share = len(acknowledged) * plan.validators
    used = load.at_end.cpu - load.at_first.cpu
    committed = load.committed
    executions = max(1, len(committed) * (plan.validators - plan.dead))
    return Figures(
        plan=plan,
        cores=usable_cores(),
        tps=len(committed) / plan.duration_s,
        records_per_s=sum(tx.record_count for tx in committed) / plan.duration_s,
        latencies_us=load.latencies_us,
        refused=load.refused,
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
