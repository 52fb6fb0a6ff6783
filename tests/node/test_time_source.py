"""A real socket asks a real server for the time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from chainnode.clock import SystemClock
from chainnode.model.errors import DecodeError
from chainnode.node import time_source
from chainnode.node.time_source import ask_time, watch_time_source

pytestmark = pytest.mark.asyncio

CLOCK = SystemClock()
UNHURRIED_MS = 500


class Server(asyncio.DatagramProtocol):
    """Answers as RFC 4330 says, by a clock that is `ahead_ms` ahead; or not at all."""

    def __init__(self, ahead_ms=0, stratum=1, *, is_silent=False):
        self.ahead_ms, self.stratum, self.is_silent = ahead_ms, stratum, is_silent
        self.asked = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.asked += 1
        if not self.is_silent:
            now_ms = CLOCK.now_ms() + self.ahead_ms
            stamp = ((now_ms + 2_208_988_800_000) << 32) // 1_000
            head = bytes([0x24, self.stratum]) + bytes(22)
            self.transport.sendto(head + data[40:48] + 2 * (stamp % 2**64).to_bytes(8, "big"), addr)


@contextlib.asynccontextmanager
async def serving(server):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


@pytest.mark.parametrize("ahead_ms", [0, 10_000, -10_000])
async def test_the_servers_lead_is_measured_to_within_the_error_that_is_stated(ahead_ms):
    async with serving(Server(ahead_ms)) as address:
        found = await ask_time(address, CLOCK)
    now_ms = CLOCK.monotonic_ms()
    offset_ms = found.ahead_ms - (CLOCK.now_ms() - now_ms)
    assert found.error_ms(now_ms) < UNHURRIED_MS
    assert abs(offset_ms - ahead_ms) <= found.error_ms(now_ms) + 2


async def test_a_server_that_knows_no_time_is_not_believed():
    async with serving(Server(stratum=0)) as address:
        with pytest.raises(DecodeError, match="refuses"):
            await ask_time(address, CLOCK)


async def test_whatever_fails_is_told_and_asking_goes_on(monkeypatch):
    monkeypatch.setattr(time_source, "ANSWER_S", 0.05)
    server, heard = Server(is_silent=True), []
    done = asyncio.Event()

    def measured(found, problem):
        heard.append((found, problem))
        server.is_silent = False
        if found is not None:
            done.set()

    async with serving(server) as address, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(
            watch_time_source(address, every_s=0, clock=CLOCK, measured=measured)
        )
        await done.wait()
        watch.cancel()
    assert heard[0] == (None, "no answer within 0 s")
    assert heard[-1][0] is not None


async def test_nobody_there_is_a_reason_and_no_crash(monkeypatch):
    monkeypatch.setattr(time_source, "ANSWER_S", 0.5)
    async with serving(Server()) as address:
        pass
    with pytest.raises((OSError, TimeoutError)):
        await ask_time(address, CLOCK)
