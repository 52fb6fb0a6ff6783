"""The RPC listener: HTTP and WebSocket, on one port.

It runs on the node's event loop. A NodeFault met in answering goes to `on_fault`; the request is never answered as
failed because of it, its connection just ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.errors import ChainError, DecodeError, NodeFault, Refused, Unavailable
from chainnode.rpc.dispatch import Dispatcher, error_text
from chainnode.rpc.doorway import Doorway
from chainnode.rpc.error_numbers import INVALID_REQUEST, OVERLOADED, PARSE_ERROR
from chainnode.rpc.limits import (
    IDLE_PATIENCE_S,
    MAX_BODY_BYTES,
    MAX_CONCURRENT_REQUESTS,
    MAX_STREAMS,
    RETRY_AFTER_MS,
    STOPPING,
)
from chainnode.rpc.methods import method_table
from chainnode.rpc.pages import Pages, too_busy
from chainnode.rpc.reading_turn import ReadingTurn, Share
from chainnode.rpc.session import Session
from chainnode.rpc.subscriptions import BlockNews
from chainnode.transports import hang_up

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable

    from chainnode.services.node_services import NodeServices
    from chainnode.services.outcome import CommittedBlock

TICK_S: Final = 0.1
"""How often deadlines of waiting clients are looked at."""

BODY_PATIENCE_S: Final = 30
"""How long a client may take to send a body."""

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
    ) -> None:
        """Prepare to listen; `start` does.

        Args:
            services: What to serve.
            host: Address to listen on.
            port: Port, or 0 for any; `port` tells which.
            on_fault: Hears of faults that end this node; called on the event loop.
            ssl: Server context; needed for any address but loopback.
        """
        methods = method_table(services)
        self._services = services
        self._host = host
        self._wanted_port = port
        self._ssl = ssl
        self._on_fault = on_fault
        self._dispatcher = Dispatcher(methods, metrics=services.metrics, clock=services.clock)
        self._pages = Pages(services, methods)
        self._turn = ReadingTurn(self._dispatcher.now_ms)
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
            if path == "/rpc":
                return await self._rpc(request)
            if path == "/ws":
                return await self._stream(request)
            return self._pages.answer(request.method, path)
        except NodeFault as fault:
            self._on_fault(fault)
            _abort(request)
            return web.Response(status=500)

    async def _rpc(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="POST only\n")
        if self._requests >= MAX_CONCURRENT_REQUESTS:
            error = too_busy(f"{self._requests} requests are being answered")
            return _answer(error_text("null", error, OVERLOADED), RETRY_AFTER_MS)
        self._requests += 1
        try:
            text = await _read_text(request)
            await self._turn.next(Share())
            decided: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()

            def respond(text: str | None, retry_after_ms: int | None) -> None:
                # The client may be gone, and its handler with it.
                if not decided.done():
                    decided.set_result(_answer(text, retry_after_ms))

            self._dispatcher.answer(text, respond)
            return await decided
        except DecodeError as error:
            return _unreadable(error)
        finally:
            self._requests -= 1

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._sessions) >= MAX_STREAMS:
            error = too_busy(f"{len(self._sessions)} streams are open")
            return _answer(error_text("null", error, OVERLOADED), RETRY_AFTER_MS)
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


async def _read_text(request: web.BaseRequest) -> str:
    """Return the body as text.

    Raises:
        DecodeError: `too_large`, `parse_error` (not UTF-8), `slow_body`, or `bad_body` (not encoded as its headers say).
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    if (
        request.headers.get("Expect", "").lower() == "100-continue"
        and request.transport is not None
    ):
        # RFC 9110 section 10.1.1: the client holds a large body back until it hears that it is wanted.
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_PATIENCE_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
        return body.decode()
    except TimeoutError:
        raise DecodeError("the body did not arrive in time", code="slow_body") from None
    except UnicodeDecodeError:
        raise DecodeError("the body is not UTF-8", code="parse_error") from None
    except web.RequestPayloadError:
        raise DecodeError(
            "the body is not encoded as its headers say (Content-Encoding, Transfer-Encoding); "
            "send it as it is, with its Content-Length",
            code="bad_body",
        ) from None


def _too_large() -> DecodeError:
    return DecodeError(
        f"the body is longer than {MAX_BODY_BYTES} bytes; divide it into several requests",
        code="too_large",
    )


def _unreadable(error: ChainError) -> web.Response:
    status, number = {
        "too_large": (413, INVALID_REQUEST),
        "slow_body": (408, INVALID_REQUEST),
        "bad_body": (400, INVALID_REQUEST),
    }.get(error.error_code, (200, PARSE_ERROR))
    response = web.Response(
        status=status,
        body=error_text("null", error, number).encode(),
        content_type="application/json",
    )
    if status != 200:
        # The rest of the body is still on its way; nothing after it on this connection makes sense.
        response.force_close()
    return response


def _answer(text: str | None, retry_after_ms: int | None) -> web.Response:
    if text is None:
        return web.Response(status=204)
    if retry_after_ms is None:
        return web.Response(body=text.encode(), content_type="application/json")
    # The header has whole seconds; data.retry_after_ms is exact.
    headers = {"Retry-After": str(max(1, -(-retry_after_ms // 1_000)))}
    return web.Response(
        status=429, body=text.encode(), content_type="application/json", headers=headers
    )


def _abort(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:
        hang_up(transport)
