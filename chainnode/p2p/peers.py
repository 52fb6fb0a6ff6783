"""The manager of all links: one per pair of validators, dialled by the one whose name comes first.

A newer connection from a peer replaces the one we have: it dials anew only when it holds the old one for
dead. Who dials out of turn is refused, so two connections of one pair never compete.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakSet

import aiohttp
from aiohttp import web

from chainnode.model.errors import PeerFault
from chainnode.model.limits import MAX_MESSAGE_BYTES
from chainnode.p2p.hello import PROTOCOL_VERSION, Hello
from chainnode.p2p.limits import LinkLimits, redial_pause_ms
from chainnode.p2p.link import Link, greet
from chainnode.p2p.listener import accept_calls
from chainnode.p2p.member import Arrival, Member
from chainnode.p2p.wire import (
    MAX_SOCKET_MESSAGE_BYTES,
    PATH,
    DialledSocket,
    LinkEnded,
    Wire,
    certificate_behind,
)
from chainnode.transports import hang_up

if TYPE_CHECKING:
    import logging
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from chainnode.clock import Clock
    from chainnode.p2p.link import OnFrame
    from chainnode.p2p.member import PeerAddress, PeerStats
    from chainnode.p2p.outbox import Priority

OnLink: TypeAlias = "Callable[[str, bool], None]"
"""Called with a peer's name, and whether its link has come up or gone down."""

_STRANGER_LOG_MS: Final = 1_000
"""One line per second about callers who are no members; the others are only counted."""


