"""What monitoring sees, in Prometheus's text format. One registry per node, so that tests can have many nodes."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.utils import floatToGoString

from chainnode.services.clock_metrics import clock_metrics
from chainnode.services.ports import QuarantineCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from chainnode.clock import Clock
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.certificate import Certificate
    from chainnode.services.commits import Commits
    from chainnode.services.ports import EnginePort, Links

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets of all durations: from a read to the longest wait."""

_MILLISECONDS: Final = tuple(round(seconds * 1_000) for seconds in _SECONDS)

MAX_EVENT_NAMES: Final = 100
"""Different names of events that are counted; names come from our own code, but a label must have a bound."""


class Metrics:
    """A `ports.Witness` that counts, and a registry that also reads the engine when it is scraped."""

    def __init__(
        self,
        *,
        engine: EnginePort,
        links: Links,
        ledger: Ledger,
        commits: Commits,
        clock: Clock,
        software_version: str,
    ) -> None:
        self.registry: Final = CollectorRegistry()
        self._previous_time_ms = ledger.tip.time_ms if ledger.tip.height else None
        self._event_names: set[str] = set()
        self._blocks = self._counter("chainnode_blocks", "Blocks committed since start")
        self._transactions = self._counter(
            "chainnode_transactions", "Transactions committed since start", "outcome"
        )
        self._block_interval = Histogram(
            "chainnode_block_interval_seconds",
            "Block time less its parent's",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._events = self._counter("chainnode_events", "Events worth a log line", "event")
        self._misbehaviour = self._counter(
            "chainnode_misbehaviour",
            "Offences against the protocol that this node has proven since start",
            "validator",
            "offence",
        )
        self._answers = _Answers()
        self.registry.register(self._answers)
        self.registry.register(
            _NodeCollector(engine, links, ledger, commits, clock, software_version)
        )
        ProcessCollector(registry=self.registry)

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        """Count a block and its transactions."""
        self._blocks.inc()
        succeeded = sum(receipt.succeeded for receipt in executed.receipts)
        self._transactions.labels("committed").inc(succeeded)
        self._transactions.labels("failed").inc(len(executed.receipts) - succeeded)
        time_ms = executed.outline.header.time_ms
        if self._previous_time_ms is not None:
            self._block_interval.observe((time_ms - self._previous_time_ms) / 1_000)
        self._previous_time_ms = time_ms

    def checkpoint_cosigned(self, height: int) -> None:
        """The newest cosigned height is read when scraped."""

    def event(self, name: str, **fields: int | str) -> None:
        """Count an event by its name."""
        if name in self._event_names or len(self._event_names) < MAX_EVENT_NAMES:
            self._event_names.add(name)
            self._events.labels(name).inc()
        if name == "misbehaviour_proven":
            # Validators and offences are few, and both are checked against the chain.
            self._misbehaviour.labels(fields["validator"], fields["offence"]).inc()

    def answered(self, method: str, code: str | None, duration_ms: int) -> None:
        """Count a request.

        Args:
            method: One of the method table.
            code: The error's stable code, or None on success.
            duration_ms: From request to answer.
        """
        self._answers.add(method, code, duration_ms)

    def render(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)


class _Answers:
    """A prometheus_client Collector of RPC answers: it only counts until it is scraped, since there are thousands a second."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        """By method and outcome."""

        self._durations: dict[str, list[int]] = {}
        """By method: how many took at most each of `_SECONDS` and no less, more than all of them, and milliseconds in sum."""

    def add(self, method: str, code: str | None, duration_ms: int) -> None:
        key = (method, "ok" if code is None else code)
        self._counts[key] = self._counts.get(key, 0) + 1
        durations = self._durations.get(method)
        if durations is None:
            durations = self._durations[method] = [0] * (len(_SECONDS) + 2)
        durations[bisect_left(_MILLISECONDS, duration_ms)] += 1
        durations[-1] += duration_ms

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily(
            "chainnode_rpc_requests", "RPC requests answered", labels=("method", "outcome")
        )
        for labels, count in self._counts.items():
            counter.add_metric(labels, count)
        yield counter
        histogram = HistogramMetricFamily(
            "chainnode_rpc_seconds", "From request to answer", labels=("method",)
        )
        for method, (*counts, sum_ms) in self._durations.items():
            bounds = (*map(floatToGoString, _SECONDS), "+Inf")
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            histogram.add_metric((method,), buckets, sum_ms / 1_000)
        yield histogram


class _NodeCollector:
    """A prometheus_client Collector that reads the engine and the ledger at each scrape."""

    def __init__(
        self,
        engine: EnginePort,
        links: Links,
        ledger: Ledger,
        commits: Commits,
        clock: Clock,
        software_version: str,
    ) -> None:
        self._engine = engine
        self._links = links
        self._ledger = ledger
        self._commits = commits
        self._clock = clock
        self._info = {
            "chain_id": ledger.genesis.chain_id,
            "suite": ledger.genesis.suite.name,
            "version": software_version,
        }

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the engine, which may not have started."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the state of things now."""
        status, tip = self._engine.status(), self._ledger.tip
        yield InfoMetricFamily("chainnode", "The chain and this software", value=self._info)
        for name, about, value in (
            ("tip_height", "Newest committed height", tip.height),
            ("tip_time_seconds", "Time of the newest block", tip.time_ms / 1_000),
            (
                "cosigned_height",
                "Newest height with a quorum of cosignatures",
                status.cosigned_height,
            ),
            ("open_height", "Height being decided", status.open_height),
            ("view", "View of that height", status.view),
            ("view_changes", "View changes since start", status.view_changes),
            (
                "waiting_seconds",
                "For how long the present step has waited; 0 while nothing is due",
                0 if status.step == "idle" else self._age_s(status.waiting_since_ms),
            ),
            (
                "undecided_seconds",
                "For how long the open height has had something to decide",
                self._age_s(status.undecided_since_ms),
            ),
            ("is_syncing", "Whether decided blocks are being fetched", int(status.is_syncing)),
            (
                "is_voting",
                "Whether this node votes rather than only observes",
                int(status.is_voting),
            ),
            ("log_records", "Records in the log", tip.log_size),
            ("pool_transactions", "Transactions waiting for a block", status.pool_count),
            ("pool_bytes", "Their size", status.pool_bytes),
            ("unverified_transactions", "Signatures being checked", status.unverified),
            ("waiting_clients", "Clients waiting for a decision", self._commits.waiting_count),
            ("disk_bytes", "Chain on disk", self._ledger.approximate_size_bytes()),
        ):
            yield GaugeMetricFamily(f"chainnode_{name}", about, value=value)
        yield CounterMetricFamily(
            "chainnode_messages_ignored",
            "Messages of peers of kinds that this version does not know",
            value=status.unknown_messages,
        )
        families = {
            "connected": "Whether the link to the peer is up",
            "tip_height": "Height that the peer says is decided",
            "last_heard_seconds": "When its last message came",
            "clock_offset_seconds": "The peer's clock minus ours",
            "round_trip_seconds": "Round trip to the peer",
        }
        gauges = {
            name: GaugeMetricFamily(f"chainnode_peer_{name}", about, labels=("peer",))
            for name, about in families.items()
        }
        for peer in status.peers:
            gauges["connected"].add_metric((peer.name,), int(peer.connected))
            gauges["tip_height"].add_metric((peer.name,), peer.tip_height)
            gauges["last_heard_seconds"].add_metric((peer.name,), peer.last_heard_ms / 1_000)
            if peer.clock_offset_ms is not None:
                gauges["clock_offset_seconds"].add_metric(
                    (peer.name,), peer.clock_offset_ms / 1_000
                )
            if peer.round_trip_ms is not None:
                gauges["round_trip_seconds"].add_metric((peer.name,), peer.round_trip_ms / 1_000)
        yield from gauges.values()
        awaited = GaugeMetricFamily(
            "chainnode_awaited",
            "Whether the open height waits for a message of the validator",
            labels=("validator",),
        )
        for standing in status.standings:
            awaited.add_metric((standing.name,), int(standing.awaited_for is not None))
        yield awaited
        quarantine = GaugeMetricFamily(
            "chainnode_quarantine",
            "Whether this validator observes for that reason",
            labels=("code",),
        )
        for code in QuarantineCode:
            is_it = status.quarantine is not None and status.quarantine.code == code
            quarantine.add_metric((code.value,), int(is_it))
        yield quarantine
        yield from clock_metrics(status.clock)
        yield from self._traffic()

    def _age_s(self, since_ms: int | None) -> float:
        return 0 if since_ms is None else max(0, self._clock.now_ms() - since_ms) / 1_000

    def _traffic(self) -> Iterator[Metric]:
        """Yield what has passed between this node and its peers."""
        counters = {
            "bytes_in": "Bytes from the peer, before TLS",
            "bytes_out": "Bytes to the peer, before TLS",
            "messages_in": "Messages from the peer",
            "messages_dropped": "Messages to the peer that were dropped for want of room or of a link",
            "faults": "How often the peer broke the protocol",
        }
        families = {
            name: CounterMetricFamily(f"chainnode_peer_{name}", about, labels=("peer",))
            for name, about in counters.items()
        }
        for link in self._links.link_statuses():
            for name, value in (
                ("bytes_in", link.bytes_in),
                ("bytes_out", link.bytes_out),
                ("messages_in", link.messages_in),
                ("messages_dropped", link.dropped),
                ("faults", link.faults),
            ):
                families[name].add_metric((link.name,), value)
        yield from families.values()
