"""R4 to R7: accept a proposal, PREPARE, COMMIT, decide.

The `on_...` functions take in what arrived; the others are rules: each looks at the state, acts if
its condition holds, and returns whether it did. `replica.py` runs the rules until none acts.
"""

from consensus.effects import (
    Amnesia,
    Decided,
    DoubleVote,
    Locked,
    Outbox,
    Proposed,
    Validate,
    ViewEntered,
    Voted,
)
from consensus.errors import InvariantViolation
from consensus.events import Built, Verdict
from consensus.justification import check_certificate, check_proposal, check_sender, check_view
from consensus.messages import (
    Commit,
    CommitCertificate,
    Digest,
    Prepare,
    PreparedCertificate,
    Proposal,
    Propose,
    ValidatorIndex,
    View,
    leader_of,
)
from consensus.state import MAX_VERDICTS, HeightState


def enter_view(state: HeightState, view: View) -> None:
    """Leave all lower views for good (R6); the caller makes that durable before it shows."""
    if view < state.view:
        raise InvariantViolation(f"view would fall from {state.view} to {view}")
    state.view = view
    state.digest = None
    state.proposal = None
    state.my_prepare = None
    state.my_commit = None
    state.plan = None
    state.armed_ms = None


def on_proposal(
    state: HeightState, proposal: Proposal, *, timely: bool, now_ms: int, out: Outbox
) -> None:
    """R3, R4: accept the first lawful proposal of a view that we have not left."""
    check_sender(proposal.sender, state.n)
    check_view(proposal.view)
    if proposal.sender == leader_of(state.leaders, proposal.view):
        _count_prepare(state, proposal.claim, out)
    if proposal.view < state.view or state.decided is not None:
        return
    # What we voted for before a crash was timely when it first arrived.
    voted = proposal.view == state.view and proposal.digest == state.digest
    check_proposal(proposal, state.leaders, state.quorum, timely=timely or voted)
    if state.me is None:
        return
    if proposal.view > state.view:
        enter_view(state, proposal.view)
        # Durable before any vote in this view leaves: a restart can only find us here or later.
        out.persist.append(ViewEntered(height=state.height, view=proposal.view))
    if state.digest is None or (voted and state.proposal is None):
        accept(state, proposal, now_ms)


def accept(state: HeightState, proposal: Proposal, now_ms: int) -> None:
    """R4: bind the view to this proposal, and start the view's timer unless it runs."""
    state.digest = proposal.digest
    state.proposal = proposal
    if state.armed_ms is None:
        state.armed_ms = now_ms


def propose(state: HeightState, proposal: Proposal, now_ms: int, out: Outbox) -> None:
    """R11: make our own proposal durable, then send it; it is our PREPARE as well."""
    accept(state, proposal, now_ms)
    state.my_prepare = proposal.claim
    # After a crash from here on the same proposal is sent again, never another one.
    out.persist.append(Proposed(proposal=proposal))
    out.broadcast(proposal)
    _count_prepare(state, proposal.claim, out)


def on_prepare(state: HeightState, vote: Prepare, out: Outbox) -> None:
    """Count a PREPARE. A leader has none: its proposal counts."""
    check_sender(vote.sender, state.n)
    check_view(vote.view)
    if vote.sender != leader_of(state.leaders, vote.view):
        _count_prepare(state, vote, out)


def on_commit(state: HeightState, vote: Commit, out: Outbox) -> None:
    """Count a COMMIT, of whichever view (R7)."""
    check_sender(vote.sender, state.n)
    check_view(vote.view)
    _count_commit(state, vote, out)
    report_amnesia(state, vote.sender, out)


def on_certificate(state: HeightState, certificate: CommitCertificate) -> None:
    """R7: a decision from anyone, by whichever way it came."""
    check_certificate(certificate, state.height, state.n, state.quorum)
    if state.certified is None:
        state.certified = certificate
    elif state.certified.digest != certificate.digest:
        raise InvariantViolation(
            f"two decisions at height {state.height}: {state.certified.digest.hex()} "
            f"and {certificate.digest.hex()}; more than {state.f} validators are faulty"
        )


def on_verdict(state: HeightState, verdict: Verdict) -> None:
    """Remember the first judgement of a block that we asked about."""
    if state.verdicts.get(verdict.digest, verdict) is None:
        state.verdicts[verdict.digest] = verdict


def keep_built(state: HeightState, built: Built) -> None:
    """Hold a block of our host's own making for valid, without asking for it."""
    verdict = Verdict(height=built.height, digest=built.digest, first_view=built.view, valid=True)
    _keep_verdict(state, built.digest, verdict)


def _keep_verdict(state: HeightState, digest: Digest, verdict: Verdict | None) -> None:
    if len(state.verdicts) == MAX_VERDICTS:
        del state.verdicts[next(iter(state.verdicts))]
    state.verdicts[digest] = verdict


