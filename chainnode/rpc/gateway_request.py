"""The body of `POST /v1/records`, strictly read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chainnode.model import codec
from chainnode.model.calls import Document, parse_document
from chainnode.model.errors import DecodeError
from chainnode.rpc.json_text import parse_request

if TYPE_CHECKING:
    from chainnode.rpc.results import Json

MAX_BODY_BYTES: Final = 8 * 1024
"""Three digests and a title of 256 bytes, escaped, take under 3 KiB."""

WAITS: Final = ("committed", "proof")
_FIELDS: Final = ("digests", "title", "metadata_hash", "public", "wait", "webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """What a system asks for."""

    document: Document
    is_public: bool
    wait: Literal["committed", "proof"] | None
    """For what the answer waits, beyond acceptance."""

    webhook: str | None
    """Name of a configured target."""

    request_hash: bytes
    """Of document and publicity: what an idempotency key stands for."""


def parse_record_request(body: bytes) -> RecordRequest:
    """Read the body of a request for a record.

    Raises:
        DecodeError: not JSON, an unknown field, or a value that cannot be; `field` names it.
    """
    try:
        value = parse_request(body.decode())
    except UnicodeDecodeError as error:
        raise DecodeError("the body is not UTF-8", code="parse_error") from error
    if not isinstance(value, dict):
        raise DecodeError("found no JSON object", code="bad_request")
    unknown = sorted(set(value) - set(_FIELDS))
    if unknown:
        raise DecodeError(
            f"{unknown[0][:40]!r} is no field; there are {', '.join(_FIELDS)}",
            code="unknown_parameter",
            field=unknown[0][:40],
        )
    is_public, wait = value.get("public", False), value.get("wait")
    if type(is_public) is not bool:
        raise DecodeError("public: expected true or false", field="public")
    digests = _digests(value.get("digests"))
    metadata_hash = value.get("metadata_hash")
    document = parse_document(
        (
            digests,
            _text(value.get("title"), "title"),
            None if metadata_hash is None else _hex(metadata_hash, "metadata_hash"),
        )
    )
    return RecordRequest(
        document=document,
        is_public=is_public,
        wait=_wait(wait),
        webhook=_text(value.get("webhook"), "webhook"),
        request_hash=hashlib.sha256(codec.encode((document.as_value(), is_public))).digest(),
    )


def _digests(value: Json) -> tuple[tuple[str, bytes], ...]:
    if not isinstance(value, dict):
        raise DecodeError(
            'digests: expected an object like {"sha256": "<hex>", "sm3": "<hex>"}', field="digests"
        )
    return tuple((name, _hex(value[name], f"digests.{name[:16]}")) for name in sorted(value))


def _wait(value: Json) -> Literal["committed", "proof"] | None:
    match value:
        case None:
            return None
        case "committed":
            return "committed"
        case "proof":
            return "proof"
        case _:
            raise DecodeError(f"wait: expected one of {', '.join(WAITS)}", field="wait")


def _text(value: Json, what: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise DecodeError(f"{what}: expected a string", field=what)


def _hex(value: Json, what: str) -> bytes:
    if isinstance(value, str) and value == value.lower():
        try:
            found = bytes.fromhex(value)
        except ValueError:
            found = b""
        if found.hex() == value and found:
            return found
    raise DecodeError(f"{what}: expected lower-case hex", field=what, code="bad_digest")
