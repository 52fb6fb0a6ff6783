"""The book of signatures: claims become messages and messages claims, and nothing unverified passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.engine import book as book_module
from chainnode.engine.book import claim_message
from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import PreparedProof
from chainnode.model import votes
from chainnode.model.certificate import verify_certificate
from chainnode.model.errors import InvariantViolation, PeerFault
from consensus.messages import Commit, CommitCertificate, Justification, Prepare, Proposal, Propose
from tests.support.chain import random_bytes
from tests.support.claims import (
    DIGEST,
    HEIGHT,
    LEADERS,
    book_of,
    certificate,
    know_all,
    proven,
    view_change,
    vote,
)
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

SAMPLE = samples(SUITES[0])
CHAIN = SAMPLE.chain
DOMAIN = CHAIN.genesis.domain
SET = CHAIN.genesis.validator_set


def with_outline(proposer: str = "", first_view: int = 0):
    """An outline of the height above whose header names a proposer."""
    name = proposer or SET.members[first_view].name
    header = replace(SAMPLE.headers[1], height=HEIGHT, proposer=name, first_view=first_view)
    return replace(SAMPLE.outline, header=header, block_hash=DIGEST)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (vote(Propose, 0), votes.vote_message(DOMAIN, votes.PROPOSE, HEIGHT, 0, DIGEST)),
        (vote(Prepare, 1), votes.vote_message(DOMAIN, votes.PREPARE, HEIGHT, 0, DIGEST)),
        (vote(Commit, 1, view=2), votes.vote_message(DOMAIN, votes.COMMIT, HEIGHT, 2, DIGEST)),
        (view_change(1), votes.view_change_message(DOMAIN, HEIGHT, 1, None)),
        (view_change(1, prepared=0), votes.view_change_message(DOMAIN, HEIGHT, 1, (0, DIGEST))),
    ],
)
def test_each_claim_is_signed_as_its_own_kind(claim, message: bytes) -> None:
    assert claim_message(DOMAIN, claim) == message


@pytest.mark.parametrize("suite", SUITES)
def test_an_own_claim_is_signed_once(suite: str) -> None:
    chain = samples(suite).chain
    book, claim = book_of(chain, 0), vote(Commit, 0)
    signature = book.sign(claim)
    assert book.sign(claim) == signature == book.find(claim)
    book_of(chain, 1).verify(claim, signature, chain.genesis.validator_set)


@pytest.mark.parametrize("claim", [vote(Prepare, 1), vote(Commit, 2), vote(Commit, 3, view=9)])
def test_a_vote_goes_out_sealed_and_comes_in_verified(claim) -> None:
    sent = encode_message(book_of_sender(claim).seal_vote(claim))
    receiver = book_of(CHAIN, 0)
    assert receiver.open_vote(decode_message(sent), SET) == claim
    assert receiver.find(claim) is not None


def book_of_sender(claim):
    book = book_of(CHAIN, claim.sender)
    book.sign(claim)
    return book


@pytest.mark.parametrize(
    "bad",
    [
        {"height": HEIGHT + 1},
        {"view": 1},
        {"sender": 2},
        {"digest": random_bytes("another block")},
        {"kind": votes.COMMIT},
        {"signature": bytes(64)},
        {"signature": b""},
    ],
)
def test_a_signature_holds_for_nothing_else(bad: dict[str, object]) -> None:
    claim = vote(Prepare, 1)
    message = replace(book_of_sender(claim).seal_vote(claim), **bad)
    receiver = book_of(CHAIN, 0)
    with refuses("bad_signature", PeerFault):
        receiver.open_vote(message, SET)
    assert receiver.find(claim) is None


def test_a_sender_that_is_no_validator_is_refused() -> None:
    claim = vote(Prepare, 1)
    message = replace(book_of_sender(claim).seal_vote(claim), sender=4)
    with refuses("bad_sender", PeerFault):
        book_of(CHAIN, 0).open_vote(message, SET)


def test_a_claim_is_verified_once_and_its_first_signature_stays() -> None:
    claim = vote(Prepare, 1)
    sealed = book_of_sender(claim).seal_vote(claim)
    receiver = book_of(CHAIN, 0)
    receiver.open_vote(sealed, SET)
    assert receiver.open_vote(replace(sealed, signature=bytes(64)), SET) == claim
    assert receiver.find(claim) == sealed.signature


@pytest.mark.parametrize("prepared", [None, 0])
def test_a_view_change_travels_with_its_proof(prepared: int | None) -> None:
    message = proven(2, prepared=prepared)
    sender = book_of(CHAIN, 2)
    if message.prepared is not None:
        know_all(CHAIN, sender, *message.prepared.claims(LEADERS))
    sender.sign(message.claim)
    sent = encode_message(sender.seal_view_change(message, LEADERS))
    assert book_of(CHAIN, 0).open_view_change(decode_message(sent), SET, LEADERS) == message


def test_a_proof_with_one_bad_signature_is_refused() -> None:
    sender = book_of(CHAIN, 0)
    know_all(CHAIN, sender, *certificate().claims(LEADERS))
    proof = sender.seal_proof(certificate(), LEADERS)
    assert isinstance(proof, PreparedProof)
    assert book_of(CHAIN, 3).open_proof(proof, HEIGHT, SET, LEADERS) == certificate()
    bad = replace(proof, signatures=(*proof.signatures[:2], (3, proof.signatures[2][1])))
    with refuses("bad_signature", PeerFault):
        book_of(CHAIN, 3).open_proof(bad, HEIGHT, SET, LEADERS)


def test_what_was_never_verified_cannot_be_sealed() -> None:
    with pytest.raises(InvariantViolation, match="never verified"):
        book_of(CHAIN, 0).seal_vote(vote(Prepare, 1))


def proposal(*, view: int, justification: Justification | None = None) -> Proposal:
    claim = vote(Propose, view, view=view)
    return Proposal(
        height=claim.height,
        view=claim.view,
        digest=claim.digest,
        sender=claim.sender,
        first_view=0,
        proposer=0,
        justification=justification,
    )


def test_a_first_proposal_has_no_justification() -> None:
    made, outline = proposal(view=0), with_outline()
    sent = book_of_sender(made.claim).seal_proposal(made, outline, LEADERS)
    assert (sent.changes, sent.proof, sent.outline) == ((), None, outline.encode())
    assert book_of(CHAIN, 3).open_proposal(sent, outline, SET, LEADERS) == made


@pytest.mark.parametrize("prepared", [None, 0])
def test_a_later_proposal_shows_what_justifies_it(prepared: int | None) -> None:
    changes = (view_change(0), view_change(2, prepared=prepared), view_change(3))
    proof = None if prepared is None else certificate(view=prepared)
    made = proposal(view=1, justification=Justification(view_changes=changes, prepared=proof))
    leader = book_of_sender(made.claim)
    know_all(CHAIN, leader, *changes, *(() if proof is None else proof.claims(LEADERS)))
    sent = leader.seal_proposal(made, with_outline(), LEADERS)
    assert book_of(CHAIN, 3).open_proposal(sent, with_outline(), SET, LEADERS) == made
    forged = replace(sent, changes=(replace(sent.changes[0], view=2), *sent.changes[1:]))
    with refuses("bad_signature", PeerFault):
        book_of(CHAIN, 3).open_proposal(forged, with_outline(), SET, LEADERS)


def test_a_proposal_that_shows_view_changes_of_other_heights_is_refused_and_they_are_not_kept() -> (
    None
):
    made = proposal(
        view=1, justification=Justification(view_changes=(view_change(0),), prepared=None)
    )
    leader = book_of_sender(made.claim)
    know_all(CHAIN, leader, view_change(0))
    sent = leader.seal_proposal(made, with_outline(), LEADERS)
    for height in (HEIGHT - 1, HEIGHT + 1, 2**63 - 1):
        elsewhere = replace(view_change(1), height=height)
        know_all(CHAIN, leader, elsewhere)
        book = book_of(CHAIN, 3)
        with refuses("bad_justification", PeerFault):
            book.open_proposal(
                replace(sent, changes=(*sent.changes, leader.seal_change(elsewhere))),
                with_outline(),
                SET,
                LEADERS,
            )
        assert book.find(elsewhere) is None
    assert book.open_proposal(sent, with_outline(), SET, LEADERS) == made


def test_a_proposal_is_refused_if_it_names_a_stranger_or_is_not_signed() -> None:
    made = proposal(view=0)
    sent = book_of_sender(made.claim).seal_proposal(made, with_outline(), LEADERS)
    with refuses("bad_proposer", PeerFault):
        book_of(CHAIN, 3).open_proposal(sent, with_outline("stranger"), SET, LEADERS)
    with refuses("bad_signature", PeerFault):
        book_of(CHAIN, 3).open_proposal(
            replace(sent, signature=bytes(64)), with_outline(), SET, LEADERS
        )


def test_a_decision_becomes_a_certificate_that_anyone_can_verify_and_back() -> None:
    decision = CommitCertificate(height=HEIGHT, view=0, digest=DIGEST, signers=(0, 2, 3))
    book = book_of(CHAIN, 0)
    know_all(CHAIN, book, *decision.claims())
    sealed = book.seal_certificate(decision)
    verify_certificate(sealed, DOMAIN, SET)
    other = book_of(CHAIN, 1)
    assert other.open_certificate(sealed, SET) == decision
    assert other.seal_certificate(decision) == sealed


def test_claims_of_decided_heights_are_forgotten() -> None:
    book, claim = book_of(CHAIN, 0), vote(Commit, 0)
    later = replace(claim, height=HEIGHT + 1)
    book.sign(claim)
    book.sign(later)
    book.forget_below(HEIGHT + 1)
    assert book.find(claim) is None
    assert book.find(later) is not None


def test_a_sender_that_signs_without_end_crowds_the_book_and_what_the_core_holds_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book_module, "MAX_CLAIMS_PER_SENDER", 3)
    book = book_of(CHAIN, 0)
    know_all(CHAIN, book, vote(Commit, 1), *(vote(Prepare, 2, view=v) for v in range(3)))
    assert not book.is_crowded
    know_all(CHAIN, book, *(vote(Prepare, 2, view=v) for v in range(3, 5)))
    assert book.is_crowded
    assert book.find(vote(Prepare, 2, view=0)) is not None
    book.keep_only({vote(Commit, 1), vote(Prepare, 2, view=0)})
    kept = [v for v in range(5) if book.find(vote(Prepare, 2, view=v)) is not None]
    assert kept == [0]
    assert book.find(vote(Commit, 1)) is not None
    assert not book.is_crowded
