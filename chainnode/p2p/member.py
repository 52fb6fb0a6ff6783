"""What a node knows of one peer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.p2p.link import Traffic
from chainnode.p2p.outbox import Outbox, QueueStats

if TYPE_CHECKING:
    from chainnode.p2p.limits import LinkLimits
    from chainnode.p2p.link import Link
    from chainnode.p2p.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Another validator and how to reach and recognise it."""

    name: str
    address: str
    """`host:port` or `[IPv6]:port`."""

    certificate: bytes
    """X.509 in DER; exactly this one is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """What an operator may want to know of one peer. Counts are since the node started."""

    name: str
    connected_since_ms: int | None
    """Wall clock, milliseconds UTC; None without a link."""

    last_heard_ms: int | None
    """Wall clock, milliseconds UTC; None if never."""

    rtt_ms: int | None
    links: int
    """How often a link came up."""

    faults: int
    """How often the peer broke the protocol."""

    why_down: str
    """Why there is no link, or why there was none last; empty if there was always one."""

    bytes_in: int
    bytes_out: int
    frames_in: int
    frames_out: int
    messages_in: int
    paused_ms: int
    """How long we read nothing because the peer sent too much."""

    queues: tuple[QueueStats, ...]
    """One per priority, most urgent first."""


@dataclass(slots=True)
class Arrival:
    """A connection that a peer has dialled, on its way from the server to the task that keeps the link."""

    wire: Wire
    done: asyncio.Future[None]
    """Set once nobody needs the connection any more."""

    def finish(self) -> None:
        """Let the server forget the connection."""
        if not self.done.done():
            self.done.set_result(None)


class Member:
    """What we know of one peer, across its links; the manager changes it."""

    def __init__(self, peer: PeerAddress, limits: LinkLimits, *, we_dial: bool) -> None:
        self.peer = peer
        self.we_dial = we_dial
        self.outbox = Outbox(limits.queues)
        self.traffic = Traffic()
        self.arrivals: asyncio.Queue[Arrival] = asyncio.Queue(maxsize=1)
        self.wire: Wire | None = None
        self.link: Link | None = None
        self.links = 0
        self.faults = 0
        self.last_heard_ms: int | None = None
        self.shunned_until_ms = 0
        self.why_down = ""
        self.logged_why = ""
        """The last trouble that was logged since the link was up."""

    def offer(self, arrival: Arrival) -> None:
        """Let the newest connection be the next one, in place of whatever there is."""
        if self.wire is not None:
            self.wire.cut("replaced by a newer connection")
        if self.arrivals.full():
            displaced = self.arrivals.get_nowait()
            displaced.wire.cut("replaced by a newer connection")
            displaced.finish()
        self.arrivals.put_nowait(arrival)

    def stats(self) -> PeerStats:
        """Return what is known of this peer now."""
        link, traffic = self.link, self.traffic
        return PeerStats(
            name=self.peer.name,
            connected_since_ms=None if link is None else link.since_ms,
            last_heard_ms=self.last_heard_ms if link is None else link.last_heard_ms,
            rtt_ms=None if link is None else link.rtt_ms,
            links=self.links,
            faults=self.faults,
            why_down=self.why_down,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            frames_in=traffic.frames_in,
            frames_out=traffic.frames_out,
            messages_in=traffic.messages_in,
            paused_ms=traffic.paused_ms,
            queues=self.outbox.stats(),
        )
