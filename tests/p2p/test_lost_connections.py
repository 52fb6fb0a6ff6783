"""TLS connections that are over already, as asyncio and aiohttp leave them."""

from __future__ import annotations

import asyncio
from asyncio import sslproto

import pytest

from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.wire import LinkEnded, Wire, certificate_behind
from chainnode.transports import extra_info, hang_up
from tests.support.peers import TestNode, contexts, ports_of, running

pytestmark = pytest.mark.asyncio


def abort_of_debian_12(self, *_error):
    """What `abort` of a TLS transport does up to Python 3.11.3."""
    self._closed = True
    self._ssl_protocol._abort()


@pytest.fixture(autouse=True)
def oldest_python(monkeypatch):
    monkeypatch.setattr(sslproto._SSLProtocolTransport, "abort", abort_of_debian_12)


async def test_a_link_whose_connection_was_closed_twice_ends_and_comes_back():
    """A validator that was stopped for a minute wakes up to such connections, and went down with them."""
    listeners, ports = ports_of(("ash", "birch"))
    limits = LinkLimits(redial_least_ms=20, beat_ms=50)
    ash, birch = [TestNode(n, listeners[n], ports, limits=limits) for n in ("ash", "birch")]
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        for _ in range(2):
            wire = birch.peers._members["ash"].wire
            wire.transport.close()
            wire.transport.close()
            wire.cut("silent")
            assert await birch.next_link() == ("ash", False)
            assert await birch.next_link() == ("ash", True)


async def test_a_connection_that_is_over_has_no_certificate_and_is_no_wire():
    server, client = contexts("ash")[0], contexts("birch")[1]

    async def greeted(_reader, writer):
        await writer.drain()

    listener = await asyncio.start_server(greeted, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    transport = writer.transport
    assert certificate_behind(transport) is not None
    transport.close()
    transport.close()
    assert extra_info(transport, "socket") is None
    assert certificate_behind(transport) is None
    with pytest.raises(LinkEnded, match="lost"):
        Wire(None, transport, LinkLimits())
    hang_up(transport)
    listener.close()
