"""Bounds and times of the links. They may differ from node to node: nobody else depends on them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.p2p.budget import Rate
from chainnode.p2p.outbox import Priority, QueueBound

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB: Final = 1024 * 1024

QUEUE_BOUNDS: Final = MappingProxyType(
    {
        # Votes of 100 validators in a few dozen views.
        Priority.VOTE: QueueBound(messages=8_192, size_bytes=4 * _MIB),
        # Two of the largest proposals or blocks.
        Priority.NORMAL: QueueBound(messages=4_096, size_bytes=48 * _MIB),
        # A few seconds of transactions at full load.
        Priority.BULK: QueueBound(messages=65_536, size_bytes=32 * _MIB),
    }
)

INBOUND: Final = Rate(messages_per_s=50_000, bytes_per_s=64 * _MIB)
"""Five times a full load of single transactions; more than two of the largest messages a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """What one link may hold, take and wait for."""

    queues: Mapping[Priority, QueueBound] = field(default_factory=lambda: QUEUE_BOUNDS)
    """What may wait to be sent to one peer, by priority."""

    inbound: Rate = INBOUND
    """What one peer may send us."""

    write_buffer_bytes: int = 128 * 1024
    """Bytes handed to TLS, and by TLS to the kernel beyond what is on its way, before the sender waits.
    Nothing overtakes them, so few."""

    beat_ms: int = 1_000
    """A ping goes out this often."""

    silent_beats: int = 4
    """A peer from which nothing came for this many beats is gone. Counted in our own beats and not by
    the clock, so that a busy event loop does not take itself for a dead peer."""

    handshake_ms: int = 5_000
    """For each step from a bare connection to the peer's hello: TLS, the upgrade, the hello."""

    close_ms: int = 1_000
    """For a farewell; then the connection is cut."""

    pending_handshakes: int = 32
    """Callers who are not yet known to be members, at once; further ones wait in the kernel's queue."""

    redial_least_ms: int = 100
    redial_most_ms: int = 2_000
    """The pause before dialling again doubles from the one to the other."""

    stable_ms: int = 10_000
    """A link that lived this long makes the pause short again."""

    fault_ms: int = 10_000
    """A peer that broke the protocol is neither dialled nor accepted for this long."""


def redial_pause_ms(limits: LinkLimits, attempt: int, pair: str) -> int:
    """Return the pause before dialling attempt number `attempt` (from 0), plus or minus a quarter.

    The variation comes from the names of the pair, not from chance: all it must do is keep those who lost
    the same peer in the same instant from dialling it in the same instant.
    """
    pause_ms = min(limits.redial_least_ms << min(attempt, 20), limits.redial_most_ms)
    spread = zlib.crc32(f"{pair} {attempt}".encode()) % 512
    return pause_ms * (768 + spread) // 1024
