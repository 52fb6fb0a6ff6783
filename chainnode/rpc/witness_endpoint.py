"""The two doors of a witness (C2SP tlog-witness): logs submit at `/add-checkpoint`, monitors read below `/witness/`.

POST /add-checkpoint                            200 cosignature; 400, 403, 404, 409, 422 as the specification has them
GET  /witness/<sha256(origin) in hex>/checkpoint    the newest checkpoint that was cosigned
GET  /witness/vkey                              the key that the cosignatures are checked with
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.errors import (
    ChainError,
    DecodeError,
    NotFound,
    ProofInvalid,
    Refused,
    Unavailable,
)
from chainnode.model.note import signature_lines
from chainnode.model.tlog_witness import (
    MAX_SUBMISSION_BYTES,
    SIZE_CONTENT_TYPE,
    SizeConflict,
    encode_size,
    parse_submission,
)
from chainnode.rpc.endpoint import read_body, retry_after_header, unreadable_status
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share

if TYPE_CHECKING:
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.services.witness import WitnessService

SUBMISSION_PATH: Final = "/add-checkpoint"
MONITORING_FOLDER: Final = "/witness/"

_CHECKPOINT: Final = re.compile(r"/witness/([0-9a-f]{64})/checkpoint")
_STATUS: Final = (
    (NotFound, 404),
    (Refused, 403),
    (ProofInvalid, 422),
    (Unavailable, 429),
    (DecodeError, 400),
)


class SubmissionEndpoint:
    """Takes checkpoints of other logs."""

    def __init__(self, witness: WitnessService) -> None:
        self._witness = witness

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the cosignature, or why there is none. Raises NodeFault, and DecodeError as `read_body`."""
        if request.method != "POST":
            return _text(405, "POST only", {"Allow": "POST"})
        body = await read_body(request, most_bytes=MAX_SUBMISSION_BYTES)
        await turn.next(Share())
        try:
            signature = self._witness.add_checkpoint(parse_submission(body))
        except SizeConflict as error:
            return web.Response(
                status=409,
                body=encode_size(error.size),
                headers={"Content-Type": SIZE_CONTENT_TYPE, "Cache-Control": "no-store"},
            )
        except ChainError as error:
            return _refusal(error)
        return _text(200, signature_lines((signature,)).removesuffix("\n"))

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what cannot be read, or has no room."""
        return _refusal(error)


class WitnessedEndpoint:
    """Shows what was cosigned, and with which key."""

    def __init__(self, witness: WitnessService) -> None:
        self._witness = witness

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the page at the request's path; `turn` is not needed for what is at hand."""
        if request.method not in {"GET", "HEAD"}:
            return _text(405, "GET only", {"Allow": "GET, HEAD"})
        path = request.rel_url.raw_path
        if path == f"{MONITORING_FOLDER}vkey":
            return _text(200, self._witness.key.vkey())
        match = _CHECKPOINT.fullmatch(path)
        if match is None:
            return _text(404, "no such page")
        try:
            note = self._witness.newest(match[1])
        except NotFound as error:
            return _refusal(error)
        return _text(200, note.encode().decode().removesuffix("\n"))

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what has no room."""
        return _refusal(error)


def _refusal(error: ChainError) -> web.Response:
    status = unreadable_status(error) if isinstance(error, DecodeError) else None
    if status is None:
        status = next(number for kind, number in _STATUS if isinstance(error, kind))
        headers = {}
        if isinstance(error, Unavailable):
            headers = retry_after_header(error.retry_after_ms or RETRY_AFTER_MS)
            status = 503 if error.error_code == "not_recorded" else status
        return _text(status, error.message, headers)
    response = _text(status, error.message)
    # The rest of the body is still on its way; nothing after it on this connection makes sense.
    response.force_close()
    return response


def _text(status: int, line: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=f"{line}\n".encode("utf-8", "replace"),
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )
