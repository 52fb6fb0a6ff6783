"""When a validator may vote after a start: every row of the table in `chainnode.engine.recovery`, and a restart in each."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine.messages import (
    ClockMessage,
    OutlineMessage,
    ProposeMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model.errors import InvariantViolation, PeerFault
from chainnode.model.votes import COMMIT, PREPARE
from chainnode.services.ports import QuarantineCode
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.memory import MemoryStore
from tests.support.chain import make_chain
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


def next_block(bench: EngineBench) -> None:
    """Have the next block proposed and decided by the others."""
    bench.clock.advance(60)
    executed = bench.block()
    leader = NAMES[executed.outline.header.height % 4]
    if leader == bench.name:
        # Nobody but us could sign its proposal.
        bench.receive(A, OutlineMessage(executed.outline.encode()))
    else:
        bench.receive(leader, bench.proposal(executed))
    bench.receive(A, decided(CHAIN.certify(executed, signers=[1, 2, 3])))


def restarted(bench: EngineBench, **parts: object) -> EngineBench:
    kept: dict[str, object] = {"store": bench.store, "file": bench.file, "clock": bench.clock}
    return EngineBench(**(kept | parts))  # type: ignore[arg-type]


def test_a_new_validator_of_a_new_chain_votes_at_once_and_after_a_restart() -> None:
    bench = EngineBench()
    assert bench.engine.status().is_voting
    assert restarted(bench).engine.status().is_voting


def test_a_vote_is_repeated_after_a_restart_and_no_other_is_cast_in_its_view() -> None:
    bench = EngineBench()
    first = bench.block()
    bench.receive(A, bench.proposal(first))
    ((_, vote),) = bench.sent(Vote)
    again = restarted(bench)
    ((_, repeated),) = again.sent(Vote)
    assert repeated == vote
    again.clock.advance(10)
    again.receive(A, again.proposal(again.block()))
    assert again.sent(Vote) == []
    again.receive(A, decided(CHAIN.certify(first)))
    assert again.ledger.tip.block_hash == first.outline.block_hash


def test_a_leader_proposes_the_same_block_again_after_a_restart() -> None:
    bench = EngineBench(me=1)
    bench.engine.submit(CHAIN.notarization("a").envelope, lambda _: None)
    bench.pass_ms(100)
    ((_, proposal),) = bench.sent(ProposeMessage)
    again = restarted(bench, me=1)
    again.pass_ms(500)
    repeated = [m for _, m in again.sent(ProposeMessage)]
    assert repeated
    assert set(repeated) == {proposal}


def test_a_candidate_that_was_voted_for_must_execute_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    bench.receive(A, bench.proposal(bench.block()))
    again = restarted(bench, start=False)
    monkeypatch.setattr(
        again.ledger, "recover_candidates", lambda: (_ for _ in ()).throw(InvariantViolation("x"))
    )
    with pytest.raises(InvariantViolation):
        again.engine.start()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_validator_that_lost_its_vote_log_observes_until_a_block_is_younger_than_its_start(
    restarts: bool,
) -> None:
    bench = EngineBench()
    for _ in range(2):
        next_block(bench)
    lost = restarted(bench, file=MemoryFile())
    assert not lost.engine.status().is_voting
    if restarts:
        lost = restarted(lost)
    next_block(lost)
    assert not lost.engine.status().is_voting
    assert lost.sent(Vote) == []
    lost.clock.advance(10_000)
    next_block(lost)
    assert lost.engine.status().is_voting


def test_a_lone_validator_that_lost_its_vote_log_goes_on() -> None:
    chain = make_chain(validators=1)
    bench = EngineBench(chain=chain)
    bench.engine.submit(chain.notarization("a").envelope, lambda _: None)
    bench.pass_ms(1_000)
    assert bench.ledger.tip.height == 1
    lost = restarted(bench, chain=chain, file=MemoryFile())
    assert lost.engine.status().is_voting
    lost.engine.submit(chain.notarization("b").envelope, lambda _: None)
    lost.pass_ms(1_000)
    assert lost.ledger.tip.height == 2


@pytest.mark.parametrize("restarts", [False, True])
def test_a_validator_that_lost_everything_observes_on_a_chain_that_is_older_than_it(
    restarts: bool,
) -> None:
    theirs, bench = other_chain(3), EngineBench(start=False)
    bench.clock.advance(600_000)
    bench = restarted(bench)
    assert bench.engine.status().is_voting
    bench.receive(A, status(4))
    bench.receive(A, blocks_of(theirs, 1, 3))
    assert bench.ledger.tip.height == 3
    assert not bench.engine.status().is_voting
    if restarts:
        bench = restarted(bench)
        assert not bench.engine.status().is_voting
    bench.clock.advance(10_000)
    next_block(bench)
    assert bench.engine.status().is_voting


def test_a_ledger_that_lost_blocks_observes_up_to_the_height_of_the_last_vote() -> None:
    bench = EngineBench()
    committed = []
    for _ in range(2):
        next_block(bench)
        committed.append(bench.ledger.certified_block(bench.ledger.tip.height).encode())
    bench.clock.advance(60)
    open_block = bench.block()
    bench.receive(C, bench.proposal(open_block))
    ((_, vote),) = [s for s in bench.sent(Vote) if s[1].height == 3]
    older = restarted(bench, store=MemoryStore())
    assert not older.engine.status().is_voting
    again = restarted(older)
    for engine in (older, again):
        assert engine.sent(Vote) == []
    again.receive(A, status(3))
    again.receive(A, blocks_of(bench.ledger, 1, 2))
    assert again.ledger.tip.height == 2
    assert again.engine.status().is_voting
    assert vote in [m for _, m in again.sent(Vote)]


def test_whoever_is_in_no_set_observes_and_still_commits() -> None:
    bench = EngineBench(me=None)
    for _ in range(2):
        next_block(bench)
    assert bench.ledger.tip.height == 2
    assert not bench.engine.status().is_voting
    assert bench.sent(Vote) == []


def test_nothing_is_voted_before_as_many_have_answered_as_a_decision_needs() -> None:
    bench = EngineBench(answers=False)
    bench.receive(A, bench.proposal(bench.block()))
    bench.pass_ms(2_000)
    assert bench.sent(Vote) == []
    found = bench.engine.status().quarantine
    assert found is not None
    assert found.code is QuarantineCode.ASKING_OTHERS
    bench.answer(A)
    bench.receive(A, bench.proposal(bench.block()))
    assert bench.sent(Vote) == []
    bench.answer(B)
    bench.receive(A, bench.proposal(bench.block()))
    assert len(bench.sent(Vote)) == 1


def test_a_peer_at_another_height_has_not_answered() -> None:
    bench = EngineBench(answers=False)
    bench.engine.link(A, is_up=True)
    bench.engine.link(B, is_up=True)
    bench.engine.tick()
    questions = dict(bench.sent(ClockMessage))
    for peer in (A, B):
        bench.receive(peer, status(9))
        bench.receive(peer, bench.echo(questions[peer]))
    assert not bench.engine.status().is_voting


@pytest.mark.parametrize("kind", [PREPARE, COMMIT])
def test_an_own_vote_that_is_not_known_silences_at_once_and_is_told_once(kind: int) -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.vote(kind, 0, 1, executed.outline.block_hash))
    status_now = bench.engine.status()
    assert not status_now.is_voting
    assert status_now.quarantine is not None
    assert status_now.quarantine.code is QuarantineCode.UNKNOWN_VOTE
    bench.receive(A, bench.proposal(executed))
    bench.pass_ms(5_000)
    assert bench.sent(Vote) == []
    assert bench.sent(ViewChangeMessage) == []
    assert bench.witness.names().count("quarantine_began") == 1
    # It was noted, so a restart does not take the new log for level.
    again = restarted(bench)
    found = again.engine.status().quarantine
    assert found is not None
    assert found.code is QuarantineCode.VOTE_LOG_LOST
    again.clock.advance(10_000)
    next_block(again)
    assert again.engine.status().is_voting
    assert again.witness.names().count("quarantine_ended") == 1


def test_an_own_vote_that_is_known_comes_back_without_harm() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    ((_, vote),) = bench.sent(Vote)
    bench.receive(B, vote)
    again = restarted(bench)
    again.receive(B, vote)
    assert bench.engine.status().is_voting
    assert again.engine.status().is_voting


def test_a_claim_that_we_did_not_sign_silences_nobody() -> None:
    bench = EngineBench()
    vote = bench.vote(COMMIT, 0, 1, bench.block().outline.block_hash)
    with pytest.raises(PeerFault):
        bench.receive(A, dataclasses.replace(vote, view=1))
    assert bench.engine.status().is_voting


@pytest.mark.parametrize("lag_ms", [0, 3_600_000])
def test_what_is_younger_is_told_by_peers_clocks_and_not_by_ours(lag_ms: int) -> None:
    """A machine that believes it is an hour ago takes blocks of that hour for new, if it asks its own clock."""
    bench = EngineBench()
    next_block(bench)
    lost = restarted(bench, file=MemoryFile(), answers=False)
    lost.clock.wall_ms -= lag_ms
    for peer in (A, B):
        lost.engine.link(peer, is_up=True)
    lost.engine.tick()
    questions = dict(lost.sent(ClockMessage))
    for peer in (A, B):
        true_ms = lost.clock.now_ms() + lag_ms
        lost.receive(peer, status(2))
        answer = lost.echo(questions[peer])
        lost.receive(peer, dataclasses.replace(answer, sent_ms=true_ms, received_ms=true_ms))
    lost.clock.advance(10_000)
    next_block(lost)
    assert lost.engine.status().is_voting == (lag_ms == 0)


# -- asked by others -------------------------------------------------------------------------------------------


def ask(bench: EngineBench, peer: str) -> ClockMessage:
    """Have a peer ask what was heard of it; return its question."""
    bench.clock.advance(30)
    question = ClockMessage(sent_ms=bench.clock.now_ms(), echoed_ms=0, received_ms=0)
    bench.receive(peer, question)
    return question


def is_answered(bench: EngineBench, peer: str, question: ClockMessage) -> bool:
    """Whether the peer was sent, now or within the next samples, what it takes for an answer."""
    bench.pass_ms(11_000)
    return any(to == peer and m.echoed_ms == question.sent_ms for to, m in bench.sent(ClockMessage))


def test_a_peer_whose_status_came_before_its_height_opened_here_is_answered_only_once_it_was_told() -> (
    None
):
    bench = EngineBench()
    bench.engine.link(A, is_up=True)
    bench.receive(A, status(2))
    next_block(bench)
    # What it has said at height 2 may have come early, and be held here.
    assert not is_answered(bench, A, ask(bench, A))
    bench.receive(A, status(2))
    assert is_answered(bench, A, ask(bench, A))


def test_a_peer_is_not_answered_about_a_height_that_is_decided_and_whose_block_is_missing() -> None:
    bench = EngineBench()
    bench.engine.link(A, is_up=True)
    bench.receive(A, status(1))
    executed = bench.block()
    bench.receive(B, decided(CHAIN.certify(executed, signers=[1, 2, 3])))
    assert not is_answered(bench, A, ask(bench, A))
    bench.receive(B, OutlineMessage(executed.outline.encode()))
    assert bench.ledger.tip.height == 1
    bench.receive(A, status(1))
    assert is_answered(bench, A, ask(bench, A))
