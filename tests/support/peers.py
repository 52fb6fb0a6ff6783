"""Validators' links over real loopback TLS, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import pathlib
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from chainnode.clock import SystemClock
from chainnode.keystore.tls import TlsFiles, client_context, create_tls_identity, server_context
from chainnode.p2p.hello import PROTOCOL_VERSION, Hello
from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.listener import listen_on
from chainnode.p2p.member import PeerAddress
from chainnode.p2p.peers import Peers
from chainnode.p2p.wire import PATH

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

NAMES = ("ash", "birch", "cedar", "dogwood")
CHAIN_ID = "registry.example/1"
GENESIS_HASH = bytes(range(32))
PATIENCE_S = 20
"""How long a test waits for what must happen; passing tests take milliseconds."""

_PASSPHRASE = b"correct horse battery staple"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A TLS key with its certificate."""

    files: TlsFiles
    certificate: bytes


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="chainnode-tls-")


@functools.cache
def identity(name: str) -> Identity:
    """Return the same identity for the same name."""
    folder = pathlib.Path(_folder().name)
    files = TlsFiles(certificate=folder / f"{name}.crt", key=folder / f"{name}.key")
    certificate = create_tls_identity(files, name, _PASSPHRASE, now_ms=SystemClock().now_ms())
    return Identity(files=files, certificate=certificate)


@functools.cache
def contexts(name: str, pinned: tuple[str, ...] = NAMES) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the server's and the client's context of `name`, who trusts `pinned`."""
    own = identity(name)
    certificates = [identity(p).certificate for p in pinned]
    return (
        server_context(own.files, _PASSPHRASE, certificates),
        client_context(own.files, _PASSPHRASE, certificates),
    )


class TestNode:
    """A node that is nothing but its links."""

    __test__ = False

    def __init__(
        self,
        name: str,
        listener: socket.socket,
        ports: dict[str, int],
        *,
        genesis_hash: bytes = GENESIS_HASH,
        limits: LinkLimits | None = None,
        on_frame: Callable[[str, bytes, int], None] | None = None,
    ) -> None:
        self.name = name
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.links: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        server, client = contexts(name)
        self.peers = Peers(
            name=name,
            chain_id=CHAIN_ID,
            genesis_hash=genesis_hash,
            listener=listener,
            peers=[
                PeerAddress(
                    name=other,
                    address=f"127.0.0.1:{port}",
                    certificate=identity(other).certificate,
                )
                for other, port in ports.items()
                if other != name
            ],
            server_context=server,
            client_context=client,
            on_frame=on_frame or self._on_frame,
            on_link=lambda peer, up: self.links.put_nowait((peer, up)),
            clock=SystemClock(),
            logger=logging.getLogger(f"test.{name}"),
            limits=limits or LinkLimits(redial_least_ms=20, fault_ms=50),
        )

    def _on_frame(self, peer: str, message: bytes, received_ms: int) -> None:
        assert abs(SystemClock().now_ms() - received_ms) < 60_000
        self.messages.put_nowait((peer, message))

    def stats_of(self, peer: str):
        """Return what the node knows of `peer`."""
        return next(s for s in self.peers.stats() if s.name == peer)

    async def linked(self, *peers: str) -> None:
        """Wait until links to these peers, and no others, have come up."""
        up = set()
        async with asyncio.timeout(PATIENCE_S):
            while up != set(peers):
                peer, is_up = await self.links.get()
                assert is_up, f"the link to {peer} went down"
                up.add(peer)

    async def next_link(self) -> tuple[str, bool]:
        """Wait for the next change of a link."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.links.get()

    async def receive(self, count: int) -> list[tuple[str, bytes]]:
        """Wait for the next `count` messages."""
        async with asyncio.timeout(PATIENCE_S):
            return [await self.messages.get() for _ in range(count)]


def ports_of(names: Iterable[str]) -> tuple[dict[str, socket.socket], dict[str, int]]:
    """Return a listening socket and a free port for each name."""
    listeners = {name: listen_on("127.0.0.1:0") for name in names}
    return listeners, {name: s.getsockname()[1] for name, s in listeners.items()}


@contextlib.asynccontextmanager
async def running(*nodes: TestNode) -> AsyncIterator[None]:
    """Run nodes, and stop them at the end; an error of one is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.peers.run()) for node in nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@contextlib.asynccontextmanager
async def dialled_by_hand(
    name: str, port: int, *, pinned: tuple[str, ...] = NAMES
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Dial a node as `name` without any of the code under test above TLS."""
    _, context = contexts(name, pinned)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.ws_connect(f"wss://127.0.0.1:{port}{PATH}", compress=0, autoping=False) as by_hand,
    ):
        yield by_hand


def hello(sender: str, receiver: str, *, dialled: bool = True) -> bytes:
    """Return a hello that is right in every respect."""
    return Hello(
        version=PROTOCOL_VERSION,
        chain_id=CHAIN_ID,
        genesis_hash=GENESIS_HASH,
        sender=sender,
        receiver=receiver,
        dialled=dialled,
    ).encode()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)
