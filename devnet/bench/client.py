"""A process that sends: it signs everything beforehand, and then only sends, receives and takes the time.

parent -> client   Job
client -> parent   how many transactions it has signed
parent -> client   when to begin (monotonic clock, which all processes of a machine share)
client -> parent   Outcome
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import aiohttp

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import Unavailable
from chainnode.model.genesis import decode_genesis
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.client import parse_json
from chainnode.rpc.error_numbers import error_from
from chainnode.rpc.limits import MAX_RESPONSE_BYTES
from chainnode.rpc.packing import packed
from chainnode.rpc.results import TransactionResult
from chainnode.rpc.schema import checker_of
from devnet.bench.plan import DRAIN_S, WARM_UP_S, Plan
from devnet.bench.workload import Number, transaction
from devnet.homes import GENESIS, KEYS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from chainnode.rpc.results import Json

_NS_PER_S: Final = 1_000_000_000
_LEAST_SLEEP_S: Final = 0.005
"""At a fixed rate; what falls due meanwhile leaves as one message, as of a service that has many requests to make. Latencies
count it."""

_ANSWER: Final = '{"jsonrpc":"2.0"'
"""How every answer begins, and nothing within one."""

_RETRY_MS: Final = 500
"""When an overloaded node gives no hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one client does."""

    number: int
    """Of the client, from 0; after a chain was made, from the first one that did not help to make it."""

    plan: Plan
    url: str
    """RPC of the validator that it talks to."""

    home: Path
    """Whose account signs."""

    account: str
    passphrase: bytes
    count: int
    """Transactions to sign."""

    tip_height: int = 0
    """Height that every validator has reached; from there on the transactions are valid."""


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

    unhinted: int = 0
    """Refusals for overload that did not say when to try again."""

    behind_ns: int = 0
    """By how much the last transaction was handed to the system later than it was due; at a fixed rate."""

    ran_out: bool = False
    """Whether there were too few signed transactions to keep the load up."""


def main(job: Job, parent: Connection) -> None:
    """Be a client."""
    genesis = decode_genesis((job.home / GENESIS).read_bytes())
    keys = KeyStore(job.home / KEYS)
    (info,) = keys.list()
    signer = keys.open(info.name, job.passphrase)
    batch_size, digests = job.plan.batch_size, job.plan.digests
    requests = [
        _request(
            n,
            transaction(
                genesis,
                job.account,
                signer,
                Number(job.number, n),
                batch_size,
                digests,
                job.tip_height,
            ).envelope,
        )
        for n in range(job.count)
    ]
    parent.send(len(requests))
    begin_ns: int = parent.recv()
    gc.freeze()
    parent.send(asyncio.run(_load(job, requests, begin_ns)))


def _request(sequence: int, envelope: bytes) -> str:
    """Return the whole request, so that nothing is left to do in the measured time but to send it."""
    params = {"transaction": to_base64(envelope), "timeout_ms": DRAIN_S * 1000}
    return json.dumps(
        {"jsonrpc": "2.0", "id": sequence, "method": "tx_submit_and_wait", "params": params}
    )


async def _load(job: Job, requests: list[str], begin_ns: int) -> Outcome:
    url = f"{job.url}/ws?packed=1"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=MAX_RESPONSE_BYTES) as socket,
    ):
        sender = _Sender(job, socket, requests)
        hearing = asyncio.create_task(sender.hear())
        await asyncio.sleep((begin_ns - time.monotonic_ns()) / _NS_PER_S)
        end_ns = begin_ns + job.plan.sending_s * _NS_PER_S
        if job.plan.rate is None:
            await sender.saturate(end_ns)
        else:
            await sender.keep_rate(begin_ns, end_ns, job.plan.rate)
        await sender.drain()
        hearing.cancel()
        return sender.outcome()


class _Sender:
    """Sends, and notes when what came back; nothing is read before the load is over, but overload."""

    def __init__(
        self, job: Job, socket: aiohttp.ClientWebSocketResponse, requests: list[str]
    ) -> None:
        self._job, self._socket, self._requests = job, socket, requests
        self._begun_ns: list[int] = []
        """Of each request that was sent, in their order."""

        self._answers: list[tuple[int, str]] = []
        self._in_flight = 0
        self._answered = asyncio.Event()
        self._not_before_ns = 0
        """An overloaded node asked us to wait until then."""

        self._ran_out = False
        self._behind_ns = 0

    async def keep_rate(self, begin_ns: int, end_ns: int, rate: int) -> None:
        """Send each transaction when it is due, whatever comes back; late ones count from when they were due."""
        plan = self._job.plan
        client = self._job.number % plan.clients

        def due_ns(sequence: int) -> int:
            return begin_ns + (sequence * plan.clients + client) * _NS_PER_S // rate

        while (due := due_ns(len(self._begun_ns))) < end_ns:
            wait_ns = due - time.monotonic_ns()
            if wait_ns > 0:
                await asyncio.sleep(max(wait_ns / _NS_PER_S, _LEAST_SLEEP_S))
            passed_ns = min(time.monotonic_ns(), end_ns - 1) - begin_ns
            first = len(self._begun_ns)
            # Of all clients' together the last with due_ns(...) <= now, rounding included.
            last = ((passed_ns + 1) * rate - 1) // _NS_PER_S
            due_count = (last - client) // plan.clients + 1
            self._begun_ns += map(due_ns, range(first, due_count))
            await self._send_from(first)
            if self._begun_ns:
                self._behind_ns = time.monotonic_ns() - self._begun_ns[-1]
            # Even behind schedule, answers must be heard.
            await asyncio.sleep(0)

    async def saturate(self, end_ns: int) -> None:
        """Keep a bounded number of transactions unanswered."""
        most = self._job.plan.in_flight_per_client()
        while (now_ns := time.monotonic_ns()) < end_ns:
            if now_ns < self._not_before_ns:
                await asyncio.sleep((self._not_before_ns - now_ns) / _NS_PER_S)
                continue
            first = len(self._begun_ns)
            count = min(most - self._in_flight, len(self._requests) - first)
            self._begun_ns += [time.monotonic_ns()] * count
            await self._send_from(first)
            if len(self._begun_ns) == len(self._requests):
                self._ran_out = True
                return
            self._answered.clear()
            try:
                async with asyncio.timeout((end_ns - now_ns) / _NS_PER_S):
                    await self._answered.wait()
            except TimeoutError:
                return

    async def drain(self) -> None:
        """Wait for what is unanswered; give up at some point."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._in_flight:
                    self._answered.clear()
                    await self._answered.wait()

    async def hear(self) -> None:
        """Note every answer and when it came, until the connection ends."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            answered_ns, text = time.monotonic_ns(), message.data
            self._answers.append((answered_ns, text))
            self._in_flight -= text.count(_ANSWER)
            if self._job.plan.rate is None and '"retry_after_ms"' in text:
                self._heed(answered_ns, text)
            self._answered.set()

    async def _send_from(self, first: int) -> None:
        due = self._requests[first : len(self._begun_ns)]
        self._in_flight += len(due)
        for message in packed(due):
            await self._socket.send_str(message)

    def _heed(self, answered_ns: int, text: str) -> None:
        """Wait as an overloaded node asks us to."""
        for answer in _answers(text):
            error = error_from(answer["error"]) if "error" in answer else None
            if isinstance(error, Unavailable):
                pause_ms = _RETRY_MS if error.retry_after_ms is None else error.retry_after_ms
                self._not_before_ns = answered_ns + pause_ms * 1_000_000

    def outcome(self) -> Outcome:
        """Read what has come."""
        outcome = Outcome(ran_out=self._ran_out, behind_ns=max(0, self._behind_ns))
        outcome.refused["no_answer"] += self._in_flight
        for answered_ns, text in self._answers:
            for answer in _answers(text):
                self._read(outcome, answered_ns, answer)
        outcome.refused = +outcome.refused
        return outcome

    def _read(self, outcome: Outcome, answered_ns: int, answer: dict[str, Json]) -> None:
        if "error" in answer:
            error = error_from(answer["error"])
            outcome.refused[error.error_code] += 1
            if isinstance(error, Unavailable) and error.retry_after_ms is None:
                outcome.unhinted += 1
            return
        checker_of(TransactionResult)(answer["result"], "tx_submit_and_wait")
        result, sequence = cast("TransactionResult", answer["result"]), cast("int", answer["id"])
        receipt = result["receipt"]
        if result["status"] != "committed" or receipt is None or result["height"] is None:
            outcome.refused[result["status"]] += 1
            return
        outcome.acknowledged.append(
            Acknowledged(
                number=Number(self._job.number, sequence),
                tx_id=result["tx_id"],
                height=result["height"],
                first_record=receipt["first_record"],
                record_count=receipt["record_count"],
                begun_ns=self._begun_ns[sequence],
                answered_ns=answered_ns,
            )
        )


def _answers(text: str) -> list[dict[str, Json]]:
    """Return the answers of one message."""
    value = parse_json(text)
    return cast("list[dict[str, Json]]", value if isinstance(value, list) else [value])


def window_ns(plan: Plan, begin_ns: int) -> tuple[int, int]:
    """Return begin and end of what counts."""
    first = begin_ns + WARM_UP_S * _NS_PER_S
    return first, first + plan.duration_s * _NS_PER_S