def decide(state: HeightState, _now_ms: int, out: Outbox) -> bool:
    """R7: hand a quorum of COMMITs to the host, once."""
    if state.certified is None or state.decided is not None:
        return False
    state.decided = state.certified
    # For hosts that keep it: found after a crash, it hands over the same decision again. One whose block is durable
    # by itself may drop it, since without either the COMMITs come again (R12).
    out.persist.append(Decided(certificate=state.certified))
    out.decided.append(state.certified)
    return True


def prepare(state: HeightState, _now_ms: int, out: Outbox) -> bool:
    """R4: vote for the accepted proposal once the host has found it valid."""
    if state.digest is None or state.my_prepare is not None:
        return False
    verdict = state.verdict(state.digest)
    if verdict is None:
        proposal = state.proposal
        holders: tuple[ValidatorIndex, ...] = (state.leader,)
        if proposal is not None and proposal.justification is not None:
            prepared = proposal.justification.prepared
            holders = holders if prepared is None else prepared.signers
        return ask_verdict(state, state.digest, holders, out)
    if not verdict.valid:
        return False
    vote = Prepare(height=state.height, view=state.view, digest=state.digest, sender=state.voter)
    state.my_prepare = vote
    # After a crash from here on we vote for no other digest in this view.
    grounds = None if state.proposal is None else state.proposal.justification
    out.persist.append(Voted(vote=vote, grounds=grounds))
    out.broadcast(vote)
    _count_prepare(state, vote, out)
    return True


def commit(state: HeightState, _now_ms: int, out: Outbox) -> bool:
    """R5: lock on what a quorum prepared in our view, and say so, if we still have it.

    Whoever prepared a block has it, unless its disk came back with less than the records tell of. A quorum of COMMITs
    would then decide a block that nobody might have.
    """
    if state.my_prepare is None or state.my_commit is not None:
        return False
    digest = state.my_prepare.digest
    if state.prepares.count(state.view, digest) < state.quorum:
        return False
    verdict = state.verdict(digest)
    if verdict is None or not verdict.valid:
        holders = tuple(i for i in state.prepares.voters(state.view, digest) if i != state.me)
        return ask_verdict(state, digest, holders, out)
    state.lock = PreparedCertificate(
        height=state.height,
        view=state.view,
        digest=digest,
        signers=state.prepares.voters(state.view, digest),
    )
    state.my_commit = Commit(
        height=state.height, view=state.view, digest=digest, sender=state.voter
    )
    # One group: a COMMIT without its lock would let our next view change forget it.
    out.persist += (Locked(certificate=state.lock), Voted(vote=state.my_commit))
    out.broadcast(state.my_commit)
    _count_commit(state, state.my_commit, out)
    return True


def ask_verdict(
    state: HeightState, digest: Digest, holders: tuple[ValidatorIndex, ...], out: Outbox
) -> bool:
    """Ask the host to judge a block, once; return whether this was the first time."""
    if digest in state.verdicts:
        return False
    _keep_verdict(state, digest, None)
    out.validate.append(Validate(height=state.height, digest=digest, holders=holders))
    return True


def report_amnesia(state: HeightState, sender: ValidatorIndex, out: Outbox) -> None:
    """Report, once per sender, a request for a view that forgot a COMMIT of a lower one."""
    last = state.commits.highest_of(sender)
    if last is None or sender in state.forgetful:
        return
    for message in state.view_changes.of(sender):
        claim = message.claim
        stated = -1 if claim.prepared_view is None else claim.prepared_view
        if stated < last.view < claim.view:
            state.forgetful.add(sender)
            out.faults.append(Amnesia(commit=last, view_change=claim))
            return


def _count_prepare(state: HeightState, vote: Prepare | Propose, out: Outbox) -> None:
    wanted = state.digest if vote.view == state.view else None
    first = state.prepares.add(vote, wanted)
    if first is not None:
        out.faults.append(DoubleVote(first=first, second=vote))


def _count_commit(state: HeightState, vote: Commit, out: Outbox) -> None:
    wanted = state.digest if vote.view == state.view else None
    first = state.commits.add(vote, wanted)
    if first is not None:
        out.faults.append(DoubleVote(first=first, second=vote))
    certify(state, vote)


def certify(state: HeightState, vote: Commit) -> None:
    """R7: see whether `vote` has a quorum on its side; alone among one validator, it has."""
    if state.commits.count(vote.view, vote.digest) >= state.quorum:
        on_certificate(
            state,
            CommitCertificate(
                height=state.height,
                view=vote.view,
                digest=vote.digest,
                signers=state.commits.voters(vote.view, vote.digest),
            ),
        )
