"""Twice the load that a network can take: what it still does, whom it refuses, and how soon it is itself again.

    calm      probes alone, a few transactions a second
    overload  probes, and clients that send at twice the rate of saturation, on time, whatever comes back
    after     probes alone

Saturation is measured first, on a network of its own. Clients that were refused do not send again: they are as many as
if each of them was somebody else. A probe is a client like the others, of the same organisation.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from chainnode.model.errors import Unavailable
from devnet.bench.ceiling import ceiling_tps, usable_cores
from devnet.bench.check import check_proofs, check_records
from devnet.bench.client import window_ns
from devnet.bench.load import SIGNING_TIMEOUT_S, clients_of, hear, latencies_us
from devnet.bench.meters import memory_bytes
from devnet.bench.plan import DRAIN_S, Plan
from devnet.bench.report import latency_ms, percentile
from devnet.bench.run import fresh_network, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from devnet.bench.client import Outcome
    from devnet.bench.report import Figure
    from devnet.network import Devnet

TIMES: Final = 2
"""By how much the load exceeds saturation."""

PROBES_PER_S: Final = 50
CALM_S: Final = 10
AFTER_S: Final = 15

SATURATION_S: Final = 20
"""How long the network is saturated to find what it can take."""

NORMAL: Final = 2
"""Latency is normal where the median of a second's probes is at most so many times that of the calm."""

