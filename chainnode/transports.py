"""Connections that may be over already: asyncio's TLS transports do not take every question kindly then.

A transport of `asyncio.sslproto` that is closed a second time, as aiohttp does with one that is lost, lets go of what it
stands on. From then on even `get_extra_info` raises AttributeError, and up to Python 3.11.3, which Debian 12 has, so does
`abort`. A connection that is over is no fault of this node.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def hang_up(transport: asyncio.WriteTransport | asyncio.BaseTransport) -> None:
    """End a connection at once, without a word, if it is not over."""
    with contextlib.suppress(AttributeError):
        transport.abort()  # type: ignore[union-attr]  # every stream transport has it


def extra_info(transport: asyncio.BaseTransport, name: str) -> object | None:
    """Return what `get_extra_info` does; None if the connection is over."""
    try:
        found: object | None = transport.get_extra_info(name)
    except AttributeError:
        return None
    return found
