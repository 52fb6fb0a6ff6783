"""What monitoring sees of a node's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from chainnode.services.ports import ClockVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from chainnode.services.ports import ClockStatus


def clock_metrics(clock: ClockStatus) -> Iterator[Metric]:
    """Yield the state of the clock now."""
    verdict = GaugeMetricFamily(
        "chainnode_clock_verdict",
        "Whether that is what the node thinks of its clock",
        labels=("verdict",),
    )
    for one in ClockVerdict:
        verdict.add_metric((one.value,), int(clock.verdict is one))
    yield verdict
    yield GaugeMetricFamily(
        "chainnode_clock_vouches",
        "Whether the clock can vouch for a time",
        value=int(clock.vouches),
    )
    yield GaugeMetricFamily(
        "chainnode_clock_bound_seconds",
        "How far a right clock may be from what it is judged by",
        value=clock.bound_ms / 1_000,
    )
    agreed = GaugeMetricFamily(
        "chainnode_clock_agreed_seconds",
        "What the validators' clocks agree on, minus this one",
        labels=("end",),
    )
    for end, value_ms in zip(("earliest", "latest"), clock.agreed_ms or (), strict=False):
        agreed.add_metric((end,), value_ms / 1_000)
    yield agreed
    yield CounterMetricFamily(
        "chainnode_clock_jumps", "Jumps of the wall clock since start", value=clock.jumps
    )
    yield CounterMetricFamily(
        "chainnode_turns_declined",
        "Turns to propose that were given up since the clock was wrong",
        value=clock.declined,
    )
    source = GaugeMetricFamily(
        "chainnode_time_source_offset_seconds",
        "The time source's clock minus this one",
        labels=("source",),
    )
    if clock.source is not None and clock.source.offset_ms is not None:
        source.add_metric((clock.source.server,), clock.source.offset_ms / 1_000)
    yield source