class Peers:
    """All links of one node."""

    def __init__(
        self,
        *,
        name: str,
        chain_id: str,
        genesis_hash: bytes,
        listener: socket.socket,
        peers: Sequence[PeerAddress],
        server_context: ssl.SSLContext,
        client_context: ssl.SSLContext,
        on_frame: OnFrame,
        on_link: OnLink,
        clock: Clock,
        logger: logging.Logger,
        limits: LinkLimits | None = None,
    ) -> None:
        """Prepare; nothing is sent or accepted before `run`.

        Args:
            name: our own name.
            chain_id: of our chain.
            genesis_hash: of our chain, 32 bytes.
            listener: from `listen_on`; `run` closes it.
            peers: the other validators.
            server_context: TLS 1.3; demands one of the peers' certificates.
            client_context: TLS 1.3; presents our certificate and accepts the peers' alone.
            on_frame: called for every message, in the order of arrival. It may raise PeerFault, which ends
                the link; anything else it raises ends `run`.
            on_link: called when a link comes up, before its first message, and when it goes down.
            clock: tells the time.
            logger: gets one line per event.
            limits: bounds and times; the defaults if None.
        """
        self._limits = LinkLimits() if limits is None else limits
        self._name = name
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash
        self._listener = listener
        self._members = {
            peer.name: Member(peer, self._limits, we_dial=name < peer.name) for peer in peers
        }
        self._by_certificate = {m.peer.certificate: m for m in self._members.values()}
        self._server_context = server_context
        self._client_context = client_context
        self._on_frame = on_frame
        self._on_link = on_link
        self._clock = clock
        self._logger = logger
        self._answered: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._strangers = 0
        self._stranger_logged_ms: int | None = None

    def send(self, peer: str, message: bytes, *, priority: Priority) -> None:
        """Queue a message of 1 to MAX_MESSAGE_BYTES bytes for `peer`; never waits.

        It may be lost: without a link it is dropped at once, and a full queue drops its oldest messages.

        Raises:
            ValueError, KeyError: no such size, no such peer; a bug of the caller.
        """
        _check_message(message)
        self._queue(self._members[peer], message, priority)

    def broadcast(self, message: bytes, *, priority: Priority) -> None:
        """Queue a message for every peer, as `send` does."""
        _check_message(message)
        for member in self._members.values():
            self._queue(member, message, priority)

    def stats(self) -> tuple[PeerStats, ...]:
        """What is known of each peer, in the order of construction."""
        return tuple(member.stats() for member in self._members.values())

    @property
    def strangers(self) -> int:
        """Callers who were refused because they are no members, since the node started."""
        return self._strangers

    async def run(self) -> None:
        """Keep a link with every peer, until cancelled; then close all of them, within seconds.

        Raises:
            ExceptionGroup: of what `on_frame` or `on_link` raised.
        """
        limits = self._limits
        server = web.Server(
            self._answer, access_log=None, keepalive_timeout=limits.handshake_ms / 1000
        )
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._client_context, limit=0, force_close=True, use_dns_cache=False
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            ws_response_class=DialledSocket,
        )
        try:
            async with session, asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    accept_calls(
                        self._listener,
                        factory=server,
                        context=self._server_context,
                        limits=limits,
                        on_member=self._expect_request,
                        on_refused=self._note_stranger,
                    )
                )
                for member in self._members.values():
                    keep = (
                        self._keep_dialling(session, member)
                        if member.we_dial
                        else self._keep_accepting(member)
                    )
                    tasks.create_task(keep)
        finally:
            self._listener.close()
            await server.shutdown(limits.close_ms / 1000)

    def _queue(self, member: Member, message: bytes, priority: Priority) -> None:
        if member.link is None:
            member.outbox.miss(priority)
        else:
            member.link.send(message, priority)

    async def _keep_dialling(self, session: aiohttp.ClientSession, member: Member) -> None:
        limits, clock = self._limits, self._clock
        pair = f"{self._name} {member.peer.name}"
        attempt = 0
        while True:
            began_ms = clock.monotonic_ms()
            wire = await self._dial(session, member)
            if wire is not None:
                await self._serve(member, wire)
            now_ms = clock.monotonic_ms()
            attempt = 0 if now_ms - began_ms >= limits.stable_ms else attempt + 1
            pause_ms = max(redial_pause_ms(limits, attempt, pair), member.shunned_until_ms - now_ms)
            await asyncio.sleep(pause_ms / 1000)

    async def _dial(self, session: aiohttp.ClientSession, member: Member) -> Wire | None:
        """Return a connection with the very peer, or None after noting why there is none."""
        try:
            async with asyncio.timeout(self._limits.handshake_ms / 1000):
                dialled = await session.ws_connect(
                    f"wss://{member.peer.address}{PATH}",
                    autoping=False,
                    compress=0,
                    max_msg_size=MAX_SOCKET_MESSAGE_BYTES,
                )
        except (OSError, aiohttp.ClientError) as error:
            self._note_trouble(member, f"cannot dial: {str(error) or type(error).__name__}")
            return None
        transport = dialled.transport() if isinstance(dialled, DialledSocket) else None
        if transport is None:
            self._note_trouble(member, "cannot dial: the connection was lost")
            return None
        try:
            wire = Wire(dialled, transport, self._limits)
        except LinkEnded as end:
            self._note_trouble(member, f"cannot dial: {end}")
            return None
        if wire.certificate != member.peer.certificate:
            self._note_trouble(member, "another validator answers at its address")
            await wire.close(aiohttp.WSCloseCode.POLICY_VIOLATION, "wrong number", self._limits)
            return None
        return wire

    async def _keep_accepting(self, member: Member) -> None:
        while True:
            arrival = await member.arrivals.get()
            try:
                await self._serve(member, arrival.wire)
            finally:
                arrival.finish()

    def _expect_request(self, transport: asyncio.Transport) -> None:
        """Hang up on a member that completes TLS and then asks for nothing."""

        def give_up() -> None:
            if transport not in self._answered:
                hang_up(transport)

        asyncio.get_running_loop().call_later(self._limits.handshake_ms / 1000, give_up)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Hand a member's connection to the task that keeps its link, and wait until it is done with it."""
        if request.transport is not None:
            self._answered.add(request.transport)
        member = self._by_certificate.get(certificate_behind(request.transport) or b"")
        if member is None or request.path != PATH:
            return web.Response(status=403)
        answered = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=MAX_SOCKET_MESSAGE_BYTES,
            timeout=self._limits.close_ms / 1000,
        )
        try:
            await answered.prepare(request)
        except ValueError:
            # aiohttp refuses a wrong Sec-WebSocket-Key with 400, but does not expect one that is not ASCII.
            return web.Response(status=400)
        transport = request.transport
        if transport is None:
            return answered
        try:
            wire = Wire(answered, transport, self._limits)
        except LinkEnded:
            return answered
        if member.we_dial:
            reason = f"{self._name} dials {member.peer.name}, not the other way round"
            self._note_trouble(member, f"refused a call: {reason}")
            await wire.close(aiohttp.WSCloseCode.POLICY_VIOLATION, reason, self._limits)
        elif self._clock.monotonic_ms() < member.shunned_until_ms:
            reason = f"not yet: {member.why_down}"
            await wire.close(aiohttp.WSCloseCode.TRY_AGAIN_LATER, reason, self._limits)
        else:
            arrival = Arrival(wire, asyncio.get_running_loop().create_future())
            member.offer(arrival)
            await arrival.done
        return answered

    async def _serve(self, member: Member, wire: Wire) -> None:
        """Run one connection from hello to goodbye."""
        code, reason = aiohttp.WSCloseCode.GOING_AWAY, "the node stops"
        member.wire = wire
        try:
            async with asyncio.timeout(self._limits.handshake_ms / 1000):
                await greet(wire, self._hello(member))
            await self._run_link(member, wire)
        except PeerFault as fault:
            code, reason = aiohttp.WSCloseCode.POLICY_VIOLATION, str(fault)
            member.faults += 1
            member.shunned_until_ms = self._clock.monotonic_ms() + self._limits.fault_ms
            self._note_trouble(member, reason)
        except LinkEnded as end:
            code, reason = aiohttp.WSCloseCode.OK, str(end)
            self._note_trouble(member, reason)
        except TimeoutError:
            reason = f"hello: nothing within {self._limits.handshake_ms} ms"
            self._note_trouble(member, reason)
        finally:
            member.wire = None
            await wire.close(code, reason, self._limits)

    async def _run_link(self, member: Member, wire: Wire) -> None:
        name = member.peer.name
        link = Link(
            wire,
            peer=name,
            outbox=member.outbox,
            traffic=member.traffic,
            on_frame=self._on_frame,
            clock=self._clock,
            limits=self._limits,
        )
        member.link = link
        member.links += 1
        member.logged_why = ""
        self._logger.info("peer_linked peer=%s dialled=%s", name, member.we_dial)
        try:
            self._on_link(name, True)  # noqa: FBT003
            await link.run()
        finally:
            member.link = None
            member.last_heard_ms = link.last_heard_ms
            member.outbox.clear()
            self._on_link(name, False)  # noqa: FBT003

    def _hello(self, member: Member) -> Hello:
        return Hello(
            version=PROTOCOL_VERSION,
            chain_id=self._chain_id,
            genesis_hash=self._genesis_hash,
            sender=self._name,
            receiver=member.peer.name,
            dialled=member.we_dial,
        )

    def _note_trouble(self, member: Member, why: str) -> None:
        """Log what keeps a peer away, once: a peer that is down for a day is one line, not thousands."""
        member.why_down = why
        if why != member.logged_why:
            member.logged_why = why
            self._logger.warning("peer_unlinked peer=%s why=%s", member.peer.name, why)

    def _note_stranger(self, address: str, why: str) -> None:
        self._strangers += 1
        now_ms = self._clock.monotonic_ms()
        if (
            self._stranger_logged_ms is None
            or now_ms - self._stranger_logged_ms >= _STRANGER_LOG_MS
        ):
            self._stranger_logged_ms = now_ms
            self._logger.warning(
                "stranger_refused address=%s total=%d why=%s", address, self._strangers, why
            )


def _check_message(message: bytes) -> None:
    if not 0 < len(message) <= MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(message)} bytes; expected 1 to {MAX_MESSAGE_BYTES}")
