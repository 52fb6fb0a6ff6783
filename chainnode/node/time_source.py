"""Measures this machine's clock against a time source of the operator's choice: one SNTP question now and then.

Answers are not authenticated. Who forges them can have this node decline its turns and raise an alarm, and nothing
else: no clock is ever set by them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from chainnode.engine.clock_offsets import Reading
from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.errors import DecodeError
from chainnode.model.sntp import COOKIE_BYTES, decode_answer, encode_question

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock

ANSWER_S: Final = 2.0
"""A server that has not answered by then is not worth its error: half of the time that it took."""


async def watch_time_source(
    server: str,
    *,
    every_s: int,
    clock: Clock,
    measured: Callable[[Reading | None, str | None], None],
) -> None:
    """Ask `server` (`host:port`) every so often, for ever; `measured` hears what it said, or why nothing."""
    while True:
        try:
            found = await ask_time(server, clock)
        except (DecodeError, OSError, TimeoutError) as error:
            measured(None, _reason(error))
        else:
            measured(found, None)
        await asyncio.sleep(every_s)


async def ask_time(server: str, clock: Clock) -> Reading:
    """Ask once.

    Raises:
        DecodeError: what came is no answer, or the server does not know the time.
        OSError: the server cannot be reached.
        TimeoutError: it does not answer in time.
    """
    host, _, port = server.rpartition(":")
    loop = asyncio.get_running_loop()
    cookie = fresh_bytes(COOKIE_BYTES)
    async with asyncio.timeout(ANSWER_S):
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Question(clock), remote_addr=(host.strip("[]"), int(port))
        )
        try:
            asked_ms = clock.monotonic_ms()
            transport.sendto(encode_question(cookie))
            data, heard_ms = await protocol.answer
        finally:
            transport.close()
    answer = decode_answer(data, cookie)
    held_ms = max(0, answer.sent_ms - answer.received_ms)
    return Reading(
        ahead_ms=((answer.received_ms - asked_ms) + (answer.sent_ms - heard_ms)) // 2,
        round_trip_ms=max(0, heard_ms - asked_ms - held_ms),
        measured_ms=heard_ms,
    )


class _Question(asyncio.DatagramProtocol):
    """Takes the first datagram that comes back from the server that was asked, and when it came (monotonic)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.answer: asyncio.Future[tuple[bytes, int]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        if not self.answer.done():
            self.answer.set_result((data, self._clock.monotonic_ms()))

    def error_received(self, exc: Exception) -> None:  # type: ignore[explicit-override]  # as above
        if not self.answer.done():
            self.answer.set_exception(exc)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_S:.0f} s"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
