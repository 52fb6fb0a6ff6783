"""From a request's text to the text of its answer. JSON-RPC 2.0 (jsonrpc.org/specification).

    respond(text, retry_after_ms)      called once per text: now, or when what was asked for is decided;
                                       text is None if the request wanted no answer (a notification)

An unexpected exception is answered as the node's own mistake and logged. A NodeFault is not answered: it goes up to
whoever called, and the node stops.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, DecodeError, NodeFault, Refused, Unavailable
from chainnode.rpc.error_numbers import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    OVERLOADED,
    PARSE_ERROR,
    error_object,
    number_of,
)
from chainnode.rpc.json_text import encode_json, parse_request
from chainnode.rpc.limits import MAX_BATCH, MAX_BATCH_MS, MAX_ID_BYTES, RETRY_AFTER_MS
from chainnode.rpc.shapes import parse_parameters
from chainnode.rpc.table import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chainnode.clock import Clock
    from chainnode.rpc.results import Json
    from chainnode.rpc.table import Method, Stream
    from chainnode.services.metrics import Metrics

    Respond = Callable[[str | None, int | None], None]

_log: Final = logging.getLogger(__name__)
_NO_PARAMS: Final[dict[str, Json]] = {}


class Dispatcher:
    """Answers requests from the method table."""

    def __init__(self, methods: Iterable[Method], *, metrics: Metrics, clock: Clock) -> None:
        self._methods = {method.name: method for method in methods}
        self._metrics = metrics
        self._clock = clock

    def answer(
        self, text: str, respond: Respond, *, stream: Stream | None = None, packed: bool = False
    ) -> None:
        """Answer one text: a request, or a batch of up to 100.

        Args:
            text: what came.
            respond: as the module says.
            stream: the WebSocket that it came by.
            packed: whether each request of a batch is answered by itself, as soon as it can be.

        Raises:
            NodeFault: this node can go on no more.
        """
        try:
            value = parse_request(text)
        except DecodeError as error:
            respond(error_text("null", error, PARSE_ERROR), None)
            return
        if not isinstance(value, list):
            self._answer_one(value, respond, stream)
        elif not 1 <= len(value) <= MAX_BATCH:
            found = f"a batch of {len(value)} requests; expected 1 to {MAX_BATCH}"
            wrong_size = DecodeError(found, code="batch_size")
            respond(error_text("null", wrong_size, INVALID_REQUEST), None)
        else:
            respond_one = respond if packed else _Batch(len(value), respond).respond_one
            until_ms = self.now_ms() + MAX_BATCH_MS
            for request in value:
                self._answer_one(request, respond_one, stream, until_ms)

    def _answer_one(
        self, value: Json, respond: Respond, stream: Stream | None, until_ms: int | None = None
    ) -> None:
        if not isinstance(value, dict):
            error = _invalid(f"found {type(value).__name__}, expected an object")
            respond(error_text("null", error, INVALID_REQUEST), None)
            return
        is_notification = "id" not in value
        number = value.get("id")
        if type(number) is int:
            id_text = str(number)
        elif number is None or (type(number) is str and len(number) <= MAX_ID_BYTES):
            id_text = encode_json(number)
        else:
            error = _invalid("id: expected a short string, an integer or null")
            respond(error_text("null", error, INVALID_REQUEST), None)
            return
        try:
            method, params = self._read_envelope(value)
        except DecodeError as error:
            # What is not even a request cannot ask to be left without an answer.
            respond(error_text(id_text, error, INVALID_REQUEST), None)
            return
        except Refused as error:
            text = None if is_notification else error_text(id_text, error, METHOD_NOT_FOUND)
            respond(text, None)
            return
        reply = _Reply(self, method, id_text, is_notification, respond, stream)
        if until_ms is not None and self.now_ms() > until_ms:
            reply.done(_overloaded("the requests before it in its batch took too long"))
        else:
            self._call(method, params, stream, reply)

    def _read_envelope(self, value: dict[str, Json]) -> tuple[Method, dict[str, Json]]:
        name, params = value.get("method"), value.get("params", _NO_PARAMS)
        if value.get("jsonrpc") != "2.0":
            raise _invalid('jsonrpc: expected "2.0"')
        if type(name) is not str:
            raise _invalid("method: expected a string")
        if not isinstance(params, dict | list):
            raise _invalid("params: expected an object or an array")
        if len(value) > 4 or not value.keys() <= {"jsonrpc", "id", "method", "params"}:
            raise _invalid("expected nothing but jsonrpc, id, method and params")
        method = self._methods.get(name)
        if method is None:
            raise Refused(
                f"there is no method {name[:80]!r}; GET /openrpc.json lists all",
                code="unknown_method",
                field="method",
            )
        if isinstance(params, list):
            names = [p.name for p in method.parameters]
            # More values than names: the surplus meets the error for unknown parameters.
            names += [f"#{i}" for i in range(len(names), len(params))]
            params = dict(zip(names, params, strict=False))
        return method, params

    def _call(
        self, method: Method, params: dict[str, Json], stream: Stream | None, reply: _Reply
    ) -> None:
        try:
            _check_room(stream)
            values = parse_parameters(method.declared, params)
            request = Request(method=method.name, params=params, values=values, stream=stream)
            method.handler(request, reply.done)
        except ChainError as error:
            reply.done(error)
        except NodeFault:
            raise
        except Exception:  # noqa: BLE001  # a read gone wrong must not end the node, and is logged
            _log.exception("rpc_failed method=%s", method.name)
            mistake = Unavailable(
                "the node made a mistake in answering; nothing is known about the outcome",
                code="internal_error",
            )
            reply.fail(mistake, INTERNAL_ERROR)

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return self._clock.monotonic_ms()

    def count(self, method: Method, code: str | None, started_ms: int) -> None:
        """Tell the metrics of an answer."""
        self._metrics.answered(method.name, code, self._clock.monotonic_ms() - started_ms)


class _Reply:
    """Answers one request, once."""

    __slots__ = (
        "_dispatcher",
        "_id_text",
        "_is_notification",
        "_method",
        "_respond",
        "_started_ms",
        "_stream",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        method: Method,
        id_text: str,
        is_notification: bool,  # noqa: FBT001
        respond: Respond,
        stream: Stream | None,
    ) -> None:
        self._dispatcher = dispatcher
        self._method = method
        self._id_text = id_text
        self._is_notification = is_notification
        self._respond: Respond | None = respond
        self._started_ms = dispatcher.now_ms()
        self._stream = stream
        if stream is not None:
            stream.begin()

    def done(self, result: object) -> None:
        """Answer a result of the method's declared shape, or a ChainError."""
        if isinstance(result, ChainError):
            self.fail(result, number_of(result))
            return
        self._finish(
            None, f'{{"jsonrpc":"2.0","id":{self._id_text},"result":{encode_json(result)}}}'
        )

    def fail(self, error: ChainError, number: int) -> None:
        """Answer an error."""
        retry_after_ms = None
        if number == OVERLOADED:
            given = error.retry_after_ms if isinstance(error, Unavailable) else None
            retry_after_ms = RETRY_AFTER_MS if given is None else given
        self._finish(error.error_code, error_text(self._id_text, error, number), retry_after_ms)

    def _finish(self, code: str | None, text: str, retry_after_ms: int | None = None) -> None:
        respond, self._respond = self._respond, None
        if respond is None:
            # A handler that answered and then failed: the first answer stands.
            return
        if self._stream is not None:
            self._stream.end()
        self._dispatcher.count(self._method, code, self._started_ms)
        respond(None if self._is_notification else text, retry_after_ms)


