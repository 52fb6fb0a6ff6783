"""Time that passes only when something happens: one queue of events, and a pair of clocks for every node."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_MS = 1_750_000_001_000
"""Wall-clock time at virtual time 0: a second after the genesis of `tests.support.chain`."""


class VirtualTime:
    """What will happen, by virtual milliseconds; events of one moment happen in the order of their making."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self.leap_at_ms: int | None = None
        """When UTC inserts a second: 23:59:59 is read twice, as POSIX counts."""

        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def utc_ms(self) -> int:
        """True time: UTC as POSIX counts it, in which a leap second has no number of its own."""
        has_leapt = self.leap_at_ms is not None and self.now_ms >= self.leap_at_ms
        return EPOCH_MS + self.now_ms - 1_000 * has_leapt

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do `action` in `delay_ms` milliseconds, 0 or more."""
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._numbers), action))

    def run(self, until_ms: int) -> None:
        """Let everything happen that is due by `until_ms`."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= until_ms:
            self.now_ms, _, action = pop(queue)
            self.events += 1
            action()
        self.now_ms = until_ms

    def step(self, until_ms: int) -> bool:
        """Let the next event happen if it is due by `until_ms`; otherwise only let time pass until then."""
        if not self._queue or self._queue[0][0] > until_ms:
            self.now_ms = until_ms
            return False
        self.now_ms, _, action = heapq.heappop(self._queue)
        self.events += 1
        action()
        return True


class SimulatedClock:
    """The two clocks of a node; `skew_ms` may be changed at any moment, as a jump of its wall clock."""

    def __init__(self, time: VirtualTime, *, skew_ms: int = 0, monotonic_base_ms: int = 0) -> None:
        self._time = time
        self.has_jumped = False
        """Whether the wall clock was ever off by more than a minute."""

        self.wander: Callable[[int], int] = lambda _now_ms: 0
        """How far the wall clock is off besides, by virtual time: drift, or what it makes of a leap second."""

        self.errors_ms: tuple[int, int] = (skew_ms, skew_ms)
        """Least and most by which it was ever ahead of UTC, as far as anybody has looked."""

        self.skew_ms = skew_ms
        self.monotonic_base_ms = monotonic_base_ms

    @property
    def skew_ms(self) -> int:
        """How far the wall clock was set ahead of true time."""
        return self._skew_ms

    @skew_ms.setter
    def skew_ms(self, skew_ms: int) -> None:
        self._skew_ms = skew_ms
        self.has_jumped = self.has_jumped or abs(skew_ms) > 60_000
        self.error_ms()

    def error_ms(self) -> int:
        """Return how far the wall clock is ahead of UTC."""
        error_ms = self.now_ms() - self._time.utc_ms
        least_ms, most_ms = self.errors_ms
        self.errors_ms = (min(least_ms, error_ms), max(most_ms, error_ms))
        return error_ms

    def now_ms(self) -> int:
        now_ms = self._time.now_ms
        return EPOCH_MS + now_ms + self._skew_ms + self.wander(now_ms)

    def monotonic_ms(self) -> int:
        return self.monotonic_base_ms + self._time.now_ms
