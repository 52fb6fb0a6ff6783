"""How a member shows a node that it may see what is for members: digests, salts, bodies of transactions.

    message  = context("rpc-auth") || canonical bytes of [account, method, params_hash, time_ms]
    params_hash = hash("rpc-params", the request's params without `auth`, as RFC 8785 JSON)

The account's key signs the message. It names the request and a moment, and a node takes it for one minute around
its own clock. Within that minute it may be sent again: it opens nothing but the same answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, Union

from chainnode.model import codec
from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.domain import Domain

AUTH_WINDOW_MS: Final = 60_000
"""How far the time in an authorization may lie from the node's clock, either way."""

MAX_JSON_INTEGER: Final = 2**53 - 1
"""RFC 8785 writes numbers as IEEE doubles do; integers up to here are exact in them."""

Param: TypeAlias = Union[bool, int, str, "list[Param]", "dict[str, Param]", None]
"""A value that may stand in the parameters of a request that is signed; no floats."""

_EXACT: Final = frozenset((str, type(None)))
"""What else has one form only. Parsed JSON may hold floats, whatever its declared type says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A member's signature under a request."""

    account: str
    """Who asks, `organisation/account`."""

    public_key: bytes
    """A key of purpose `account` that belongs to it."""

    time_ms: int
    """The member's clock, milliseconds UTC."""

    signature: bytes
    """Of `auth_message`."""


def auth_message(
    domain: Domain, *, account: str, method: str, params: Mapping[str, Param], time_ms: int
) -> bytes:
    """Return the bytes that a member signs so that a node answers `method` with `params` in full.

    Args:
        domain: of the chain.
        account: who asks.
        method: name of the method.
        params: by name, `auth` left out; only what the request really carries, defaults not filled in.
        time_ms: now, milliseconds UTC.

    Raises:
        DecodeError: the parameters hold a float, an integer beyond 2^53, or half a surrogate pair.
    """
    params_hash = domain.hash("rpc-params", canonical_json(dict(params)))
    return domain.context("rpc-auth") + codec.encode((account, method, params_hash, time_ms))


def canonical_json(value: Param) -> bytes:
    """Return RFC 8785 JSON of a value without floats whose objects have ASCII names.

    Raises:
        DecodeError: the value has no such form.
    """
    _check_exact(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DecodeError("params: half a surrogate pair in a string", field="params") from None


def _check_exact(value: Param) -> None:
    # Parameters come nested no deeper than the parser of requests allows.
    if isinstance(value, dict):
        for name, member in value.items():
            if not name.isascii():
                raise DecodeError(f"params: the name {name!r} is not ASCII", field="params")
            _check_exact(member)
    elif isinstance(value, list):
        for member in value:
            _check_exact(member)
    elif isinstance(value, int):
        if not -MAX_JSON_INTEGER <= value <= MAX_JSON_INTEGER:
            raise DecodeError(
                f"params: found {value}; expected an integer up to 2^53 - 1", field="params"
            )
    elif type(value) not in _EXACT:
        raise DecodeError(f"params: found a {type(value).__name__}", field="params")
