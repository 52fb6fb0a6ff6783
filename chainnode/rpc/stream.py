"""The client over one WebSocket: many requests in flight, answers in any order, and subscriptions. For load.

Requests of one turn of the event loop travel as one message, and so do the node's answers (`/ws?packed=1`).
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Self, cast

import aiohttp

from chainnode.model.errors import ChainError, Unavailable
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.client import parse_json, unreachable
from chainnode.rpc.error_numbers import error_from
from chainnode.rpc.limits import MAX_RESPONSE_BYTES, TOO_SLOW
from chainnode.rpc.packing import packed
from chainnode.rpc.results import SubscribedResult, TransactionResult
from chainnode.rpc.schema import checker_of

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Mapping
    from types import TracebackType

    from chainnode.model.canonical_json import Param
    from chainnode.rpc.results import Json


class RpcStream:
    """One WebSocket to a node. An async context manager; all of it on one event loop.

    When the connection ends, whatever waits fails with Unavailable, code `node_unreachable` or `too_slow`.
    """

    def __init__(self, url: str, *, ssl: ssl_module.SSLContext | None = None) -> None:
        """Prepare to talk to `url`, for example `http://127.0.0.1:8545`; `ssl` as for `RpcClient`."""
        self.url = url.rstrip("/")
        self._ssl: ssl_module.SSLContext | bool = True if ssl is None else ssl
        self._tasks = asyncio.TaskGroup()
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._subscriptions: dict[int, asyncio.Queue[Json | ChainError]] = {}
        self._outbox: list[str] = []
        self._has_work = asyncio.Event()
        self._ended: ChainError | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(
                self.url + "/ws?packed=1", ssl=self._ssl, max_msg_size=MAX_RESPONSE_BYTES
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            await self._session.close()
            raise unreachable(self.url, error) from error
        await self._tasks.__aenter__()
        self._tasks.create_task(self._receive(self._socket))
        self._tasks.create_task(self._send(self._socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            await self._socket.close()
        self._end(Unavailable("the connection was closed", code="node_unreachable"))
        await self._tasks.__aexit__(kind, error, traceback)
        if self._session is not None:
            await self._session.close()

    def request(self, method: str, params: Mapping[str, Param]) -> asyncio.Future[Json]:
        """Call a method; the future gets its result, or raises a ChainError."""
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        if self._ended is not None:
            future.set_exception(self._ended)
            return future
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self._waiting[self._last_id] = future
        self._outbox.append(json.dumps(request))
        self._has_work.set()
        return future

    async def tx_submit_and_wait(
        self, envelope: bytes, *, timeout_ms: int = 30_000
    ) -> TransactionResult:
        """Hand in a transaction; as `RpcClient.tx_submit_and_wait`."""
        params: dict[str, Param] = {
            "transaction": to_base64(envelope),
            "timeout_ms": timeout_ms,
        }
        result = await self.request("tx_submit_and_wait", params)
        checker_of(TransactionResult)(result, "tx_submit_and_wait")
        return cast("TransactionResult", result)

    async def subscribe(self, topic: str, **filters: Param) -> Subscription:
        """Hear of `blocks`, `records` or `tx` from now on; filters as in docs/rpc.md."""
        result = await self.request("subscribe", {"topic": topic, **filters})
        checker_of(SubscribedResult)(result, "subscribe")
        number = cast("SubscribedResult", result)["subscription"]
        return Subscription(self, number, self._queue(number))

    async def unsubscribe(self, number: int) -> None:
        """Hear no more of a subscription."""
        await self.request("unsubscribe", {"subscription": number})
        self._subscriptions.pop(number, None)

    def _queue(self, number: int) -> asyncio.Queue[Json | ChainError]:
        # The node bounds what it keeps for us; here the reader of the queue is its bound, as we are its only filler.
        return self._subscriptions.setdefault(number, asyncio.Queue())

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while self._ended is None:
                await self._has_work.wait()
                self._has_work.clear()
                requests, self._outbox = self._outbox, []
                for message in packed(requests):
                    await socket.send_str(message)
        except (aiohttp.ClientError, OSError) as error:
            self._end(unreachable(self.url, error))

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            try:
                self._take(parse_json(message.data))
            except ChainError as error:
                self._end(error)
                break
        if socket.close_code == TOO_SLOW:
            self._end(Unavailable("the node closed the stream: too slow", code="too_slow"))
        self._end(unreachable(self.url, ConnectionError("the node closed the stream")))
        await socket.close()

    def _take(self, message: Json) -> None:
        for answer in message if isinstance(message, list) else [message]:
            if not isinstance(answer, dict):
                raise Unavailable("the node sent no JSON-RPC answer", code="bad_answer")
            number, params = answer.get("id"), answer.get("params")
            if isinstance(params, dict):
                subscription = params.get("subscription")
                if type(subscription) is int:
                    self._queue(subscription).put_nowait(params.get("data"))
                continue
            future = self._waiting.pop(number, None) if type(number) is int else None
            if future is None or future.done():
                continue
            if "error" in answer:
                future.set_exception(error_from(answer["error"]))
            else:
                future.set_result(answer.get("result"))

    def _end(self, error: ChainError) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._has_work.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
        for queue in self._subscriptions.values():
            queue.put_nowait(error)


class Subscription:
    """What a subscription delivers; an async iterator that ends by raising Unavailable."""

    def __init__(
        self, stream: RpcStream, number: int, queue: asyncio.Queue[Json | ChainError]
    ) -> None:
        self._stream = stream
        self.number = number
        self._queue = queue

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        """Wait for the next notification's data."""
        item = await self._queue.get()
        if isinstance(item, ChainError):
            raise item
        return item

    async def cancel(self) -> None:
        """Hear no more."""
        await self._stream.unsubscribe(self.number)
