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
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from devnet.bench.keep_alive import HEAD_END, dial
from devnet.bench.plan import DRAIN_S, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from devnet.bench.keep_alive import KeptConnection

MAX_CONNECTIONS: Final = 200
"""Of one client: two of them fit the 624 that a node lets in where a process may hold 1,024 files."""

_NS_PER_S: Final = 1_000_000_000
_LEAST_SLEEP_S: Final = 0.002


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


class HttpLoad:
    """Has requests sent when they are due, as connections are free."""

    def __init__(self, job: HttpJob, requests: Sequence[bytes]) -> None:
        self._job, self._requests = job, requests
        self._begun_ns: list[int] = []
        """Of each request that was sent or waits for a connection, in their order."""

        self._next = 0
        self._free: deque[KeptConnection] = deque()
        self._answers: list[tuple[int, int, bytes]] = []
        self._disconnected = 0
        self._unanswered = 0
        self._all_answered = asyncio.Event()

    async def run(self, begin_ns: int) -> Heard:
        """Put the load on; return what came of it."""
        for _ in range(self._job.connections):
            self._free.append(await dial(self._job.url, self._lost))
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
            connection = self._free.popleft()
            connection.send(self._requests[self._next], partial(self._hear, connection, self._next))
            self._next += 1

    def _hear(self, connection: KeptConnection, sequence: int, answer: bytes) -> None:
        """Note an answer, head and body; the connection is free again."""
        self._answers.append((sequence, time.monotonic_ns(), answer))
        self._free.append(connection)
        self._one_less()
        self._send()

    def _lost(self, connection: KeptConnection) -> None:
        """Note that the node has closed a connection."""
        with contextlib.suppress(ValueError):
            self._free.remove(connection)
        if connection.is_waiting:
            self._disconnected += 1
            self._one_less()

    def _one_less(self) -> None:
        self._unanswered -= 1
        self._all_answered.set()

    def _heard(self, *, ran_out: bool) -> Heard:
        """Read what has come."""
        heard = Heard(ran_out=ran_out)
        for sequence, answered_ns, answer in self._answers:
            head, _, body = answer.partition(HEAD_END)
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
