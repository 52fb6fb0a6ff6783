"""Which signed claims the core may still use: all others' signatures may be forgotten by the host.

The host keeps a signature for every claim that it verified. A validator can sign without end, so the host must
forget some, and only the core knows which of them it could yet send, store or prove something with.
"""

from collections.abc import Iterator

from consensus.events import (
    CommitReceived,
    DecidedReceived,
    PrepareReceived,
    ProposalReceived,
    Received,
    StatusReceived,
    ViewChangeReceived,
)
from consensus.messages import (
    Claim,
    Justification,
    Prepare,
    PreparedCertificate,
    Proposal,
    Propose,
    ProvenViewChange,
)
from consensus.state import HeightState


def claims_of_state(state: HeightState) -> Iterator[Claim]:
    """Yield every claim that anything in the state stands on; some of them several times."""
    yield from state.prepares.all()
    yield from state.commits.all()
    for message in state.view_changes.all():
        yield from _of_view_change(message)
    yield from _of_prepared(state.lock)
    if state.proposal is not None:
        yield from _of_proposal(state.proposal)
    if state.plan is not None:
        yield from _of_justification(state.plan.justification)
    for vote in (state.my_prepare, state.my_commit):
        if vote is not None:
            yield vote
    if state.certified is not None:
        yield from state.certified.claims()


def claims_of_event(event: Received) -> Iterator[Claim]:
    """Yield the claims of a message that is held until its height starts."""
    match event:
        case ProposalReceived():
            yield from _of_proposal(event.proposal)
        case PrepareReceived() | CommitReceived():
            yield event.vote
        case ViewChangeReceived():
            yield from _of_view_change(event.message)
        case DecidedReceived() | StatusReceived():
            return


def _of_proposal(proposal: Proposal) -> Iterator[Claim]:
    yield proposal.claim
    yield from _of_justification(proposal.justification)


def _of_justification(justification: Justification | None) -> Iterator[Claim]:
    if justification is not None:
        yield from justification.view_changes
        yield from _of_prepared(justification.prepared)


def _of_view_change(message: ProvenViewChange) -> Iterator[Claim]:
    yield message.claim
    yield from _of_prepared(message.prepared)


def _of_prepared(certificate: PreparedCertificate | None) -> Iterator[Claim]:
    """Yield both claims that a signer may stand for, so that it does not matter who led the view."""
    if certificate is None:
        return
    for signer in certificate.signers:
        for kind in (Propose, Prepare):
            yield kind(
                height=certificate.height,
                view=certificate.view,
                digest=certificate.digest,
                sender=signer,
            )
