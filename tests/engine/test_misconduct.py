"""A validator contradicts itself before our eyes: that is proven, reported and recorded, once."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine.messages import FetchMessage, TransactionsMessage
from chainnode.engine.reports import MAX_WAITING
from chainnode.ledger import checks
from chainnode.ledger.errors import InvalidBlock
from chainnode.model.errors import PeerFault, Refused
from chainnode.model.transaction import decode_transaction, make_report
from chainnode.model.votes import COMMIT, PREPARE
from tests.support.engine_bench import CHAIN, NAMES, EngineBench, decided
from tests.support.misconduct import double_vote, report_of

A, B, C = NAMES[1:]
DOMAIN = CHAIN.genesis.domain


def report(signer=3, *, height=1, view=0, first=1):
    return report_of(CHAIN, double_vote(CHAIN, signer, height=height, view=view, first=first))


def forged():
    evidence = report().evidence()
    bad = dataclasses.replace(
        evidence, second=dataclasses.replace(evidence.second, signature=bytes(64))
    )
    return make_report(DOMAIN, CHAIN.genesis.chain_id, bad)


def waiting(bench):
    return [t for t in bench.pool.select(1_000, 10**7) if t.is_report]


def test_two_votes_of_a_view_are_reported_once_and_told_to_all():
    bench = EngineBench()
    for digest in (bytes(32), bytes(31) + b"\1", bytes(31) + b"\2"):
        bench.receive(C, bench.vote(PREPARE, 3, 1, digest))
        bench.receive(C, bench.vote(PREPARE, 3, 1, digest, view=1))
    (found,) = waiting(bench)
    assert found.evidence().signer == 3
    (event,) = [f for n, f in bench.witness.events if n == "misbehaviour_proven"]
    assert (event["validator"], event["offence"]) == (C, "double-vote")
    bench.engine.flush()
    ((to, message),) = bench.sent(TransactionsMessage)
    assert (to, message.envelopes) == (None, (found.envelope,))


def test_a_contradiction_in_the_very_vote_that_decides_is_not_lost():
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    bench.receive(C, bench.vote(COMMIT, 3, 1, bytes(32)))
    bench.receive(B, bench.prepare(2, executed))
    bench.receive(A, bench.commit(1, executed))
    bench.receive(C, bench.commit(3, executed))
    assert bench.ledger.tip.height == 1
    (found,) = waiting(bench)
    assert found.evidence().height == 1


def test_when_another_report_of_the_offence_is_decided_ours_leaves_the_pool():
    bench = EngineBench()
    bench.receive(A, TransactionsMessage((report().envelope,)))
    other = report(first=5)
    executed = bench.block([other])
    bench.receive(A, bench.proposal(executed))
    bench.receive(A, TransactionsMessage((other.envelope,)))
    bench.receive(B, decided(CHAIN.certify(executed)))
    assert bench.ledger.tip.height == 1
    assert bench.ledger.receipts(1)[0].succeeded
    assert bench.ledger.lookup(b"evidence", 10) == [1]
    assert waiting(bench) == []
    bench.receive(A, TransactionsMessage((report(first=6).envelope,)))
    assert waiting(bench) == []


def test_a_peer_that_passes_on_a_report_that_proves_nothing_is_at_fault():
    bench = EngineBench()
    with pytest.raises(PeerFault):
        bench.receive(A, TransactionsMessage((report().envelope, forged().envelope)))
    assert waiting(bench) == []


def test_of_one_offence_one_report_waits_and_of_all_a_bounded_number():
    bench = EngineBench()
    for first in (1, 2, 3):
        bench.receive(A, TransactionsMessage((report(first=first).envelope,)))
    assert len(waiting(bench)) == 1
    for height in range(1, MAX_WAITING + 2):
        bench.commit_here(bench.block())
        bench.receive(B, TransactionsMessage((report(2, height=height).envelope,)))
    assert len(waiting(bench)) == MAX_WAITING


def test_a_client_may_hand_in_a_report_and_hears_of_one_that_is_none():
    bench = EngineBench()
    answers = []
    bench.engine.submit(report().envelope, answers.append)
    assert [t.hash for t in waiting(bench)] == [answers[0].hash]
    bench.engine.submit(report(first=4).envelope, answers.append)
    assert isinstance(answers[1], Refused)
    assert answers[1].error_code == "already_reported"


def test_a_block_with_a_report_that_records_nothing_is_invalid_and_nobody_builds_one():
    bench = EngineBench()
    reports = [report(), report(first=5), forged()]
    executed = bench.block(reports)
    assert [t.hash for t in executed.transactions] == [reports[0].hash]
    theirs = EngineBench()
    outline = theirs.block([reports[0]]).outline
    bench.ledger.execute(outline, [decode_transaction(DOMAIN, reports[0].envelope)])
    bench.ledger.commit(executed, CHAIN.certify(executed))
    again = bench.block([reports[1]])
    assert again.transactions == ()


def test_a_proposal_that_names_an_invalid_report_gets_no_vote(monkeypatch):
    theirs = EngineBench()
    monkeypatch.setattr(checks, "useless_reports", lambda *_: frozenset())
    executed = theirs.block([forged()])
    monkeypatch.undo()
    bench = EngineBench()
    bench.receive(A, bench.proposal(executed))
    assert bench.sent(FetchMessage)
    with pytest.raises(PeerFault):
        bench.receive(A, TransactionsMessage((forged().envelope,)))
    with pytest.raises(InvalidBlock) as caught:
        bench.ledger.execute(executed.outline, executed.transactions)
    assert caught.value.error_code == "useless_report"
