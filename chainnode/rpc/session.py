"""One WebSocket client: requests in, answers and notifications out, through one bounded outbox.

Answers of one turn of the event loop leave together. With `packed` they travel as JSON arrays, which costs a
fraction; without it every answer is a message of its own, as JSON-RPC clients expect.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType

from chainnode.model.errors import DecodeError, Refused
from chainnode.rpc.dispatch import error_text
from chainnode.rpc.error_numbers import PARSE_ERROR
from chainnode.rpc.limits import (
    MAX_OUTBOX_BYTES,
    MAX_PENDING_PER_STREAM,
    MAX_SUBSCRIPTIONS,
    STOPPING,
    TOO_SLOW,
)
from chainnode.rpc.packing import packed
from chainnode.rpc.reading_turn import Share
from chainnode.rpc.subscriptions import make_subscription, notification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.web import WebSocketResponse

    from chainnode.rpc.dispatch import Dispatcher
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.rpc.subscriptions import BlockNews, Subscription

CLOSE_PATIENCE_S: Final = 5
"""How long a client that was too slow has to take note of the close before its connection is cut."""


class Session:
    """A `table.Stream`. Lives as long as its connection."""

    def __init__(
        self,
        socket: WebSocketResponse,
        dispatcher: Dispatcher,
        *,
        is_packed: bool,
        turn: ReadingTurn,
        abort: Callable[[], None],
    ) -> None:
        """Serve `socket`, sharing `turn` with all others; `abort` cuts its connection without a word."""
        self._socket = socket
        self._dispatcher = dispatcher
        self._is_packed = is_packed
        self._turn = turn
        self._abort = abort
        self._outbox: list[str] = []
        self._outbox_bytes = 0
        self._has_work = asyncio.Event()
        self._pending = 0
        self._is_over = False
        self._close_code: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_subscription = 0
        self._subscriptions: dict[int, Subscription] = {}

    # -- the connection ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until the connection ends.

        Raises:
            ExceptionGroup: of a NodeFault, when this node can go on no more.
        """
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write())
            try:
                await self._read()
            finally:
                self._is_over = True
                self._subscriptions.clear()
                if self._timer is not None:
                    self._timer.cancel()
                writer.cancel()

    async def _read(self) -> None:
        share = Share()
        async for message in self._socket:
            # What has been read ahead would be answered without a pause, and consensus would wait for all of it. A pause
            # before each message, on the other hand, would leave requests unread that should be refused.
            if self._turn.is_over(share):
                await self._turn.next(share)
            if message.type is WSMsgType.TEXT:
                self._take(message.data)
            elif message.type is WSMsgType.BINARY:
                error = DecodeError("found a binary message, expected text", code="parse_error")
                self._say(error_text("null", error, PARSE_ERROR))

    async def _write(self) -> None:
        try:
            while not self._must_close():
                await self._has_work.wait()
                self._has_work.clear()
                texts, self._outbox, self._outbox_bytes = self._outbox, [], 0
                for message in packed(texts) if self._is_packed else texts:
                    # Waits while the client does not read; meanwhile the outbox fills.
                    await self._socket.send_str(message)
                    if self._close_code is not None:
                        break
            reason = (
                b"you were too slow" if self._close_code == TOO_SLOW else b"the node is stopping"
            )
            await self._socket.close(code=self._close_code or STOPPING, message=reason)
        except ConnectionError:
            # The reader notices as well and ends the session.
            return

    def _must_close(self) -> bool:
        return self._close_code is not None

    def close(self, code: int) -> None:
        """End the connection; what waits in the outbox is dropped."""
        if self._close_code is None:
            self._close_code = code
            self._outbox, self._outbox_bytes = [], 0
            self._has_work.set()
            # A client that reads nothing at all would never let the close frame through.
            self._timer = asyncio.get_running_loop().call_later(CLOSE_PATIENCE_S, self._abort)

    # -- requests ------------------------------------------------------------------------------------------

    def _take(self, text: str) -> None:
        self._dispatcher.answer(text, self._respond, stream=self, packed=self._is_packed)

    def _respond(self, text: str | None, retry_after_ms: int | None) -> None:
        del retry_after_ms
        if text is not None:
            self._say(text)

    def _say(self, text: str) -> None:
        if self._is_over or self._close_code is not None:
            return
        self._outbox.append(text)
        self._outbox_bytes += len(text)
        self._has_work.set()
        if self._outbox_bytes > MAX_OUTBOX_BYTES:
            self.close(TOO_SLOW)

    @property
    def is_full(self) -> bool:
        """Whether so many requests wait for an answer that no more are taken."""
        return self._pending > MAX_PENDING_PER_STREAM

    def begin(self) -> None:
        """Count a request that will be answered."""
        self._pending += 1

    def end(self) -> None:
        """Count that it was."""
        self._pending -= 1

    # -- subscriptions -------------------------------------------------------------------------------------

    def subscribe(self, topic: str, filters: Mapping[str, object]) -> int:
        """Begin a subscription and return its number.

        Raises:
            Refused: `too_many_subscriptions` or `filter_not_for_topic`.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refused(
                f"this connection has {MAX_SUBSCRIPTIONS} subscriptions, the most allowed",
                code="too_many_subscriptions",
            )
        subscription = make_subscription(topic, filters)
        self._last_subscription += 1
        self._subscriptions[self._last_subscription] = subscription
        return self._last_subscription

    def unsubscribe(self, number: int) -> bool:
        """End a subscription; whether there was one."""
        return self._subscriptions.pop(number, None) is not None

    def hear(self, news: BlockNews) -> None:
        """Tell the client what its subscriptions call for. Raises NodeFault."""
        for number, subscription in tuple(self._subscriptions.items()):
            for data_text in news.texts(subscription):
                self._say(notification(number, subscription.topic, data_text))
