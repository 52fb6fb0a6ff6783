"""The pool: cuts transactions into chunks, gives each to the worker that owes least, and collects the verdicts.

A chunk leaves when it is full, or at the end of the turn of the event loop in which it was begun; so a burst is
sent in few writes and a single transaction waits for no timer. A worker that dies is replaced and gets again
what it owed, in the same order; so its successor fails on a chunk only if that chunk, or the machine, is the
cause, and after a few such failures in a row the node stops. How much may be in flight is for the caller to bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import InvariantViolation, NodeFault
from chainnode.verification.process import WorkerProcess
from chainnode.verification.wire import MAX_CHUNK_ITEMS, VALID, encode_chunk, encode_start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction

MAX_FRUITLESS_STARTS: Final = 5
"""Starts of one worker in a row without a single answer; then the fault is not the worker's alone."""


class _Request:
    """Transactions of one call and what is known of them."""

    __slots__ = ("answers", "done", "is_sent", "unanswered")

    def __init__(self, is_sent: Sequence[bool], done: Callable[[Sequence[bool]], None]) -> None:
        self.is_sent = is_sent
        self.unanswered = sum(is_sent)
        self.answers = bytearray(self.unanswered)
        self.done = done

    def finish(self) -> None:
        answers = iter(self.answers)
        self.done(tuple(is_sent and next(answers) == VALID for is_sent in self.is_sent))


class _Chunk:
    """Items of one or more requests that travel together."""

    __slots__ = ("items", "spans")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.spans: list[tuple[_Request, int, int]] = []
        """(request, first of its answers, how many) in the order of the items."""

    def room(self) -> int:
        return MAX_CHUNK_ITEMS - len(self.items)

    def take(self, request: _Request, first: int, items: list[bytes]) -> None:
        self.items += items
        self.spans.append((request, first, len(items)))

    def answer(self, answers: bytes) -> list[_Request]:
        """Enter the answers; return the requests that are complete with them."""
        complete: list[_Request] = []
        at = 0
        for request, first, count in self.spans:
            request.answers[first : first + count] = answers[at : at + count]
            request.unanswered -= count
            at += count
            if request.unanswered == 0:
                complete.append(request)
        return complete


