"""`POST /rpc`: JSON-RPC 2.0 over plain HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from chainnode.model.errors import DecodeError, Unavailable
from chainnode.rpc.dispatch import error_text
from chainnode.rpc.endpoint import read_body, retry_after_header, unreadable_status
from chainnode.rpc.error_numbers import INVALID_REQUEST, OVERLOADED, PARSE_ERROR
from chainnode.rpc.limits import MAX_BODY_BYTES, RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share

if TYPE_CHECKING:
    from chainnode.rpc.dispatch import Dispatcher
    from chainnode.rpc.reading_turn import ReadingTurn


class JsonRpcEndpoint:
    """Answers requests and batches that come one to a body."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the response to the request or batch in the body."""
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="POST only\n")
        text = _decoded(await read_body(request, most_bytes=MAX_BODY_BYTES))
        await turn.next(Share())
        decided: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()

        def respond(text: str | None, retry_after_ms: int | None) -> None:
            # The client may be gone, and its handler with it.
            if not decided.done():
                decided.set_result(json_rpc_response(text, retry_after_ms))

        self._dispatcher.answer(text, respond)
        return await decided

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what is not even a request."""
        if isinstance(error, Unavailable):
            return overloaded_response(error)
        status = unreadable_status(error)
        number = PARSE_ERROR if status is None else INVALID_REQUEST
        response = json_rpc_response(error_text("null", error, number), None)
        if status is not None:
            response.set_status(status)
            # The rest of the body is still on its way; nothing after it on this connection makes sense.
            response.force_close()
        return response


def overloaded_response(error: Unavailable) -> web.Response:
    """Return the response to a request that there is no room for."""
    return json_rpc_response(error_text("null", error, OVERLOADED), RETRY_AFTER_MS)


def json_rpc_response(text: str | None, retry_after_ms: int | None) -> web.Response:
    """Return an answer as HTTP; None is that to notifications only."""
    if text is None:
        return web.Response(status=204)
    if retry_after_ms is None:
        return web.Response(body=text.encode(), content_type="application/json")
    # The header has whole seconds; data.retry_after_ms is exact.
    return web.Response(
        status=429,
        body=text.encode(),
        content_type="application/json",
        headers=retry_after_header(retry_after_ms),
    )


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise DecodeError("the body is not UTF-8", code="parse_error") from None
