"""`POST /tsa`: the timestamp authority over HTTP (RFC 3161 section 3.4).

    POST /tsa               a request (application/timestamp-query), answered by the unit of the chain's suite:
                            P-256, or SM2 on sm2-sm3 chains
    POST /tsa/p256          by the P-256 unit, which every verifier reads
    POST /tsa/sm2           by the SM2 unit, on sm2-sm3 chains
    GET  /tsa/p256.pem      the unit's certificate and those above it, though it has ended or was revoked
    GET  /tsa/sm2.pem
    GET  /tsa/SERIAL.pem    those of an earlier certificate of the units, by its serial number in hex, as tokens name it

Rejections are answers: HTTP 200, with the reason inside. Accept headers are not looked at; real clients send anything.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.errors import DecodeError, Unavailable
from chainnode.pki.pem import write_bundle
from chainnode.rpc.endpoint import read_body, retry_after_header, unreadable_status
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share
from chainnode.tsp.request import MAX_REQUEST_BYTES, RequestRejected, decode_request
from chainnode.tsp.response import granted, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.pki.certificate import X509Certificate
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.services.timestamping import Stamp, Timestamping

PATH: Final = "/tsa"
FOLDER: Final = "/tsa/"
QUERY: Final = "application/timestamp-query"
REPLY: Final = "application/timestamp-reply"

BODY_PATIENCE_S: Final = 5
"""How long a request may take to arrive: it fits the packet that its head comes in. Each that does not finish holds one of the
places of all HTTP requests for so long; then HTTP 408."""

_PEM: Final = ".pem"
_SERIAL: Final = re.compile("[0-9a-fA-F]{1,40}")
"""A serial number of at most 20 bytes (RFC 5280 section 4.1.2.2) in hex."""


class TsaEndpoint:
    """The units of one node."""

    def __init__(self, units: Mapping[str, Timestamping], *, default: str) -> None:
        """Serve units by name (`p256`, `sm2`); `/tsa` is that of the name `default`."""
        self._units = dict(units)
        self._default = default

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the response to a request for a token, or for a unit's certificate."""
        name = request.rel_url.raw_path.removeprefix(FOLDER).removeprefix(PATH) or self._default
        if request.method in {"GET", "HEAD"}:
            return self._certificate(name)
        unit = self._units.get(name)
        if unit is None:
            return _text(404, f"no such timestamp unit; there are {', '.join(self._units)}\n")
        if request.method != "POST":
            response = _text(405, f"POST a request as {QUERY}\n")
            response.headers["Allow"] = "POST"
            return response
        if request.content_type != QUERY:
            return _text(415, f"found {request.content_type}; expected {QUERY} (RFC 3161)\n")
        body = await read_body(request, most_bytes=MAX_REQUEST_BYTES, patience_s=BODY_PATIENCE_S)
        try:
            return _reply(await _token(unit, body, turn))
        except RequestRejected as rejection:
            unit.count_rejection(rejection)
            return _reply(rejected(rejection.failure, rejection.message))

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what cannot be read, or for which there is no room."""
        if isinstance(error, Unavailable):
            response = _text(429, f"{error.message}\n")
            response.headers.update(retry_after_header(RETRY_AFTER_MS))
            return response
        response = _text(unreadable_status(error) or 400, f"{error.message}\n")
        response.force_close()
        return response

    def _certificate(self, name: str) -> web.Response:
        found = None
        if name.endswith(_PEM):
            try:
                found = self._certificates(name.removesuffix(_PEM))
            except Unavailable as error:
                return _text(503, f"{error.message}\n")
        if found is None:
            names = ", ".join(f"{FOLDER}{n}{_PEM}" for n in self._units)
            return _text(
                404,
                f"POST a request as {QUERY}; certificates are at {names}, and earlier ones of this node at "
                f"{FOLDER}SERIAL{_PEM}\n",
            )
        body = write_bundle(found)
        return web.Response(
            body=body,
            headers={
                "Content-Type": "application/pem-certificate-chain",
                "Cache-Control": "no-cache",
            },
        )

    def _certificates(self, name: str) -> tuple[X509Certificate, ...] | None:
        """Return a unit's certificates by its name, or by the serial number of one; None if there are none. Raises Unavailable."""
        unit = self._units.get(name)
        if unit is not None:
            return unit.certificates()
        if _SERIAL.fullmatch(name) is None:
            return None
        number = int(name, 16)
        found = (one.former_certificates(number) for one in self._units.values())
        return next((certificates for certificates in found if certificates is not None), None)


async def _token(service: Timestamping, body: bytes, turn: ReadingTurn) -> bytes:
    """Return the response with a token.

    Raises:
        RequestRejected: there is none.
    """
    await turn.next(Share())
    request = decode_request(body)
    decided: asyncio.Future[Stamp | RequestRejected] = asyncio.get_running_loop().create_future()

    def done(stamp: Stamp | RequestRejected) -> None:
        # The client may be gone, and its handler with it.
        if not decided.done():
            decided.set_result(stamp)

    service.stamp(request, done, is_gone=decided.cancelled)
    stamp = await decided
    if isinstance(stamp, RequestRejected):
        raise stamp
    # A list of a thousand is decided at once; its tokens are signed in turns, between which consensus goes on.
    await turn.next(Share())
    return granted(stamp.unit.template.token(request, stamp.facts))


def _reply(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": REPLY, "Cache-Control": "no-store"})


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"Cache-Control": "no-store"})
