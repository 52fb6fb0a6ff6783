"""One live connection: one task writes, the caller's task reads, a timer notices silence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import aiohttp

from chainnode.model.errors import DecodeError, PeerFault
from chainnode.p2p.budget import Budget
from chainnode.p2p.frame import split_frame
from chainnode.p2p.hello import check_hello, decode_hello
from chainnode.p2p.wire import LOST, LinkEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock
    from chainnode.p2p.hello import Hello
    from chainnode.p2p.limits import LinkLimits
    from chainnode.p2p.outbox import Outbox, Priority
    from chainnode.p2p.wire import Wire

OnFrame: TypeAlias = "Callable[[str, bytes, int], None]"
"""Called with the peer's name, one message, and when it arrived (wall clock, milliseconds UTC)."""

_PING_BYTES = 8


class Traffic:
    """What has passed between us and one peer since the node started."""

    __slots__ = ("bytes_in", "bytes_out", "frames_in", "frames_out", "messages_in", "paused_ms")

    def __init__(self) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.frames_in = 0
        self.frames_out = 0
        self.messages_in = 0
        self.paused_ms = 0


async def greet(wire: Wire, ours: Hello) -> None:
    """Exchange hellos; return when both sides are what the other expects.

    Raises:
        PeerFault: the peer is of another chain or of too old a version, or sends something else.
        LinkEnded: the connection ended first.
    """
    try:
        await wire.socket.send_bytes(ours.encode())
    except LOST as error:
        raise LinkEnded("the connection was lost") from error
    message = await wire.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        raise PeerFault("hello: found a ping; expected a hello")
    try:
        check_hello(decode_hello(bytes(message.data)), ours)
    except DecodeError as error:
        raise PeerFault(f"hello: {error}") from error


class Link:
    """A connection after its hello.

    What waits to be sent when the task that writes wakes up goes out in as few frames as possible. It
    wakes up once per turn of the event loop, so messages sent in one turn share frames. While the peer
    takes nothing, the writer waits and the outbox fills up to its bounds; reading goes on.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        peer: str,
        outbox: Outbox,
        traffic: Traffic,
        on_frame: OnFrame,
        clock: Clock,
        limits: LinkLimits,
    ) -> None:
        self._wire = wire
        self._peer = peer
        self._outbox = outbox
        self._traffic = traffic
        self._on_frame = on_frame
        self._clock = clock
        self._limits = limits
        self._work = asyncio.Event()
        self._silent_beats = 0
        self._ping: bytes | None = None
        self._ping_is_due = False
        self._pong: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.since_ms = clock.now_ms()
        """When it came up; wall clock, milliseconds UTC."""
        self.last_heard_ms = self.since_ms
        """When anything last arrived, pongs included; wall clock, milliseconds UTC."""
        self.rtt_ms: int | None = None
        """Round trip of the last ping that was answered."""

    def send(self, message: bytes, priority: Priority) -> None:
        """Queue a message; never waits."""
        self._outbox.put(message, priority)
        self._work.set()

    async def run(self) -> None:
        """Read and write until the connection ends.

        Raises:
            LinkEnded: always in the end, unless something worse happens first.
            PeerFault: the peer broke the protocol, or `on_frame` found that it did.
            ExceptionGroup: of whatever else `on_frame` raised.
        """
        end: PeerFault | LinkEnded = LinkEnded("the node stops")
        self._beat()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write())
                try:
                    await self._read()
                except (PeerFault, LinkEnded) as error:
                    end = error
                writer.cancel()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        raise end

    async def _read(self) -> None:
        budget = Budget(self._limits.inbound, self._clock.monotonic_ms())
        while True:
            message = await self._wire.receive()
            self._silent_beats = 0
            self.last_heard_ms = self._clock.now_ms()
            size_bytes = len(message.data)
            count = 1
            if message.type is aiohttp.WSMsgType.BINARY:
                count = self._deliver(message.data)
            elif message.type is aiohttp.WSMsgType.PING:
                # RFC 6455, section 5.5.3: only the newest ping needs an answer.
                self._pong = message.data
                self._work.set()
            elif message.data == self._ping:
                sent_ms = int.from_bytes(message.data, "big")
                self.rtt_ms = self._clock.monotonic_ms() - sent_ms
                self._ping = None
            pause_ms = budget.spend(count, size_bytes, self._clock.monotonic_ms())
            if pause_ms:
                self._traffic.paused_ms += pause_ms
                await asyncio.sleep(pause_ms / 1000)

    def _deliver(self, frame: bytes) -> int:
        """Hand over the messages of a frame in their order; return how many."""
        try:
            messages = split_frame(frame)
        except DecodeError as error:
            raise PeerFault(str(error)) from error
        traffic = self._traffic
        traffic.frames_in += 1
        traffic.messages_in += len(messages)
        traffic.bytes_in += len(frame)
        on_frame, peer, received_ms = self._on_frame, self._peer, self.last_heard_ms
        for message in messages:
            on_frame(peer, message, received_ms)
        return len(messages)

    async def _write(self) -> None:
        socket, outbox, traffic, work = self._wire.socket, self._outbox, self._traffic, self._work
        try:
            while True:
                await work.wait()
                work.clear()
                await self._write_control()
                while (frame := outbox.take_frame()) is not None:
                    # Returns at once unless more than the write buffer's bound is waiting below us. What
                    # became urgent during that wait is in the next frame.
                    await socket.send_bytes(frame)
                    traffic.frames_out += 1
                    traffic.bytes_out += len(frame)
                    await self._write_control()
        except LOST:
            # The reader notices as well and ends the link.
            return

    async def _write_control(self) -> None:
        if self._pong is not None:
            pong, self._pong = self._pong, None
            await self._wire.socket.pong(pong)
        if self._ping_is_due:
            self._ping_is_due = False
            self._ping = self._clock.monotonic_ms().to_bytes(_PING_BYTES, "big")
            await self._wire.socket.ping(self._ping)

    def _beat(self) -> None:
        if self._silent_beats >= self._limits.silent_beats:
            self._wire.cut(f"silent for {self._silent_beats} beats of {self._limits.beat_ms} ms")
            return
        self._silent_beats += 1
        self._ping_is_due = True
        self._work.set()
        self._timer = asyncio.get_running_loop().call_later(self._limits.beat_ms / 1000, self._beat)
