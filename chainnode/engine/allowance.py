"""How much one peer may have served in a while: asking costs it a line, answering costs us up to a block.

A correct peer asks for each block and transaction about once. One that asks for the same again and again is not
answered beyond its allowance; nothing else of it is affected, since that is all it could gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from chainnode.engine.ports import Clock

ALLOWED_BYTES: Final = 2 * MAX_BLOCK_BYTES
"""Served to one peer in each `PERIOD_MS`: two of the largest blocks, or half a gigabit a second."""

PERIOD_MS: Final = 1_000


class Allowance:
    """What each peer was served lately. One entry for each validator that ever asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: dict[str, tuple[int, int]] = {}

    def has(self, peer: str) -> bool:
        """Whether a peer may be served now; the last answer may exceed what was left."""
        began_ms, served = self._served.get(peer, (0, 0))
        return served < ALLOWED_BYTES or self._clock.monotonic_ms() >= began_ms + PERIOD_MS

    def spend(self, peer: str, size_bytes: int) -> None:
        """Charge an answer to a peer."""
        now_ms = self._clock.monotonic_ms()
        began_ms, served = self._served.get(peer, (now_ms, 0))
        if now_ms >= began_ms + PERIOD_MS:
            began_ms, served = now_ms, 0
        self._served[peer] = (began_ms, served + size_bytes)


class Turns:
    """Something that is done for one peer at most once in `every_ms`."""

    def __init__(self, clock: Clock, every_ms: int) -> None:
        self._clock = clock
        self._every_ms = every_ms
        self._taken_ms: dict[str, int] = {}

    def take(self, peer: str) -> bool:
        """Take a peer's turn if it is due; return whether it was."""
        now_ms = self._clock.monotonic_ms()
        if self._taken_ms.get(peer, -self._every_ms) > now_ms - self._every_ms:
            return False
        self._taken_ms[peer] = now_ms
        return True