class _Worker:
    """A place in the pool: the process that fills it now and the chunks that it owes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        domain: Domain,
        finish: Callable[[Sequence[_Request]], None],
        fail: Callable[[NodeFault], None],
    ) -> None:
        self._loop = loop
        self._domain = domain
        self._finish = finish
        self._fail = fail
        self._owed: deque[_Chunk] = deque()
        self._heard = bytearray()
        self._fruitless_starts = 0
        self.owed_items = 0
        self.process = self._start()

    def give(self, chunk: _Chunk) -> None:
        self._owed.append(chunk)
        self.owed_items += len(chunk.items)
        self.process.send(encode_chunk(chunk.items))

    def _start(self) -> WorkerProcess:
        self._fruitless_starts += 1
        try:
            process = WorkerProcess(self._loop, self._domain.suite.name, self._hear, self._replace)
        except OSError as error:
            raise NodeFault(f"a verification worker cannot be started: {error}") from error
        process.send(encode_start(self._domain.transaction_signature))
        return process

    def _hear(self, data: bytes) -> None:
        self._heard += data
        complete: list[_Request] = []
        while self._owed and len(self._heard) >= len(self._owed[0].items):
            chunk = self._owed.popleft()
            count = len(chunk.items)
            self.owed_items -= count
            self._fruitless_starts = 0
            complete += chunk.answer(bytes(self._heard[:count]))
            del self._heard[:count]
        if self._heard and not self._owed:
            self._fail(InvariantViolation("a verification worker answers what nobody asked"))
            return
        self._finish(complete)

    def _replace(self, status: int) -> None:
        self._heard.clear()
        if self._fruitless_starts >= MAX_FRUITLESS_STARTS:
            self._fail(
                NodeFault(
                    f"a verification worker ended {self._fruitless_starts} times without an answer, at "
                    f"last with status {status}; see its messages above, and check memory and limits"
                )
            )
            return
        try:
            self.process = self._start()
        except NodeFault as fault:
            self._fail(fault)
            return
        for chunk in self._owed:
            self.process.send(encode_chunk(chunk.items))


class WorkerPool:
    """Checks signatures of transactions in worker processes. All methods are for the event loop's thread."""

    def __init__(
        self,
        domain: Domain,
        workers: int,
        on_fault: Callable[[Exception], None],
        after_batch: Callable[[], None],
    ) -> None:
        """Prepare the pool.

        Args:
            domain: The chain; its suite judges, its context precedes every transaction id.
            workers: How many processes, at least 1; about one for each processor that may be kept busy.
            on_fault: Hears once of a fault that no restart heals, or of what a callback raised; verdicts may be missing
                from then on.
            after_batch: Called once after the callbacks of each answer, so that the host can flush.
        """
        if workers < 1:
            raise ValueError(f"{workers} workers; a pool has at least one")
        self._domain = domain
        self._count = workers
        self._on_fault = on_fault
        self._after_batch = after_batch
        self._workers: list[_Worker] = []
        self._chunk = _Chunk()
        self._flush_handle: asyncio.Handle | None = None
        self._unsendable: list[_Request] = []
        self._is_open = False

    async def start(self) -> None:
        """Start the workers; transactions may be given at once, they wait until a worker is ready.

        Raises:
            NodeFault: no process can be started.
        """
        self._is_open = True
        self._loop = loop = asyncio.get_running_loop()
        try:
            for _ in range(self._count):
                self._workers.append(_Worker(loop, self._domain, self._finish, self._fail))
        except NodeFault:
            await self.close()
            raise

    async def close(self) -> None:
        """End the workers. Callbacks that were not called by now never will be."""
        self._is_open = False
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        for worker in self._workers:
            worker.process.close()
        self._workers.clear()

    def verify(
        self, transactions: Sequence[Transaction], done: Callable[[Sequence[bool]], None]
    ) -> None:
        """Check each signature; call `done` with the verdicts, in order, in a later turn of the loop.

        After a fault, or when the pool is closed, nothing is taken and nobody is called back.
        """
        if not self._is_open:
            return
        suite = self._domain.suite
        key_bytes, signature_bytes = suite.public_key_bytes, suite.signature_bytes
        is_sent = [
            len(t.public_key) == key_bytes and len(t.signature) == signature_bytes
            for t in transactions
        ]
        items = [
            t.public_key + t.id + t.signature
            for t, sent in zip(transactions, is_sent, strict=True)
            if sent
        ]
        request = _Request(is_sent, done)
        if not items:
            self._unsendable.append(request)
        first = 0
        while first < len(items):
            taken = items[first : first + self._chunk.room()]
            self._chunk.take(request, first, taken)
            first += len(taken)
            if self._chunk.room() == 0:
                self._send_chunk()
        if self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        if not self._is_open:
            return
        self._send_chunk()
        unsendable, self._unsendable = self._unsendable, []
        self._finish(unsendable)

    def _send_chunk(self) -> None:
        if self._chunk.items:
            chunk, self._chunk = self._chunk, _Chunk()
            min(self._workers, key=lambda w: w.owed_items).give(chunk)

    # -- what workers report ---------------------------------------------------------------------------------

    def _finish(self, complete: Sequence[_Request]) -> None:
        """Call back for requests whose every answer is known."""
        if not complete:
            return
        try:
            for request in complete:
                request.finish()
            self._after_batch()
        except Exception as error:  # noqa: BLE001  # the event loop would log it and go on with half a verdict
            self._fail(error)

    def _fail(self, fault: Exception) -> None:
        """Take no more and tell the host, once."""
        if self._is_open:
            self._is_open = False
            self._on_fault(fault)
