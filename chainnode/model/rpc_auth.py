"""How a member shows a node that it may see what is for members: digests, salts, bodies of transactions.

    message  = context("rpc-auth") || canonical bytes of [account, method, params_hash, time_ms]
    params_hash = hash("rpc-params", the request's params without `auth`, as RFC 8785 JSON)

The account's key signs the message. It names the request and a moment, and a node takes it for one minute around
its own clock. Within that minute it may be sent again: it opens nothing but the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.canonical_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.canonical_json import Param
    from chainnode.model.domain import Domain

AUTH_WINDOW_MS: Final = 60_000
"""How far the time in an authorization may lie from the node's clock, either way."""


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
