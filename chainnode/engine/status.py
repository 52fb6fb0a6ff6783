"""What an operator is told: where consensus stands, what it waits for, for whom, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.services.ports import EngineStatus, PeerStatus
from consensus.state import Step

if TYPE_CHECKING:
    from chainnode.engine.neighbours import Neighbours
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.validators import ValidatorSet
    from consensus.snapshot import Snapshot


def describe(
    *,
    name: str,
    ledger: Ledger,
    snapshot: Snapshot | None,
    validators: ValidatorSet,
    is_voting: bool,
    neighbours: Neighbours,
    is_syncing: bool,
    cosigned: CosignedCheckpoint | None,
    view_changes: int,
    pool: Pool,
    unverified: int,
    wall_minus_monotonic_ms: int,
) -> EngineStatus:
    """Put together what the parts of the engine know."""
    tip = ledger.tip
    stats = pool.stats()
    step, awaited, since_ms = _waiting(snapshot, validators, has_work=stats.transactions > 0)
    absent = tuple(
        v.name for v in validators.members if v.name != name and not neighbours.is_linked(v.name)
    )
    if is_syncing:
        step, awaited = "blocks", ()
    elif step == "idle" and validators.size - len(absent) < validators.quorum:
        # Nothing is due, but if it were, it could not be decided: an operator wants to know before that.
        step, awaited = "link", absent
    return EngineStatus(
        validator=name,
        tip_height=tip.height,
        tip_time_ms=tip.time_ms,
        open_height=tip.height + 1,
        view=0 if snapshot is None else snapshot.view,
        step=step,
        awaited=tuple(a for a in awaited if a != name),
        waiting_since_ms=since_ms + wall_minus_monotonic_ms,
        skipped=tuple(validators.members[i].name for i in ledger.skipped(tip.height + 1)),
        is_voting=is_voting,
        view_changes=view_changes,
        cosigned_height=0 if cosigned is None else cosigned.height,
        is_syncing=is_syncing,
        pool_count=stats.transactions,
        pool_bytes=stats.size_bytes,
        unverified=unverified,
        peers=tuple(
            _peer(validator.name, neighbours)
            for validator in validators.members
            if validator.name != name
        ),
    )


def _waiting(
    snapshot: Snapshot | None, validators: ValidatorSet, *, has_work: bool
) -> tuple[str, tuple[str, ...], int]:
    if snapshot is None:
        return "starting", (), 0
    # A height of which nothing is due has nobody to wait for: its leader proposes when there is work.
    if snapshot.step is Step.PROPOSE and snapshot.view == 0 and not has_work:
        return "idle", (), snapshot.since_ms
    awaited = tuple(validators.members[i].name for i in snapshot.awaited)
    return snapshot.step.value, awaited, snapshot.since_ms


def _peer(name: str, neighbours: Neighbours) -> PeerStatus:
    sample = neighbours.offsets.of(name)
    return PeerStatus(
        name=name,
        connected=neighbours.is_linked(name),
        last_heard_ms=neighbours.heard_ms(name),
        tip_height=neighbours.tip_height(name),
        view=neighbours.view(name),
        clock_offset_ms=None if sample is None else sample[0],
        round_trip_ms=None if sample is None else sample[1],
    )
