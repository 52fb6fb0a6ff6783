"""Whether a node can do its work now, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.quorum import quorum_of
from chainnode.services.ports import ClockVerdict
from chainnode.services.standstill import STALLED_MS, explain

if TYPE_CHECKING:
    from chainnode.services.ports import EngineStatus


def reason_not_ready(status: EngineStatus, now_ms: int) -> str | None:
    """Return why clients should go elsewhere, as a sentence, or None if the node is ready.

    Args:
        status: the engine's.
        now_ms: wall clock, milliseconds UTC.
    """
    if status.is_syncing:
        return f"syncing: at height {status.tip_height}, fetching decided blocks"
    validators = len(status.peers) + 1
    connected = 1 + sum(peer.connected for peer in status.peers)
    needed = quorum_of(validators)
    if connected < needed:
        missing = ", ".join(peer.name for peer in status.peers if not peer.connected)
        return f"no quorum: {connected} of {validators} validators are connected, {needed} are needed; missing: {missing}"
    began_ms = status.undecided_since_ms
    waited_ms = now_ms - (status.waiting_since_ms if began_ms is None else began_ms)
    return explain(status, now_ms) if status.step != "idle" and waited_ms > STALLED_MS else None


def reason_not_vouching(status: EngineStatus, now_ms: int) -> str | None:
    """Return why this node can give no time that holds, as a sentence, or None if it can.

    Args:
        status: the engine's.
        now_ms: wall clock, milliseconds UTC.
    """
    if status.quarantine is not None:
        return f"this node does not vote: {status.quarantine.sentence}"
    if not status.clock.vouches:
        return f"the clock of this node cannot vouch for the time: {status.clock.sentence}"
    return reason_not_ready(status, now_ms)


def warning_of(status: EngineStatus) -> str | None:
    """Return what an operator must see to though the node serves its clients, as a sentence, or None.

    A node whose clock is wrong takes transactions, votes and answers as ever; others date the blocks.
    """
    if status.clock.verdict in {ClockVerdict.WRONG, ClockVerdict.DISPUTED}:
        return f"clock {status.clock.verdict.value}: {status.clock.sentence}"
    return None
