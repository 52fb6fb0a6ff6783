"""R1, R9: when the host must call again. Pure functions of the state."""

from consensus.messages import FIRST_VIEW
from consensus.state import HeightState


def build_due_ms(state: HeightState) -> int:
    """R1: when the leader of view 0 builds: work is pending long enough, or a heartbeat is due."""
    parent_ms = min(state.start.parent_ms, state.started_ms)
    due_ms = parent_ms + state.parameters.heartbeat_ms
    if state.work_since_ms is not None:
        work_ms = max(parent_ms + state.parameters.min_interval_ms, state.work_since_ms)
        due_ms = min(due_ms, work_ms)
    return max(due_ms, state.started_ms)


def _proposal_due_ms(state: HeightState) -> int:
    """R1: when others may expect that proposal: work of theirs must have had time to spread."""
    due_ms = build_due_ms(state)
    if state.work_since_ms is None:
        return due_ms
    parameters = state.parameters
    parent_ms = min(state.start.parent_ms, state.started_ms)
    spread_ms = max(due_ms, state.work_since_ms + parameters.min_interval_ms)
    return min(spread_ms, max(parent_ms + parameters.heartbeat_ms, state.started_ms))


def view_deadline_ms(state: HeightState) -> int | None:
    """R8: when the current view is given up; None if its timer does not run.

    In view 0 it runs from when a proposal is due, so that an idle chain changes no view, and a
    proposal that came early shortens it: whatever the leader saw, its block is in the works now.
    """
    start_ms = state.armed_ms
    if state.view == FIRST_VIEW:
        due_ms = _proposal_due_ms(state)
        start_ms = due_ms if start_ms is None else min(due_ms, start_ms)
    return None if start_ms is None else start_ms + state.parameters.view_timeout_ms(state.view)


def is_waiting_to_build(state: HeightState) -> bool:
    """Tell whether we lead view 0 and have not begun to build."""
    return (
        state.view == FIRST_VIEW
        and state.me == state.leader
        and state.digest is None
        and state.plan is None
    )


def next_deadline_ms(state: HeightState) -> int | None:
    """Return the earliest time at which a rule could act without any input."""
    if state.me is None or state.decided is not None:
        return None
    deadline_ms = state.status_due_ms
    view_ms = view_deadline_ms(state)
    if view_ms is not None:
        deadline_ms = min(deadline_ms, view_ms)
    if is_waiting_to_build(state):
        deadline_ms = min(deadline_ms, build_due_ms(state))
    return deadline_ms
