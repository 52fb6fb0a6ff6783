"""The RPC listener: HTTP and WebSocket, on one port.

It runs on the node's event loop. A NodeFault met in answering goes to `on_fault`; the request is never answered as
failed because of it, its connection just ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.errors import DecodeError, NodeFault, Refused, Unavailable
from chainnode.rpc import record_page
from chainnode.rpc.dispatch import Dispatcher
from chainnode.rpc.doorway import Doorway
from chainnode.rpc.json_rpc_endpoint import JsonRpcEndpoint, overloaded_response
from chainnode.rpc.limits import (
    IDLE_PATIENCE_S,
    MAX_BODY_BYTES,
    MAX_CONCURRENT_REQUESTS,
    MAX_STREAMS,
    STOPPING,
)
from chainnode.rpc.methods import method_table
from chainnode.rpc.pages import Pages, too_busy
from chainnode.rpc.reading_turn import ReadingTurn
from chainnode.rpc.record_page import RecordPages
from chainnode.rpc.session import Session
from chainnode.rpc.subscriptions import BlockNews
from chainnode.transports import hang_up

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable, Mapping, Sequence

    from chainnode.rpc.endpoint import Endpoint
    from chainnode.services.node_services import NodeServices
    from chainnode.services.outcome import CommittedBlock

TICK_S: Final = 0.1
"""How often deadlines of waiting clients are looked at."""

HEARTBEAT_S: Final = 30
"""How often a WebSocket is pinged; one that does not answer is closed."""

STOP_PATIENCE_S: Final = 2
"""How long requests in progress may go on when the node stops."""


def check_listen_address(host: str, *, has_tls: bool) -> None:
    """Refuse to listen without TLS on anything but loopback.

    Raises:
        Refused: with code `tls_required`.
    """
    if has_tls or host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Refused(
            f"rpc: found the address {host!r} without TLS; expected a loopback address such as "
            "127.0.0.1, or a certificate and key; configure TLS or a loopback address",
            code="tls_required",
            field="rpc.host",
        )


class RpcServer:
    """Serves one node's services."""

    def __init__(
        self,
        services: NodeServices,
        *,
        host: str,
        port: int,
        on_fault: Callable[[NodeFault], None],
        ssl: ssl_module.SSLContext | None = None,
        endpoints: Mapping[str, Endpoint] = MappingProxyType({}),
        on_tick: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Prepare to listen; `start` does.

        Args:
            services: What to serve.
            host: Address to listen on.
            port: Port, or 0 for any; `port` tells which.
            on_fault: Hears of faults that end this node; called on the event loop.
            ssl: Server context; needed for any address but loopback.
            endpoints: What else takes bodies, by its path, for example `/tsa`, or by the folder
                of its paths, for example `/v1/`.
            on_tick: What looks after deadlines of its own; called ten times a second, may raise NodeFault.
        """
        methods = method_table(services)
        self._services = services
        self._host = host
        self._wanted_port = port
        self._ssl = ssl
        self._on_fault = on_fault
        self._on_tick = tuple(on_tick)
        self._dispatcher = Dispatcher(methods, metrics=services.metrics, clock=services.clock)
        self._pages = Pages(services, methods)
        self._turn = ReadingTurn(self._dispatcher.now_ms)
        self._endpoints: Mapping[str, Endpoint] = {
            **endpoints,
            "/rpc": JsonRpcEndpoint(self._dispatcher),
            record_page.FOLDER: RecordPages(services.public_records),
        }
        self._sessions: set[Session] = set()
        self._requests = 0
        self._is_publishing = False
        self._runner: web.ServerRunner | None = None
        self._doorway: Doorway | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._stop_listening: Callable[[], None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            Refused: `tls_required`.
            Unavailable: `cannot_listen`: the address is in use, or not this machine's.
        """
        check_listen_address(self._host, has_tls=self._ssl is not None)
        # A client that leaves takes its handler along, so that it does not hold a place until its timeout.
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_PATIENCE_S,
        )
        runner = web.ServerRunner(server, shutdown_timeout=STOP_PATIENCE_S)
        await runner.setup()
        doorway = Doorway(server, ssl=self._ssl)
        try:
            await doorway.open(self._host, self._wanted_port)
        except OSError as error:
            await runner.cleanup()
            raise Unavailable(
                f"rpc: cannot listen on {self._host}:{self._wanted_port}: {error.strerror}; is "
                "another node running?",
                code="cannot_listen",
                field="rpc.port",
            ) from error
        self._runner, self._doorway = runner, doorway
        self._services.commits.attach(self._wake)
        self._stop_listening = self._services.commits.listen(self._news)
        self._tick()

    async def stop(self) -> None:
        """Take no more requests, tell streams that the node stops, and give the rest a moment."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        for session in tuple(self._sessions):
            session.close(STOPPING)
        if self._doorway is not None:
            await self._doorway.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port listened on."""
        port = None if self._doorway is None else self._doorway.port
        return self._wanted_port if port is None else port

    @property
    def request_count(self) -> int:
        """HTTP requests that are being answered."""
        return self._requests

    @property
    def stream_count(self) -> int:
        """Open WebSockets."""
        return len(self._sessions)

    # -- what the engine did -------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._is_publishing:
            self._is_publishing = True
            asyncio.get_running_loop().call_soon(self._publish)

    def _publish(self) -> None:
        self._is_publishing = False
        try:
            self._services.commits.publish()
        except NodeFault as fault:
            self._on_fault(fault)

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        try:
            self._services.commits.tick()
            for tick in self._on_tick:
                tick()
        except NodeFault as fault:
            self._on_fault(fault)

    def _news(self, block: CommittedBlock) -> None:
        news = BlockNews(block, self._services.ledger)
        for session in tuple(self._sessions):
            session.hear(news)

    # -- requests ------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            path = request.rel_url.raw_path
            if path == "/ws":
                return await self._stream(request)
            endpoint = self._endpoints.get(path) or self._endpoints.get(_folder(path))
            if endpoint is not None:
                return await self._endpoint(endpoint, request)
            return self._pages.answer(request.method, path)
        except NodeFault as fault:
            self._on_fault(fault)
            _abort(request)
            return web.Response(status=500)

    async def _endpoint(self, endpoint: Endpoint, request: web.BaseRequest) -> web.StreamResponse:
        if self._requests >= MAX_CONCURRENT_REQUESTS:
            return endpoint.refuse(too_busy(f"{self._requests} requests are being answered"))
        self._requests += 1
        try:
            return await endpoint.answer(request, self._turn)
        except DecodeError as error:
            return endpoint.refuse(error)
        finally:
            self._requests -= 1

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._sessions) >= MAX_STREAMS:
            return overloaded_response(too_busy(f"{len(self._sessions)} streams are open"))
        socket = web.WebSocketResponse(
            max_msg_size=MAX_BODY_BYTES, heartbeat=HEARTBEAT_S, compress=False
        )
        try:
            await socket.prepare(request)
        except ValueError:
            # aiohttp refuses a wrong Sec-WebSocket-Key with 400, but does not expect one that is not ASCII.
            return web.Response(status=400, text="Sec-WebSocket-Key: expected base64\n")
        session = Session(
            socket,
            self._dispatcher,
            is_packed=request.rel_url.query.get("packed") == "1",
            turn=self._turn,
            abort=lambda: _abort(request),
        )
        self._sessions.add(session)
        try:
            await session.run()
        except* NodeFault as faults:
            self._report(faults)
            _abort(request)
        finally:
            self._sessions.discard(session)
        return socket

    def _report(self, faults: BaseExceptionGroup[NodeFault]) -> None:
        for fault in faults.exceptions:
            if isinstance(fault, NodeFault):
                self._on_fault(fault)


def _folder(path: str) -> str:
    """Return `/a/` of `/a/b` and `/a/b/c`."""
    return path[: path.find("/", 1) + 1]


def _abort(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:
        hang_up(transport)
