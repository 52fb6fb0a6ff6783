"""R8 to R10: leave a view, keep the others' pace, and start a view's timer only with a quorum."""

from consensus.effects import DoubleVote, Outbox, Voted
from consensus.justification import check_proven_view_change
from consensus.messages import MAX_VIEW, ProvenViewChange, View, ViewChange
from consensus.state import HeightState
from consensus.timers import view_deadline_ms
from consensus.voting import enter_view, report_amnesia


def on_view_change(state: HeightState, message: ProvenViewChange, out: Outbox) -> None:
    """Hold a view change whose lock, if it states one, is proven."""
    check_proven_view_change(message, state.n, state.quorum)
    claim = message.claim
    earlier = state.view_changes.add(message)
    if earlier is not None:
        out.faults.append(DoubleVote(first=earlier, second=claim))
    report_amnesia(state, claim.sender, out)


def arm_timer(state: HeightState, now_ms: int, _out: Outbox) -> bool:
    """R9: time runs in a view above 0 once a quorum asked for it or a higher one.

    A validator that is ahead alone must not time out again and again: it would stay ahead for
    ever, and a capped timeout could then keep a quorum from ever meeting in one view.
    """
    if state.view == 0 or state.armed_ms is not None:
        return False
    if len(state.view_changes.asking(state.view)) < state.quorum:
        return False
    state.armed_ms = now_ms
    return True


def jump(state: HeightState, _now_ms: int, out: Outbox) -> bool:
    """R10: follow once f + 1 others, so at least one honest, have asked for a higher view."""
    view = state.view_changes.reached(state.f + 1, without=state.me)
    if view <= state.view:
        return False
    ask_for_view(state, view, out)
    return True


def expire(state: HeightState, now_ms: int, out: Outbox) -> bool:
    """R8: give the view up when its time is over, or at once when nothing can come of it for us.

    That is when its block is invalid to us, or it has none and will have none: its leader, which may be
    ourselves, has no block for it, and leaves. Leaving early is safe, since leaving a view always is, and
    costs nothing: we would not vote in it any more. A node that alone finds blocks invalid moves nobody,
    and a leader moves others out of no view but its own. But where
    more than f compute something else than the rest, each leader's block is invalid to f + 1, who
    take all others along (R10): views would follow each other as fast as messages travel, each with
    a block and votes on everybody's disk. One of f + 1 leaders in a row is honest, so more than f
    early leaves help nobody, and views take their time from then on.
    """
    deadline_ms = view_deadline_ms(state)
    late = deadline_ms is not None and now_ms >= deadline_ms
    early = _is_in_vain(state) and not late and state.early_leaves < state.f
    if not (late or early) or state.view + 1 >= MAX_VIEW:
        return False
    state.early_leaves += early
    ask_for_view(state, View(state.view + 1), out)
    return True


def _is_in_vain(state: HeightState) -> bool:
    """Tell whether we can vote for nothing in this view any more, however long it lasts."""
    if state.digest is None:
        if state.leader == state.me:
            return state.plan is not None and state.plan.is_declined
        left_for = state.view_changes.highest(state.leader)
        return left_for is not None and left_for > state.view
    verdict = state.verdict(state.digest)
    return verdict is not None and not verdict.valid and state.my_prepare is None


def ask_for_view(state: HeightState, view: View, out: Outbox) -> None:
    """Enter `view` and ask for it, stating our lock. Its timer waits for R9."""
    enter_view(state, view)
    lock = state.lock
    claim = ViewChange(
        height=state.height,
        view=view,
        prepared_view=None if lock is None else lock.view,
        prepared_digest=None if lock is None else lock.digest,
        sender=state.voter,
    )
    message = ProvenViewChange(claim=claim, prepared=lock)
    # Durable before it leaves: it promises that we vote in no lower view (R6).
    out.persist.append(Voted(vote=claim))
    out.broadcast(message)
    state.view_changes.add(message)
