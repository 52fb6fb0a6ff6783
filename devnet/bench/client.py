"""A process that sends: it signs everything beforehand, and then only sends, receives and takes the time.

parent -> client   Job
client -> parent   how many transactions it has signed
parent -> client   when to begin (monotonic clock, which all processes of a machine share)
client -> parent   Outcome
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.genesis import decode_genesis
from chainnode.rpc.client import to_base64
from chainnode.rpc.stream import RpcStream
from devnet.bench.plan import DRAIN_S, WARM_UP_S, Plan
from devnet.bench.workload import Number, transaction
from devnet.homes import GENESIS, KEYS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from chainnode.rpc.results import Json, TransactionResult

_NS_PER_S: Final = 1_000_000_000
_LEAST_SLEEP_S: Final = 0.001
_RETRY_MS: Final = 500
"""When an overloaded node gives no hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one client does."""

    number: int
    """Of the client, from 0."""

    plan: Plan
    url: str
    """RPC of the validator that it talks to."""

    home: Path
    """Whose account signs."""

    account: str
    passphrase: bytes
    count: int
    """Transactions to sign."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A transaction that is committed, as the client heard it."""

    number: Number
    tx_id: str
    height: int
    first_record: int
    record_count: int
    begun_ns: int
    """When it was sent or, at a fixed rate, should have been. Monotonic clock."""

    answered_ns: int


@dataclass(slots=True)
class Outcome:
    """What came back."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers other than `committed`, by code; and `no_answer`."""

    ran_out: bool = False
    """Whether there were too few signed transactions to keep the load up."""


def main(job: Job, parent: Connection) -> None:
    """Be a client."""
    genesis = decode_genesis((job.home / GENESIS).read_bytes())
    keys = KeyStore(job.home / KEYS)
    (info,) = keys.list()
    signer = keys.open(info.name, job.passphrase)
    envelopes = [
        to_base64(
            transaction(
                genesis, job.account, signer, Number(job.number, n), job.plan.batch_size
            ).envelope
        )
        for n in range(job.count)
    ]
    parent.send(len(envelopes))
    begin_ns: int = parent.recv()
    parent.send(asyncio.run(_load(job, envelopes, begin_ns)))


async def _load(job: Job, envelopes: list[str], begin_ns: int) -> Outcome:
    async with RpcStream(job.url) as stream:
        sender = _Sender(job, stream, envelopes)
        await asyncio.sleep((begin_ns - time.monotonic_ns()) / _NS_PER_S)
        end_ns = begin_ns + job.plan.sending_s * _NS_PER_S
        if job.plan.rate is None:
            await sender.saturate(end_ns)
        else:
            await sender.keep_rate(begin_ns, end_ns, job.plan.rate)
        await sender.drain()
        return sender.outcome


class _Sender:
    def __init__(self, job: Job, stream: RpcStream, envelopes: list[str]) -> None:
        self._job, self._stream, self._envelopes = job, stream, envelopes
        self._next = 0
        self._in_flight = 0
        self._answered = asyncio.Event()
        self._not_before_ns = 0
        """An overloaded node asked us to wait until then."""
        self.outcome = Outcome()

    async def keep_rate(self, begin_ns: int, end_ns: int, rate: int) -> None:
        """Send each transaction when it is due, whatever comes back; late ones count from when they were due."""
        plan, client = self._job.plan, self._job.number

        def due_ns(sequence: int) -> int:
            return begin_ns + (sequence * plan.clients + client) * _NS_PER_S // rate

        while (due := due_ns(self._next)) < end_ns:
            wait_ns = due - time.monotonic_ns()
            if wait_ns > 0:
                await asyncio.sleep(max(wait_ns / _NS_PER_S, _LEAST_SLEEP_S))
            now_ns = time.monotonic_ns()
            while (due := due_ns(self._next)) <= now_ns and due < end_ns:
                self._send(due)
            # Even behind schedule, answers must be heard.
            await asyncio.sleep(0)

    async def saturate(self, end_ns: int) -> None:
        """Keep a bounded number of transactions unanswered."""
        most = self._job.plan.in_flight_per_client()
        while (now_ns := time.monotonic_ns()) < end_ns:
            if now_ns < self._not_before_ns:
                await asyncio.sleep((self._not_before_ns - now_ns) / _NS_PER_S)
                continue
            while self._in_flight < most:
                if self._next == len(self._envelopes):
                    self.outcome.ran_out = True
                    return
                self._send(time.monotonic_ns())
            self._answered.clear()
            try:
                async with asyncio.timeout((end_ns - now_ns) / _NS_PER_S):
                    await self._answered.wait()
            except TimeoutError:
                return

    async def drain(self) -> None:
        """Wait for what is unanswered; give up at some point, and count it."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._in_flight:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            self.outcome.refused["no_answer"] += self._in_flight

    def _send(self, begun_ns: int) -> None:
        sequence = self._next
        self._next += 1
        self._in_flight += 1
        future = self._stream.request(
            "tx_submit_and_wait",
            {"transaction": self._envelopes[sequence], "timeout_ms": DRAIN_S * 1000},
        )
        future.add_done_callback(lambda done: self._hear(sequence, begun_ns, done))

    def _hear(self, sequence: int, begun_ns: int, done: asyncio.Future[Json]) -> None:
        answered_ns = time.monotonic_ns()
        self._in_flight -= 1
        self._answered.set()
        error = done.exception()
        if error is not None:
            code = error.error_code if isinstance(error, ChainError) else type(error).__name__
            self.outcome.refused[code] += 1
            if isinstance(error, Unavailable):
                pause_ms = _RETRY_MS if error.retry_after_ms is None else error.retry_after_ms
                self._not_before_ns = answered_ns + pause_ms * 1_000_000
            return
        result = cast("TransactionResult", done.result())
        receipt = result["receipt"]
        if result["status"] != "committed" or receipt is None or result["height"] is None:
            self.outcome.refused[result["status"]] += 1
            return
        self.outcome.acknowledged.append(
            Acknowledged(
                number=Number(self._job.number, sequence),
                tx_id=result["tx_id"],
                height=result["height"],
                first_record=receipt["first_record"],
                record_count=receipt["record_count"],
                begun_ns=begun_ns,
                answered_ns=answered_ns,
            )
        )


def window_ns(plan: Plan, begin_ns: int) -> tuple[int, int]:
    """Return begin and end of what counts."""
    first = begin_ns + WARM_UP_S * _NS_PER_S
    return first, first + plan.duration_s * _NS_PER_S
