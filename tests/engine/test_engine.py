"""The engine around the core: every way to a decision is verified, nothing is said that is not on disk."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine import book as book_module
from chainnode.engine import inbox as inbox_module
from chainnode.engine.clock_offsets import INTERVAL_MS
from chainnode.engine.faults import MAX_NOTES_PER_S
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    BlocksMessage,
    ClockMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    HeardMessage,
    Message,
    OutlineMessage,
    PreparedProof,
    PresenceMessage,
    ProposeMessage,
    SignedChange,
    StatusMessage,
    TransactionsMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.engine.outbox import DECISION_INTERVAL_MS, STATUS_EVERY_MS
from chainnode.engine.ports import Urgency
from chainnode.model.block import make_outline
from chainnode.model.certificate import verify_certificate
from chainnode.model.errors import InvariantViolation, PeerFault, StorageFault
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, view_change_message, vote_message
from chainnode.storage.vote_log import VoteLog
from consensus.effects import Build, Effects, Proposed, Send, Validate
from consensus.messages import CommitCertificate, Proposal
from tests.support.chain import make_chain, random_bytes
from tests.support.engine_bench import (
    CHAIN,
    NAMES,
    EngineBench,
    blocks_of,
    decided,
    other_chain,
    status,
)

A, B, C = NAMES[1:]
DOMAIN = CHAIN.genesis.domain


def change(sender: int, view: int, height: int = 1) -> ViewChangeMessage:
    message = view_change_message(DOMAIN, height, view, None)
    signature = CHAIN.validators[sender].consensus.sign(message)
    return ViewChangeMessage(
        change=SignedChange(
            height=height, view=view, sender=sender, prepared=None, signature=signature
        ),
        proof=None,
    )


# -- decisions ---------------------------------------------------------------------------------------------


def test_a_height_is_decided_by_votes_and_its_certificate_holds() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    bench.receive(B, TransactionsMessage((transaction.envelope,)))
    executed = bench.block([transaction])
    bench.receive(A, bench.proposal(executed))
    bench.receive(B, bench.prepare(2, executed))
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.commit(sender, executed))
    certificate = bench.ledger.tip.certificate
    assert certificate is not None
    verify_certificate(certificate, DOMAIN, CHAIN.genesis.validator_set)
    assert bench.witness.blocks == [1]
    assert len(bench.pool) == 0


def test_a_lone_validator_decides_by_itself() -> None:
    chain = make_chain(validators=1)
    bench = EngineBench(chain=chain)
    bench.engine.submit(chain.notarization("a").envelope, lambda _: None)
    bench.pass_ms(500)
    assert bench.ledger.tip.height == 1
    newest = bench.engine.newest_checkpoint()
    assert newest is not None
    assert newest.height == 1


@pytest.mark.parametrize("forgery", ["few", "stranger", "other view", "one bad"])
def test_a_forged_certificate_decides_nothing_by_whichever_way_it_comes(forgery: str) -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    good = CHAIN.certify(executed)
    stranger = make_chain(validators=7, chain_id="other")
    bad = {
        "few": CHAIN.certify(executed, signers=[0, 1]),
        "stranger": stranger.certificate(1, executed.outline.block_hash, signers=[0, 1, 2]),
        "other view": dataclasses.replace(good, view=1),
        "one bad": dataclasses.replace(good, signatures=(*good.signatures, (3, bytes(64)))),
    }[forgery]
    with pytest.raises(PeerFault):
        bench.receive(A, decided(bad))
    certified = other_chain(1).certified_block(1)
    block = dataclasses.replace(
        certified,
        header_bytes=executed.outline.header_bytes,
        header=executed.outline.header,
        certificate=bad.encode(),
    )
    bench.receive(A, BlocksMessage((block.encode(),)))
    with pytest.raises(PeerFault):
        bench.receive(A, status(1))
    for index, signature in bad.signatures[:2]:
        vote = bench.vote(COMMIT, index, 1, executed.outline.block_hash)
        if signature == vote.signature:
            bench.receive(NAMES[index] if index else A, vote)
    assert bench.ledger.tip.height == 0


def test_a_certificate_that_is_none_is_a_fault_and_one_of_another_height_a_hint() -> None:
    bench = EngineBench()
    with pytest.raises(PeerFault, match="certificate"):
        bench.receive(A, DecidedMessage(b"\x00"))
    theirs = other_chain(3)
    bench.receive(A, decided(theirs.header(3)[1]))
    bench.pass_ms(600)
    assert [m.from_height for _, m in bench.sent(FetchBlocksMessage)] == [1]


def test_a_decision_is_verified_once_while_its_block_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, decided(CHAIN.certify(executed, signers=[1, 2, 3])))

    def unexpected(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(inbox_module, "verify_certificate", unexpected)
    bench.receive(B, decided(CHAIN.certify(executed, signers=[1, 2, 3])))
    bench.receive(A, bench.proposal(executed))
    assert bench.ledger.tip.height == 1


def test_a_decided_block_that_does_not_execute_here_stops_the_node() -> None:
    bench = EngineBench()
    honest = bench.block()
    header = dataclasses.replace(honest.outline.header, state_root=bytes(32))
    outline = make_outline(DOMAIN, header=header, parent_certificate=b"", tx_hashes=())
    bench.receive(A, decided(CHAIN.certificate(1, outline.block_hash)))
    with pytest.raises(InvariantViolation, match="gives something else"):
        bench.receive(B, OutlineMessage(outline.encode()))
    assert bench.ledger.tip.height == 0


def test_two_decisions_of_one_height_stop_the_node() -> None:
    bench = EngineBench()
    one = bench.block()
    bench.clock.advance(10)
    two = bench.block()
    bench.receive(A, bench.proposal(one))
    bench.receive(A, decided(CHAIN.certificate(1, bytes(32))))
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.commit(sender, two))
    with pytest.raises(InvariantViolation, match="consensus"):
        bench.receive(C, bench.commit(3, two))


# -- faults ------------------------------------------------------------------------------------------------


def test_after_a_failed_write_of_a_vote_nothing_is_said_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    executed = bench.block()

    def fail(*_: object) -> None:
        raise StorageFault("the disk is full")

    monkeypatch.setattr(VoteLog, "append", fail)
    with pytest.raises(StorageFault):
        bench.receive(A, bench.proposal(executed))
    monkeypatch.undo()
    bench.receive(B, status(1))
    bench.receive(B, bench.prepare(2, executed))
    bench.receive(C, bench.prepare(3, executed))
    for _ in range(10):
        bench.clock.advance(1_000)
        bench.engine.tick()
    assert bench.sent(Vote) == []
    assert bench.sent(ViewChangeMessage) == []


def test_a_vote_for_a_block_that_is_not_here_is_a_broken_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    candidates = bench.engine._candidates
    executed = bench.block()
    monkeypatch.setattr(candidates, "executed", lambda _: None)
    with pytest.raises(InvariantViolation, match="never executed"):
        bench.receive(A, bench.proposal(executed))


def test_a_validator_that_signs_without_end_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_CLAIMS_PER_SENDER", 10)
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    bench.receive(B, bench.prepare(2, executed))
    assert [v.kind for _, v in bench.sent(Vote)] == [PREPARE, COMMIT]
    for number in range(50):
        bench.receive(B, bench.vote(PREPARE, 2, 1, bytes([number]) * 32, view=number % 7))
    # The timer fires: a view change with the certificate in which that validator's first vote counts.
    bench.pass_ms(200_000)
    proofs = [m.proof for _, m in bench.sent(ViewChangeMessage)]
    assert proofs
    assert all(isinstance(p, PreparedProof) and len(p.signatures) == 3 for p in proofs)
    assert len(bench.engine._book._signatures[1, 2]) < 30


# -- who is told what ----------------------------------------------------------------------------------------


def test_a_peer_that_works_on_a_decided_height_is_told_at_most_once_in_a_while() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    bench.sent(StatusMessage)
    for _ in range(3):
        bench.receive(B, bench.prepare(2, executed))
    assert [to for to, _ in bench.sent(DecidedMessage)] == [B]
    assert [to for to, _ in bench.sent(StatusMessage)] == [B]
    bench.clock.advance(DECISION_INTERVAL_MS)
    bench.receive(B, status(1))
    assert len(bench.sent(DecidedMessage)) == 1
    bench.clock.advance(DECISION_INTERVAL_MS)
    bench.receive(B, status(0, tip=0))
    assert bench.sent(DecidedMessage) == []


def test_a_decision_whose_block_is_still_missing_is_passed_on() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, decided(CHAIN.certify(executed, signers=[1, 2, 3])))
    bench.receive(B, status(1))
    assert [to for to, _ in bench.sent(DecidedMessage)] == [B]


def test_an_early_proposal_is_judged_by_the_time_at_which_it_came() -> None:
    bench = EngineBench()
    first = bench.block()
    bench.receive(A, bench.proposal(first))
    other = other_chain(0)
    other.commit(first, CHAIN.certify(first))
    bench.clock.advance(100)
    second = other.build(
        transactions=(), time_ms=bench.clock.now_ms(), first_view=0, proposer=NAMES[2]
    )
    bench.receive(B, bench.proposal(second))
    bench.receive(C, dataclasses.replace(bench.proposal(second), sender=3))
    bench.sent(Vote)
    # Long enough for it to be out of time, if it counted from now.
    bench.clock.advance(60_000)
    bench.receive(A, decided(CHAIN.certify(first, signers=[1, 2, 3])))
    assert [v.height for _, v in bench.sent(Vote)] == [2]
    assert "peer_fault" in bench.witness.names()


def test_votes_of_the_next_height_count_when_it_opens() -> None:
    bench = EngineBench()
    first = bench.block()
    bench.receive(A, bench.proposal(first))
    other = other_chain(0)
    other.commit(first, CHAIN.certify(first))
    bench.clock.advance(100)
    second = other.build(
        transactions=(), time_ms=bench.clock.now_ms(), first_view=0, proposer=NAMES[2]
    )
    bench.receive(B, bench.proposal(second))
    for sender in (1, 2, 3):
        bench.receive(NAMES[sender], bench.commit(sender, second))
    bench.receive(A, decided(CHAIN.certify(first, signers=[1, 2, 3])))
    assert bench.ledger.tip.height == 2


def test_messages_of_heights_far_ahead_are_hints_and_nothing_more() -> None:
    bench = EngineBench()
    far = bench.vote(PREPARE, 2, 9, bytes(32))
    bench.receive(B, dataclasses.replace(far, signature=bytes(64)))
    bench.pass_ms(600)
    assert [(to, m.from_height) for to, m in bench.sent(FetchBlocksMessage)] == [(B, 1)]


@pytest.mark.parametrize("what", ["bytes", "height", "vote", "outline", "view change"])
def test_what_no_correct_peer_sends_is_a_fault(what: str) -> None:
    bench = EngineBench()
    executed = bench.block()
    proposal = bench.proposal(executed)
    bad: dict[str, Message] = {
        "height": dataclasses.replace(proposal, outline=_second_outline()),
        "vote": dataclasses.replace(bench.prepare(2, executed), signature=bytes(64)),
        "outline": dataclasses.replace(proposal, outline=b"\x00"),
        "view change": ViewChangeMessage(
            change=dataclasses.replace(change(2, 1).change, signature=bytes(64)), proof=None
        ),
    }
    data = b"\x00" if what == "bytes" else encode_message(bad[what])
    with pytest.raises(PeerFault):
        bench.engine.receive(A, data, 0)
    assert bench.sent(Vote) == []


def _second_outline() -> bytes:
    theirs = EngineBench()
    theirs.commit_here(theirs.block())
    return theirs.block().outline.encode()


def test_a_message_that_the_core_refuses_is_an_event_and_proof_of_a_lie_as_well() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(B, bench.proposal(executed, sender=2))
    assert "message_refused" in bench.witness.names()
    for digest in (bytes(32), bytes(31) + b"\1"):
        bench.receive(C, bench.vote(PREPARE, 3, 1, digest))
    assert "misbehaviour_proven" in bench.witness.names()


def test_a_peer_cannot_fill_the_log() -> None:
    bench = EngineBench()
    refused = bench.proposal(bench.block(), sender=2)
    for _ in range(3 * MAX_NOTES_PER_S):
        bench.receive(B, refused)
    assert len(bench.witness.names()) == MAX_NOTES_PER_S
    bench.clock.advance(1_000)
    bench.receive(B, refused)
    assert len(bench.witness.names()) == MAX_NOTES_PER_S + 1


def test_a_view_changes_when_nothing_comes_and_the_next_leader_proposes() -> None:
    bench = EngineBench(me=2)
    bench.engine.submit(CHAIN.notarization("a").envelope, lambda _: None)
    bench.pass_ms(3_000)
    assert bench.engine.status().view_changes == 1
    assert bench.engine.status().step == "view_change"
    assert len(bench.engine.status().awaited) == 3
    for sender in (0, 3):
        bench.receive(NAMES[sender], change(sender, 1))
    ((to, proposal),) = bench.sent(ProposeMessage)
    assert (to, proposal.view, len(proposal.changes)) == (None, 1, 3)
    bench.receive(A, status(1, view=1))
    assert A in {to for to, _ in bench.sent(ProposeMessage)}


def test_a_validator_whose_turn_failed_is_passed_over_by_all_that_the_engine_judges() -> None:
    """At height 1 validator 1 led in vain, so of height 5 the order is 2, 3, 0, 1."""
    bench = EngineBench(me=3)
    first = bench.block()
    bench.receive(A, bench.proposal(first))
    bench.receive(A, decided(CHAIN.certify(first, view=1, signers=[0, 1, 2])))
    for _ in (2, 3):
        bench.commit_here(bench.block())
    assert bench.engine.status().skipped == (A,)
    # Height 5 is not open yet, and what is proven about it is judged by its own order.
    with pytest.raises(PeerFault, match="signature"):
        bench.receive(B, change_with_lock(sender=0, height=5, leader=1))
    bench.receive(B, change_with_lock(sender=0, height=5, leader=2))
    bench.commit_here(bench.block())
    bench.clock.advance(1_000)
    executed = bench.ledger.build(
        transactions=(), time_ms=bench.clock.now_ms(), first_view=0, proposer=B
    )
    bench.sent(Vote)
    bench.receive(A, bench.proposal(executed, sender=1))
    assert bench.sent(Vote) == []
    bench.receive(B, bench.proposal(executed, sender=2))
    assert [vote.kind for _, vote in bench.sent(Vote)] == [PREPARE]


def change_with_lock(*, sender: int, height: int, leader: int) -> ViewChangeMessage:
    """Return a request for view 1 that states a lock of view 0, which `leader` proposed."""
    digest = random_bytes("locked")
    signatures = []
    for signer in (0, 1, 2):
        kind = PROPOSE if signer == leader else PREPARE
        message = vote_message(DOMAIN, kind, height, 0, digest)
        signatures.append((signer, CHAIN.validators[signer].consensus.sign(message)))
    stated = view_change_message(DOMAIN, height, 1, (0, digest))
    return ViewChangeMessage(
        change=SignedChange(
            height=height,
            view=1,
            sender=sender,
            prepared=(0, digest),
            signature=CHAIN.validators[sender].consensus.sign(stated),
        ),
        proof=PreparedProof(view=0, digest=digest, signatures=tuple(signatures)),
    )


def test_statuses_clock_samples_and_presence_go_out_on_an_idle_chain_and_little_else() -> None:
    bench = EngineBench()
    for peer in (A, B, C):
        bench.engine.link(peer, is_up=True)
    bench.network.said.clear()
    assert bench.pass_ms(30_000) < 60
    kinds = {type(message) for _, message, _ in bench.network.said}
    assert kinds == {StatusMessage, ClockMessage, PresenceMessage, HeardMessage}
    assert all(urgency is Urgency.VOTE for _, _, urgency in bench.network.said)
    assert bench.engine.status().step == "idle"


def test_an_idle_status_names_whom_a_quorum_would_lack() -> None:
    bench = EngineBench()
    assert (bench.engine.status().step, bench.engine.status().awaited) == (
        "link",
        tuple(name for name in NAMES if name != bench.name),
    )
    for peer in (A, B):
        bench.engine.link(peer, is_up=True)
    assert (bench.engine.status().step, bench.engine.status().awaited) == ("idle", ())
    bench.engine.link(B, is_up=False)
    assert set(bench.engine.status().awaited) == {B, C}


def test_an_observer_tells_its_heights_too() -> None:
    bench = EngineBench(me=None)
    bench.pass_ms(2 * STATUS_EVERY_MS)
    assert len(bench.sent(StatusMessage)) >= 2


def test_operators_see_peers_clocks_and_who_is_linked() -> None:
    bench = EngineBench()
    bench.engine.link(C, is_up=True)
    bench.pass_ms(INTERVAL_MS)
    question = bench.sent(ClockMessage)[-1][1]
    now = bench.clock.now_ms()
    spent_ms = now - question.sent_ms
    bench.receive(
        C,
        ClockMessage(sent_ms=now + 40, echoed_ms=question.sent_ms, received_ms=now + 40 - spent_ms),
    )
    peers = {p.name: p for p in bench.engine.status().peers}
    assert peers[C].connected
    assert peers[C].clock_offset_ms == 40
    assert peers[C].last_heard_ms == now
    assert not peers[B].connected
    assert bench.name not in peers


def test_status_before_the_start_says_so() -> None:
    assert EngineBench(start=False).engine.status().step == "starting"


def test_an_answer_of_the_core_for_a_height_that_has_passed_is_dropped() -> None:
    bench = EngineBench()
    late = CommitCertificate(height=9, view=0, digest=bytes(32), signers=(0, 1, 2))  # type: ignore[arg-type]
    proposal = Proposal(
        height=1,
        view=0,
        digest=bytes(32),
        sender=0,
        first_view=0,
        proposer=0,  # type: ignore[arg-type]
    )
    bench.network.said.clear()
    bench.engine._carry_out(
        Effects(
            send=(Send(to=None, message=proposal),),
            decided=(late,),
            build=(Build(height=9, view=0),),  # type: ignore[arg-type]
            validate=(Validate(height=9, digest=bytes(32), holders=(1,)),),  # type: ignore[arg-type]
        )
    )
    assert bench.network.said == []
    with pytest.raises(InvariantViolation):
        bench.engine._keeper.persist((Proposed(proposal=proposal),))


def test_sync_cosigns_and_commits_as_consensus_does() -> None:
    theirs, bench = other_chain(2), EngineBench()
    bench.receive(A, status(3))
    bench.receive(A, blocks_of(theirs, 1, 2))
    assert bench.ledger.tip.block_hash == theirs.tip.block_hash
    assert [m.height for _, m in bench.sent(CosignatureMessage)] == [2]
