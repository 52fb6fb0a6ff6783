"""What several clocks of which some are wrong agree on: a variant of Marzullo's algorithm (Stanford, 1984).

Each clock is an interval in which it is sure to be read. Of m clocks at most f are wrong, and m >= 2 f + 1.

    agreed = [earliest, latest]
    earliest    the (f + 1)-th smallest of the lower ends
    latest      the (f + 1)-th largest of the upper ends

What holds, whatever f of the clocks say (`tests/engine/test_cluster_time.py`):

1. There is one: earliest <= latest.
2. Neither end is beyond all right clocks: earliest is no lower than the lowest lower end of a right clock, and latest no
   higher than the highest upper end of one.
3. A right clock has no cause to fear: it is no farther from the interval than from the farthest right clock.

Marzullo's own rule, the points that most intervals share, has no answer where right clocks that differ by a
millisecond are measured to half of one; this one always has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a clock is, or what several agree on; milliseconds, relative to whatever the caller measures from."""

    earliest_ms: int
    latest_ms: int

    def distance_ms(self, point_ms: int) -> int:
        """Return how far a point is outside, 0 if it is inside; below 0 if it is earlier."""
        return min(0, point_ms - self.earliest_ms) or max(0, point_ms - self.latest_ms)


def agree(clocks: Sequence[Span], faulty: int) -> Span | None:
    """Return what these clocks agree on if at most `faulty` of them are wrong; None if they are too few to tell."""
    if len(clocks) < 2 * faulty + 1:
        return None
    return Span(
        earliest_ms=sorted(clock.earliest_ms for clock in clocks)[faulty],
        latest_ms=sorted((clock.latest_ms for clock in clocks), reverse=True)[faulty],
    )
