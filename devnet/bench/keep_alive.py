"""HTTP connections that stay open, for load: whole requests out, whole answers in, and nothing else that would cost the machine.

One connection has one request open. What comes is not looked at beyond its Content-Length, which our nodes always send.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chainnode.model.errors import DecodeError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    Heard = Callable[[bytes], None]
    """Hears an answer, head and body."""

HEAD_END: Final = b"\r\n\r\n"


def post(url: str, body: bytes, *headers: str) -> bytes:
    """Return a whole POST request with these header lines."""
    where = urlsplit(url)
    lines = (
        f"POST {where.path} HTTP/1.1",
        f"Host: {where.netloc}",
        *headers,
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + HEAD_END + body


async def dial(url: str, lost: Callable[[KeptConnection], None]) -> KeptConnection:
    """Return a new connection to a URL's host; `lost` hears when it ends. Raises Unavailable."""
    where = urlsplit(url)
    try:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: KeptConnection(lost), where.hostname or "", where.port or 0
        )
    except OSError as error:
        raise Unavailable(f"{url}: {error.strerror}", code="node_unreachable") from error
    return connection


class KeptConnection(asyncio.Protocol):
    """One connection. Use `dial`."""

    def __init__(self, lost: Callable[[KeptConnection], None]) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._heard: Heard | None = None
        self._received = b""

    @property
    def is_waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return self._heard is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Note the connection that is made."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("expected a TCP connection")
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Tell who asked."""
        self._lost(self)

    def send(self, request: bytes, heard: Heard) -> None:
        """Send a request, whole; `heard` gets its answer."""
        if self._transport is not None:
            self._heard, self._received = heard, b""
            self._transport.write(request)

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Gather an answer, and hand it over when it is whole."""
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or self._heard is None or len(body) < _content_length(head):
            return
        heard, self._heard = self._heard, None
        heard(self._received)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise DecodeError("the node's answer has no Content-Length")
