"""TLS handshakes with whoever calls.

A stranger costs one handshake and learns nothing: without a member's private key it cannot be completed, so
no byte of HTTP is read. Few run at once; while all are taken, callers wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from chainnode.p2p.limits import LinkLimits

_BACKLOG: Final = 128
"""Connections that the kernel keeps for us; more than MAX_VALIDATORS, who may all redial at once."""

_RETRY_S: Final = 1
"""After the process has run out of file descriptors; some are given back within seconds."""


def listen_on(address: str) -> socket.socket:
    """Return a socket that listens on `host:port` or `[IPv6]:port`; port 0 takes any free one.

    Raises:
        Unavailable: `cannot_listen`; the address is taken or is not ours.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        listener = socket.create_server(
            (host, int(port)),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise Unavailable(
            f"cannot listen for peers on {address}: {error.strerror or error}", code="cannot_listen"
        ) from error
    listener.setblocking(False)  # noqa: FBT003
    return listener


async def accept_calls(
    listener: socket.socket,
    *,
    factory: Callable[[], asyncio.BaseProtocol],
    context: ssl.SSLContext,
    limits: LinkLimits,
    on_member: Callable[[asyncio.Transport], None],
    on_refused: Callable[[str, str], None],
) -> None:
    """Accept until cancelled.

    Args:
        listener: listens; the caller closes it.
        factory: makes what speaks over a connection once its handshake is complete.
        context: demands a member's certificate.
        limits: how many handshakes at once, and how long one may take.
        on_member: given the transport of a member's connection.
        on_refused: told a caller's address and why it failed.
    """
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(limits.pending_handshakes)

    async def shake_hands(caller: socket.socket, address: str) -> None:
        try:
            transport, _ = await loop.connect_accepted_socket(
                factory,
                caller,
                ssl=context,
                ssl_handshake_timeout=limits.handshake_ms / 1000,
                ssl_shutdown_timeout=limits.close_ms / 1000,
            )
        except OSError as error:
            # ssl.SSLError and the timeout are OSErrors too.
            on_refused(address, str(error) or type(error).__name__)
        else:
            on_member(transport)
        finally:
            slots.release()

    async with asyncio.TaskGroup() as handshakes:
        while True:
            await slots.acquire()
            try:
                caller, address = await loop.sock_accept(listener)
            except OSError as error:
                slots.release()
                on_refused("anyone", f"cannot accept: {error.strerror or error}")
                await asyncio.sleep(_RETRY_S)
                continue
            handshakes.create_task(shake_hands(caller, f"{address[0]}:{address[1]}"))
