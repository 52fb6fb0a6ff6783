"""The engine's network port over the links of `chainnode.p2p`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.p2p.outbox import Priority
from chainnode.services.ports import LinkStatus

if TYPE_CHECKING:
    from chainnode.engine.ports import Urgency
    from chainnode.p2p.peers import Peers


class PeerNetwork:
    """The engine's network port over the links of `chainnode.p2p`."""

    def __init__(self) -> None:
        self._peers: Peers | None = None

    def use(self, peers: Peers) -> None:
        """Speak through these links; what was said before is lost, as on a network that is down."""
        self._peers = peers

    def send(self, peer: str, message: bytes, urgency: Urgency) -> None:
        """Queue a message to one validator."""
        if self._peers is not None:
            self._peers.send(peer, message, priority=Priority(urgency))

    def broadcast(self, message: bytes, urgency: Urgency) -> None:
        """Queue a message to every other validator."""
        if self._peers is not None:
            self._peers.broadcast(message, priority=Priority(urgency))

    def link_statuses(self) -> tuple[LinkStatus, ...]:
        """Return what has passed over each link."""
        if self._peers is None:
            return ()
        return tuple(
            LinkStatus(
                name=stats.name,
                bytes_in=stats.bytes_in,
                bytes_out=stats.bytes_out,
                messages_in=stats.messages_in,
                faults=stats.faults,
                dropped=sum(queue.dropped for queue in stats.queues),
            )
            for stats in self._peers.stats()
        )
