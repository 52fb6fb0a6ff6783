"""Accepting clients, but no more than there is room for.

Every connection costs a file descriptor, also one that says nothing, and the store and the peers need theirs: a store
that cannot open a file ends the node. So at the bound nobody is accepted; further callers wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from typing import TYPE_CHECKING, Final

from chainnode.rpc.limits import MAX_CONNECTIONS, RESERVED_DESCRIPTORS

if TYPE_CHECKING:
    import ssl as ssl_module

    from aiohttp import web

HANDSHAKE_PATIENCE_S: Final = 10
"""How long a client may take for its TLS handshake."""

ROOM_POLL_S: Final = 0.05
"""How often a full listener looks whether somebody has left, and one without descriptors whether it has some again."""

_BACKLOG: Final = 1_024
_LEAST_ROOM: Final = 64


class Doorway:
    """The listening sockets of one server."""

    def __init__(self, server: web.Server, *, ssl: ssl_module.SSLContext | None) -> None:
        self._server = server
        self._ssl = ssl
        self._room = room_for_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._sockets: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._arriving: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Listen on every address of `host`. Raises OSError; then nothing listens."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        try:
            for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
                listener = socket.create_server(address, family=family, backlog=_BACKLOG)
                listener.setblocking(False)  # noqa: FBT003
                self._sockets.append(listener)
        except OSError:
            self._close_sockets()
            raise
        self._acceptors = [loop.create_task(self._accept(s)) for s in self._sockets]

    async def close(self) -> None:
        """Accept nobody any more; whoever is in stays."""
        tasks = (*self._acceptors, *self._arriving)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._close_sockets()

    @property
    def port(self) -> int | None:
        """The port of the first socket, or None if nothing listens."""
        return self._sockets[0].getsockname()[1] if self._sockets else None

    def _close_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._sockets = []

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if len(self._server.connections) + len(self._arriving) >= self._room:
                await asyncio.sleep(ROOM_POLL_S)
                continue
            try:
                caller, _ = await loop.sock_accept(listener)
            except OSError:
                # The caller has gone, or the process is out of descriptors: both pass.
                await asyncio.sleep(ROOM_POLL_S)
                continue
            task = loop.create_task(self._admit(caller))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _admit(self, caller: socket.socket) -> None:
        patience_s = None if self._ssl is None else HANDSHAKE_PATIENCE_S
        # A handshake that fails or is given up is the caller's affair.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, caller, ssl=self._ssl, ssl_handshake_timeout=patience_s
            )


def room_for_clients(descriptors: int) -> int:
    """Return how many clients may be connected in a process that may hold so many descriptors; -1 is no limit."""
    if descriptors < 0:
        return MAX_CONNECTIONS
    return max(_LEAST_ROOM, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))
