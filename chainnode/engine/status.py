"""What an operator is told: where consensus stands, what it waits for, for whom, and since when."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from chainnode.services.ports import (
    EngineStatus,
    HeldVote,
    PeerStatus,
    QuarantineStatus,
    Standing,
)
from consensus.messages import Commit, Prepare, Propose
from consensus.state import Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.quarantine import Quarantine
    from chainnode.engine.timekeeping import Timekeeper
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.validators import ValidatorSet
    from consensus.messages import Vote
    from consensus.snapshot import Snapshot
    from consensus.snapshot import Standing as SignedStanding

_KINDS: Final[Mapping[type[Vote], Literal["propose", "prepare", "commit"]]] = MappingProxyType(
    {Propose: "propose", Prepare: "prepare", Commit: "commit"}
)


def describe(
    *,
    name: str,
    ledger: Ledger,
    snapshot: Snapshot | None,
    validators: ValidatorSet,
    is_voting: bool,
    quarantine: Quarantine | None,
    neighbours: Neighbours,
    timekeeper: Timekeeper,
    is_syncing: bool,
    cosigned: CosignedCheckpoint | None,
    view_changes: int,
    pool: Pool,
    unverified: int,
    unknown_messages: int,
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
        # Since the one went whose link would still make a quorum; the height may have been open for long before.
        went_ms = sorted(neighbours.went_ms(peer) for peer in absent)
        since_ms = max(since_ms, went_ms[validators.size - validators.quorum])
    awaited = tuple(a for a in awaited if a != name)
    undecided_since_ms = None if snapshot is None else snapshot.undecided_since_ms
    return EngineStatus(
        validator=name,
        tip_height=tip.height,
        tip_time_ms=tip.time_ms,
        open_height=tip.height + 1,
        view=0 if snapshot is None else snapshot.view,
        step=step,
        awaited=awaited,
        waiting_since_ms=since_ms + wall_minus_monotonic_ms,
        skipped=tuple(validators.members[i].name for i in ledger.skipped(tip.height + 1)),
        undecided_since_ms=None
        if undecided_since_ms is None
        else undecided_since_ms + wall_minus_monotonic_ms,
        is_voting=is_voting,
        quarantine=None
        if quarantine is None
        else QuarantineStatus(
            code=quarantine.code,
            height=quarantine.height,
            sentence=quarantine.sentence,
            since_ms=quarantine.since_ms + wall_minus_monotonic_ms,
        ),
        view_changes=view_changes,
        cosigned_height=0 if cosigned is None else cosigned.height,
        is_syncing=is_syncing,
        pool_count=stats.transactions,
        pool_bytes=stats.size_bytes,
        unverified=unverified,
        unknown_messages=unknown_messages,
        peers=tuple(
            _peer(validator.name, neighbours, timekeeper)
            for validator in validators.members
            if validator.name != name
        ),
        clock=timekeeper.status(),
        quorum=validators.quorum,
        digest=None if snapshot is None else snapshot.digest,
        standings=tuple(
            _standing(
                validator.name,
                name=name,
                tip_height=tip.height,
                neighbours=neighbours,
                signed=None if snapshot is None else snapshot.standings[index],
                awaited_for=step if validator.name in awaited else None,
            )
            for index, validator in enumerate(validators.members)
        ),
    )


def _standing(
    of: str,
    *,
    name: str,
    tip_height: int,
    neighbours: Neighbours,
    signed: SignedStanding | None,
    awaited_for: str | None,
) -> Standing:
    is_linked = of == name or neighbours.is_linked(of)
    stated_tip = tip_height if of == name else neighbours.tip_height(of)
    return Standing(
        name=of,
        is_linked=is_linked,
        last_heard_ms=neighbours.heard_ms(of),
        tip_height=stated_tip if is_linked else None,
        stated_view=neighbours.view_at(of, tip_height + 1),
        asked_view=None if signed is None else signed.asked_view,
        locked_view=None if signed is None else signed.locked_view,
        locked_digest=None if signed is None else signed.locked_digest,
        votes=() if signed is None else _held(signed.votes),
        awaited_for=awaited_for,
    )


def _held(votes: Sequence[Propose | Prepare | Commit]) -> tuple[HeldVote, ...]:
    return tuple(HeldVote(kind=_KINDS[type(v)], view=v.view, digest=v.digest) for v in votes)


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


def _peer(name: str, neighbours: Neighbours, timekeeper: Timekeeper) -> PeerStatus:
    sample = timekeeper.offset_ms(name)
    return PeerStatus(
        name=name,
        connected=neighbours.is_linked(name),
        last_heard_ms=neighbours.heard_ms(name),
        tip_height=neighbours.tip_height(name),
        view=neighbours.view(name),
        clock_offset_ms=None if sample is None else sample[0],
        round_trip_ms=None if sample is None else sample[1],
        clock_is_off=timekeeper.is_off(name),
    )