_NS_PER_S: Final = 1_000_000_000
_MEMORY_EVERY_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What a network did under more than it can take."""

    plan: Plan
    """With the rate that was sent."""

    cores: int
    saturation_tps: float | None
    """None if a rate was asked for."""

    tps: float
    """Transactions acknowledged as committed per second of the overload, its warm-up left out."""

    refused: Mapping[str, int]
    """Transactions that were refused, by code."""

    unhinted: int
    """Those of them that were not told when to try again."""

    unanswered: int
    """Transactions of whose fate nobody was told."""

    behind_ms: int
    """By how much the slowest sender was late at the end, because nodes did not read."""

    calm_us: tuple[int, ...]
    during_us: tuple[int, ...]
    """Latencies of the probes that were committed, rising: before the overload, and in it."""

    after_us: tuple[tuple[int, ...], ...]
    """The same of those sent in each second after it."""

    memory_bytes: tuple[int, int, int]
    """Of the largest validator process at most (`meters.memory_bytes`): in the calm, in the first and the second half of the overload."""

    checked_records: int
    checked_proofs: int

    @property
    def normal_after_s(self) -> int | None:
        """Whole seconds after the overload from which on latency was normal; None if it was not within the measurement."""
        bound_us = NORMAL * percentile(self.calm_us, 50)
        slow = [
            second
            for second, latencies in enumerate(self.after_us)
            if not latencies or percentile(latencies, 50) > bound_us
        ]
        found = slow[-1] + 1 if slow else 0
        return found if found < len(self.after_us) else None


def run(plan: Plan, *, say: Callable[[str], None]) -> Overload:
    """Measure.

    Args:
        plan: the network; without a rate, twice what it takes is sent.
        say: tells a person how far it is.

    Raises:
        ChainError: as `measure`.
    """
    saturation = None
    if plan.rate is None:
        say(f"saturating a network for {SATURATION_S} s, to find what it can take")
        ceiling = ceiling_tps(plan.suite, plan.validators)
        saturation = measure(replace(plan, duration_s=SATURATION_S), ceiling, say=say).tps
        plan = replace(plan, rate=round(TIMES * saturation))
    probing = replace(
        plan,
        clients=1,
        rate=PROBES_PER_S,
        duration_s=CALM_S + plan.sending_s + AFTER_S,
    )
    with fresh_network(plan, say) as network:
        network.up()
        count = plan.transactions_per_client(0)
        say(f"signing {count * plan.clients} transactions")
        with (
            clients_of(network, plan, count) as senders,
            # Numbered after the senders, so that their documents are others.
            clients_of(
                network, probing, probing.transactions_per_client(0), plan.clients
            ) as probes,
        ):
            for process in (*senders, *probes):
                hear(process, SIGNING_TIMEOUT_S)
            probes_ns = time.monotonic_ns() + _NS_PER_S // 2
            calm_ns, _ = window_ns(probing, probes_ns)
            begin_ns = calm_ns + CALM_S * _NS_PER_S
            for process in probes:
                process.send(probes_ns)
            for process in senders:
                process.send(begin_ns)
            first_ns, end_ns = window_ns(plan, begin_ns)
            say(f"calm for {CALM_S} s")
            calm = _most_memory(network, begin_ns)
            say(f"sending {plan.rate} transactions/s for {plan.sending_s} s")
            memory = (
                calm,
                _most_memory(network, (begin_ns + end_ns) // 2),
                _most_memory(network, end_ns),
            )
            say(f"waiting for {AFTER_S} s, and for the last answers")
            patience_s = AFTER_S + 2 * DRAIN_S
            sent = [cast("Outcome", hear(process, patience_s)) for process in senders]
            probed = [cast("Outcome", hear(process, patience_s)) for process in probes]
        network.wait_ready()
        network.wait_level(timeout_ms=60_000)
        acknowledged = [tx for outcome in (*sent, *probed) for tx in outcome.acknowledged]
        if not acknowledged:
            raise Unavailable("nothing was committed", code="no_result")
        say(f"checking {len(acknowledged)} transactions on every validator")
        checked_records = check_records(network, acknowledged)
        checked_proofs = check_proofs(network, acknowledged, plan.digests)
    refused = sum((outcome.refused for outcome in (*sent, *probed)), Counter())
    unanswered = refused.pop("no_answer", 0)
    probes_back = [tx for outcome in probed for tx in outcome.acknowledged]
    return Overload(
        plan=plan,
        cores=usable_cores(),
        saturation_tps=saturation,
        tps=sum(first_ns <= tx.answered_ns < end_ns for tx in acknowledged) / plan.duration_s,
        refused=refused,
        unhinted=sum(outcome.unhinted for outcome in (*sent, *probed)),
        unanswered=unanswered,
        behind_ms=max(outcome.behind_ns for outcome in sent) // 1_000_000,
        calm_us=latencies_us(probes_back, calm_ns, begin_ns),
        during_us=latencies_us(probes_back, first_ns, end_ns),
        after_us=tuple(
            latencies_us(probes_back, start_ns, start_ns + _NS_PER_S)
            for start_ns in range(end_ns, end_ns + AFTER_S * _NS_PER_S, _NS_PER_S)
        ),
        memory_bytes=memory,
        checked_records=checked_records,
        checked_proofs=checked_proofs,
    )


def _most_memory(network: Devnet, until_ns: int) -> int:
    """Watch until then; return the most that the largest validator process had."""
    most = 0
    while True:
        most = max(most, memory_bytes(network))
        wait_s = (until_ns - time.monotonic_ns()) / _NS_PER_S
        if wait_s <= 0:
            return most
        time.sleep(min(wait_s, _MEMORY_EVERY_S))


def as_json(found: Overload) -> dict[str, Figure | Mapping[str, Figure] | Sequence[float]]:
    """Return the document of `--json`."""
    plan = found.plan
    calm, first_half, second_half = found.memory_bytes
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "cores": found.cores,
        "saturation_tps": None if found.saturation_tps is None else round(found.saturation_tps, 1),
        "tps": round(found.tps, 1),
        "share_of_saturation": None
        if found.saturation_tps is None
        else round(found.tps / found.saturation_tps, 4),
        "refused": dict(found.refused),
        "refused_without_hint": found.unhinted,
        "unanswered": found.unanswered,
        "senders_behind_ms": found.behind_ms,
        "calm_latency_ms": latency_ms(found.calm_us),
        "overload_latency_ms": latency_ms(found.during_us),
        "probes_committed_in_overload": len(found.during_us),
        "p50_ms_by_second_after": [percentile(second, 50) / 1000 for second in found.after_us],
        "normal_after_s": found.normal_after_s,
        "memory_bytes": {
            "calm": calm,
            "first_half": first_half,
            "second_half": second_half,
        },
        "checked_records": found.checked_records,
        "checked_proofs": found.checked_proofs,
    }


def rows(found: Overload) -> list[tuple[str, object]]:
    """Return the table for people."""
    plan, saturation = found.plan, found.saturation_tps
    offered = "as asked for" if saturation is None else f"{TIMES} times {saturation:,.0f}/s"
    share = "" if saturation is None else f", {100 * found.tps / saturation:.1f} % of saturation"
    after = found.normal_after_s
    megabytes = [round(size / 1e6) for size in found.memory_bytes]
    refused = ", ".join(f"{count:,} {code}" for code, count in sorted(found.refused.items()))
    return [
        ("network", f"{plan.validators} validators on {found.cores} cores, {plan.suite}"),
        (
            "load",
            f"{plan.rate:,} transactions/s, open loop, {offered}, {plan.clients} clients, {plan.duration_s} s",
        ),
        ("", f"sent {found.behind_ms:,} ms late at the end"),
        ("committed", f"{found.tps:,.0f} transactions/s{share}"),
        ("refused", refused or "none"),
        ("", f"{found.unhinted} without a hint when to try again, {found.unanswered} unanswered"),
        ("latency", f"calm: {_text(found.calm_us)}"),
        ("", f"overload: {_text(found.during_us)}"),
        (
            "",
            f"not normal within {AFTER_S} s after"
            if after is None
            else f"normal {after} s after (median at most {NORMAL} times that of the calm)",
        ),
        (
            "memory",
            "{} MB at most in the calm, {} and {} in the halves of the overload".format(*megabytes),
        ),
        (
            "checked",
            f"{found.checked_records:,} acknowledged records on every validator, all there",
        ),
        ("", f"{found.checked_proofs} proofs of a random sample, all valid"),
    ]


def _text(latencies_us: Sequence[int]) -> str:
    figures = ", ".join(f"{name} {ms:,.0f} ms" for name, ms in latency_ms(latencies_us).items())
    return f"{figures} of {len(latencies_us)} probes"
