"""Measuring what a forecast builds on, by the benchmark: what transactions cost at saturation, and what blocks cost when there is little to do.

at saturation, four validators     the parts of the processor time of a transaction; what is left of the cores is put to the clients
at 50/s, four and ten validators   the processor time of a block: what does not grow with the number of validators, and
what each message of another validator adds
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devnet.bench.ceiling import ceiling_tps, usable_cores
from devnet.bench.plan import NOTARIZE, Plan
from devnet.bench.run import measure
from devnet.forecast.costs import Costs

if TYPE_CHECKING:
    from collections.abc import Callable

    from devnet.bench.report import Figures

FEW, MORE = 4, 10
"""Validators of the networks that are measured."""

SATURATED_S: Final = 20
QUIET_S: Final = 10
QUIET_RATE: Final = 50
CLIENTS: Final = 2
MESSAGES_PER_PEER: Final = 3
"""Of each block, from each other validator: PREPARE or proposal, COMMIT, cosignature."""

_SYNCS: Final = 50
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was measured."""

    suite: str
    cores: int
    saturated: Figures
    """Four validators at saturation."""

    costs: Costs


def calibrate(suite: str, *, say: Callable[[str], None]) -> Calibration:
    """Measure. Errors as `devnet.bench.run.measure`."""
    cores = usable_cores()
    ceiling = ceiling_tps(suite, FEW)
    saturated = measure(_plan(suite, FEW, None, SATURATED_S), ceiling, say=say)
    quiet = [measure(_plan(suite, n, QUIET_RATE, QUIET_S), ceiling, say=say) for n in (FEW, MORE)]
    costs = costs_from(saturated, quiet[0], quiet[1], cores=cores, sync_us=sync_us())
    return Calibration(suite=suite, cores=cores, saturated=saturated, costs=costs)


def _plan(suite: str, validators: int, rate: int | None, duration_s: int) -> Plan:
    return Plan(
        validators=validators,
        suite=suite,
        workload=NOTARIZE,
        batch_size=1,
        duration_s=duration_s,
        rate=rate,
        clients=CLIENTS,
    )


def costs_from(
    saturated: Figures, few: Figures, more: Figures, *, cores: int, sync_us: float
) -> Costs:
    """Return the costs that explain three measurements.

    Args:
        saturated: at saturation.
        few: at a low rate.
        more: the same with more validators.
        cores: of the machine.
        sync_us: what a write to disk waits.
    """
    part = saturated.cpu_us_by_part
    n = saturated.plan.validators
    per_tx = {
        "arrive": part.get("decode", 0) + part.get("pool", 0),
        # One validator has it all.
        "request": n * part.get("rpc", 0),
        "verify": part.get("verify", 0),
        "execute": part.get("execute", 0) + part.get("tree", 0),
        "store": part.get("storage", 0),
        "compact": part.get("compaction", 0),
        # A transaction is sent n - 1 times, by all validators together.
        "copy": part.get("network", 0) * n / max(1, n - 1),
    }
    once = ("rpc", "network")
    known = sum(us for name, us in per_tx.items() if name not in {"request", "copy"})
    known += sum(part.get(name, 0) for name in once)
    few_us, more_us = (_block_us(figures, known) for figures in (few, more))
    more_messages = MESSAGES_PER_PEER * (more.plan.validators - few.plan.validators)
    message = max(0.0, (more_us - few_us) / more_messages)
    return Costs(
        client=max(0.0, cores * _US / saturated.tps - n * saturated.cpu_us_per_tx),
        message=message,
        block=max(0.0, few_us - MESSAGES_PER_PEER * (few.plan.validators - 1) * message),
        sync=sync_us,
        **per_tx,
    )


def _block_us(figures: Figures, per_tx_us: float) -> float:
    """Return the processor time of a block, that of its transactions left out."""
    per_block = figures.tps / figures.blocks_per_s
    return max(0.0, (figures.cpu_us_per_tx - per_tx_us) * per_block)


def sync_us() -> float:
    """Return how long a small write takes until it is on the disk of the temporary folder; the median."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            began_ns = time.perf_counter_ns()
            file.write(bytes(256))
            file.flush()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began_ns) / 1_000)
    return statistics.median(taken)
