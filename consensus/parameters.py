"""R8, R9: how long to wait. Integers only, so that every machine agrees with its own simulation."""

from dataclasses import dataclass
from typing import Final

from consensus.errors import InvariantViolation
from consensus.messages import View

ANTI_ENTROPY_IDLE_FACTOR: Final = 8
"""An idle height tells its status this many times more rarely: 2 s of silence cost an idle chain
next to nothing, and a node that missed a decision still learns of it at once."""

_TIMEOUT_FLOOR_MS: Final = 10
"""Below this, rounding down would keep a timeout from growing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Local waiting times, all in milliseconds. Nodes need not agree on them, but should."""

    timeout_ms: int = 1_000
    """T0; at least four times the slow end of a healthy decision, execution included."""

    timeout_cap_ms: int = 20_000
    """Upper end of T(v). Safe only together with R9: ungated and capped timers can livelock."""

    min_interval_ms: int = 100
    """Least time between a block and its parent: what a block waits for more transactions."""

    heartbeat_ms: int = 60_000
    """An empty block is due this long after its parent."""

    anti_entropy_ms: int = 250
    """R12: how often a busy height tells its status."""

    jitter_permille: int = 0
    """Lengthens every view timer of this replica by this much, so that not all fire at once."""

    def __post_init__(self) -> None:
        """Refuse values with which the chain could not make progress."""
        if not _TIMEOUT_FLOOR_MS <= self.timeout_ms <= self.timeout_cap_ms:
            raise InvariantViolation(
                f"timeout_ms is {self.timeout_ms}; "
                f"expected {_TIMEOUT_FLOOR_MS} to timeout_cap_ms = {self.timeout_cap_ms}"
            )
        if not 0 <= self.min_interval_ms <= self.heartbeat_ms:
            raise InvariantViolation(
                f"min_interval_ms is {self.min_interval_ms}; "
                f"expected 0 to heartbeat_ms = {self.heartbeat_ms}"
            )
        if self.anti_entropy_ms < 1 or not 0 <= self.jitter_permille <= 1_000:
            raise InvariantViolation(
                f"anti_entropy_ms is {self.anti_entropy_ms}, jitter_permille "
                f"{self.jitter_permille}; expected at least 1, and 0 to 1000"
            )

    def view_timeout_ms(self, view: View) -> int:
        """Return T(view) = min(T0 * 1.5^view, cap), lengthened by the jitter."""
        timeout_ms = self.timeout_ms
        for _ in range(view):
            if timeout_ms >= self.timeout_cap_ms:
                break
            timeout_ms = timeout_ms * 3 // 2
        return min(timeout_ms, self.timeout_cap_ms) * (1_000 + self.jitter_permille) // 1_000
