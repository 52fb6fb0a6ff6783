"""Reading while others write: proofs that are fetched and verified, and lookups, from a chain that was made first.

    proof   proofs of random records, verified offline against the policy and what was registered
    query   the registrations of a random digest, asked by a member, and compared with what was registered

Each reader is a process (`reader.py`) that asks one node in one way (`ways.py`). Writers send at a fixed rate meanwhile, each
transaction when it is due.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from devnet import homes
from devnet.bench import reader
from devnet.bench.client import window_ns
from devnet.bench.load import (
    SIGNING_TIMEOUT_S,
    clients_of,
    fill_before,
    hear,
    latencies_us,
    processes_for,
)
from devnet.bench.plan import DRAIN_S, PROOF, WARM_UP_S, Plan
from devnet.bench.reader import ReadJob, open_questions
from devnet.bench.report import latency_ms
from devnet.bench.run import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devnet.bench.client import Acknowledged, Outcome
    from devnet.bench.reader import Answers
    from devnet.bench.report import Figure
    from devnet.network import Devnet

WRITES_PER_S: Final = 500
"""What is written meanwhile unless `--rate` says otherwise."""

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured."""

    plan: Plan
    records: int
    """Documents that were asked about."""

    reads_per_s: float
    read_us: tuple[int, ...]
    """Latencies of answers, rising; checking is not in them."""

    checked: int
    """Answers that were verified or compared afterwards, all of them right."""

    refused: Counter[str]
    written_per_s: float
    write_us: tuple[int, ...]
    """Latencies of what was due in that time, rising."""

    write_refused: Counter[str]


def read_while_writing(plan: Plan, *, say: Callable[[str], None]) -> Reading:
    """Measure a fresh network. Arguments and errors as `devnet.bench.run.measure`; any answer that is wrong is an error."""
    with fresh_network(plan, say) as network:
        network.up()
        filled = fill_before(network, plan, say)
        return read(network, plan, filled.acknowledged, say, filled.clients)


def read(
    network: Devnet,
    plan: Plan,
    known: Sequence[Acknowledged],
    say: Callable[[str], None],
    first: int,
) -> Reading:
    """Measure a network that runs.

    Args:
        network: of which.
        plan: what; `plan.rate` is written meanwhile, or `WRITES_PER_S`.
        known: what may be asked about.
        say: tells a person how far it is.
        first: number of the first writer; those of `known` are below it.

    Raises:
        ChainError: as `read_while_writing`.
    """
    rate = WRITES_PER_S if plan.rate is None else plan.rate
    writing = replace(plan, batch_size=1, rate=rate)
    count = writing.transactions_per_client(0)
    with (
        clients_of(network, writing, count, first) as writers,
        processes_for(reader.main, _jobs(network, plan, known)) as readers,
    ):
        for process in (*writers, *readers):
            hear(process, SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _NS_PER_S // 2
        say(f"reading for {plan.sending_s} s while {rate} transactions/s are written")
        for process in (*writers, *readers):
            process.send(begin_ns)
        answers = [cast("Answers", hear(one, plan.sending_s + 2 * DRAIN_S)) for one in readers]
        outcomes = [
            cast("Outcome", hear(writer, plan.sending_s + 2 * DRAIN_S)) for writer in writers
        ]
    first_ns, end_ns = window_ns(plan, begin_ns)
    acknowledged = [tx for outcome in outcomes for tx in outcome.acknowledged]
    written = sum(first_ns <= tx.answered_ns < end_ns for tx in acknowledged)
    read_us = sorted(us for one in answers for us in one.latencies_us)
    return Reading(
        plan=writing,
        records=sum(tx.record_count for tx in known),
        reads_per_s=sum(one.count for one in answers) / plan.duration_s,
        read_us=tuple(read_us),
        checked=sum(one.checked for one in answers),
        refused=sum((one.refused for one in answers), Counter()),
        written_per_s=written / plan.duration_s,
        write_us=latencies_us(acknowledged, first_ns, end_ns),
        write_refused=sum((outcome.refused for outcome in outcomes), Counter()),
    )


def _jobs(network: Devnet, plan: Plan, known: Sequence[Acknowledged]) -> list[ReadJob]:
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
    return [
        ReadJob(
            plan=plan,
            url=network.nodes[number % plan.validators].rpc,
            directory=network.directory,
            home=network.client_home,
            account=homes.NOTARY_ACCOUNT,
            passphrase=passphrase,
            known=known,
        )
        for number in range(plan.clients)
    ]


def rows(found: Reading) -> list[tuple[str, object]]:
    """Return what was measured, for people."""
    plan = found.plan
    what, checked = ("proofs", "verified") if plan.workload == PROOF else ("lookups", "compared")
    readers = f"{plan.clients} readers with {open_questions(plan)} questions open each"
    how = f" over {plan.path}" if plan.workload == PROOF else ""

    def text(us: Sequence[int]) -> str:
        return ", ".join(f"{name} {ms:,.1f} ms" for name, ms in latency_ms(us).items())

    return [
        ("network", f"{plan.validators} validators, {plan.suite}, {found.records:,} records"),
        ("read", f"{found.reads_per_s:,.0f} {what} a second{how}, by {readers}"),
        (checked, f"{found.checked:,} of them afterwards, all right"),
        ("latency", text(found.read_us)),
        ("refused", _text(found.refused)),
        ("written", f"{found.written_per_s:,.0f} transactions/s of {plan.rate} that were due"),
        ("latency", text(found.write_us)),
        ("refused", _text(found.write_refused)),
    ]


def _text(refused: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(refused.items())) or "none"


def as_json(found: Reading) -> dict[str, Figure]:
    """Return the document of `--json`."""
    plan = found.plan
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "digests": plan.digests,
        "readers": plan.clients,
        "duration_s": plan.duration_s,
        "warm_up_s": WARM_UP_S,
        "records": found.records,
        "path": plan.path if plan.workload == PROOF else None,
        "open_questions": open_questions(plan),
        "reads_per_s": round(found.reads_per_s, 1),
        "checked": found.checked,
        "read_latency_ms": latency_ms(found.read_us),
        "refused": dict(found.refused),
        "rate": plan.rate,
        "written_per_s": round(found.written_per_s, 1),
        "write_latency_ms": latency_ms(found.write_us),
        "write_refused": dict(found.write_refused),
    }
