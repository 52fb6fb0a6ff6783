"""A process that asks one node for timestamps over HTTP, on connections that it keeps, and takes the time.

It makes all requests beforehand and reads the answers after the load. One connection has one request open (RFC 3161 over
HTTP knows no other way), so that a client has a fixed number of connections; what falls due while
none is free waits here, and its latency counts from when it was due.

parent -> client   TimestampJob
client -> parent   how many requests it has made
parent -> client   when to begin (monotonic clock)
client -> parent   TimestampOutcome
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chainnode.model.errors import DecodeError, Unavailable
from chainnode.tsp.request import make_request
from devnet.bench.plan import DRAIN_S, Plan
from devnet.bench.workload import Number, digests_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from chainnode.model.commitment import Digest

MAX_CONNECTIONS: Final = 200
"""Of one client: two of them fit the 624 that a node lets in where a process may hold 1,024 files."""

_NONCE_BYTES: Final = 8
_NS_PER_S: Final = 1_000_000_000
_LEAST_SLEEP_S: Final = 0.002
_HEAD_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200"
_GRANTED: Final = b"\x30\x03\x02\x01\x00"
"""PKIStatusInfo of a response with a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampJob:
    """What one client does."""

    number: int
    """Of the client, from 0."""

    plan: Plan
    """A rate, or None: as many as it has `connections` are unanswered at any time."""

    url: str
    """Where requests go: `http://HOST:PORT/tsa`."""

    count: int
    """Requests to make."""

    connections: int = MAX_CONNECTIONS
    """On which it asks; each has one request open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A token, as it came."""

    number: Number
    response: bytes = field(repr=False)
    begun_ns: int
    """When the request was sent or, at a fixed rate, should have been. Monotonic clock."""

    answered_ns: int


