"""What monitoring sees of a node's gateway and of its calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from chainnode.services.calendar import Calendar
    from chainnode.services.gateway import Counts, Gateway


class GatewayCollector:
    """A prometheus_client Collector of what a gateway did, and of what is open."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield counters, and the state of things now."""
        gateway = self._gateway
        yield _counter(
            "chainnode_gateway_documents", "Documents of systems since start", gateway.counts
        )
        yield GaugeMetricFamily(
            "chainnode_gateway_open_documents",
            "Documents that are accepted or wait to be, and not decided",
            value=gateway.open_count,
        )
        yield GaugeMetricFamily(
            "chainnode_gateway_open_lists",
            "Lists that are accepted and not decided",
            value=gateway.open_list_count,
        )
        yield GaugeMetricFamily(
            "chainnode_gateway_waiting_clients",
            "Clients that wait for a decision",
            value=gateway.waiting_count,
        )


class CalendarCollector:
    """A prometheus_client Collector of what a calendar has promised and kept."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def collect(self) -> Iterator[Metric]:
        """Yield counters, and the state of things now."""
        calendar = self._calendar
        yield _counter(
            "chainnode_calendar_digests",
            "Digests of OpenTimestamps clients since start",
            calendar.counts,
        )
        yield GaugeMetricFamily(
            "chainnode_calendar_pending_digests",
            "Digests that came since start and are not decided",
            value=calendar.pending_count,
        )
        yield GaugeMetricFamily(
            "chainnode_calendar_pending_roots",
            "Roots that are promised and not decided",
            value=calendar.pending_root_count,
        )


def _counter(name: str, about: str, counts: Counts) -> Metric:
    family = CounterMetricFamily(name, about, labels=("outcome",))
    family.add_metric(("accepted",), counts.accepted)
    family.add_metric(("committed",), counts.committed)
    family.add_metric(("failed",), counts.failed)
    return family
