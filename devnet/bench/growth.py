"""What becomes of a network as its chain grows: the same measurements at 10,000 documents and at each power of ten above.

One chain is filled from size to size, in lists of 1,000 at saturation. At each size, one after the other: documents that are
notarized one by one at saturation, proofs and lookups while others write, and a validator that is stopped and one that is
killed until it is ready again. What the measurements themselves add is small beside what is filled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from devnet.bench.ceiling import ceiling_tps, usable_cores
from devnet.bench.check import check_proofs, check_records
from devnet.bench.load import apply_load, fill
from devnet.bench.long_chain import start_until_ready
from devnet.bench.meters import disk_bytes, memory_bytes, wait_until_still
from devnet.bench.plan import NOTARIZE, PROOF, QUERY, Plan
from devnet.bench.reading import read
from devnet.bench.report import latency_ms, percentile
from devnet.bench.run import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.rpc.results import Json
    from devnet.bench.client import Acknowledged
    from devnet.network import Devnet

LEAST_RECORDS: Final = 10_000
"""The smallest size; each further one is ten times as long."""

_LEVEL_TIMEOUT_MS: Final = 120_000
_US_PER_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What was measured at one size of the chain."""

    records: int
    """Documents on the chain before the load."""

    filled_per_s: float | None
    """Documents a second in lists of 1,000, on the way from the size before; None if its load had brought it here."""

    tps: float
    """Transactions of one document a second, at saturation."""

    ceiling_tps: float
    """What the machine could do at most, measured right before."""

    notarize_us: tuple[int, ...]
    """Latencies at saturation, rising."""

    proofs_per_s: float
    proof_us: tuple[int, ...]
    lookups_per_s: float
    lookup_us: tuple[int, ...]
    memory_bytes: int
    """After the load, as `meters.memory_bytes`."""

    home_bytes: int
    """Of one validator, before the load, on average."""

    stopped_ms: int
    """From its start until it is ready, of a validator that was stopped."""

    killed_ms: int
    """The same of one that was killed."""

    checked_records: int
    checked_proofs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What was measured at each size, the smallest first."""

    plan: Plan
    cores: int
    sizes: tuple[Size, ...]


def sizes_up_to(records: int) -> tuple[int, ...]:
    """Return the sizes to measure at: 10,000 and its tenfolds below `records`, and `records`."""
    sizes = [records]
    size = LEAST_RECORDS
    while size < records:
        sizes.append(size)
        size *= 10
    return tuple(sorted(sizes))


def run(plan: Plan, *, say: Callable[[str], None]) -> Growth:
    """Measure one network at every size up to `plan.records`. Arguments and errors as `devnet.bench.run.measure`."""
    with fresh_network(plan, say) as network:
        network.up()
        growing = _Growing(network, plan, say)
        sizes = tuple(growing.measure(records) for records in sizes_up_to(plan.records))
    return Growth(plan=plan, cores=usable_cores(), sizes=sizes)


class _Growing:
    """One network, and what is on its chain."""

    def __init__(self, network: Devnet, plan: Plan, say: Callable[[str], None]) -> None:
        self._network, self._plan, self._say = network, plan, say
        self._known: list[Acknowledged] = []
        """What the chain was filled with, in lists."""

        self._clients = 0
        """Numbered so far; those of each load are others, and so are their documents."""

    def measure(self, records: int) -> Size:
        """Have the chain grow to about so many documents, and measure."""
        network, say = self._network, self._say
        filled_per_s = self._grow(records)
        found = self._records()
        say(f"{found:,} documents")
        wait_until_still(network, say)
        home = round(disk_bytes(network) / self._plan.validators)
        ceiling = ceiling_tps(self._plan.suite, self._plan.validators)
        notarize = replace(self._plan, workload=NOTARIZE)
        load = apply_load(network, notarize, ceiling, say, self._number())
        memory = memory_bytes(network)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        say(f"checking {len(load.acknowledged)} transactions on every validator")
        checked_records = check_records(network, load.acknowledged, found)
        checked_proofs = check_proofs(network, load.acknowledged, self._plan.digests)
        proofs, lookups = (
            read(
                network,
                replace(self._plan, workload=workload),
                self._known,
                say,
                self._number(),
            )
            for workload in (PROOF, QUERY)
        )
        name = network.nodes[-1].name
        say(f"restarting {name}")
        network.terminate(name)
        stopped_ms = start_until_ready(network, name)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        network.kill(name)
        killed_ms = start_until_ready(network, name)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        size = Size(
            records=found,
            filled_per_s=filled_per_s,
            tps=len(load.committed) / notarize.duration_s,
            ceiling_tps=ceiling,
            notarize_us=load.latencies_us,
            proofs_per_s=proofs.reads_per_s,
            proof_us=proofs.read_us,
            lookups_per_s=lookups.reads_per_s,
            lookup_us=lookups.read_us,
            memory_bytes=memory,
            home_bytes=home,
            stopped_ms=stopped_ms,
            killed_ms=killed_ms,
            checked_records=checked_records,
            checked_proofs=checked_proofs,
        )
        # Of an hour that is interrupted in the end, this is left.
        say("; ".join(f"{head}: {cell}" for head, cell in zip(HEADS, _row(size), strict=True)))
        return size

    def _grow(self, records: int) -> float | None:
        missing = records - self._records()
        if missing <= 0:
            return None
        wanted = replace(self._plan, records=missing)
        filled = fill(self._network, wanted.filling(), self._say, self._clients)
        self._clients += filled.clients
        self._known += filled.acknowledged
        self._network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        return filled.records / filled.duration_s

    def _number(self) -> int:
        """Return the number of the first of the next clients."""
        first = self._clients
        self._clients += self._plan.clients
        return first

    def _records(self) -> int:
        return self._network.status(self._network.nodes[0].name)["log_size"]


def as_json(found: Growth) -> dict[str, Json]:
    """Return the document of `--json`."""
    plan = found.plan
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "duration_s": plan.duration_s,
        "cores": found.cores,
        "sizes": [
            {
                "records": size.records,
                "filled_records_per_s": None
                if size.filled_per_s is None
                else round(size.filled_per_s, 1),
                "tps": round(size.tps, 1),
                "ceiling_tps": round(size.ceiling_tps, 1),
                "latency_ms": {**latency_ms(size.notarize_us)},
                "proofs_per_s": round(size.proofs_per_s, 1),
                "proof_latency_ms": {**latency_ms(size.proof_us)},
                "lookups_per_s": round(size.lookups_per_s, 1),
                "lookup_latency_ms": {**latency_ms(size.lookup_us)},
                "memory_bytes": size.memory_bytes,
                "home_bytes": size.home_bytes,
                "ready_ms_after_stop": size.stopped_ms,
                "ready_ms_after_kill": size.killed_ms,
                "checked_records": size.checked_records,
                "checked_proofs": size.checked_proofs,
            }
            for size in found.sizes
        ],
    }


HEADS: Final = (
    "documents",
    "one by one /s",
    "of the ceiling",
    "in lists /s",
    "proofs /s",
    "proof p50, p99 ms",
    "lookups /s",
    "memory MB",
    "home MB",
    "ready ms: stopped, killed",
)


def table(found: Growth) -> list[tuple[str, ...]]:
    """Return a row for each size, for people."""
    return [_row(size) for size in found.sizes]


def _row(size: Size) -> tuple[str, ...]:
    return (
        f"{size.records:,}",
        f"{size.tps:,.0f}",
        f"{100 * size.tps / size.ceiling_tps:.1f} %",
        "" if size.filled_per_s is None else f"{size.filled_per_s:,.0f}",
        f"{size.proofs_per_s:,.0f}",
        f"{percentile(size.proof_us, 50) / _US_PER_MS:.1f}, {percentile(size.proof_us, 99) / _US_PER_MS:.1f}",
        f"{size.lookups_per_s:,.0f}",
        f"{size.memory_bytes / 1e6:,.0f}",
        f"{size.home_bytes / 1e6:,.0f}",
        f"{size.stopped_ms:,}, {size.killed_ms:,}",
    )
