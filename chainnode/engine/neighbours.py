"""What is known of each peer: where it says it stands, when it was last heard, and how far its clock is from ours.

All of it is the peer's own word, unsigned: good for choosing whom to ask, and for what an operator is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.engine.clock_offsets import ClockOffsets

if TYPE_CHECKING:
    from chainnode.engine.messages import StatusMessage


class Neighbours:
    """One entry for each validator that is linked, or was heard."""

    def __init__(self) -> None:
        self.offsets = ClockOffsets()
        self._statuses: dict[str, StatusMessage | None] = {}
        self._heard_ms: dict[str, int] = {}
        self._went_ms: dict[str, int] = {}

    def came(self, peer: str) -> None:
        """Note that a link to a peer is up."""
        self._statuses[peer] = None

    def went(self, peer: str, now_ms: int) -> None:
        """Note that a link is down since now (monotonic); what the peer said of itself is stale from now on."""
        self._statuses.pop(peer, None)
        self._went_ms[peer] = now_ms

    def heard(self, peer: str, received_ms: int) -> None:
        """Note when (wall clock) a message of a peer came."""
        self._heard_ms[peer] = received_ms

    def stands_at(self, peer: str, status: StatusMessage) -> None:
        """Note what a peer says of itself."""
        self._statuses[peer] = status

    def linked(self) -> tuple[str, ...]:
        """Return the peers that are linked, in order of their names."""
        return tuple(sorted(self._statuses))

    def is_linked(self, peer: str) -> bool:
        """Whether a link to a peer is up."""
        return peer in self._statuses

    def went_ms(self, peer: str) -> int:
        """Return when (monotonic) the last link to a peer went down; 0 if there never was one."""
        return self._went_ms.get(peer, 0)

    def heard_ms(self, peer: str) -> int:
        """Return when (wall clock) a peer was last heard; 0 if never."""
        return self._heard_ms.get(peer, 0)

    def tip_height(self, peer: str) -> int:
        """Return the newest decided height of which a peer told us; 0 if it told none."""
        status = self._statuses.get(peer)
        return 0 if status is None else status.tip_height

    def view_at(self, peer: str, height: int) -> int | None:
        """Return the view of a height in which a peer says it is; None if it says nothing of that height."""
        status = self._statuses.get(peer)
        return None if status is None or status.height != height else status.view

    def view(self, peer: str) -> int:
        """Return the view in which a peer says it is; 0 if it told none."""
        status = self._statuses.get(peer)
        return 0 if status is None else status.view
