"""`/openapi.json`: the gateway described for machines (OpenAPI 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.limits import MAX_TITLE_BYTES
from chainnode.rpc.json_text import encode_json
from chainnode.services.gateway_journal import MAX_KEY_BYTES

if TYPE_CHECKING:
    from chainnode.model.errors import DecodeError, Unavailable
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.rpc.results import Json

PATH: Final = "/openapi.json"


class OpenApiPage:
    """Answers with the document."""

    def __init__(self, version: str) -> None:
        """`version` is that of the software."""
        self._body = encode_json(openapi_document(version)).encode()

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the document to whoever gets it."""
        del turn
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="GET only\n")
        return web.Response(
            body=self._body,
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache"},
        )

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response when there is no room."""
        return web.Response(status=429, text=f"{error.message}\n")


def openapi_document(version: str) -> Json:
    """Return the description of every request of the gateway."""
    id_parameter: Json = {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chainnode gateway",
            "version": version,
            "summary": "Notarization for systems without keys: digests in, proofs out",
        },
        "security": [{"token": []}],
        "paths": {
            "/v1/records": {
                "post": {
                    "operationId": "submitRecord",
                    "summary": "Hand in the digests of one document; answered once they are on the node's disk, or later with `wait`",
                    "parameters": [
                        {
                            "name": "Idempotency-Key",
                            "in": "header",
                            "schema": {
                                "type": "string",
                                "minLength": 1,
                                "maxLength": MAX_KEY_BYTES,
                            },
                            "description": "Names this wish for ever, among those of the token; a retry gets the same record",
                        }
                    ],
                    "requestBody": {"required": True, "content": _content(_ref("RecordRequest"))},
                    "responses": {
                        "200": _answer("Decided, as `wait` asked", "Record"),
                        "202": _answer("Accepted: on disk, and sent until it is decided", "Record"),
                        **_errors("400", "401", "413", "422", "429", "503"),
                    },
                }
            },
            "/v1/records/{id}": {
                "get": {
                    "operationId": "getRecord",
                    "summary": "Where a document stands",
                    "parameters": [id_parameter],
                    "responses": {
                        "200": _answer("As far as it is", "Record"),
                        **_errors("400", "401", "404", "429"),
                    },
                }
            },
            "/v1/records/{id}/proof": {
                "get": {
                    "operationId": "getProof",
                    "summary": "The .tlog-proof of a committed document",
                    "parameters": [id_parameter],
                    "responses": {
                        "200": {
                            "description": "A C2SP tlog-proof",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        },
                        "409": _answer(
                            "Not yet committed, or not yet cosigned; try again", "Error"
                        ),
                        **_errors("400", "401", "404", "422", "429"),
                    },
                }
            },
            "/v1/digests/{algorithm}/{digest}": {
                "get": {
                    "operationId": "findDigest",
                    "summary": "Registrations of a digest: public ones, and those by this node's own account",
                    "parameters": [
                        {
                            "name": "algorithm",
                            "in": "path",
                            "required": True,
                            "schema": {"enum": list(DIGEST_BYTES)},
                        },
                        {
                            "name": "digest",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "pattern": "^([0-9a-f]{2})+$"},
                        },
                        {
                            "name": "after",
                            "in": "query",
                            "schema": {"type": "integer", "minimum": 0},
                            "description": "`next_after` of the answer before",
                        },
                    ],
                    "responses": {
                        "200": _answer(
                            "The oldest 20 behind `after`, perhaps none; go on until `next_after` is null",
                            "Registrations",
                        ),
                        **_errors("400", "401", "429"),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> Json:
    integer: Json = {"type": "integer", "minimum": 0}
    maybe_integer: Json = {"type": ["integer", "null"], "minimum": 0}
    maybe_text: Json = {"type": ["string", "null"]}
    digests: dict[str, Json] = {
        name: {"type": "string", "pattern": f"^[0-9a-f]{{{2 * size}}}$"}
        for name, size in DIGEST_BYTES.items()
    }
    return {
        "RecordRequest": {
            "type": "object",
            "additionalProperties": False,
            "required": ["digests"],
            "properties": {
                "digests": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": digests,
                },
                "title": {
                    "type": ["string", "null"],
                    "description": f"At most {MAX_TITLE_BYTES} bytes of UTF-8; never enters the log",
                },
                "metadata_hash": {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
                "public": {
                    "type": "boolean",
                    "default": False,
                    "description": "Whether anybody who has the document may search the log for it",
                },
                "webhook": {
                    "type": ["string", "null"],
                    "description": "Name of a target that the operator has configured; it is told once this is decided",
                },
                "wait": {
                    "enum": ["committed", "proof", None],
                    "description": "For what to wait, 30 s at most",
                },
            },
        },
        "Record": {
            "type": "object",
            "required": ["id", "status", "tx_id", "index", "height", "time_ms", "code", "message"],
            "properties": {
                "id": {"type": "string"},
                "status": {"enum": ["accepted", "committed", "failed"]},
                "tx_id": {"type": "string"},
                "index": maybe_integer,
                "height": maybe_integer,
                "time_ms": maybe_integer,
                "code": maybe_text,
                "message": maybe_text,
                "proof": {"type": "string", "description": "With `wait: proof`: the .tlog-proof"},
            },
        },
        "Registrations": {
            "type": "object",
            "required": ["records", "next_after"],
            "properties": {
                "next_after": maybe_integer,
                "records": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "index": integer,
                            "height": integer,
                            "time_ms": integer,
                            "not_before_ms": integer,
                            "not_after_ms": integer,
                            "account": {"type": "string"},
                            "tx_id": {"type": "string"},
                            "item": integer,
                            "public": {"type": "boolean"},
                        },
                    },
                },
            },
        },
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "message", "field"],
                    "properties": {
                        "code": {"type": "string", "description": "Stable; match on it"},
                        "message": {"type": "string"},
                        "field": maybe_text,
                        "retry_after_ms": integer,
                    },
                }
            },
        },
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _answer(description: str, schema: str) -> Json:
    return {"description": description, "content": _content(_ref(schema))}


def _errors(*statuses: str) -> dict[str, Json]:
    return {status: _answer(_ERRORS[status], "Error") for status in statuses}


_ERRORS: Final = {
    "400": "The request is malformed; `field` says where",
    "401": "No token, or none of this gateway's",
    "404": "Nothing of that id came under this token, or it is no longer remembered",
    "413": "The body is longer than 8 KiB",
    "422": "Refused: the idempotency key stands for something else, or the chain said no",
    "429": "Too much at once; `Retry-After` says when",
    "503": "The node cannot sign just now",
}
