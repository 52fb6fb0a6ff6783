"""JSON-RPC error numbers: which kind of error it is. The precise cause is the string `data.code`.

The first five are those of JSON-RPC 2.0. The others stand for one class each of `chainnode.model.errors`, so that
the client raises what the node raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.errors import (
    CannotTell,
    ChainError,
    DecodeError,
    NotFound,
    ProofInvalid,
    Refused,
    Unavailable,
)

if TYPE_CHECKING:
    from chainnode.rpc.results import Json

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REFUSED: Final = -32000
NOT_FOUND: Final = -32001
UNAVAILABLE: Final = -32002
CANNOT_TELL: Final = -32003
TIMEOUT: Final = -32004
OVERLOADED: Final = -32005
PROOF_INVALID: Final = -32006

MEANINGS: Final[dict[int, str]] = {
    PARSE_ERROR: "the text is not JSON, holds a name twice, or nests too deeply",
    INVALID_REQUEST: "the JSON is not a JSON-RPC 2.0 request, or the batch is empty or too large",
    METHOD_NOT_FOUND: "there is no such method",
    INVALID_PARAMS: "a parameter is missing, unknown or of another shape",
    INTERNAL_ERROR: "the node's own mistake; nothing is known about the outcome",
    REFUSED: "the chain or the node refused; nothing was changed",
    NOT_FOUND: "the thing asked for does not exist here",
    UNAVAILABLE: "not ready; trying later may help",
    CANNOT_TELL: "neither proven to hold nor proven not to hold",
    TIMEOUT: "the outcome was not known in time; the transaction is still pending",
    OVERLOADED: "the node is overloaded and accepted nothing; wait for data.retry_after_ms",
    PROOF_INVALID: "what was given is proven not to hold",
}
"""Each number, for people."""

OVERLOAD_CODES: Final = frozenset(("overloaded", "pool_full", "share_used_up"))
"""Codes that mean: nothing was accepted, come back later."""

_CLASSES: Final[tuple[tuple[type[ChainError], int], ...]] = (
    (DecodeError, INVALID_PARAMS),
    (NotFound, NOT_FOUND),
    (CannotTell, CANNOT_TELL),
    (ProofInvalid, PROOF_INVALID),
    (Unavailable, UNAVAILABLE),
)


def number_of(error: ChainError) -> int:
    """Return the number under which an error travels."""
    if error.error_code in OVERLOAD_CODES:
        return OVERLOADED
    if error.error_code == "timeout":
        return TIMEOUT
    return next((number for kind, number in _CLASSES if isinstance(error, kind)), REFUSED)


def error_object(
    number: int, message: str, code: str, field: str | None, retry_after_ms: int | None
) -> dict[str, Json]:
    """Return the `error` member of a response; what each argument is, the members of `ChainError` and `Unavailable` say."""
    data: dict[str, Json] = {"code": code, "field": field}
    if retry_after_ms is not None:
        data["retry_after_ms"] = retry_after_ms
    return {"code": number, "message": message, "data": data}


def error_from(value: Json) -> ChainError:
    """Return the exception for a response's `error` member; total, since a node may send anything."""
    if not isinstance(value, dict):
        return Unavailable("the node answered an error of no known shape", code="bad_answer")
    number, message, data = value.get("code"), value.get("message"), value.get("data")
    detail = data if isinstance(data, dict) else {}
    code, field, retry = detail.get("code"), detail.get("field"), detail.get("retry_after_ms")
    message = message if isinstance(message, str) else "the node gave no reason"
    code = code if isinstance(code, str) else "error"
    field = field if isinstance(field, str) else None
    if number in {UNAVAILABLE, TIMEOUT, OVERLOADED, INTERNAL_ERROR}:
        retry_after_ms = retry if type(retry) is int else None
        return Unavailable(message, code=code, field=field, retry_after_ms=retry_after_ms)
    if number in {PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS}:
        return DecodeError(message, code=code, field=field)
    for kind, class_number in _CLASSES:
        if number == class_number:
            return kind(message, code=code, field=field)
    return Refused(message, code=code, field=field)
