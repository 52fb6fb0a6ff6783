"""A process that asks one node over HTTP, on connections that it keeps, and takes the time.

It makes all requests beforehand and reads the answers after the load. One connection has one request open, as HTTP has it,
so that a client has a fixed number of connections; what falls due while none is free waits here, and its latency counts
from when it was due.

parent -> client   HttpJob
client -> parent   how many requests it has made
parent -> client   when to begin (monotonic clock)
client -> parent   what came of it: an outcome with `refused` and `ran_out`
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from chainnode.model.errors import DecodeError, Unavailable
from devnet.bench.plan import DRAIN_S, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

MAX_CONNECTIONS: Final = 200
"""Of one client: two of them fit the 624 that a node lets in where a process may hold 1,024 files."""

_NS_PER_S: Final = 1_000_000_000
_LEAST_SLEEP_S: Final = 0.002
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpJob:
    """What one client does."""

    number: int
    """Of the client, from 0."""

    plan: Plan
    """A rate, or None: as many as it has `connections` are unanswered at any time."""

    url: str
    """Where requests go: `http://HOST:PORT/PATH`."""

    count: int
    """Requests to make."""

    connections: int = MAX_CONNECTIONS
    """On which it asks; each has one request open."""

    token: str = ""
    """For requests that need one."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a node answered."""

    sequence: int
    """Of the request."""

    status: int
    body: bytes = field(repr=False)
    begun_ns: int
    """When the request was sent or, at a fixed rate, should have been. Monotonic clock."""

    answered_ns: int


@dataclass(slots=True)
class Heard:
    """What came back."""

    answers: list[HttpAnswer] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    """`no_answer`, `disconnected`."""

    ran_out: bool = False
    """Whether there were too few requests to keep the load up."""


class HttpOutcome(Protocol):
    """What every kind of client sends its parent."""

    refused: Counter[str]
    ran_out: bool


def be_client(
    job: HttpJob,
    parent: Connection,
    requests: Sequence[bytes],
    read: Callable[[Heard], HttpOutcome],
) -> None:
    """Be a client that has made these requests and reads the answers so."""
    parent.send(len(requests))
    begin_ns: int = parent.recv()
    gc.freeze()
    parent.send(read(asyncio.run(HttpLoad(job, requests).run(begin_ns))))


def post(url: str, body: bytes, *headers: str) -> bytes:
    """Return a whole POST request with these header lines."""
    where = urlsplit(url)
    lines = (
        f"POST {where.path} HTTP/1.1",
        f"Host: {where.netloc}",
        *headers,
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + _HEAD_END + body


class HttpLoad:
    """Has requests sent when they are due, as connections are free."""

    def __init__(self, job: HttpJob, requests: Sequence[bytes]) -> None:
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

    async def run(self, begin_ns: int) -> Heard:
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
        return self._heard(ran_out=ran_out)

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

    def _heard(self, *, ran_out: bool) -> Heard:
        """Read what has come."""
        heard = Heard(ran_out=ran_out)
        for sequence, answered_ns, answer in self._answers:
            head, _, body = answer.partition(_HEAD_END)
            heard.answers.append(
                HttpAnswer(
                    sequence=sequence,
                    status=int(head.split(b" ", 2)[1]),
                    body=body,
                    begun_ns=self._begun_ns[sequence],
                    answered_ns=answered_ns,
                )
            )
        missing = Counter(no_answer=self._unanswered, disconnected=self._disconnected)
        heard.missing = +missing
        return heard


class _Connection(asyncio.Protocol):
    """One connection, which stays open; one request at a time."""

    def __init__(self, client: HttpLoad) -> None:
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
