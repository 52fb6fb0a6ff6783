"""Reading while others write: proofs that are fetched and verified, and lookups, from a chain that was made first.

    proof   the proof of a random record, verified offline against the policy, as its owner would
    query   the registrations of a random digest, asked by a member, and compared with what was registered

Each reader is a process with one connection and a few questions open, which asks the next one when it has an answer.
Writers send at a fixed rate meanwhile, each transaction when it is due.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import ChainError, ProofInvalid, Unavailable
from chainnode.model.genesis import decode_genesis
from chainnode.model.tlog_policy import parse_policy
from chainnode.rpc.member import Member
from chainnode.rpc.stream import RpcStream
from devnet import homes
from devnet.bench.check import verify_answer
from devnet.bench.client import window_ns
from devnet.bench.load import (
    SIGNING_TIMEOUT_S,
    clients_of,
    fill,
    hear,
    latencies_us,
    processes_for,
)
from devnet.bench.plan import DRAIN_S, PROOF, WARM_UP_S, Plan
from devnet.bench.report import latency_ms
from devnet.bench.run import fresh_network
from devnet.bench.workload import digests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from chainnode.model.genesis import Genesis
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.results import LookupResult, ProofResult
    from devnet.bench.client import Acknowledged, Outcome
    from devnet.bench.report import Figure
    from devnet.network import Devnet

OPEN_QUESTIONS: Final = 8
"""Of one reader at a time."""

WRITES_PER_S: Final = 500
"""What is written meanwhile unless `--rate` says otherwise."""

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob:
    """What one reader does."""

    plan: Plan
    url: str
    directory: Path
    """Of the network: genesis, policy, the client's home."""

    home: Path
    """Whose account asks."""

    account: str
    passphrase: bytes
    known: Sequence[Acknowledged]
    """What it may ask about."""


@dataclass(slots=True)
class Answers:
    """What came back to one reader in the measured time."""

    latencies_us: list[int] = field(default_factory=list)
    """From question to answer; verifying is not in it."""

    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured."""

    plan: Plan
    records: int
    """Documents that were asked about."""

    reads_per_s: float
    read_us: tuple[int, ...]
    """Latencies of answers, rising."""

    refused: Counter[str]
    written_per_s: float
    write_us: tuple[int, ...]
    """Latencies of what was due in that time, rising."""

    write_refused: Counter[str]


def read_while_writing(plan: Plan, *, say: Callable[[str], None]) -> Reading:
    """Measure a fresh network. Arguments and errors as `devnet.bench.run.measure`; any answer that is wrong is an error."""
    with fresh_network(plan, say) as network:
        network.up()
        filled = fill(network, plan.filling(), say)
        network.wait_level(timeout_ms=60_000)
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
        processes_for(main, _jobs(network, plan, known)) as readers,
    ):
        for process in (*writers, *readers):
            hear(process, SIGNING_TIMEOUT_S)
        begin_ns = time.monotonic_ns() + _NS_PER_S // 2
        say(f"reading for {plan.sending_s} s while {rate} transactions/s are written")
        for process in (*writers, *readers):
            process.send(begin_ns)
        answers = [
            cast("Answers", hear(reader, plan.sending_s + 2 * DRAIN_S)) for reader in readers
        ]
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
        reads_per_s=len(read_us) / plan.duration_s,
        read_us=tuple(read_us),
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


def main(job: ReadJob, parent: Connection) -> None:
    """Be a reader."""
    genesis = decode_genesis((job.directory / homes.GENESIS).read_bytes())
    policy = parse_policy((job.directory / homes.POLICY).read_bytes())
    keys = KeyStore(job.home / homes.KEYS)
    (info,) = keys.list()
    signer = keys.open(info.name, job.passphrase)
    member = Member(account=job.account, signer=signer, domain=genesis.domain)
    parent.send(len(job.known))
    begin_ns: int = parent.recv()
    try:
        parent.send(asyncio.run(_Reader(job, genesis, policy, member).run(begin_ns)))
    except* ChainError as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        parent.send(first)


class _Reader:
    def __init__(self, job: ReadJob, genesis: Genesis, policy: Policy, member: Member) -> None:
        self._job, self._genesis, self._policy, self._member = job, genesis, policy, member
        self._answers = Answers()

    async def run(self, begin_ns: int) -> Answers:
        first_ns, end_ns = window_ns(self._job.plan, begin_ns)
        ask = self._prove if self._job.plan.workload == PROOF else self._look_up
        async with RpcStream(self._job.url) as stream:
            await asyncio.sleep((begin_ns - time.monotonic_ns()) / _NS_PER_S)

            async def keep_asking() -> None:
                while time.monotonic_ns() < end_ns:
                    tx = random.choice(self._job.known)
                    item = random.randrange(tx.record_count)
                    try:
                        begun_ns, answered_ns = await ask(stream, tx, item)
                    except Unavailable as error:
                        self._answers.refused[error.error_code] += 1
                        await asyncio.sleep((error.retry_after_ms or 100) / 1000)
                        continue
                    if first_ns <= answered_ns < end_ns:
                        self._answers.latencies_us.append((answered_ns - begun_ns) // 1_000)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(OPEN_QUESTIONS):
                    tasks.create_task(keep_asking())
        return self._answers

    async def _prove(self, stream: RpcStream, tx: Acknowledged, item: int) -> tuple[int, int]:
        begun_ns = time.monotonic_ns()
        answer = await stream.request("log_proof", {"index": tx.first_record + item})
        answered_ns = time.monotonic_ns()
        verify_answer(
            self._genesis,
            self._policy,
            tx,
            item,
            cast("ProofResult", answer),
            self._job.plan.digests,
        )
        return begun_ns, answered_ns

    async def _look_up(self, stream: RpcStream, tx: Acknowledged, item: int) -> tuple[int, int]:
        digest = digests_of(tx.number, item, self._job.plan.digests)[-1]
        params = {"algorithm": digest.algorithm, "digest": digest.value.hex()}
        begun_ns = time.monotonic_ns()
        answer = await stream.request(
            "notary_lookup", self._member.authorize("notary_lookup", params)
        )
        answered_ns = time.monotonic_ns()
        found = [record["index"] for record in cast("LookupResult", answer)["records"]]
        if found != [tx.first_record + item]:
            raise ProofInvalid(
                f"the digest of record {tx.first_record + item} is found at {found}",
                code="wrong_lookup",
            )
        return begun_ns, answered_ns


def rows(found: Reading) -> list[tuple[str, object]]:
    """Return what was measured, for people."""
    plan = found.plan
    what = "proofs, verified" if plan.workload == PROOF else "lookups by a member, compared"

    def text(us: Sequence[int]) -> str:
        return ", ".join(f"{name} {ms:,.1f} ms" for name, ms in latency_ms(us).items())

    return [
        ("network", f"{plan.validators} validators, {plan.suite}, {found.records:,} records"),
        ("read", f"{found.reads_per_s:,.0f} {what}, a second, by {plan.clients} readers"),
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
        "reads_per_s": round(found.reads_per_s, 1),
        "read_latency_ms": latency_ms(found.read_us),
        "refused": dict(found.refused),
        "rate": plan.rate,
        "written_per_s": round(found.written_per_s, 1),
        "write_latency_ms": latency_ms(found.write_us),
        "write_refused": dict(found.write_refused),
    }
