"""The gateway over HTTP: REST and JSON for systems without keys. What it answers is described by /openapi.json.

    POST /v1/records                       hand in a document's digests
    GET  /v1/records/{id}                  where it stands
    GET  /v1/records/{id}/proof            its .tlog-proof
    GET  /v1/digests/{algorithm}/{digest}  registrations of a digest

Every request needs a token, on loopback too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import ChainError, DecodeError, NotFound, Unavailable
from chainnode.rpc.endpoint import read_body, retry_after_header, unreadable_status
from chainnode.rpc.gateway_request import MAX_BODY_BYTES, parse_record_request
from chainnode.rpc.json_text import encode_json
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share
from chainnode.services.gateway_journal import ID_BYTES, MAX_KEY_BYTES
from chainnode.services.gateway_lists import Wish
from chainnode.services.outcome import Status

if TYPE_CHECKING:
    from collections.abc import Container

    from chainnode.rpc.gateway_access import GatewayAccess
    from chainnode.rpc.gateway_request import RecordRequest
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.rpc.results import Json
    from chainnode.services.commits import Commits
    from chainnode.services.gateway import Gateway, RecordStatus
    from chainnode.services.registrations import Found

FOLDER: Final = "/v1/"

WAIT_MS: Final = 30_000
"""How long `wait` waits; then the answer says `accepted`, and asking again goes on."""

MAX_LOOKUP: Final = 20
"""Registrations of a digest in one answer."""

_MAX_INDEX_DIGITS: Final = 15

_STATUS_WORDS: Final = {
    Status.PENDING: "accepted",
    Status.COMMITTED: "committed",
    Status.FAILED: "failed",
}
_HTTP: Final = {
    "unauthorized": 401,
    "key_conflict": 422,
    "not_yet_committed": 409,
    "not_yet_cosigned": 409,
    "overloaded": 429,
    "no_valid_key": 503,
}
"""By code; other errors by their class."""


class GatewayEndpoint:
    """Answers everything below `/v1/`."""

    def __init__(
        self,
        gateway: Gateway,
        access: GatewayAccess,
        commits: Commits,
        webhooks: Container[str] = frozenset(),
    ) -> None:
        """Serve whom `access` lets in; `webhooks` are the names of targets that may be told."""
        self._webhooks = webhooks
        self._gateway = gateway
        self._access = access
        self._commits = commits

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the response to a request of a system."""
        try:
            token = self._access.check(request.headers.get("Authorization"))
            parts = request.rel_url.raw_path.removeprefix(FOLDER).split("/")
            match request.method, parts:
                case "POST", ["records"]:
                    return await self._submit(token, request, turn)
                case "GET", ["records", id_]:
                    await turn.next(Share())
                    return _record(200, self._gateway.find(token, _id(id_)))
                case "GET", ["records", id_, "proof"]:
                    await turn.next(Share())
                    return _proof(self._gateway.prove(token, _id(id_)))
                case "GET", ["digests", algorithm, digest]:
                    await turn.next(Share())
                    after = _after(request.rel_url.query.get("after"))
                    page = self._gateway.lookup(
                        *_digest(algorithm, digest), limit=MAX_LOOKUP, after=after
                    )
                    found: list[Json] = [_found(one) for one in page.found]
                    return _json(200, {"records": found, "next_after": page.next_after})
                case _:
                    raise NotFound(
                        f"there is no {request.method} {request.rel_url.raw_path[:80]}; see /openapi.json",
                        code="no_such_page",
                    )
        except DecodeError as error:
            if unreadable_status(error) is not None:
                raise
            return error_response(error)
        except ChainError as error:
            return error_response(error)

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to what cannot be read, or for which there is no room."""
        response = error_response(error)
        status = unreadable_status(error) if isinstance(error, DecodeError) else None
        if status is not None:
            response.set_status(status)
            response.force_close()
        return response

    async def _submit(
        self, token: str, request: web.BaseRequest, turn: ReadingTurn
    ) -> web.StreamResponse:
        key = _key(request.headers.get("Idempotency-Key"))
        body = await read_body(request, most_bytes=MAX_BODY_BYTES)
        await turn.next(Share())
        asked = parse_record_request(body)
        if asked.webhook is not None and asked.webhook not in self._webhooks:
            raise DecodeError(
                f"webhook: this node has no target of the name {asked.webhook[:64]!r}; its operator names them in "
                "gateway.webhooks",
                code="unknown_webhook",
                field="webhook",
            )
        id_ = await self._accepted(token, key, asked)
        if asked.wait is None:
            return _record(202, self._gateway.find(token, id_))
        until = asyncio.get_running_loop().time() + WAIT_MS / 1_000
        await self._decided(token, id_, until)
        found = self._gateway.find(token, id_)
        if asked.wait == "committed" or found.status is not Status.COMMITTED:
            return _record(202 if found.status is Status.PENDING else 200, found)
        return await self._with_proof(token, found, until)

    async def _accepted(self, token: str, key: str | None, asked: RecordRequest) -> bytes:
        heard: asyncio.Future[bytes | ChainError] = asyncio.get_running_loop().create_future()

        def done(answer: bytes | ChainError) -> None:
            # The client may be gone, and its handler with it.
            if not heard.done():
                heard.set_result(answer)

        wish = Wish(
            token=token,
            key=key,
            request_hash=asked.request_hash,
            document=asked.document,
            is_public=asked.is_public,
            webhook=asked.webhook,
        )
        self._gateway.submit(wish, done)
        answer = await heard
        if isinstance(answer, ChainError):
            raise answer
        return answer

    async def _decided(self, token: str, id_: bytes, until: float) -> None:
        decided = asyncio.Event()
        unwatch = self._gateway.watch(token, id_, decided.set)
        try:
            async with asyncio.timeout_at(until):
                await decided.wait()
        except TimeoutError:
            return
        finally:
            # Decided, too late, or the client is gone and its handler cancelled.
            unwatch()

    async def _with_proof(
        self, token: str, found: RecordStatus, until: float
    ) -> web.StreamResponse:
        try:
            return _record(200, found, self._gateway.prove(token, found.id))
        except Unavailable:
            left_ms = round((until - asyncio.get_running_loop().time()) * 1_000)
        cosigned = asyncio.Event()
        try:
            self._commits.wait_for_checkpoint(
                lambda: self._gateway.is_provable(found),
                timeout_ms=max(left_ms, 1),
                done=lambda _: cosigned.set(),
            )
            await cosigned.wait()
            return _record(200, found, self._gateway.prove(token, found.id))
        except Unavailable:
            # Too many are waiting, or it took too long: the document is committed all the same.
            return _record(202, found)


def error_response(error: ChainError) -> web.Response:
    """Return an error as HTTP and JSON."""
    retry_ms = error.retry_after_ms if isinstance(error, Unavailable) else None
    detail: dict[str, Json] = {
        "code": error.error_code,
        "message": error.message,
        "field": error.field,
    }
    if retry_ms is not None:
        detail["retry_after_ms"] = retry_ms
    response = _json(_http_status(error), {"error": detail})
    if retry_ms is not None or response.status == 429:
        response.headers.update(retry_after_header(retry_ms or RETRY_AFTER_MS))
    if response.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_status(error: ChainError) -> int:
    known = _HTTP.get(error.error_code)
    if known is not None:
        return known
    if isinstance(error, DecodeError):
        return 400
    if isinstance(error, NotFound):
        return 404
    return 503 if isinstance(error, Unavailable) else 422


def record_value(found: RecordStatus) -> dict[str, Json]:
    """Return where a document stands, as JSON."""
    return {
        "id": found.id.hex(),
        "status": _STATUS_WORDS[found.status],
        "tx_id": found.tx_id.hex(),
        "index": found.index,
        "height": found.height,
        "time_ms": found.time_ms,
        "code": found.code,
        "message": found.message,
    }


def _record(http_status: int, found: RecordStatus, proof: bytes | None = None) -> web.Response:
    value = record_value(found)
    if proof is not None:
        value["proof"] = proof.decode()
    response = _json(http_status, value)
    response.headers["Location"] = f"{FOLDER}records/{found.id.hex()}"
    return response


def _found(one: Found) -> Json:
    record = one.record
    return {
        "index": one.index,
        "height": record.height,
        "time_ms": record.time_ms,
        "not_before_ms": record.not_before_ms,
        "not_after_ms": record.not_after_ms,
        "account": record.account,
        "tx_id": record.tx_id.hex(),
        "item": record.item,
        "public": one.is_public,
    }


def _proof(body: bytes) -> web.Response:
    return web.Response(
        body=body,
        headers={"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"},
    )


def _json(status: int, value: Json) -> web.Response:
    return web.Response(
        status=status,
        body=encode_json(value).encode(),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


def _key(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        size = len(header.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= MAX_KEY_BYTES:
        raise DecodeError(
            f"Idempotency-Key: expected 1 to {MAX_KEY_BYTES} bytes of UTF-8",
            code="bad_key",
            field="Idempotency-Key",
        )
    return header


def _id(text: str) -> bytes:
    found = _hex(text)
    if len(found) != ID_BYTES:
        raise DecodeError(f"id: expected {2 * ID_BYTES} hex digits", field="id")
    return found


def _digest(algorithm: str, text: str) -> tuple[str, bytes]:
    found = _hex(text)
    if len(found) != DIGEST_BYTES.get(algorithm):
        raise DecodeError(
            f"expected /v1/digests/ALGORITHM/HEX with one of {', '.join(DIGEST_BYTES)}",
            code="bad_digest",
            field="digest",
        )
    return algorithm, found


def _after(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_INDEX_DIGITS):
        raise DecodeError("after: expected a log index, as in `next_after`", field="after")
    return int(text)


def _hex(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if found.hex() == text else b""
