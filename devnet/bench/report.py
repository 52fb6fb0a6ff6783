"""What was measured, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devnet.bench.plan import Plan

Figure: TypeAlias = str | int | float | Mapping[str, int] | Mapping[str, float] | None

MOST_FUNCTIONS: Final = 40
"""How many of the most costly functions are kept."""

_PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one network did under one load. Everything in it was measured in that run."""

    plan: Plan
    cores: int
    tps: float
    """Transactions acknowledged as committed per second of the measured time."""

    records_per_s: float
    """The same in log records, one per document."""

    latencies_us: tuple[int, ...]
    """Of every transaction sent in the measured time, rising; submission (or when it was due) to acknowledgement."""

    refused: Mapping[str, int]
    """Transactions that were not acknowledged as committed, by code, warm-up included."""

    blocks_per_s: float
    view_changes: int
    """How often the first validator asked for another view in the measured time."""

    cpu_us_per_tx: float
    """Of one living validator with its worker processes, on average."""

    cpu_us_by_part: Mapping[str, float]
    """The same by part of the node, the largest first."""

    functions: tuple[tuple[str, int], ...]
    """Functions in which the main threads' processor time went, with the samples of each; the most costly first."""

    sampled: int
    """Samples of all functions."""

    memory_bytes: int
    """Resident memory of the largest validator process, at most; its workers not counted."""

    disk_bytes_per_tx: float
    """By which one validator's home grew, on average; logs of the store that await compaction included."""

    home_bytes: int
    """Size of one validator's home after the load, on average."""

    records: int
    """Documents on the chain before the load."""

    wire_bytes_per_tx: float | None
    """Sent from one validator to the others, on average; None if the nodes do not count it."""

    checked_records: int
    """Acknowledged records, each of which was found on every validator."""

    checked_proofs: int

    def latency_ms(self) -> dict[str, float]:
        """Return the percentiles and the maximum, in milliseconds."""
        return latency_ms(self.latencies_us)

    def refused_text(self) -> str:
        """Return what was not acknowledged as committed, for people."""
        return (
            ", ".join(f"{count} {code}" for code, count in sorted(self.refused.items())) or "none"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a network did, beside what the machine could do at most."""

    figures: Figures
    ceiling_before_tps: float
    ceiling_after_tps: float

    @property
    def ceiling_tps(self) -> float:
        """The higher of the two measurements."""
        return max(self.ceiling_before_tps, self.ceiling_after_tps)

    @property
    def share_of_ceiling(self) -> float:
        """What the network did of that."""
        return self.figures.tps / self.ceiling_tps


_Number = TypeVar("_Number", int, float)


def latency_ms(latencies_us: Sequence[int]) -> dict[str, float]:
    """Return the percentiles and the maximum of latencies in microseconds, rising, in milliseconds."""
    found = {f"p{p}": percentile(latencies_us, p) for p in _PERCENTILES}
    found["max"] = percentile(latencies_us, 100)
    return {name: us / 1000 for name, us in found.items()}


def percentile(rising: Sequence[_Number], percent: int) -> _Number | int:
    """Return the value that `percent` of all do not exceed (nearest rank); 0 of nothing."""
    if not rising:
        return 0
    return rising[max(0, -(-len(rising) * percent // 100) - 1)]


def as_json(report: Report) -> dict[str, Figure]:
    """Return the document of `--json`."""
    figures = report.figures
    plan = figures.plan
    return {
        "workload": plan.workload,
        "batch_size": plan.batch_size,
        "digests": plan.digests,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "delay_ms": plan.delay_ms,
        "records": figures.records,
        "cores": figures.cores,
        "tps": round(figures.tps, 1),
        "records_per_s": round(figures.records_per_s, 1),
        "latency_ms": figures.latency_ms(),
        "refused": dict(figures.refused),
        "blocks_per_s": round(figures.blocks_per_s, 1),
        "view_changes": figures.view_changes,
        "cpu_us_per_tx": round(figures.cpu_us_per_tx, 1),
        "cpu_us_by_part": figures.cpu_us_by_part,
        "cpu_share_by_function": {
            name: round(count / figures.sampled, 4) for name, count in figures.functions
        },
        "memory_bytes": figures.memory_bytes,
        "disk_bytes_per_tx": round(figures.disk_bytes_per_tx),
        "home_bytes": figures.home_bytes,
        "wire_bytes_per_tx": None
        if figures.wire_bytes_per_tx is None
        else round(figures.wire_bytes_per_tx),
        "ceiling_before_tps": round(report.ceiling_before_tps, 1),
        "ceiling_after_tps": round(report.ceiling_after_tps, 1),
        "ceiling_tps": round(report.ceiling_tps, 1),
        "share_of_ceiling": round(report.share_of_ceiling, 4),
        "checked_records": figures.checked_records,
        "checked_proofs": figures.checked_proofs,
    }


def rows(report: Report) -> list[tuple[str, object]]:
    """Return the table for people."""
    figures = report.figures
    plan, latency = figures.plan, figures.latency_ms()
    load = "saturation" if plan.rate is None else f"{plan.rate} transactions/s, open loop"
    documents = "one document" if plan.batch_size == 1 else f"{plan.batch_size} documents"
    if plan.digests > 1:
        documents += f" of {plan.digests} digests"
    wire = figures.wire_bytes_per_tx
    network = f"{plan.validators} validators on {figures.cores} cores, {plan.suite}"
    if plan.delay_ms is not None:
        network += f", {plan.delay_ms} ms from any to any other"
    return [
        ("network", network),
        ("chain", f"{figures.records:,} documents before the load"),
        ("load", f"{load}, {documents} a transaction, {plan.clients} clients, {plan.duration_s} s"),
        (
            "committed",
            f"{figures.tps:,.0f} transactions/s, {figures.records_per_s:,.0f} documents/s",
        ),
        ("latency", ", ".join(f"{name} {ms:,.0f} ms" for name, ms in latency.items())),
        ("not committed", figures.refused_text()),
        ("blocks", f"{figures.blocks_per_s:.1f}/s, {figures.view_changes} view changes"),
        ("CPU", f"{figures.cpu_us_per_tx:,.0f} us per transaction and validator"),
        ("", ", ".join(f"{part} {us:,.1f}" for part, us in figures.cpu_us_by_part.items())),
        ("memory", f"{figures.memory_bytes / 1e6:,.0f} MB at most, of one validator"),
        ("disk", f"{figures.disk_bytes_per_tx:,.0f} bytes per transaction and validator"),
        ("", f"{figures.home_bytes / 1e6:,.1f} MB of one validator's home after the load"),
        (
            "wire",
            "not counted by these nodes"
            if wire is None
            else f"{wire:,.0f} bytes sent per transaction and validator",
        ),
        (
            "ceiling",
            f"{report.ceiling_tps:,.0f} transactions/s if all cores did nothing but verify signatures",
        ),
        (
            "",
            f"{report.ceiling_before_tps:,.0f} before, {report.ceiling_after_tps:,.0f} after the run",
        ),
        ("of the ceiling", f"{100 * report.share_of_ceiling:.1f} %"),
        (
            "checked",
            f"{figures.checked_records:,} acknowledged records on every validator, all there",
        ),
        ("", f"{figures.checked_proofs} proofs of a random sample, all valid"),
    ]


FUNCTION_HEADS: Final = ("of the main threads' time", "function")


def function_table(
    functions: Sequence[tuple[str, int]], sampled: int, count: int
) -> list[tuple[str, str]]:
    """Return the functions in which most of the main threads' processor time went, C code that they call included.

    Args:
        functions: with the samples of each, the most costly first.
        sampled: samples of all there are.
        count: how many to return.
    """
    return [(f"{100 * samples / sampled:.1f} %", name) for name, samples in functions[:count]]
