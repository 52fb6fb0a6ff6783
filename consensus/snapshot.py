"""What an operator may see: what the replica waits for, for whom, and since when."""

from dataclasses import dataclass

from consensus.messages import Digest, Height, ValidatorIndex, View
from consensus.state import HeightState, Step
from consensus.timers import view_deadline_ms


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


def take_snapshot(state: HeightState) -> Snapshot:
    """Return what `state` waits for."""
    view, digest = state.view, state.digest
    prepares = () if digest is None else state.prepares.voters(view, digest)
    commits = () if digest is None else state.commits.voters(view, digest)
    asking = state.view_changes.asking(view)
    is_open = state.me is not None and state.decided is None
    return Snapshot(
        height=state.height,
        view=view,
        step=state.step,
        leader=state.leader,
        digest=digest,
        prepares=prepares,
        commits=commits,
        view_changes=asking,
        awaited=_awaited(state, prepares, commits, asking),
        since_ms=state.step_since_ms,
        deadline_ms=view_deadline_ms(state) if is_open else None,
    )


def _awaited(
    state: HeightState,
    prepares: tuple[ValidatorIndex, ...],
    commits: tuple[ValidatorIndex, ...],
    asking: tuple[ValidatorIndex, ...],
) -> tuple[ValidatorIndex, ...]:
    match state.step:
        case Step.PROPOSE:
            return () if state.leader == state.me else (state.leader,)
        case Step.VALIDATE | Step.DECIDED:
            return ()
        case Step.VIEW_CHANGE:
            return _others(state.n, asking)
        case Step.PREPARE:
            return _others(state.n, prepares)
        case Step.COMMIT:
            return _others(state.n, commits)


def _others(n: int, came: tuple[ValidatorIndex, ...]) -> tuple[ValidatorIndex, ...]:
    return tuple(ValidatorIndex(i) for i in range(n) if i not in came)
