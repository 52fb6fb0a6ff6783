"""R3: every conjunct of a lawful proposal, view change and certificate, each broken once."""

from dataclasses import replace

import pytest

from consensus.errors import Refused
from consensus.justification import (
    check_certificate,
    check_proposal,
    check_proven_view_change,
    justify,
)
from consensus.messages import (
    MAX_VIEW,
    CommitCertificate,
    Justification,
    PreparedCertificate,
    Proposal,
    ProvenViewChange,
    ViewChange,
)
from tests.support.leaders import rotation

N, QUORUM, HEIGHT = 4, 3, 8
A, B = b"A" * 32, b"B" * 32


def ask(sender, view=3, lock=None, digest=None, height=HEIGHT):
    return ViewChange(
        height=height, view=view, prepared_view=lock, prepared_digest=digest, sender=sender
    )


def proof(view=1, digest=A, signers=(0, 1, 2), height=HEIGHT):
    return PreparedCertificate(height=height, view=view, digest=digest, signers=signers)


FIRST = Proposal(height=HEIGHT, view=0, digest=A, sender=0, first_view=0, proposer=0)
FREE = Justification(view_changes=(ask(0), ask(1), ask(2)), prepared=None)
FRESH = Proposal(
    height=HEIGHT, view=3, digest=B, sender=3, first_view=3, proposer=3, justification=FREE
)
BOUND = Justification(
    view_changes=(ask(0, lock=0, digest=B), ask(1, lock=1, digest=A), ask(2)), prepared=proof()
)
AGAIN = Proposal(
    height=HEIGHT, view=3, digest=A, sender=3, first_view=1, proposer=1, justification=BOUND
)


def check(proposal, *, timely=True):
    check_proposal(proposal, rotation(HEIGHT, N), QUORUM, timely=timely)


def because(base, **changes):
    return replace(base, justification=replace(base.justification, **changes))


def test_the_lawful_proposals_pass():
    check(FIRST)
    check(FRESH)
    check(AGAIN)


def test_a_block_proposed_again_need_not_be_timely():
    check(AGAIN, timely=False)


@pytest.mark.parametrize("proposal", [FIRST, FRESH])
def test_a_fresh_block_must_be_timely(proposal):
    with pytest.raises(Refused) as refused:
        check(proposal, timely=False)
    assert refused.value.code == "untimely"


FORGED = {
    "view below 0": (replace(FIRST, view=-1), "view_out_of_range"),
    "view too high": (replace(FRESH, view=MAX_VIEW), "view_out_of_range"),
    "not the leader": (replace(FIRST, sender=1), "not_leader"),
    "justified in view 0": (replace(FIRST, justification=FREE), "justification_needless"),
    "first view in view 0": (replace(FIRST, first_view=1), "first_view"),
    "proposer in view 0": (replace(FIRST, proposer=1), "proposer"),
    "no justification": (replace(FRESH, justification=None), "justification_missing"),
    "old first view": (replace(FRESH, first_view=0), "first_view"),
    "other proposer": (replace(FRESH, proposer=0), "proposer"),
    "too many": (because(FRESH, view_changes=(ask(0),) * 5), "justification_size"),
    "too few": (because(FRESH, view_changes=(ask(0), ask(1))), "justification_quorum"),
    "one sender twice": (
        because(FRESH, view_changes=(ask(0), ask(1), ask(1))),
        "justification_repeats",
    ),
    "one sender with two claims": (
        because(FRESH, view_changes=(ask(0), ask(1), ask(1, lock=0, digest=A))),
        "justification_repeats",
    ),
    "another view": (
        because(FRESH, view_changes=(ask(0), ask(1), ask(2, view=2))),
        "justification_view",
    ),
    "another height": (
        because(FRESH, view_changes=(ask(0), ask(1), ask(2, height=7))),
        "justification_view",
    ),
    "unknown sender": (because(FRESH, view_changes=(ask(0), ask(1), ask(4))), "sender_unknown"),
    "negative sender": (because(FRESH, view_changes=(ask(0), ask(1), ask(-1))), "sender_unknown"),
    "half a lock": (
        because(FRESH, view_changes=(ask(0), ask(1), ask(2, lock=1))),
        "lock_incomplete",
    ),
    "lock not below the view": (
        because(AGAIN, view_changes=(ask(0), ask(1), ask(2, lock=3, digest=A))),
        "lock_view",
    ),
    "lock of a negative view": (
        because(AGAIN, view_changes=(ask(0), ask(1), ask(2, lock=-1, digest=A))),
        "lock_view",
    ),
    "proof of nothing stated": (because(FRESH, prepared=proof()), "lock_unclaimed"),
    "no proof": (because(AGAIN, prepared=None), "lock_unproven"),
    "proof of a lower lock": (because(AGAIN, prepared=proof(view=0, digest=B)), "lock_not_highest"),
    "proof of a higher lock": (because(AGAIN, prepared=proof(view=2)), "lock_not_highest"),
    "proof of an unstated digest": (
        replace(because(AGAIN, prepared=proof(digest=B)), digest=B),
        "lock_mismatch",
    ),
    "another digest": (replace(AGAIN, digest=B), "digest_not_prepared"),
    "proof of another height": (because(AGAIN, prepared=proof(height=7)), "certificate_height"),
    "proof by too few": (because(AGAIN, prepared=proof(signers=(0, 1))), "certificate_quorum"),
    "proof by nobody": (because(AGAIN, prepared=proof(signers=())), "certificate_quorum"),
    "proof by one signer twice": (
        because(AGAIN, prepared=proof(signers=(0, 1, 1))),
        "certificate_order",
    ),
    "proof out of order": (because(AGAIN, prepared=proof(signers=(1, 0, 2))), "certificate_order"),
    "proof by a stranger": (
        because(AGAIN, prepared=proof(signers=(0, 1, 4))),
        "certificate_signer",
    ),
    "proof by a negative index": (
        because(AGAIN, prepared=proof(signers=(-1, 0, 1))),
        "certificate_signer",
    ),
    "first proposed after it was prepared": (
        replace(AGAIN, first_view=2, proposer=2),
        "first_view",
    ),
    "first proposed in a negative view": (replace(AGAIN, first_view=-1), "first_view"),
    "proposer rewritten": (replace(AGAIN, proposer=3), "proposer"),
}


