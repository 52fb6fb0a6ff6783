"""The two clocks of a node. Everything else is handed one, or is handed the time itself."""

from __future__ import annotations

import ctypes
import struct
import sys
import time
from dataclasses import dataclass
from typing import Final, Protocol


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """What the kernel knows of the quality of its wall clock."""

    is_synchronised: bool
    """Whether something (NTP, PTP) keeps it, and has been heard of lately."""

    max_error_ms: int
    """The greatest error that is possible by its reckoning, milliseconds, rounded up."""


_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


_TIMEX: Final = struct.Struct("@Illlli")
"""How `struct timex` of Linux begins, adjtimex(2): modes, offset, freq, maxerror (microseconds), esterror, status."""

_TIMEX_BYTES: Final = 512
"""Room for the kernel to write all of it, 208 bytes today."""


def clock_discipline() -> Discipline | None:
    """Return what the kernel says of its clock, or None where it does not say; nothing is changed."""
    if not sys.platform.startswith("linux"):
        return None
    # All zeros: modes 0 asks, and sets nothing.
    state = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        result: int = ctypes.CDLL(None).adjtimex(state)
    except (OSError, AttributeError):
        return None
    if result < 0:
        return None
    _, _, _, max_error_us, _, status = _TIMEX.unpack_from(state)
    return Discipline(
        is_synchronised=result != _TIME_ERROR and not status & _STA_UNSYNC,
        max_error_ms=max(-(-max_error_us // 1_000), 0),
    )
