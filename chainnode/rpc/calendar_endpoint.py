"""`/ots/`: an OpenTimestamps calendar, as stock clients ask one (opentimestamps-server, otsserver/rpc.py).

    POST /ots/digest                   16 to 64 raw bytes; answered with their timestamp, which is pending
    GET  /ots/timestamp/<hex>          what became of a pending commitment: our attestation, or 404 with the reason

Clients show at most 160 characters of a reason, and of those only letters, digits and `#-.,; `; so reasons keep to them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.errors import ChainError, DecodeError, NotFound, Refused, Unavailable
from chainnode.rpc.endpoint import read_body, retry_after_header, unreadable_status
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share
from chainnode.services.calendar import MAX_DIGEST_BYTES, MIN_DIGEST_BYTES

if TYPE_CHECKING:
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.services.calendar import Calendar

FOLDER: Final = "/ots/"
CONTENT_TYPE: Final = "application/vnd.opentimestamps.v1"

_ROOT_BYTES: Final = 32
_PENDING_AGE_S: Final = 5
"""How long caches may repeat that a commitment is pending."""


class CalendarEndpoint:
    """The calendar of one node. Anybody may ask, as with `/tsa`: whatever comes makes two records a second at most."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the response to a digest or a commitment."""
        path = request.rel_url.raw_path.removeprefix(FOLDER)
        kind, _, name = path.partition("/")
        if path == "digest":
            if request.method != "POST":
                return _not_allowed("POST")
            return await self._stamp(request, turn)
        if kind == "timestamp":
            if request.method not in {"GET", "HEAD"}:
                return _not_allowed("GET")
            return await self._complete(name, turn)
        return _text(404, "POST a digest to digest, or GET timestamp/HEX\n")

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what cannot be read, or for which there is no room."""
        if isinstance(error, Unavailable):
            response = _text(429, f"{error.message}\n")
            response.headers.update(retry_after_header(RETRY_AFTER_MS))
            return response
        response = _text(unreadable_status(error) or 400, f"{error.message}\n")
        response.force_close()
        return response

    async def _stamp(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        digest = await read_body(request, most_bytes=MAX_DIGEST_BYTES)
        if len(digest) < MIN_DIGEST_BYTES:
            return _text(
                400,
                f"found {len(digest)} bytes; expected a digest of {MIN_DIGEST_BYTES} to {MAX_DIGEST_BYTES}\n",
            )
        await turn.next(Share())
        heard: asyncio.Future[bytes | ChainError] = asyncio.get_running_loop().create_future()

        def done(answer: bytes | ChainError) -> None:
            # The client may be gone, and its handler with it.
            if not heard.done():
                heard.set_result(answer)

        try:
            self._calendar.stamp(digest, done)
        except Unavailable as error:
            return _unavailable(error)
        answer = await heard
        if isinstance(answer, ChainError):
            return _unavailable(answer)
        return _timestamp(answer)

    async def _complete(self, name: str, turn: ReadingTurn) -> web.StreamResponse:
        try:
            commitment = bytes.fromhex(name)
        except ValueError:
            commitment = b""
        if len(commitment) != _ROOT_BYTES or commitment.hex() != name:
            return _text(404, "Commitment not found, it is no SHA-256 in lower-case hex\n")
        await turn.next(Share())
        try:
            return _timestamp(self._calendar.complete(commitment))
        except (NotFound, Refused) as error:
            response = _text(404, f"{error.message}\n")
            response.headers["Cache-Control"] = f"public, max-age={_PENDING_AGE_S}"
            return response


def _unavailable(error: ChainError) -> web.Response:
    response = _text(429 if error.error_code == "overloaded" else 503, f"{error.message}\n")
    response.headers.update(retry_after_header(RETRY_AFTER_MS))
    return response


def _not_allowed(method: str) -> web.Response:
    response = _text(405, f"expected {method}\n")
    response.headers["Allow"] = method
    return response


def _timestamp(body: bytes) -> web.Response:
    return web.Response(
        body=body, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    )


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"Cache-Control": "no-store"})
