"""The two clocks of a node. Everything else is handed one, or is handed the time itself."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What may be asked about time."""

    def now_ms(self) -> int:
        """Wall-clock time, milliseconds UTC since 1970. It may jump; for stamps that others read."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment. It never goes back; for durations and deadlines."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Wall-clock time, milliseconds UTC since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment; never goes back."""
        return time.monotonic_ns() // 1_000_000