class _Batch:
    """Gathers the answers of a batch into one array, in the order in which they come."""

    __slots__ = ("_missing", "_respond", "_texts")

    def __init__(self, size: int, respond: Respond) -> None:
        self._missing = size
        self._respond = respond
        self._texts: list[str] = []

    def respond_one(self, text: str | None, retry_after_ms: int | None) -> None:
        """Take one answer; the last one sends them all. Overload of single requests stays in their answers."""
        del retry_after_ms
        if text is not None:
            self._texts.append(text)
        self._missing -= 1
        if not self._missing:
            self._respond(f"[{','.join(self._texts)}]" if self._texts else None, None)


def _check_room(stream: Stream | None) -> None:
    if stream is not None and stream.is_full:
        raise _overloaded("too many requests of this connection wait for an answer")


def _overloaded(why: str) -> Unavailable:
    return Unavailable(
        f"{why}; nothing was accepted", code="overloaded", retry_after_ms=RETRY_AFTER_MS
    )


def error_text(id_text: str, error: ChainError, number: int) -> str:
    """Return the text of an error response."""
    retry_after_ms = error.retry_after_ms if isinstance(error, Unavailable) else None
    told = _error_json(number, error.message, error.error_code, error.field, retry_after_ms)
    return f'{{"jsonrpc":"2.0","id":{id_text},"error":{told}}}'


# An overloaded node gives the same answer thousands of times a second.
@lru_cache(maxsize=64)
def _error_json(
    number: int, message: str, code: str, field: str | None, retry_after_ms: int | None
) -> str:
    return encode_json(error_object(number, message, code, field, retry_after_ms))


def _invalid(found: str) -> DecodeError:
    return DecodeError(f"not a JSON-RPC 2.0 request: {found}", code="invalid_request")
