"""A validator with a real key that says anything at all after TLS: its own link pays, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import random

import aiohttp
import pytest

from chainnode.model.errors import ChainError
from chainnode.p2p.frame import join_frame
from chainnode.p2p.hello import check_hello, decode_hello
from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.outbox import Priority
from tests.support.mutations import mutated
from tests.support.peers import (
    PATIENCE_S,
    TestNode,
    contexts,
    dialled_by_hand,
    hello,
    ports_of,
    running,
    until,
)

pytestmark = pytest.mark.asyncio

LIMITS = LinkLimits(redial_least_ms=20, fault_ms=0, handshake_ms=2_000, close_ms=200)
FRAMES = (join_frame([b"a"]), join_frame([b"a", bytes(300), b"c"]), join_frame([bytes(70_000)]))


@contextlib.asynccontextmanager
async def besieged():
    """birch and cedar, linked; the hostile ash is whoever dials birch with ash's key. At the end both still talk."""
    listeners, ports = ports_of(("ash", "birch", "cedar"))
    listeners["ash"].close()
    birch, cedar = (TestNode(n, listeners[n], ports, limits=LIMITS) for n in ("birch", "cedar"))
    async with running(birch, cedar):
        await cedar.linked("birch")
        await birch.linked("cedar")
        yield birch, ports["birch"]
        await until(lambda: birch.stats_of("ash").connected_since_ms is None)
        while not birch.messages.empty():
            birch.messages.get_nowait()
        async with dialled_by_hand("ash", ports["birch"]) as ash:
            await ash.send_bytes(hello("ash", "birch"))
            await ash.send_bytes(join_frame([b"from ash"]))
            assert await birch.receive(1) == [("ash", b"from ash")]
        cedar.peers.send("birch", b"from cedar", priority=Priority.VOTE)
        assert await birch.receive(1) == [("cedar", b"from cedar")]
        assert birch.stats_of("cedar").links == 1, "the honest link was lost"
        assert birch.stats_of("cedar").faults == 0


def is_right(said: bytes) -> bool:
    """Whether birch takes these bytes for ash's hello."""
    try:
        theirs = decode_hello(said)
        check_hello(theirs, decode_hello(hello("birch", "ash", dialled=False)))
    except ChainError:
        return False
    return True


async def ended(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read until the node has hung up."""
    async with asyncio.timeout(PATIENCE_S):
        while (await socket.receive()).type not in {
            *(aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING),
            aiohttp.WSMsgType.ERROR,
        }:
            pass


async def test_any_hello_is_the_right_one_or_a_fault():
    rng = random.Random(1)
    right = hello("ash", "birch")
    async with besieged() as (birch, port):
        for number in range(60):
            said = rng.randbytes(rng.randrange(600)) if number % 5 == 0 else right
            while said == right:
                said = mutated("canonical", right, rng)
            before = birch.stats_of("ash")
            async with dialled_by_hand("ash", port) as ash:
                await ash.send_bytes(said[:100_000])
                if is_right(said):
                    # Of a newer version: the newer one is left to hang up.
                    await until(lambda b=before: birch.stats_of("ash").links == b.links + 1)
                else:
                    await ended(ash)
                    assert birch.stats_of("ash").faults == before.faults + 1


async def test_any_frames_are_messages_or_a_fault():
    rng = random.Random(2)
    async with besieged() as (birch, port):
        for number in range(40):
            before = birch.stats_of("ash").faults
            async with dialled_by_hand("ash", port) as ash:
                await ash.send_bytes(hello("ash", "birch"))
                with contextlib.suppress(ConnectionError, aiohttp.ClientConnectionError):
                    for _ in range(rng.randrange(1, 6)):
                        await ash.send_bytes(mutated("bytes", rng.choice(FRAMES), rng))
                        await ash.ping(rng.randbytes(rng.randrange(126)))
                        await ash.pong(rng.randbytes(rng.randrange(126)))
                    await (ash.send_str("text") if number % 2 else ash.send_bytes(b""))
                await ended(ash)
            await until(lambda before=before: birch.stats_of("ash").faults == before + 1)


async def test_any_bytes_after_tls_end_that_connection_only():
    rng = random.Random(3)
    upgrade = (
        b"GET /p2p HTTP/1.1\r\nHost: birch\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with besieged() as (_, port):
        for number in range(60):
            said = upgrade + rng.randbytes(rng.randrange(200)) if number % 2 else upgrade
            if number % 4 in {0, 3}:
                said = mutated("bytes", said, rng)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=contexts("ash")[1], server_hostname=""
            )
            with contextlib.suppress(OSError):
                writer.write(said)
                await writer.drain()
                async with asyncio.timeout(PATIENCE_S):
                    # An answer, or the end; a connection that asked for nothing is hung up on in time.
                    assert not (await reader.read(65_536)).startswith(b"HTTP/1.1 500")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
