"""How much of the event loop requests may have: the validator itself runs on it.

A turn begins with the first request that is read, and ends when the loop has gone round once. What all connections together may
read in it is bounded, whoever and however many they are; those that it leaves out are read in the next, the longest unserved
first. An overloaded node must read what it refuses, or its clients hear so late: so requests are read for as long as consensus
has just had.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_READ_MS: Final = 20
MOST_READ_MS: Final = 100
"""How long requests of all connections together are read in a turn: as long as consensus has just had, within these bounds."""

LEAST_SHARE_MS: Final = 2
"""What a connection may read of a turn that many wait for, so that one that asks much does not keep others from asking little.
Where all of them divided it, each would be interrupted after a request or two."""


class Share:
    """What one connection has had."""

    __slots__ = ("served", "since_ms")

    def __init__(self) -> None:
        self.served = -1
        """Number of the turn in which it was read last."""

        self.since_ms = 0
        """When it began to read in that turn."""


class ReadingTurn:
    """The turns of one listener."""

    __slots__ = ("_last_ms", "_now_ms", "_number", "_share_ms", "_until_ms", "_waiting", "_woken")

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms` reads the monotonic clock."""
        self._now_ms = now_ms
        self._number = 0
        self._until_ms: int | None = None
        """When the present turn is over; None between turns."""

        self._share_ms = 0
        self._woken = 0
        """How many waited for the present turn."""

        self._last_ms = now_ms()
        """When something was read last."""

        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def is_over(self, share: Share) -> bool:
        """Whether a connection must wait for the next turn before it reads one more request."""
        now_ms = self._now_ms()
        if self._until_ms is None:
            read_ms = min(max(now_ms - self._last_ms, LEAST_READ_MS), MOST_READ_MS)
            self._number += 1
            self._until_ms = now_ms + read_ms
            self._share_ms = max(LEAST_SHARE_MS, read_ms // max(1, self._woken))
            asyncio.get_running_loop().call_soon(self._end)
        if share.served != self._number:
            if now_ms >= self._until_ms:
                return True
            share.served, share.since_ms = self._number, now_ms
        elif now_ms >= self._until_ms or now_ms - share.since_ms >= self._share_ms:
            return True
        self._last_ms = now_ms
        return False

    async def next(self, share: Share) -> None:
        """Return once a turn has room for this connection: at once if the present one has."""
        while self.is_over(share):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((share.served, woken))
            await woken

    def _end(self) -> None:
        self._until_ms = None
        waiting, self._waiting = self._waiting, []
        self._woken = len(waiting)
        for _, woken in sorted(waiting, key=lambda one: one[0]):
            # Its client may have gone.
            if not woken.done():
                woken.set_result(None)
