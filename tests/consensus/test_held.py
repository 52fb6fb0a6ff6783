"""What the core holds: every claim that it may still send, store or prove something with, and not a claim more."""

from __future__ import annotations

from consensus.events import (
    CommitReceived,
    DecidedReceived,
    PrepareReceived,
    ProposalReceived,
    Received,
    StartHeight,
    StatusReceived,
    Verdict,
    ViewChangeReceived,
)
from consensus.held import claims_of_event
from consensus.messages import (
    Claim,
    Commit,
    CommitCertificate,
    Justification,
    Prepare,
    Proposal,
    Propose,
    ProvenViewChange,
    Status,
    ViewChange,
)
from consensus.parameters import Parameters
from consensus.replica import Replica
from tests.support.claims import DIGEST, HEIGHT, certificate, view_change, vote
from tests.support.leaders import rotation

LEADER = HEIGHT % 4
ME = (HEIGHT + 3) % 4
OTHERS = tuple(i for i in range(4) if i not in {LEADER, ME})


def replica(height: int = HEIGHT) -> Replica:
    made = Replica(Parameters())
    assert made.held_claims() == frozenset()
    made.step(
        StartHeight(height=height, n=4, quorum=3, me=ME, leaders=rotation(height, 4), parent_ms=0),
        0,
    )
    return made


def proposal(view: int = 0, justification: Justification | None = None) -> Proposal:
    leader = (HEIGHT + view) % 4
    return Proposal(
        height=HEIGHT,
        view=view,
        digest=DIGEST,
        sender=leader,
        first_view=0 if justification is None or justification.prepared else view,
        proposer=LEADER if justification is None or justification.prepared else leader,
        justification=justification,
    )


def test_votes_and_the_lock_that_they_make_are_held_until_the_next_height() -> None:
    core = replica()
    assert core.held_claims() == frozenset()
    core.step(ProposalReceived(peer="p", proposal=proposal(), timely=True), 1)
    core.step(Verdict(height=HEIGHT, digest=DIGEST, first_view=0, valid=True), 1)
    core.step(PrepareReceived(peer="p", vote=vote(Prepare, OTHERS[0])), 2)
    held = core.held_claims()
    assert {
        vote(Propose, LEADER),
        vote(Prepare, ME),
        vote(Prepare, OTHERS[0]),
        vote(Commit, ME),
    } <= held
    for sender in (LEADER, OTHERS[0]):
        core.step(CommitReceived(peer="p", vote=vote(Commit, sender)), 3)
    assert {vote(Commit, i) for i in (LEADER, ME, OTHERS[0])} <= core.held_claims()
    core.step(
        StartHeight(
            height=HEIGHT + 1, n=4, quorum=3, me=ME, leaders=rotation(HEIGHT + 1, 4), parent_ms=0
        ),
        4,
    )
    assert core.held_claims() == frozenset()


def test_view_changes_are_held_with_their_proofs() -> None:
    core = replica()
    claims = [view_change(i) for i in OTHERS]
    for claim in claims:
        message = _proven(claim)
        core.step(ViewChangeReceived(peer="p", message=message), 1)
    assert set(claims) <= core.held_claims()


def _proven(claim: ViewChange) -> ProvenViewChange:
    return ProvenViewChange(claim=claim, prepared=None)


def test_a_justification_is_held_with_its_proposal() -> None:
    core = replica()
    senders = tuple(sorted({LEADER, *OTHERS}))
    justification = Justification(
        view_changes=tuple(view_change(i) for i in senders), prepared=None
    )
    core.step(ProposalReceived(peer="p", proposal=proposal(1, justification), timely=True), 1)
    assert {view_change(i) for i in senders} <= core.held_claims()


def test_what_waits_for_the_next_height_is_held_as_well() -> None:
    core = replica(HEIGHT - 1)
    core.step(CommitReceived(peer="p", vote=vote(Commit, OTHERS[0])), 1)
    assert core.held_claims() == {vote(Commit, OTHERS[0])}


def test_every_kind_of_message_names_its_claims() -> None:
    proof = certificate()
    justification = Justification(view_changes=(view_change(0),), prepared=proof)
    status = Status(
        height=HEIGHT,
        view=0,
        digest=None,
        has_proposal=False,
        prepares=(),
        commits=(),
        view_changes=(-1,) * 4,
    )
    decision = CommitCertificate(height=HEIGHT, view=0, digest=DIGEST, signers=(0, 1, 2))

    def of(event: Received) -> set[Claim]:
        return set(claims_of_event(event))

    found = of(ProposalReceived(peer="p", proposal=proposal(1, justification), timely=True))
    assert {vote(Propose, (HEIGHT + 1) % 4, view=1), view_change(0)} <= found
    # Whoever led the proof's view: both claims of each signer, so the right one among them.
    assert set(proof.claims(rotation(HEIGHT, 4))) <= found
    assert set(proof.claims((2, 1, 0, 3))) <= found
    assert of(PrepareReceived(peer="p", vote=vote(Prepare, 1))) == {vote(Prepare, 1)}
    assert of(ViewChangeReceived(peer="p", message=_proven(view_change(2)))) == {view_change(2)}
    assert of(StatusReceived(peer="p", status=status)) == set()
    assert of(DecidedReceived(peer="p", certificate=decision)) == set()
