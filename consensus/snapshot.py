"""What an operator may see: what the replica waits for, for whom, since when, and what it holds of each validator."""

from collections.abc import Iterator
from dataclasses import dataclass

from consensus.messages import (
    FIRST_VIEW,
    Commit,
    Digest,
    Height,
    Prepare,
    Propose,
    ValidatorIndex,
    View,
    Vote,
)
from consensus.state import HeightState, Step
from consensus.timers import view_deadline_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a replica holds of one validator at the open height; signed, unlike a STATUS."""

    votes: tuple[Vote, ...]
    """Proposal or PREPARE, then COMMIT: of the view that is looked at, else of the highest view in which it voted. Two of
    a kind contradict each other."""

    asked_view: View | None
    """The highest view that it asked for."""

    locked_view: View | None
    """The view of the lock that it stated then."""

    locked_digest: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A replica's open height at one moment."""

    height: Height
    view: View
    step: Step
    leader: ValidatorIndex
    digest: Digest | None
    """The proposal accepted in `view`."""

    prepares: tuple[ValidatorIndex, ...]
    commits: tuple[ValidatorIndex, ...]

    view_changes: tuple[ValidatorIndex, ...]
    """Who asked for `view` or a higher one; rising, as all these."""

    awaited: tuple[ValidatorIndex, ...]
    """Whose message is missing in this step. Empty when enough came, or it is our host's turn."""

    since_ms: int
    """When this view began to wait for this step."""

    deadline_ms: int | None
    """When the view is given up; None while its timer does not run."""

    undecided_since_ms: int | None
    """When there first was something to decide at this height; None if there has been nothing."""

    standings: tuple[Standing, ...]
    """By validator; n of them."""


def take_snapshot(state: HeightState) -> Snapshot:
    """Return what `state` waits for. An observer, which is in no view itself, tells what it sees of the others."""
    view, digest, step = (
        (state.view, state.digest, state.step) if state.me is not None else _observed(state)
    )
    prepares = () if digest is None else state.prepares.voters(view, digest)
    commits = () if digest is None else state.commits.voters(view, digest)
    asking = state.view_changes.asking(view)
    leader = state.leader_at(view)
    is_open = state.me is not None and state.decided is None
    return Snapshot(
        height=state.height,
        view=view,
        step=step,
        leader=leader,
        digest=digest,
        prepares=prepares,
        commits=commits,
        view_changes=asking,
        awaited=_awaited(state, step, leader, prepares, commits, asking),
        since_ms=_since_ms(state),
        deadline_ms=view_deadline_ms(state) if is_open else None,
        undecided_since_ms=state.busy_since_ms,
        standings=tuple(_standing(state, ValidatorIndex(i), view) for i in range(state.n)),
    )


def _since_ms(state: HeightState) -> int:
    if state.me is None and state.busy_since_ms is not None:
        return state.busy_since_ms
    return state.step_since_ms


def _observed(state: HeightState) -> tuple[View, Digest | None, Step]:
    """Return the view, the proposal and the step in which an observer sees the others.

    The view is one that an honest validator asked for, or the highest in which somebody has voted if that is above.
    """
    votes = (*state.prepares.all(), *state.commits.all())
    view = state.view_changes.reached(state.f + 1, without=None)
    view = max((view, *(vote.view for vote in votes)))
    counts = {v.digest: state.prepares.count(view, v.digest) for v in votes if v.view == view}
    digest = max(counts, key=lambda d: (counts[d], d), default=None)
    if state.decided is not None:
        return view, digest, Step.DECIDED
    if digest is not None:
        return view, digest, Step.COMMIT if counts[digest] >= state.quorum else Step.PREPARE
    if view > FIRST_VIEW and len(state.view_changes.asking(view)) < state.quorum:
        return view, None, Step.VIEW_CHANGE
    return view, None, Step.PROPOSE


def _standing(state: HeightState, validator: ValidatorIndex, view: View) -> Standing:
    asked = state.view_changes.of(validator)
    claim = asked[0].claim if asked else None
    return Standing(
        votes=tuple(_votes(state, validator, view)),
        asked_view=None if claim is None else claim.view,
        locked_view=None if claim is None else claim.prepared_view,
        locked_digest=None if claim is None else claim.prepared_digest,
    )


def _votes(
    state: HeightState, validator: ValidatorIndex, view: View
) -> Iterator[Propose | Prepare | Commit]:
    for table in (state.prepares, state.commits):
        votes: tuple[Vote, ...] = table.of(view, validator)
        highest: Vote | None = table.highest_of(validator)
        if votes:
            yield from votes
        elif highest is not None:
            yield highest


def _awaited(
    state: HeightState,
    step: Step,
    leader: ValidatorIndex,
    prepares: tuple[ValidatorIndex, ...],
    commits: tuple[ValidatorIndex, ...],
    asking: tuple[ValidatorIndex, ...],
) -> tuple[ValidatorIndex, ...]:
    match step:
        case Step.PROPOSE:
            return () if leader == state.me else (leader,)
        case Step.VALIDATE | Step.REFUSED | Step.DECIDED:
            return ()
        case Step.VIEW_CHANGE:
            return _others(state.n, asking)
        case Step.PREPARE:
            return _others(state.n, prepares)
        case Step.COMMIT:
            return _others(state.n, commits)


def _others(n: int, came: tuple[ValidatorIndex, ...]) -> tuple[ValidatorIndex, ...]:
    return tuple(ValidatorIndex(i) for i in range(n) if i not in came)
