"""R12: tell what we hold, push what a peer lacks. Retransmission is what liveness rests on."""

from collections.abc import Iterator

from consensus.effects import Behind, Outbox, Send
from consensus.errors import Refused
from consensus.messages import Commit, Message, Peer, Prepare, Status, ValidatorIndex
from consensus.parameters import ANTI_ENTROPY_IDLE_FACTOR
from consensus.state import HeightState


def tell_status(state: HeightState, now_ms: int, out: Outbox) -> bool:
    """Tell everybody our status when it is time; sooner once the height is no longer idle."""
    interval_ms = state.parameters.anti_entropy_ms
    if state.was_idle and not state.is_idle():
        state.was_idle = False
        state.status_due_ms = min(state.status_due_ms, now_ms + interval_ms)
    if now_ms < state.status_due_ms:
        return False
    if state.was_idle:
        interval_ms *= ANTI_ENTROPY_IDLE_FACTOR
    state.status_due_ms = now_ms + interval_ms
    out.broadcast(status_of(state))
    return True


def status_of(state: HeightState) -> Status:
    """Say what we hold, so that others push the rest."""
    view, digest = state.view, state.digest
    asked = (state.view_changes.highest(ValidatorIndex(i)) for i in range(state.n))
    return Status(
        height=state.height,
        view=view,
        digest=digest,
        has_proposal=state.proposal is not None,
        prepares=() if digest is None else state.prepares.voters(view, digest),
        commits=() if digest is None else state.commits.voters(view, digest),
        view_changes=tuple(-1 if highest is None else highest for highest in asked),
    )


def on_status(
    state: HeightState,
    peer: Peer,
    status: Status,
    sender: ValidatorIndex | None,
    out: Outbox,
) -> None:
    """Push to `peer` the signed statements, of anybody, that it lacks."""
    if len(status.view_changes) != state.n:
        raise Refused(
            "status_size", f"status tells of {len(status.view_changes)} validators of {state.n}"
        )
    if state.decided is not None:
        out.behind.append(Behind(peer=peer, height=state.height))
        return
    missing: list[Message] = []
    for index, asked in enumerate(status.view_changes):
        held = state.view_changes.of(ValidatorIndex(index))
        if held and held[0].claim.view > asked:
            missing.append(held[0])
    is_below = status.view < state.view
    is_level = status.view == state.view
    if state.proposal is not None and (is_below or (is_level and not status.has_proposal)):
        missing.append(state.proposal)
    if is_level:
        missing += _votes_missing(state, status)
    if sender is not None and _is_blank(status):
        missing += (vote for vote in _last_votes(state, sender) if vote not in missing)
    out.send += (Send(to=peer, message=message) for message in missing)


def _is_blank(status: Status) -> bool:
    """Tell whether whoever says this holds nothing at all, not even what it has said itself."""
    return status.view == 0 and status.digest is None and max(status.view_changes) < 0


def _last_votes(state: HeightState, sender: ValidatorIndex) -> Iterator[Prepare | Commit]:
    """Yield what `sender` voted for last, so that it does not say the opposite after it lost its memory."""
    prepared = state.prepares.highest_of(sender)
    if isinstance(prepared, Prepare):
        yield prepared
    committed = state.commits.highest_of(sender)
    if committed is not None:
        yield committed


def _votes_missing(state: HeightState, status: Status) -> list[Message]:
    """Return votes of the common view for the digest that the peer accepted, or else for ours."""
    digest = status.digest if status.digest is not None else state.digest
    if digest is None:
        return []
    known = frozenset(status.prepares)
    votes: list[Message] = [
        vote
        for vote in state.prepares.votes(state.view, digest)
        if vote.sender not in known and isinstance(vote, Prepare)
    ]
    known = frozenset(status.commits)
    votes += (v for v in state.commits.votes(state.view, digest) if v.sender not in known)
    return votes
