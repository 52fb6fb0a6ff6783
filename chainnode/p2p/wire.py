"""One WebSocket with the transport beneath it, whoever dialled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from asyncio import trsock
from typing import TYPE_CHECKING, Final, TypeAlias

import aiohttp
from aiohttp import web

from chainnode.model.errors import ChainError, PeerFault
from chainnode.p2p.frame import MAX_FRAME_BYTES
from chainnode.transports import extra_info, hang_up

if TYPE_CHECKING:
    from chainnode.p2p.limits import LinkLimits

Socket: TypeAlias = "web.WebSocketResponse | aiohttp.ClientWebSocketResponse"

PATH: Final = "/p2p"

MAX_SOCKET_MESSAGE_BYTES: Final = MAX_FRAME_BYTES + 1
"""aiohttp refuses a WebSocket message of this size and above, before it holds the whole of it."""

_MAX_REASON_BYTES: Final = 123
"""RFC 6455, section 5.5: a close frame carries at most 125 bytes, two of them the code."""

LOST: Final = (ConnectionError, aiohttp.ClientConnectionError)
"""What aiohttp raises when writing to a connection that is gone."""


class LinkEnded(ChainError):
    """The connection is over; nobody broke the protocol."""

    code = "link_ended"


class DialledSocket(aiohttp.ClientWebSocketResponse):
    """A client's WebSocket that shows its transport, as the server's request does."""

    def transport(self) -> asyncio.Transport | None:
        """Return the transport, or None if the connection is already gone."""
        connection = self._response.connection
        return None if connection is None else connection.transport


class Wire:
    """What a link reads from and writes to."""

    __slots__ = ("_cut_reason", "socket", "transport")

    def __init__(
        self, web_socket: Socket, transport: asyncio.Transport, limits: LinkLimits
    ) -> None:
        """Raises LinkEnded: the connection is over already."""
        self.socket = web_socket
        self.transport = transport
        self._cut_reason: str | None = None
        tcp = extra_info(transport, "socket")
        if not isinstance(tcp, trsock.TransportSocket):
            raise LinkEnded("the connection was lost")
        # What TLS and the kernel hold cannot be overtaken any more, and the kernel alone would take
        # megabytes. (TCP_NODELAY is set by asyncio on every TCP connection.)
        transport.set_write_buffer_limits(high=limits.write_buffer_bytes)
        try:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.write_buffer_bytes)
        except OSError as error:
            raise LinkEnded("the connection was lost") from error

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate in DER."""
        return certificate_behind(self.transport)

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next binary, ping or pong message.

        Raises:
            LinkEnded: the peer said goodbye, the connection was lost, or `cut` was called.
            PeerFault: no such message, or one that is too large.
        """
        message = await self.socket.receive()
        kind = message.type
        if kind in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
            return message
        if self._cut_reason is not None:
            raise LinkEnded(self._cut_reason)
        if kind is aiohttp.WSMsgType.CLOSE:
            raise LinkEnded(f"the peer closed it: {message.extra!r}")
        if kind is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
            raise PeerFault(f"WebSocket: {message.data}")
        if kind is aiohttp.WSMsgType.TEXT:
            raise PeerFault("WebSocket: a text message; expected binary ones")
        raise LinkEnded("the connection was lost")

    def cut(self, reason: str) -> None:
        """End the connection at once; `receive` then raises LinkEnded with this reason."""
        self._cut_reason = reason
        hang_up(self.transport)

    async def close(self, code: int, reason: str, limits: LinkLimits) -> None:
        """Say goodbye if the peer still listens, and be rid of the connection in any case."""
        farewell = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
        try:
            with contextlib.suppress(TimeoutError, *LOST):
                async with asyncio.timeout(limits.close_ms / 1000):
                    await self.socket.close(code=code, message=farewell)
        finally:
            hang_up(self.transport)


def certificate_behind(transport: asyncio.BaseTransport | None) -> bytes | None:
    """Return the certificate (DER) that the other end of a TLS connection has proven to own, if any."""
    tls = None if transport is None else extra_info(transport, "ssl_object")
    return tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
