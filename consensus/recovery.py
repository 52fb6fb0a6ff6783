"""R14: come back after a crash as if the crash had been a slow network.

Every record was durable before anything it promises was said, so what is found here is all that
anybody can have heard from us, and saying it again is harmless.
"""

from consensus.effects import Decided, Locked, Outbox, Proposed, Record, ViewEntered, Voted
from consensus.errors import InvariantViolation
from consensus.messages import (
    Commit,
    Prepare,
    PreparedCertificate,
    Propose,
    ProvenViewChange,
    View,
    ViewChange,
)
from consensus.state import HeightState
from consensus.view_change import ask_for_view
from consensus.voting import certify


def restore(state: HeightState, records: tuple[Record, ...], now_ms: int, out: Outbox) -> None:
    """Rebuild the state from `records` and say again what we said in our view.

    With a vote in our view we carry on in it and its timer runs at once. Without one we ask for
    it: a lock of this very view could not be stated in such a request, but then we voted.
    """
    proofs: dict[View, PreparedCertificate] = {}
    for record in records:
        _restore_one(state, record, proofs)
    if state.certified is not None or state.me is None:
        return
    mine = [m for m in state.view_changes.of(state.me) if m.claim.view == state.view]
    for message in mine:
        out.broadcast(message)
    vote = state.my_prepare
    if vote is not None:
        state.digest = vote.digest
        state.armed_ms = now_ms
        if isinstance(vote, Prepare):
            out.broadcast(vote)
        elif state.proposal is not None:
            out.broadcast(state.proposal)
        if state.my_commit is not None:
            out.broadcast(state.my_commit)
    elif state.view > 0 and not mine:
        ask_for_view(state, state.view, out)


def _restore_one(
    state: HeightState, record: Record, proofs: dict[View, PreparedCertificate]
) -> None:
    match record:
        case ViewEntered():
            _enter(state, record.view)
        case Proposed():
            _restore_prepare(state, record.proposal.claim)
            state.proposal = record.proposal
        case Voted():
            _restore_vote(state, record.vote, proofs)
        case Locked():
            proofs[record.certificate.view] = state.lock = record.certificate
        case Decided():
            state.certified = record.certificate


def _restore_vote(
    state: HeightState,
    vote: Prepare | Commit | ViewChange,
    proofs: dict[View, PreparedCertificate],
) -> None:
    match vote:
        case Prepare():
            _restore_prepare(state, vote)
        case Commit():
            _enter(state, vote.view)
            state.my_commit = vote
            state.commits.add(vote, vote.digest)
            certify(state, vote)
        case ViewChange():
            _enter(state, vote.view)
            proof = None if vote.prepared_view is None else proofs.get(vote.prepared_view)
            if (proof is None) != (vote.prepared_view is None):
                raise InvariantViolation(f"records lack the lock of view {vote.prepared_view}")
            state.view_changes.add(ProvenViewChange(claim=vote, prepared=proof))


def _restore_prepare(state: HeightState, vote: Propose | Prepare) -> None:
    _enter(state, vote.view)
    state.my_prepare = vote
    state.prepares.add(vote, vote.digest)


def _enter(state: HeightState, view: View) -> None:
    """Follow the records: they never go back to a lower view."""
    if view > state.view:
        state.view = view
        state.my_prepare = state.my_commit = state.proposal = None
    elif view < state.view:
        raise InvariantViolation(f"records fall from view {state.view} to {view}")
