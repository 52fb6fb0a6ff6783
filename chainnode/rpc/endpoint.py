"""What the listener asks of an HTTP endpoint that takes bodies, and how a body is read.

An endpoint owns one path, such as `/rpc`, or all paths of a folder, such as `/v/`. The listener counts what all of them
are answering, and lets none begin beyond `MAX_CONCURRENT_REQUESTS`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from chainnode.model.errors import Unavailable
    from chainnode.rpc.reading_turn import ReadingTurn

BODY_PATIENCE_S: Final = 30
"""How long a client may take to send a body."""


class Endpoint(Protocol):
    """Answers the requests of one path or folder."""

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the response; what takes time is done in `turn`. Raises NodeFault, and DecodeError as `read_body`."""

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to a body that cannot be read, or to a request that there is no room for."""


async def read_body(
    request: web.BaseRequest, *, most_bytes: int, patience_s: float = BODY_PATIENCE_S
) -> bytes:
    """Return the body.

    Args:
        request: whose.
        most_bytes: how long it may be.
        patience_s: how long it may take to arrive.

    Raises:
        DecodeError: `too_large`, `slow_body`, or `bad_body` (not encoded as its headers say).
    """
    if (request.content_length or 0) > most_bytes:
        raise _too_large(most_bytes)
    if (
        request.headers.get("Expect", "").lower() == "100-continue"
        and request.transport is not None
    ):
        # RFC 9110 section 10.1.1: the client holds a large body back until it hears that it is wanted.
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        if request.content.is_eof():
            # Short bodies come with their heads, and need no timer.
            body += request.content.read_nowait()
            if len(body) > most_bytes:
                raise _too_large(most_bytes)
            return bytes(body)
        async with asyncio.timeout(patience_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most_bytes:
                    raise _too_large(most_bytes)
        return bytes(body)
    except TimeoutError:
        raise DecodeError("the body did not arrive in time", code="slow_body") from None
    except web.RequestPayloadError:
        raise DecodeError(
            "the body is not encoded as its headers say (Content-Encoding, Transfer-Encoding); "
            "send it as it is, with its Content-Length",
            code="bad_body",
        ) from None


def unreadable_status(error: DecodeError) -> int | None:
    """Return the HTTP status of what `read_body` raises; None of another error, which is not about transport."""
    return {"too_large": 413, "slow_body": 408, "bad_body": 400}.get(error.error_code)


def retry_after_header(retry_after_ms: int) -> dict[str, str]:
    """Return the header that asks a client to wait: whole seconds, at least one."""
    return {"Retry-After": str(max(1, -(-retry_after_ms // 1_000)))}


def _too_large(most_bytes: int) -> DecodeError:
    return DecodeError(
        f"the body is longer than {most_bytes} bytes; divide it into several requests",
        code="too_large",
    )
