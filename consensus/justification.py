"""R3: which proposals and view changes are lawful, as far as claims can show.

Every check raises `Refused` with what was found and what was expected. Signers are counted as
distinct indices, never as messages: one key can make many valid signatures of one statement.
"""

from itertools import pairwise

from consensus.errors import Refused
from consensus.messages import (
    MAX_VIEW,
    CommitCertificate,
    Height,
    Justification,
    Leaders,
    PreparedCertificate,
    Proposal,
    ProvenViewChange,
    ValidatorIndex,
    View,
    ViewChange,
    leader_of,
)


def check_sender(sender: ValidatorIndex, n: int) -> None:
    """Check that `sender` is one of `n` validators."""
    if not 0 <= sender < n:
        raise Refused("sender_unknown", f"sender is {sender}; expected 0 to {n - 1}")


def check_view(view: View, least: int = 0) -> None:
    """Check that `view` is one that the protocol can reach."""
    if not least <= view < MAX_VIEW:
        raise Refused("view_out_of_range", f"view is {view}; expected {least} to {MAX_VIEW - 1}")


def check_certificate(
    certificate: PreparedCertificate | CommitCertificate, height: Height, n: int, quorum: int
) -> None:
    """Check a certificate's height, view, and a quorum of distinct known signers in rising order."""
    if certificate.height != height:
        raise Refused(
            "certificate_height", f"certificate is of height {certificate.height}, not {height}"
        )
    check_view(certificate.view)
    signers = certificate.signers
    if any(low >= high for low, high in pairwise(signers)):
        raise Refused("certificate_order", "certificate repeats a signer or is not in order")
    if signers and not 0 <= signers[0] <= signers[-1] < n:
        raise Refused("certificate_signer", f"certificate names a signer outside 0 to {n - 1}")
    if len(signers) < quorum:
        raise Refused(
            "certificate_quorum", f"certificate has {len(signers)} signers; the quorum is {quorum}"
        )


def check_view_change(claim: ViewChange, n: int) -> None:
    """Check the shape of a view change: a lock is stated whole or not at all, from a lower view."""
    check_sender(claim.sender, n)
    check_view(claim.view, least=1)
    if (claim.prepared_view is None) != (claim.prepared_digest is None):
        raise Refused("lock_incomplete", "view change states half a lock: a view or a digest alone")
    if claim.prepared_view is not None and not 0 <= claim.prepared_view < claim.view:
        raise Refused(
            "lock_view",
            f"view change to {claim.view} states a lock of view {claim.prepared_view}, not below",
        )


def check_proven_view_change(message: ProvenViewChange, n: int, quorum: int) -> None:
    """Check a view change and that its certificate proves exactly the lock that it states."""
    claim, prepared = message.claim, message.prepared
    check_view_change(claim, n)
    if prepared is None:
        if claim.prepared_view is not None:
            raise Refused("lock_unproven", "view change states a lock without its certificate")
        return
    if (prepared.view, prepared.digest) != (claim.prepared_view, claim.prepared_digest):
        raise Refused("lock_mismatch", "certificate is not of the lock that the view change states")
    check_certificate(prepared, claim.height, n, quorum)


def check_proposal(proposal: Proposal, leaders: Leaders, quorum: int, *, timely: bool) -> None:
    """Check all of R3 but the header's content and the receiver's own view.

    A fresh block must be timely; a block proposed again keeps its header, its time included,
    because a quorum found it timely before it prepared it.
    """
    check_view(proposal.view)
    leader = leader_of(leaders, proposal.view)
    if proposal.sender != leader:
        raise Refused("not_leader", f"proposal is from {proposal.sender}; the leader is {leader}")
    if proposal.view == 0:
        if proposal.justification is not None:
            raise Refused("justification_needless", "proposal in view 0 carries a justification")
        prepared = None
    else:
        prepared = _check_justification(proposal, len(leaders), quorum)
    if prepared is None:
        _check_fresh(proposal, timely=timely)
        return
    if proposal.digest != prepared.digest:
        raise Refused("digest_not_prepared", "proposal is not the block of the highest lock")
    if not 0 <= proposal.first_view <= prepared.view:
        raise Refused(
            "first_view",
            f"first view is {proposal.first_view}, but the block was prepared in {prepared.view}",
        )
    if proposal.proposer != leader_of(leaders, proposal.first_view):
        raise Refused("proposer", "proposer is not the leader of the block's first view")


def _check_fresh(proposal: Proposal, *, timely: bool) -> None:
    if proposal.first_view != proposal.view:
        raise Refused(
            "first_view", f"first view is {proposal.first_view}; expected {proposal.view}"
        )
    if proposal.proposer != proposal.sender:
        raise Refused("proposer", f"proposer is {proposal.proposer}; expected {proposal.sender}")
    if not timely:
        raise Refused("untimely", "block time is outside the bounds around our clock")


def _check_justification(proposal: Proposal, n: int, quorum: int) -> PreparedCertificate | None:
    """Return the certificate that binds the leader's choice; None if the choice was free."""
    justification = proposal.justification
    if justification is None:
        raise Refused("justification_missing", "proposal above view 0 carries no justification")
    claims = justification.view_changes
    if len(claims) > n:
        raise Refused("justification_size", f"justification has {len(claims)} view changes of {n}")
    for claim in claims:
        if (claim.height, claim.view) != (proposal.height, proposal.view):
            raise Refused("justification_view", "justification has a view change for another view")
        check_view_change(claim, n)
    senders = {claim.sender for claim in claims}
    if len(senders) < len(claims):
        raise Refused("justification_repeats", "justification names a sender twice")
    if len(senders) < quorum:
        raise Refused(
            "justification_quorum",
            f"justification has {len(senders)} senders; the quorum is {quorum}",
        )
    highest = max((c.prepared_view for c in claims if c.prepared_view is not None), default=None)
    prepared = justification.prepared
    if highest is None:
        if prepared is not None:
            raise Refused("lock_unclaimed", "justification proves a lock that nobody states")
        return None
    if prepared is None:
        raise Refused("lock_unproven", f"justification lacks proof of the lock of view {highest}")
    if prepared.view != highest:
        raise Refused(
            "lock_not_highest", f"justification proves view {prepared.view}; expected {highest}"
        )
    if all((c.prepared_view, c.prepared_digest) != (highest, prepared.digest) for c in claims):
        raise Refused("lock_mismatch", "justification proves a digest that nobody states")
    check_certificate(prepared, proposal.height, n, quorum)
    return prepared


def justify(messages: tuple[ProvenViewChange, ...]) -> Justification:
    """R11: bind a leader's choice to the highest lock among a quorum of proven view changes."""
    proofs = [message.prepared for message in messages if message.prepared is not None]
    return Justification(
        view_changes=tuple(message.claim for message in messages),
        prepared=max(proofs, key=lambda proof: proof.view, default=None),
    )
