"""Asking servers whose answer's status is all that counts: of each answer the beginning is read, and no more.

aiohttp bounds each line of an answer, and neither how many interim answers (RFC 9110 section 15.2) come before the one
that counts nor what their parsing costs, which holds up the event loop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    import asyncio

MAX_ANSWER_BYTES: Final = 8 * 1024
"""Of an answer, interim ones before it included: as much as reverse proxies take of a head. In it there is room for 300
interim answers, some 4 ms."""


def short_answers(
    loop: asyncio.AbstractEventLoop, *, most_bytes: int = MAX_ANSWER_BYTES
) -> aiohttp.TCPConnector:
    """Return a connector without a limit of connections.

    An answer whose head is not whole within `most_bytes` fails as one whose connection was lost. Of one whose head
    is, the rest is left unread, and the connection is used for no other request.
    """
    return _Connector(loop, most_bytes)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, loop: asyncio.AbstractEventLoop, most_bytes: int) -> None:
        super().__init__(limit=0, loop=loop)
        self._factory = partial(_Handler, loop, most_bytes)  # type: ignore[assignment]  # partial is invariant


class _Handler(ResponseHandler):
    """One connection; each request on it begins to count anew."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most_bytes: int) -> None:
        super().__init__(loop=loop)
        self._left = self._most_bytes = most_bytes

    def set_response_params(self, **params: Any) -> None:  # type: ignore[explicit-override]  # noqa: ANN401
        self._left = self._most_bytes
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]  # Python 3.12 has @override
        if len(data) > self._left and self.transport is not None:
            # Nothing more is received, and what was stays to be read.
            self.transport.abort()
        begin, self._left = data[: self._left], max(0, self._left - len(data))
        super().data_received(begin)