@pytest.mark.parametrize(("proposal", "code"), FORGED.values(), ids=FORGED)
def test_a_forged_proposal_is_refused(proposal, code):
    with pytest.raises(Refused) as refused:
        check(proposal)
    assert refused.value.code == code


LOCKED = ProvenViewChange(claim=ask(2, lock=1, digest=A), prepared=proof())
LIES = {
    "view 0": (replace(LOCKED, claim=ask(2, view=0, lock=1, digest=A)), "view_out_of_range"),
    "huge view": (replace(LOCKED, claim=ask(2, view=2**63)), "view_out_of_range"),
    "stranger": (ProvenViewChange(claim=ask(4), prepared=None), "sender_unknown"),
    "lock unproven": (replace(LOCKED, prepared=None), "lock_unproven"),
    "proof of another view": (replace(LOCKED, prepared=proof(view=0)), "lock_mismatch"),
    "proof of another digest": (replace(LOCKED, prepared=proof(digest=B)), "lock_mismatch"),
    "proof without a lock": (replace(LOCKED, claim=ask(2)), "lock_mismatch"),
    "proof by too few": (replace(LOCKED, prepared=proof(signers=(1, 2))), "certificate_quorum"),
    "proof of another height": (replace(LOCKED, prepared=proof(height=9)), "certificate_height"),
}


def test_lawful_view_changes_pass():
    check_proven_view_change(LOCKED, N, QUORUM)
    check_proven_view_change(ProvenViewChange(claim=ask(1), prepared=None), N, QUORUM)


@pytest.mark.parametrize(("message", "code"), LIES.values(), ids=LIES)
def test_a_view_change_that_lies_about_its_lock_is_refused(message, code):
    with pytest.raises(Refused) as refused:
        check_proven_view_change(message, N, QUORUM)
    assert refused.value.code == code


def test_a_leader_is_bound_by_the_highest_lock():
    low = ProvenViewChange(claim=ask(0, lock=0, digest=B), prepared=proof(view=0, digest=B))
    free = ProvenViewChange(claim=ask(1), prepared=None)
    assert justify((low, free, LOCKED)).prepared == LOCKED.prepared
    assert justify((LOCKED, free, low)).prepared == LOCKED.prepared
    assert justify((free,)).prepared is None


@pytest.mark.parametrize("n", range(1, 201))
def test_two_quorums_share_an_honest_validator_and_the_honest_suffice(n):
    quorum, f = 2 * n // 3 + 1, (n - 1) // 3
    assert n - quorum == f
    assert 2 * quorum - n >= f + 1
    check_certificate(
        CommitCertificate(height=1, view=0, digest=A, signers=tuple(range(quorum))), 1, n, quorum
    )
