"""What was measured, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devnet.bench.plan import Plan

Figure: TypeAlias = str | int | float | Mapping[str, int] | Mapping[str, float] | None

_PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures of one run. Everything in it was measured in that run."""

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
    ceiling_before_tps: float
    ceiling_after_tps: float
    cpu_us_per_tx: float
    """Of one validator with its worker processes, on average."""

    disk_bytes_per_tx: float
    """By which one validator's home grew, on average; logs of the store that await compaction included."""

    wire_bytes_per_tx: float | None
    """Sent from one validator to the others, on average; None if the nodes do not count it."""

    checked_records: int
    """Acknowledged records, each of which was found on every validator."""

    checked_proofs: int

    @property
    def ceiling_tps(self) -> float:
        """The higher of the two measurements."""
        return max(self.ceiling_before_tps, self.ceiling_after_tps)

    def latency_ms(self) -> dict[str, float]:
        """Return the percentiles and the maximum, in milliseconds."""
        found = {f"p{p}": percentile(self.latencies_us, p) for p in _PERCENTILES}
        found["max"] = percentile(self.latencies_us, 100)
        return {name: us / 1000 for name, us in found.items()}


def percentile(rising: Sequence[int], percent: int) -> int:
    """Return the value that `percent` of all do not exceed (nearest rank); 0 of nothing."""
    if not rising:
        return 0
    return rising[max(0, -(-len(rising) * percent // 100) - 1)]


def as_json(report: Report) -> dict[str, Figure]:
    """Return the document of `--json`."""
    plan = report.plan
    return {
        "workload": plan.workload,
        "batch_size": plan.batch_size,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "cores": report.cores,
        "tps": round(report.tps, 1),
        "records_per_s": round(report.records_per_s, 1),
        "latency_ms": report.latency_ms(),
        "refused": dict(report.refused),
        "blocks_per_s": round(report.blocks_per_s, 1),
        "cpu_us_per_tx": round(report.cpu_us_per_tx, 1),
        "disk_bytes_per_tx": round(report.disk_bytes_per_tx),
        "wire_bytes_per_tx": None
        if report.wire_bytes_per_tx is None
        else round(report.wire_bytes_per_tx),
        "ceiling_before_tps": round(report.ceiling_before_tps, 1),
        "ceiling_after_tps": round(report.ceiling_after_tps, 1),
        "ceiling_tps": round(report.ceiling_tps, 1),
        "share_of_ceiling": round(report.tps / report.ceiling_tps, 4),
        "checked_records": report.checked_records,
        "checked_proofs": report.checked_proofs,
    }


def rows(report: Report) -> list[tuple[str, object]]:
    """Return the table for people."""
    plan, latency = report.plan, report.latency_ms()
    load = "saturation" if plan.rate is None else f"{plan.rate} transactions/s, open loop"
    documents = "one document" if plan.batch_size == 1 else f"{plan.batch_size} documents"
    refused = ", ".join(f"{count} {code}" for code, count in sorted(report.refused.items()))
    wire = report.wire_bytes_per_tx
    return [
        ("network", f"{plan.validators} validators on {report.cores} cores, {plan.suite}"),
        ("load", f"{load}, {documents} a transaction, {plan.clients} clients, {plan.duration_s} s"),
        ("committed", f"{report.tps:,.0f} transactions/s, {report.records_per_s:,.0f} documents/s"),
        ("latency", ", ".join(f"{name} {ms:,.0f} ms" for name, ms in latency.items())),
        ("not committed", refused or "none"),
        ("blocks", f"{report.blocks_per_s:.1f}/s"),
        ("CPU", f"{report.cpu_us_per_tx:,.0f} us per transaction and validator"),
        ("disk", f"{report.disk_bytes_per_tx:,.0f} bytes per transaction and validator"),
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
        ("of the ceiling", f"{100 * report.tps / report.ceiling_tps:.1f} %"),
        (
            "checked",
            f"{report.checked_records:,} acknowledged records on every validator, all there",
        ),
        ("", f"{report.checked_proofs} proofs of a random sample, all valid"),
    ]
