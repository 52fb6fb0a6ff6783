"""A fork is met: the node says so, with what it holds against those who made it, and stops."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine.messages import SignedChange, ViewChangeMessage, Vote
from chainnode.model.errors import ForkProven, PeerFault
from chainnode.model.forensics import culprits, decode_testimony
from chainnode.model.votes import PROPOSE, VIEW_CHANGE, view_change_message, vote_message
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
DOMAIN, SET = CHAIN.genesis.domain, CHAIN.genesis.validator_set


def change(sender, view):
    signature = CHAIN.validators[sender].consensus.sign(view_change_message(DOMAIN, 1, view, None))
    return ViewChangeMessage(
        change=SignedChange(height=1, view=view, sender=sender, prepared=None, signature=signature),
        proof=None,
    )


def test_a_certificate_of_another_block_of_a_decided_height_stops_the_node_and_names_the_guilty():
    bench = EngineBench()
    bench.commit_here(bench.block())
    bench.receive(A, decided(CHAIN.certificate(1, bench.ledger.tip.block_hash, signers=(1, 2, 3))))
    other = CHAIN.certificate(1, bytes(32), signers=(1, 2, 3))
    with pytest.raises(ForkProven) as caught:
        bench.receive(A, decided(other))
    assert "two blocks of height 1" in str(caught.value)
    found = culprits(DOMAIN, SET, decode_testimony(caught.value.testimony))
    ours = {i for i, _ in bench.ledger.header(1)[1].signatures}
    assert {e.signer for e in found} == ours & {1, 2, 3}
    assert len(found) >= SET.faulty + 1
    names = [f["validator"] for n, f in bench.witness.events if n == "fork_evidence"]
    assert names == [NAMES[e.signer] for e in found]


def test_a_forged_certificate_of_another_block_is_the_peers_fault():
    bench = EngineBench()
    bench.commit_here(bench.block())
    good = CHAIN.certificate(1, bytes(32))
    forged = dataclasses.replace(good, signatures=tuple((i, bytes(64)) for i, _ in good.signatures))
    with pytest.raises(PeerFault):
        bench.receive(A, decided(forged))
    few = CHAIN.certificate(1, bytes(32), signers=(1, 2))
    with pytest.raises(PeerFault):
        bench.receive(A, decided(few))


def test_a_synced_block_on_another_parent_is_a_fork_too():
    bench = EngineBench()
    bench.commit_here(bench.block([], view=0))
    theirs = other_chain(3)
    assert theirs.header(1)[1].block_hash != bench.ledger.tip.block_hash
    bench.receive(B, status(4, tip=3))
    with pytest.raises(ForkProven):
        bench.receive(B, blocks_of(theirs, 2, 3))


def test_why_a_block_was_prepared_above_view_0_outlives_its_height():
    bench = EngineBench()
    # Height 1 is led in view 1 by validator 2.
    for sender in (1, 2, 3):
        bench.receive(NAMES[sender], change(sender, 1))
    executed = bench.block(view=1)
    proposal = dataclasses.replace(
        bench.proposal(executed, sender=2),
        view=1,
        signature=CHAIN.validators[2].consensus.sign(
            vote_message(DOMAIN, PROPOSE, 1, 1, executed.outline.block_hash)
        ),
        changes=tuple(change(sender, 1).change for sender in (1, 2, 3)),
    )
    bench.receive(B, proposal)
    assert [v.view for _, v in bench.sent(Vote)] == [1]
    bench.receive(B, decided(CHAIN.certify(executed, view=1)))
    assert bench.ledger.tip.height == 1
    said = bench.engine.testimony(1)
    assert {s.signer for s in said if s.kind == VIEW_CHANGE} >= {1, 2, 3}
    assert len([s for s in said if s.kind == 3]) == 3
