"""What waits to be sent to one peer.

Three queues, each with its own bound in messages and in bytes, so that a backlog of one kind takes no room
from another. A full queue drops its oldest messages to make room: a newer vote says more than an older
one, a fetch that has waited this long has been repeated, a transaction that is not passed on is fetched by
hash once it is proposed. One message always fits, however large, so that nothing is undeliverable.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.p2p.frame import FRAME_BYTES, LENGTH_BYTES, join_frame

if TYPE_CHECKING:
    from collections.abc import Mapping


class Priority(enum.IntEnum):
    """Which messages go first; the order is strict."""

    VOTE = 0
    """What agreement waits for: small, and few."""

    NORMAL = 1
    """Proposals, fetches and their answers."""

    BULK = 2
    """Transactions and blocks for those who are behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBound:
    """How much may wait at one priority."""

    messages: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """One priority of one link."""

    messages: int
    size_bytes: int
    dropped: int
    """Messages that were never sent, since the node started: dropped to make room or for want of a link."""


class _Queue:
    __slots__ = ("bound", "dropped", "messages", "size_bytes")

    def __init__(self, bound: QueueBound) -> None:
        self.bound = bound
        self.messages: deque[bytes] = deque()
        self.size_bytes = 0
        self.dropped = 0

    def put(self, message: bytes) -> None:
        size_bytes = len(message)
        messages, bound = self.messages, self.bound
        while messages and (
            len(messages) >= bound.messages or self.size_bytes + size_bytes > bound.size_bytes
        ):
            self.size_bytes -= len(messages.popleft())
            self.dropped += 1
        messages.append(message)
        self.size_bytes += size_bytes


class Outbox:
    """The queues of one peer: `put` from anywhere, `take_frame` by the one task that sends."""

    __slots__ = ("_queues",)

    def __init__(self, bounds: Mapping[Priority, QueueBound]) -> None:
        self._queues = tuple(_Queue(bounds[priority]) for priority in Priority)

    def put(self, message: bytes, priority: Priority) -> None:
        """Add a message of 1 to MAX_MESSAGE_BYTES bytes; drops the oldest of its priority if there is no room."""
        self._queues[priority].put(message)

    def take_frame(self) -> bytes | None:
        """Remove what goes next and return it as one frame, or None if nothing waits."""
        taken: list[bytes] = []
        room = FRAME_BYTES
        for queue in self._queues:
            messages = queue.messages
            while messages:
                needed = len(messages[0]) + LENGTH_BYTES
                if needed > room and taken:
                    return join_frame(taken)
                room -= needed
                message = messages.popleft()
                queue.size_bytes -= len(message)
                taken.append(message)
        return join_frame(taken) if taken else None

    def miss(self, priority: Priority) -> None:
        """Count a message that cannot even wait, because there is no link."""
        self._queues[priority].dropped += 1

    def clear(self) -> None:
        """Drop all that waits: what one link did not carry is stale for the next."""
        for queue in self._queues:
            queue.dropped += len(queue.messages)
            queue.messages.clear()
            queue.size_bytes = 0

    def stats(self) -> tuple[QueueStats, ...]:
        """How full each queue is, most urgent first."""
        return tuple(
            QueueStats(messages=len(q.messages), size_bytes=q.size_bytes, dropped=q.dropped)
            for q in self._queues
        )