@dataclass(slots=True)
class TimestampOutcome:
    """What came back."""

    granted: list[Answer] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers without a token, by HTTP status or `rejected`; `no_answer`, `disconnected`."""

    ran_out: bool = False
    """Whether there were too few requests to keep the load up."""


def imprint_of(number: Number) -> Digest:
    """Return what a request of the measurement is about."""
    return digests_of(number, 0)[0]


def nonce_of(number: Number) -> int:
    """Return its nonce."""
    return int.from_bytes(digests_of(number, 0, 2)[1].value[:_NONCE_BYTES], "big")


def request_of(number: Number) -> bytes:
    """Return the request (TimeStampReq in DER)."""
    return make_request(imprint_of(number), nonce=nonce_of(number))


def main(job: TimestampJob, parent: Connection) -> None:
    """Be a client."""
    requests = [
        _http_request(job.url, request_of(Number(job.number, sequence)))
        for sequence in range(job.count)
    ]
    parent.send(len(requests))
    begin_ns: int = parent.recv()
    gc.freeze()
    parent.send(asyncio.run(_Client(job, requests).run(begin_ns)))


def _http_request(url: str, body: bytes) -> bytes:
    where = urlsplit(url)
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Content-Type: application/timestamp-query\r\nContent-Length: {len(body)}"
    )
    return head.encode() + _HEAD_END + body


class _Client:
    """Has requests sent when they are due, as connections are free."""

    def __init__(self, job: TimestampJob, requests: list[bytes]) -> None:
        self._job, self._requests = job, requests
        where = urlsplit(job.url)
        self._host, self._port = where.hostname or "", where.port or 0
        self._begun_ns: list[int] = []
        """Of each request that was sent or waits for a connection, in their order."""

        self._next = 0
        self._free: deque[_Connection] = deque()
        self._answers: list[tuple[int, int, bytes]] = []
        self._disconnected = 0
        self._unanswered = 0
        self._all_answered = asyncio.Event()

    async def run(self, begin_ns: int) -> TimestampOutcome:
        """Put the load on; return what came of it."""
        loop = asyncio.get_running_loop()
        for _ in range(self._job.connections):
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self._host, self._port
                )
            except OSError as error:
                raise Unavailable(
                    f"{self._job.url}: {error.strerror}", code="node_unreachable"
                ) from error
            self._free.append(connection)
        await asyncio.sleep((begin_ns - time.monotonic_ns()) / _NS_PER_S)
        end_ns = begin_ns + self._job.plan.sending_s * _NS_PER_S
        if self._job.plan.rate is None:
            ran_out = await self._saturate(end_ns)
        else:
            ran_out = await self._keep_rate(begin_ns, end_ns, self._job.plan.rate)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._unanswered:
                    self._all_answered.clear()
                    await self._all_answered.wait()
        return self._outcome(ran_out=ran_out)

    async def _keep_rate(self, begin_ns: int, end_ns: int, rate: int) -> bool:
        """Have each request sent when it is due, whatever comes back."""
        clients = self._job.plan.clients
        while (now_ns := time.monotonic_ns()) < end_ns:
            due = (now_ns - begin_ns) * rate // _NS_PER_S
            count = min((due - self._job.number) // clients + 1, len(self._requests))
            for sequence in range(len(self._begun_ns), count):
                offset = sequence * clients + self._job.number
                self._due(begin_ns + offset * _NS_PER_S // rate)
            await asyncio.sleep(_LEAST_SLEEP_S)
        return False

    async def _saturate(self, end_ns: int) -> bool:
        """Have every free connection send at once; return whether requests ran out."""
        while time.monotonic_ns() < end_ns:
            while self._free:
                if len(self._begun_ns) == len(self._requests):
                    return True
                self._due(time.monotonic_ns())
            await asyncio.sleep(_LEAST_SLEEP_S)
        return False

    def _due(self, begun_ns: int) -> None:
        self._begun_ns.append(begun_ns)
        self._unanswered += 1
        self._send()

    def _send(self) -> None:
        while self._free and self._next < len(self._begun_ns):
            self._free.popleft().send(self._next, self._requests[self._next])
            self._next += 1

    def heard(self, connection: _Connection, sequence: int, answer: bytes) -> None:
        """Note an answer, head and body; the connection is free again."""
        self._answers.append((sequence, time.monotonic_ns(), answer))
        self._free.append(connection)
        self._one_less()
        self._send()

    def lost(self, connection: _Connection, *, is_unanswered: bool) -> None:
        """Note that the node has closed a connection."""
        with contextlib.suppress(ValueError):
            self._free.remove(connection)
        if is_unanswered:
            self._disconnected += 1
            self._one_less()

    def _one_less(self) -> None:
        self._unanswered -= 1
        self._all_answered.set()

    def _outcome(self, *, ran_out: bool) -> TimestampOutcome:
        """Read what has come."""
        outcome = TimestampOutcome(ran_out=ran_out)
        outcome.refused["no_answer"] += self._unanswered
        outcome.refused["disconnected"] += self._disconnected
        for sequence, answered_ns, answer in self._answers:
            head, _, body = answer.partition(_HEAD_END)
            if not head.startswith(_OK):
                outcome.refused[head.split(b" ", 2)[1].decode("ascii", "replace")] += 1
            elif _GRANTED not in body[:16]:
                outcome.refused["rejected"] += 1
            else:
                number = Number(self._job.number, sequence)
                outcome.granted.append(Answer(number, body, self._begun_ns[sequence], answered_ns))
        outcome.refused = +outcome.refused
        return outcome


class _Connection(asyncio.Protocol):
    """One connection, which stays open; one request at a time."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._sequence: int | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("expected a TCP connection")
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        self._client.lost(self, is_unanswered=self._sequence is not None)

    def send(self, sequence: int, request: bytes) -> None:
        """Send a request, whole."""
        if self._transport is not None:
            self._sequence, self._received = sequence, b""
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        self._received += data
        head, found, body = self._received.partition(_HEAD_END)
        if not found or self._sequence is None or len(body) < _content_length(head):
            return
        sequence, self._sequence = self._sequence, None
        self._client.heard(self, sequence, self._received)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise DecodeError("the node's answer has no Content-Length")
