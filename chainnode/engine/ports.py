"""What the engine needs from the world. Production and the simulator give it different implementations."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.transaction import Transaction


class Urgency(IntEnum):
    """Which messages overtake which on a link. The values are those of `chainnode.p2p`."""

    VOTE = 0
    NORMAL = 1
    BULK = 2


class Clock(Protocol):
    """Two clocks, both in integer milliseconds."""

    def now_ms(self) -> int:
        """Wall clock, UTC; may jump. For block times only."""

    def monotonic_ms(self) -> int:
        """Never goes back. For timers."""


class Network(Protocol):
    """Delivery to other validators by name: may lose, delay and reorder; never blocks."""

    def send(self, peer: str, message: bytes, urgency: Urgency) -> None:
        """Queue a message to one validator; dropped if it is not connected."""

    def broadcast(self, message: bytes, urgency: Urgency) -> None:
        """Queue a message to every other validator."""


class TransactionVerifier(Protocol):
    """Checks signatures of transactions away from the event loop."""

    def verify(
        self, transactions: Sequence[Transaction], done: Callable[[Sequence[bool]], None]
    ) -> None:
        """Check each signature; call `done` with the verdicts, in order, now or later, on this thread."""
