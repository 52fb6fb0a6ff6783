"""R1, R11: what a leader proposes, and when."""

from dataclasses import replace

from consensus.effects import Build, Outbox
from consensus.events import Built, Declined
from consensus.justification import justify
from consensus.messages import Proposal, leader_of
from consensus.state import HeightState, Plan
from consensus.timers import build_due_ms, is_waiting_to_build
from consensus.voting import ask_verdict, keep_built, propose


def plan_first(state: HeightState, now_ms: int, out: Outbox) -> bool:
    """R1: ask for the block of view 0 when it is due."""
    if not is_waiting_to_build(state) or now_ms < build_due_ms(state):
        return False
    state.plan = Plan(justification=None)
    out.build.append(Build(height=state.height, view=state.view))
    return True


def plan_next(state: HeightState, _now_ms: int, out: Outbox) -> bool:
    """R11: with a quorum asking for our view, be bound by its highest lock, or build afresh.

    The plan stays as it is made: whoever asks later cannot change what it proves.
    """
    if state.view == 0 or state.me != state.leader:
        return False
    if state.digest is not None or state.plan is not None:
        return False
    messages = state.view_changes.for_view(state.view)
    if len(messages) < state.quorum:
        return False
    state.plan = Plan(justification=justify(messages))
    if state.plan.is_fresh():
        out.build.append(Build(height=state.height, view=state.view))
    return True


def propose_again(state: HeightState, now_ms: int, out: Outbox) -> bool:
    """R11: propose the locked block, unchanged, once we hold it and find it valid ourselves."""
    plan = state.plan
    if state.digest is not None or plan is None or plan.justification is None:
        return False
    prepared = plan.justification.prepared
    if prepared is None:
        return False
    verdict = state.verdict(prepared.digest)
    if verdict is None:
        return ask_verdict(state, prepared.digest, prepared.signers, out)
    if not verdict.valid:
        return False
    propose(
        state,
        Proposal(
            height=state.height,
            view=state.view,
            digest=prepared.digest,
            sender=state.voter,
            first_view=verdict.first_view,
            proposer=leader_of(state.leaders, verdict.first_view),
            justification=plan.justification,
        ),
        now_ms,
        out,
    )
    return True


def on_built(state: HeightState, built: Built, now_ms: int, out: Outbox) -> None:
    """Propose the block that we asked for, if our view is still the one that it was built for."""
    plan = state.plan
    if plan is None or not _awaits(state, plan, built):
        return
    keep_built(state, built)
    propose(
        state,
        Proposal(
            height=state.height,
            view=state.view,
            digest=built.digest,
            sender=state.voter,
            first_view=built.view,
            proposer=state.voter,
            justification=plan.justification,
        ),
        now_ms,
        out,
    )


def on_declined(state: HeightState, declined: Declined) -> None:
    """Note that our host has no block for our view, so that R8 leaves it.

    A block that is locked is proposed again all the same: nothing about it is ours.
    """
    if state.plan is not None and _awaits(state, state.plan, declined):
        state.plan = replace(state.plan, is_declined=True)


def _awaits(state: HeightState, plan: Plan, answer: Built | Declined) -> bool:
    """Tell whether a block of our own making is still wanted for the view that the answer is about."""
    return plan.is_fresh() and answer.view == state.view and state.digest is None
