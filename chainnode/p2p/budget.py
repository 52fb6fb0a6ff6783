"""How fast one peer may send to us: a token bucket for messages and one for bytes.

A peer that spends more than it has is not cut off: we read nothing more from it until the debt is paid, TCP
passes the pressure back, and its own queues drop what does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a peer may send in the long run; one second's worth may come at once."""

    messages_per_s: int
    bytes_per_s: int


class Budget:
    """What one peer has left."""

    __slots__ = ("_at_ms", "_byte_tokens", "_message_tokens", "_rate")

    def __init__(self, rate: Rate, now_ms: int) -> None:
        """Begin with a full second's worth; `now_ms` is monotonic, here and below."""
        self._rate = rate
        self._at_ms = now_ms
        # In thousandths, so that a millisecond earns a whole number of tokens.
        self._message_tokens = rate.messages_per_s * 1000
        self._byte_tokens = rate.bytes_per_s * 1000

    def spend(self, messages: int, size_bytes: int, now_ms: int) -> int:
        """Charge what has arrived; return for how many milliseconds to read nothing more, or 0."""
        rate = self._rate
        elapsed_ms = now_ms - self._at_ms
        self._at_ms = now_ms
        self._message_tokens = (
            min(self._message_tokens + elapsed_ms * rate.messages_per_s, rate.messages_per_s * 1000)
            - messages * 1000
        )
        self._byte_tokens = (
            min(self._byte_tokens + elapsed_ms * rate.bytes_per_s, rate.bytes_per_s * 1000)
            - size_bytes * 1000
        )
        if self._message_tokens >= 0 and self._byte_tokens >= 0:
            return 0
        # Rounded up: after the pause the debt is paid.
        return max(
            -(self._message_tokens // rate.messages_per_s), -(self._byte_tokens // rate.bytes_per_s)
        )
