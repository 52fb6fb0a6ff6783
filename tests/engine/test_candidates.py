"""Proposals on their way to a verdict: fetched in turn, executed once, given up with their height."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine import allowance as allowance_module
from chainnode.engine import candidates as candidates_module
from chainnode.engine.messages import (
    DecidedMessage,
    FetchMessage,
    FetchOutlineMessage,
    OutlineMessage,
    TransactionsMessage,
    Vote,
)
from chainnode.model.block import make_outline
from chainnode.model.errors import PeerFault
from chainnode.model.parameters import Parameters
from chainnode.model.transaction import decode_transaction
from chainnode.model.votes import PREPARE
from tests.support.chain import make_chain
from tests.support.engine_bench import CHAIN, NAMES, EngineBench, HeldVerifier, decided

A, B, C = NAMES[1:]


def test_a_proposal_of_known_transactions_is_voted_for_at_once() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    bench.receive(B, TransactionsMessage((transaction.envelope,)))
    executed = bench.block([transaction])
    bench.receive(A, bench.proposal(executed))
    ((to, prepare),) = bench.sent(Vote)
    assert (to, prepare.kind, prepare.digest) == (None, PREPARE, executed.outline.block_hash)
    assert bench.sent(FetchMessage) == []


def test_what_is_missing_is_asked_for_ever_more_rarely() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    bench.receive(A, bench.proposal(bench.block([transaction])))
    assert bench.sent(FetchMessage) == [(A, FetchMessage((transaction.hash,)))]
    bench.pass_ms(candidates_module.RETRY_MS - 1)
    assert bench.sent(FetchMessage) == []
    bench.pass_ms(900 - candidates_module.RETRY_MS)
    assert len(bench.sent(FetchMessage)) == 2
    bench.receive(A, TransactionsMessage((transaction.envelope,)))
    assert len(bench.sent(Vote)) == 1
    bench.pass_ms(500)
    assert bench.sent(FetchMessage) == []


def test_what_its_only_holder_does_not_give_is_asked_of_the_others() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    bench.receive(A, bench.proposal(bench.block([transaction])))
    asked = [to for to, _ in bench.sent(FetchMessage)]
    bench.pass_ms(3 * candidates_module.RETRY_MS)
    asked += [to for to, _ in bench.sent(FetchMessage)]
    assert asked == [A, B, C]
    bench.receive(C, TransactionsMessage((transaction.envelope,)))
    assert len(bench.sent(Vote)) == 1


def test_whoever_votes_for_a_block_has_it_and_is_asked_before_others() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    executed = bench.block([transaction])
    bench.receive(A, bench.proposal(executed))
    bench.sent(FetchMessage)
    bench.receive(C, bench.prepare(3, executed))
    bench.pass_ms(candidates_module.RETRY_MS + 50)
    assert [to for to, _ in bench.sent(FetchMessage)] == [C]


def test_what_is_being_verified_is_not_fetched_again() -> None:
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    transaction = CHAIN.notarization("a")
    bench.receive(B, TransactionsMessage((transaction.envelope,)))
    bench.receive(A, bench.proposal(bench.block([transaction])))
    bench.pass_ms(300)
    assert bench.sent(FetchMessage) == []
    verifier.release()
    assert len(bench.sent(Vote)) == 1


def test_a_proposal_with_a_bad_signature_is_refused() -> None:
    bench = EngineBench()
    good = CHAIN.notarization("a")
    envelope = good.envelope.replace(good.signature, CHAIN.notarization("b").signature)
    bad = decode_transaction(CHAIN.genesis.domain, envelope)
    bench.receive(A, bench.proposal(bench.block([bad])))
    bench.receive(B, TransactionsMessage((envelope,)))
    assert ("block_refused", "bad_signature") in [
        (name, fields.get("code")) for name, fields in bench.witness.events
    ]
    assert bench.sent(Vote) == []


def test_a_proposal_whose_results_differ_is_refused() -> None:
    bench = EngineBench()
    honest = bench.block()
    header = dataclasses.replace(honest.outline.header, state_root=bytes(32))
    outline = make_outline(
        CHAIN.genesis.domain, header=header, parent_certificate=b"", tx_hashes=()
    )
    bench.receive(A, bench.proposal(dataclasses.replace(honest, outline=outline)))
    assert "block_refused" in bench.witness.names()
    assert bench.sent(Vote) == []


def test_a_proposal_that_is_too_large_is_refused_before_all_of_it_is_here() -> None:
    parameters = Parameters(max_block_bytes=1_000_000)
    chain = make_chain(parameters=parameters)
    bench = EngineBench(chain=chain)
    transactions = [chain.notarization(label) for label in "abc"]
    executed = bench.block(transactions)
    size = len(transactions[0].envelope)
    bench.engine._candidates._max_block_bytes = 2 * size - 10
    bench.receive(A, bench.proposal(executed))
    bench.receive(A, TransactionsMessage(tuple(t.envelope for t in transactions[:2])))
    assert ("block_refused", "block_too_large") in [
        (name, fields.get("code")) for name, fields in bench.witness.events
    ]
    bench.sent(FetchMessage)
    bench.pass_ms(3_000)
    assert bench.sent(FetchMessage) == []


def test_a_decided_block_that_was_never_proposed_here_is_fetched_from_its_signers_in_turn() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    executed = bench.block([transaction])
    bench.receive(A, decided(CHAIN.certify(executed, signers=[1, 2, 3])))
    bench.pass_ms(450)
    asked = bench.sent(FetchOutlineMessage)
    assert [to for to, _ in asked] == [A, B, C]
    assert {m.digest for _, m in asked} == {executed.outline.block_hash}
    bench.receive(C, OutlineMessage(executed.outline.encode()))
    bench.pass_ms(candidates_module.MAX_RETRY_MS)
    assert bench.sent(FetchMessage)
    bench.receive(C, TransactionsMessage((transaction.envelope,)))
    assert bench.ledger.tip.height == 1


def test_transactions_are_asked_for_at_once_however_long_the_outline_took() -> None:
    bench = EngineBench()
    executed = bench.block([CHAIN.notarization("a")])
    bench.engine._candidates.want(executed.outline.block_hash, (A,))
    bench.pass_ms(5_000)
    assert bench.sent(FetchOutlineMessage)
    bench.receive(B, OutlineMessage(executed.outline.encode()))
    assert [to for to, _ in bench.sent(FetchMessage)] == [A]


def test_a_decision_in_the_middle_of_verdicts_ends_all_that_was_wanted() -> None:
    """Both wishes become complete by one message; the first of them decides the height."""
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    bench.clock.advance(10)
    first = bench.block([transaction])
    bench.receive(A, bench.proposal(first))
    bench.clock.advance(10)
    second = bench.block([transaction])
    certificate = CHAIN.certify(second, signers=[1, 2, 3])
    bench.receive(B, decided(certificate))
    bench.receive(B, OutlineMessage(second.outline.encode()))
    bench.receive(C, TransactionsMessage((transaction.envelope,)))
    assert bench.ledger.tip.block_hash == second.outline.block_hash
    assert bench.engine.status().open_height == 2
    bench.sent(FetchMessage)
    bench.sent(FetchOutlineMessage)
    bench.pass_ms(3_000)
    assert bench.sent(FetchMessage) == []
    assert bench.sent(FetchOutlineMessage) == []


def test_the_verdict_that_decides_may_come_before_others_in_the_same_breath() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    decided_one = bench.block([transaction])
    bench.receive(B, decided(CHAIN.certify(decided_one, signers=[1, 2, 3])))
    bench.clock.advance(10)
    other = bench.block([transaction])
    bench.engine._candidates.want(other.outline.block_hash, (C,))
    for executed in (decided_one, other):
        bench.receive(B, OutlineMessage(executed.outline.encode()))
    bench.receive(C, TransactionsMessage((transaction.envelope,)))
    assert bench.ledger.tip.block_hash == decided_one.outline.block_hash
    bench.pass_ms(1_000)
    assert bench.ledger.tip.height == 1


def test_a_wish_that_nobody_can_grant_does_not_keep_the_node_awake() -> None:
    bench = EngineBench()
    bench.engine._candidates.want(bytes(32), ())
    assert bench.pass_ms(5_000) < 300


def test_outlines_are_bounded_and_the_wanted_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_module, "MAX_OUTLINES", 2)
    bench = EngineBench()
    wanted = bench.block([CHAIN.notarization("a")])
    bench.receive(A, bench.proposal(wanted))
    for _ in range(4):
        bench.clock.advance(1)
        bench.receive(B, OutlineMessage(bench.block().outline.encode()))
        bench.receive(B, OutlineMessage(wanted.outline.encode()))
    candidates = bench.engine._candidates
    assert candidates.outline(wanted.outline.block_hash) is not None
    assert len(candidates._outlines) == 2
    monkeypatch.setattr(candidates_module, "MAX_OUTLINES", 0)
    for digest in list(candidates._outlines):
        candidates.want(digest, (A,))
    bench.clock.advance(1)
    bench.receive(B, OutlineMessage(wanted.outline.encode()))


def test_an_outline_is_served_while_its_height_is_open_and_the_decision_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    wish = FetchOutlineMessage(1, executed.outline.block_hash)
    bench.receive(B, wish)
    assert bench.sent(OutlineMessage) == [(B, OutlineMessage(executed.outline.encode()))]
    bench.receive(B, FetchOutlineMessage(1, bytes(32)))
    monkeypatch.setattr(allowance_module, "ALLOWED_BYTES", 1)
    bench.receive(B, wish)
    assert bench.sent(OutlineMessage) == []
    bench.receive(A, decided(CHAIN.certify(executed)))
    bench.receive(B, wish)
    assert bench.sent(OutlineMessage) == []
    assert [to for to, _ in bench.sent(DecidedMessage)] == [B]


def test_an_outline_of_another_height_is_dropped_and_bytes_that_are_none_are_a_fault() -> None:
    theirs = EngineBench()
    theirs.commit_here(theirs.block())
    bench = EngineBench()
    later = theirs.block().outline
    bench.receive(A, OutlineMessage(later.encode()))
    assert bench.engine._candidates.outline(later.block_hash) is None
    with pytest.raises(PeerFault, match="outline"):
        bench.receive(A, OutlineMessage(b"\x00"))
