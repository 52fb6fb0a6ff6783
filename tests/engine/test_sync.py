"""Catching up: what peers claim is a hint, what they send is judged from the certificate inwards, and liars pay."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine import allowance as allowance_module
from chainnode.engine import engine as engine_module
from chainnode.engine import sync as sync_module
from chainnode.engine.messages import (
    BlocksMessage,
    CosignatureMessage,
    FetchBlocksMessage,
    StatusMessage,
)
from chainnode.ledger.ledger import Ledger
from chainnode.model.block import CertifiedBlock, decode_certified_block, make_outline
from chainnode.model.errors import InvariantViolation, PeerFault
from chainnode.storage.memory import MemoryStore
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


def asked(bench: EngineBench) -> list[tuple[str | None, int]]:
    """Return whom the engine asked since, and from which height."""
    return [(to, m.from_height) for to, m in bench.sent(FetchBlocksMessage)]


def test_a_node_that_is_far_behind_asks_at_once_and_catches_up() -> None:
    theirs, bench = other_chain(5, size=1), EngineBench()
    bench.receive(A, status(6))
    assert asked(bench) == [(A, 1)]
    bench.receive(A, blocks_of(theirs, 1, 5))
    assert bench.ledger.tip.block_hash == theirs.tip.block_hash
    assert bench.witness.blocks == [1, 2, 3, 4, 5]
    bench.pass_ms(5_000)
    assert asked(bench) == []


def test_one_height_behind_is_normal_for_a_moment() -> None:
    bench = EngineBench()
    bench.receive(A, status(2))
    assert asked(bench) == []
    bench.pass_ms(sync_module.PATIENCE_MS + 60)
    assert asked(bench) == [(A, 1)]


def test_a_height_that_is_known_to_be_decided_is_not_waited_for() -> None:
    theirs, bench = other_chain(1), EngineBench()
    bench.receive(A, decided(theirs.tip.certificate))
    assert bench.engine.status().step == "blocks"
    bench.receive(B, status(2))
    assert asked(bench) == [(B, 1)]
    bench.receive(B, blocks_of(theirs, 1, 1))
    assert bench.ledger.tip.height == 1
    assert not bench.engine.status().is_syncing


def test_a_decision_without_anybody_who_has_the_block_keeps_the_node_calm() -> None:
    bench = EngineBench()
    bench.receive(A, decided(other_chain(1).tip.certificate))
    assert bench.pass_ms(10_000) < 500
    assert asked(bench) == []


def test_a_decision_that_came_by_votes_ends_the_hurry() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, decided(CHAIN.certify(executed)))
    bench.receive(A, bench.proposal(executed))
    assert bench.ledger.tip.height == 1
    assert bench.pass_ms(10_000) < 100


def test_a_silent_peer_is_passed_over() -> None:
    bench = EngineBench()
    for peer in (A, B):
        bench.receive(peer, status(9))
    ((first, _),) = asked(bench)
    bench.pass_ms(sync_module.ANSWER_MS + 10)
    ((second, _),) = asked(bench)
    assert {first, second} == {A, B}


def test_a_false_tip_costs_the_node_nothing_but_a_question_now_and_then() -> None:
    theirs, bench = other_chain(3), EngineBench()
    bench.receive(A, status(10**12))
    bench.receive(B, status(4))
    bench.pass_ms(20_000)
    assert len(asked(bench)) < 12
    bench.receive(B, blocks_of(theirs, 1, 3))
    assert bench.ledger.tip.height == 3
    assert bench.pass_ms(10_000) < 500


def test_a_peer_that_is_gone_is_asked_no_more() -> None:
    bench = EngineBench()
    bench.engine.link(A, is_up=True)
    bench.receive(A, status(9))
    bench.receive(B, status(9))
    ((first, _),) = asked(bench)
    bench.engine.link(str(first), is_up=False)
    bench.engine.tick()
    ((second, _),) = asked(bench)
    assert first != second


def test_a_late_answer_is_welcome_and_one_for_decided_heights_harmless() -> None:
    theirs, bench = other_chain(4), EngineBench()
    bench.receive(A, status(5))
    bench.pass_ms(sync_module.ANSWER_MS + 10)
    bench.receive(A, blocks_of(theirs, 1, 4))
    assert bench.ledger.tip.height == 4
    bench.receive(A, blocks_of(theirs, 1, 4))
    assert bench.ledger.tip.height == 4


def test_an_answer_with_other_blocks_than_those_asked_for_excludes_its_sender() -> None:
    theirs, bench = other_chain(5), EngineBench()
    bench.receive(A, status(6))
    assert asked(bench) == [(A, 1)]
    bench.receive(A, blocks_of(theirs, 4, 5))
    bench.receive(B, status(6))
    assert asked(bench) == [(B, 1)]


@pytest.mark.parametrize("where", ["bytes", "signers", "signature", "transactions", "fork"])
def test_a_block_that_does_not_hold_is_dropped_and_its_sender_pays(where: str) -> None:
    theirs, bench = other_chain(2, size=1), EngineBench()
    block = decode_certified_block(DOMAIN, theirs.certified_block(1).encode())
    header_hash = block.block_hash
    few = CHAIN.certificate(1, header_hash, signers=[0, 1]).encode()
    good = CHAIN.certificate(1, header_hash)
    forged = dataclasses.replace(
        good, signatures=(*good.signatures[:-1], (3, good.signatures[0][1]))
    ).encode()
    fork = CHAIN.certificate(1, bytes(32)).encode()
    bad = {
        "bytes": b"\x00",
        "signers": dataclasses.replace(block, certificate=few).encode(),
        "signature": dataclasses.replace(block, certificate=forged).encode(),
        "transactions": dataclasses.replace(
            block, envelopes=(CHAIN.notarization("x").envelope,)
        ).encode(),
        "fork": dataclasses.replace(block, certificate=fork).encode(),
    }[where]
    second = theirs.certified_block(2).encode()
    bench.receive(A, status(3))
    if where == "bytes":
        with pytest.raises(PeerFault):
            bench.receive(A, BlocksMessage((bad, second)))
    else:
        bench.receive(A, BlocksMessage((bad, second)))
        assert "peer_fault" in bench.witness.names()
        with pytest.raises(PeerFault):
            bench.receive(A, status(3))
    assert bench.ledger.tip.height == 0
    assert not bench.engine.status().is_syncing
    # Not even good blocks are taken from it now, and others are asked instead.
    bench.receive(A, blocks_of(theirs, 1, 2))
    assert bench.ledger.tip.height == 0
    bench.receive(B, status(3))
    bench.receive(B, blocks_of(theirs, 1, 2))
    assert bench.ledger.tip.height == 2


def test_a_certified_block_with_other_results_stops_the_node() -> None:
    bench = EngineBench()
    honest = bench.block()
    header = dataclasses.replace(honest.outline.header, state_root=bytes(31) + b"\1")
    outline = make_outline(DOMAIN, header=header, parent_certificate=b"", tx_hashes=())
    block = CertifiedBlock(
        header_bytes=outline.header_bytes,
        header=header,
        block_hash=outline.block_hash,
        parent_certificate=b"",
        envelopes=(),
        certificate=CHAIN.certificate(1, outline.block_hash).encode(),
    )
    bench.receive(A, status(3))
    with pytest.raises(InvariantViolation, match="gives something else"):
        bench.receive(A, BlocksMessage((block.encode(),)))
    assert bench.ledger.tip.height == 0


def test_a_long_queue_is_executed_in_turns_and_nothing_is_cosigned_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "CATCH_UP_TRANSACTIONS", 4)
    theirs, bench = other_chain(6, size=1), EngineBench()
    bench.receive(A, status(7))
    bench.sent(CosignatureMessage)
    bench.receive(A, blocks_of(theirs, 1, 6))
    assert bench.ledger.tip.height == 2
    assert bench.engine.status().is_syncing
    assert bench.engine.deadline_ms <= bench.clock.mono_ms
    bench.engine.tick()
    assert bench.ledger.tip.height == 4
    bench.pass_ms(0)
    assert bench.ledger.tip.height == 6
    assert not bench.engine.status().is_syncing
    assert [m.height for _, m in bench.sent(CosignatureMessage)] == [6]


def test_blocks_that_consensus_decides_first_leave_no_gap_in_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "CATCH_UP_TRANSACTIONS", 0)
    theirs, bench = other_chain(3), EngineBench()
    bench.receive(A, status(4))
    bench.receive(A, blocks_of(theirs, 1, 1))
    first = decode_certified_block(DOMAIN, theirs.certified_block(1).encode())
    executed = bench.ledger.build(
        transactions=(),
        time_ms=first.header.time_ms,
        first_view=0,
        proposer=first.header.proposer,
    )
    assert executed.outline.block_hash == first.block_hash
    bench.engine._commit(executed, theirs.header(1)[1])  # as `_decided` does
    assert bench.engine.status().open_height == 2
    monkeypatch.setattr(engine_module, "CATCH_UP_TRANSACTIONS", 100)
    bench.receive(A, blocks_of(theirs, 2, 3))
    assert bench.ledger.tip.height == 3
    assert "peer_fault" not in bench.witness.names()


def test_the_queue_is_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "CATCH_UP_TRANSACTIONS", 0)
    theirs = other_chain(8)
    size = len(theirs.certified_block(2).encode())
    for name, bound in (("MAX_QUEUED", 3), ("MAX_QUEUED_BYTES", 2 * size)):
        with monkeypatch.context() as patched:
            patched.setattr(sync_module, name, bound)
            bench = EngineBench()
            bench.receive(A, status(9))
            bench.receive(A, blocks_of(theirs, 1, 8))
            bench.sent(FetchBlocksMessage)
            patched.setattr(engine_module, "CATCH_UP_TRANSACTIONS", 100)
            bench.engine.tick()
            assert bench.ledger.tip.height == 3


def test_blocks_are_served_in_answers_of_bounded_size_and_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = other_chain(6)
    store = MemoryStore()
    ours = Ledger.open(store, CHAIN.genesis)
    for height in range(1, 7):
        block = theirs.certified_block(height)
        executed = ours.build(
            transactions=(),
            time_ms=block.header.time_ms,
            first_view=0,
            proposer=block.header.proposer,
        )
        ours.commit(executed, theirs.header(height)[1])
    bench = EngineBench(store=store)
    size = len(theirs.certified_block(2).encode())

    def served(first: int, count: int) -> int:
        bench.receive(A, FetchBlocksMessage(first, count))
        return sum(len(m.blocks) for _, m in bench.sent(BlocksMessage))

    assert served(1, 4) == 4
    assert served(5, 60) == 2
    assert served(7, 60) == 0
    monkeypatch.setattr(sync_module, "MAX_ANSWER_BYTES", 2 * size + 50)
    assert served(2, 60) == 2
    monkeypatch.setattr(allowance_module, "ALLOWED_BYTES", 1)
    assert served(2, 60) == 0
    bench.clock.advance(1_000)
    assert served(2, 60) == 2
    # However small they are, reading blocks costs us more than asking for them costs the peer.
    monkeypatch.setattr(allowance_module, "ALLOWED_BYTES", 3 * sync_module.LEAST_COST_BYTES)
    bench.clock.advance(1_000)
    assert [served(2, 60), served(2, 60), served(2, 60)] == [2, 2, 0]


def test_a_status_tells_the_tip() -> None:
    bench = EngineBench()
    bench.engine.link(A, is_up=True)
    ((to, message),) = bench.sent(StatusMessage)
    assert (to, message.tip_height, message.height) == (A, 0, 1)
