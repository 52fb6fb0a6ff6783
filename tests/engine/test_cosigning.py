"""Cosignatures: after the commit and never before, one by each, of sane times, saved seldom, resent on a STATUS."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from chainnode.engine import cosigning as cosigning_module
from chainnode.engine.cosigning import MAX_SKEW_S, PATIENCE_MS
from chainnode.engine.inbox import STATUS_ANSWER_MS
from chainnode.engine.messages import (
    CosignatureMessage,
    DecidedMessage,
    SecondCosignatureMessage,
    TransactionsMessage,
)
from chainnode.model.calls import register_second_key
from chainnode.model.certificate import decode_certificate
from chainnode.model.cosignature import verify_cosignature
from chainnode.model.errors import PeerFault
from chainnode.model.note import cosigner_key
from chainnode.model.second_key import OfferedKey, second_key_statement
from chainnode.model.suites import ML_DSA_44, key_suite_named
from tests.support.chain import GUEST, Chain, key_pair, make_chain
from tests.support.engine_bench import CHAIN, NAMES, EngineBench, decided, status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.ledger.execution import Executed
    from chainnode.model.transaction import Transaction

A, B, C = NAMES[1:]


def test_nothing_is_cosigned_before_a_block_is_committed() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.proposal(executed))
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.prepare(sender, executed))
    bench.receive(B, bench.commit(2, executed))
    assert bench.sent(CosignatureMessage) == []
    bench.receive(A, bench.commit(1, executed))
    assert bench.ledger.tip.height == 1
    ((to, message),) = bench.sent(CosignatureMessage)
    assert (to, message.height, message.sender) == (None, 1, 0)
    assert message == bench.cosignature(0, executed)


def test_a_quorum_of_cosignatures_is_news_once_and_verifies() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    assert bench.engine.newest_checkpoint() is None
    bench.receive(A, bench.cosignature(1, executed))
    assert bench.engine.newest_checkpoint() is None
    bench.receive(B, bench.cosignature(2, executed))
    newest = bench.engine.newest_checkpoint()
    assert newest is not None
    assert (newest.height, len(newest.signatures)) == (1, 3)
    bench.receive(C, bench.cosignature(3, executed))
    bench.receive(C, bench.cosignature(3, executed))
    newest = bench.engine.newest_checkpoint()
    assert newest is not None
    assert len(newest.signatures) == 4
    assert bench.witness.cosigned == [1]
    for keys, signature in zip(CHAIN.validators, newest.signatures, strict=True):
        name = f"{CHAIN.genesis.chain_id}/{keys.name}"
        key = cosigner_key(CHAIN.genesis.suite, name, keys.cosigner.public)
        verify_cosignature(key, newest.checkpoint.text(), signature)


def test_the_checkpoint_is_saved_when_it_is_cosigned_and_when_it_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = make_chain(validators=7)
    bench = EngineBench(chain=chain)
    saved: list[bytes] = []
    monkeypatch.setattr(bench.ledger, "save_checkpoint", saved.append)
    executed = bench.block()
    bench.commit_here(executed)
    for sender in range(1, 7):
        bench.receive(chain.validators[sender].name, bench.cosignature(sender, executed))
    assert len(saved) == 2


def test_a_restart_finds_the_newest_checkpoint_and_cosigns_the_tip_anew() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.cosignature(sender, executed))
    before = bench.engine.newest_checkpoint()
    again = EngineBench(store=bench.store, file=bench.file, clock=bench.clock)
    assert again.engine.newest_checkpoint() == before
    assert [m.height for _, m in again.sent(CosignatureMessage)] == [1]
    for sender in (1, 2, 3):
        again.receive(NAMES[sender], bench.cosignature(sender, executed))
    assert again.witness.cosigned == []
    newest = again.engine.newest_checkpoint()
    assert newest is not None
    assert len(newest.signatures) == 4


def test_a_saved_checkpoint_above_the_ledger_is_not_believed() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.cosignature(sender, executed))
    saved = bench.ledger.load_checkpoint()
    assert saved is not None
    fresh = EngineBench(start=False)
    fresh.ledger.save_checkpoint(saved)
    assert EngineBench(store=fresh.store).engine.newest_checkpoint() is None


@pytest.mark.parametrize("change", ["signature", "no signature", "timestamp", "sender"])
def test_a_cosignature_that_does_not_hold_is_answered_with_our_decision_once_and_then_a_fault(
    change: str,
) -> None:
    """An honest peer that cosigns another log has decided another block: both must hear of the other's."""
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    good = bench.cosignature(1, executed)
    bad = {
        "signature": dataclasses.replace(good, signature=bytes(64)),
        "no signature": dataclasses.replace(good, signature=b""),
        "timestamp": dataclasses.replace(good, timestamp=good.timestamp + 1),
        "sender": dataclasses.replace(good, sender=99),
    }[change]
    bench.receive(A, bad)
    decisions = [(to, m) for to, m in bench.sent(DecidedMessage) if to == A]
    assert [decode_certificate(m.certificate).block_hash for _, m in decisions] == [
        executed.outline.block_hash
    ]
    with pytest.raises(PeerFault, match="cosignature"):
        bench.receive(A, bad)
    bench.receive(A, good)


@pytest.mark.parametrize("skew_s", [-10 * MAX_SKEW_S, 2 * MAX_SKEW_S])
def test_a_cosignature_of_an_absurd_time_is_not_taken(skew_s: int) -> None:
    bench = EngineBench()
    executed = bench.block()
    early = bench.cosignature(1, executed, time_s=bench.clock.now_ms() // 1_000 + skew_s)
    bench.receive(A, early)
    bench.commit_here(executed)
    bench.receive(A, early)
    bench.receive(B, bench.cosignature(2, executed))
    assert bench.engine.newest_checkpoint() is None
    bench.receive(A, bench.cosignature(1, executed))
    assert bench.engine.newest_checkpoint() is not None


def test_an_early_cosignature_counts_when_its_block_comes_and_only_from_its_signers_link() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, bench.cosignature(1, executed))
    bench.receive(A, dataclasses.replace(bench.cosignature(2, executed), signature=bytes(64)))
    bench.receive(B, bench.cosignature(2, executed))
    bench.receive(A, dataclasses.replace(bench.cosignature(2, executed), signature=bytes(64)))
    bench.receive(C, bench.cosignature(1, executed))
    for height in (3, 99):
        bench.receive(C, dataclasses.replace(bench.cosignature(3, executed), height=height))
    bench.commit_here(executed)
    newest = bench.engine.newest_checkpoint()
    assert newest is not None
    assert len(newest.signatures) == 3


def test_an_early_cosignature_without_a_byte_does_not_stop_who_commits_its_block() -> None:
    bench = EngineBench()
    executed = bench.block()
    bench.receive(A, dataclasses.replace(bench.cosignature(1, executed), signature=b""))
    bench.commit_here(executed)
    bench.receive(A, bench.cosignature(1, executed))
    bench.receive(B, bench.cosignature(2, executed))
    assert bench.engine.newest_checkpoint() is not None


def test_early_cosignatures_of_heights_that_were_passed_over_are_forgotten() -> None:
    bench = EngineBench()
    first = bench.block()
    bench.receive(A, dataclasses.replace(bench.cosignature(1, first), height=2))
    bench.receive(B, dataclasses.replace(bench.cosignature(2, first), signature=bytes(64)))
    bench.commit_here(first)
    second = bench.block()
    bench.commit_here(second)
    newest = bench.engine.newest_checkpoint()
    assert newest is None


def test_a_status_is_answered_with_the_cosignatures_that_its_sender_lacks_and_not_at_once_again() -> (
    None
):
    bench = EngineBench()
    executed = bench.block()
    bench.commit_here(executed)
    bench.receive(A, bench.cosignature(1, executed))
    bench.sent(CosignatureMessage)
    bench.receive(B, status(2, tip=1, tip_cosigners=(0, 2)))
    assert [(to, m.sender) for to, m in bench.sent(CosignatureMessage)] == [(B, 1)]
    bench.receive(B, status(2, tip=1, tip_cosigners=(0, 2)))
    assert bench.sent(CosignatureMessage) == []
    bench.clock.advance(STATUS_ANSWER_MS)
    bench.receive(B, status(2, tip=1, tip_cosigners=(0, 2)))
    assert len(bench.sent(CosignatureMessage)) == 1
    bench.clock.advance(STATUS_ANSWER_MS)
    bench.receive(B, status(9, tip=8))
    assert bench.sent(CosignatureMessage) == []


def test_heights_without_a_quorum_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosigning_module, "MAX_OPEN_HEIGHTS", 2)
    bench = EngineBench()
    blocks = []
    for _ in range(3):
        bench.clock.advance(100)
        blocks.append(bench.block())
        peer = NAMES[(bench.ledger.tip.height + 1) % 4]
        bench.receive(peer if peer != bench.name else A, bench.proposal(blocks[-1]))
        bench.receive(A, decided(CHAIN.certify(blocks[-1])))
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.cosignature(sender, blocks[0]))
    assert bench.engine.newest_checkpoint() is None
    for sender in (1, 2):
        bench.receive(NAMES[sender], bench.cosignature(sender, blocks[2]))
    bench.receive(C, bench.cosignature(3, blocks[1]))
    newest = bench.engine.newest_checkpoint()
    assert newest is not None
    assert newest.height == 3


def test_a_newer_checkpoint_is_not_replaced_by_an_older_one() -> None:
    bench = EngineBench()
    blocks = []
    for _ in range(2):
        bench.clock.advance(100)
        blocks.append(bench.block())
        bench.receive(A, bench.proposal(blocks[-1]))
        bench.receive(A, decided(CHAIN.certify(blocks[-1])))
    for block in reversed(blocks):
        for sender in (1, 2):
            bench.receive(NAMES[sender], bench.cosignature(sender, block))
    assert bench.witness.cosigned == [2]


def test_whoever_is_no_validator_gathers_cosignatures_and_makes_none() -> None:
    bench = EngineBench(me=None)
    executed = bench.block()
    bench.commit_here(executed)
    assert bench.ledger.tip.height == 1
    assert bench.sent(CosignatureMessage) == []
    for sender in (1, 2, 3):
        bench.receive(NAMES[sender], bench.cosignature(sender, executed))
    assert bench.witness.cosigned == [1]


# -- second cosignatures -----------------------------------------------------------------------------------


SECOND = {i: key_pair(key_suite_named(ML_DSA_44), f"second {i}") for i in range(4)}


def registering(chain: Chain, *members: int) -> list[Transaction]:
    """Return transactions that register second keys, sent by anybody."""
    sent = []
    for i in members:
        validator, second = chain.validators[i], SECOND[i]
        statement = second_key_statement(chain.genesis.domain, validator.name, 1, second.public)
        offered = OfferedKey(public_key=second.public, possession=second.sign(statement))
        call = register_second_key(validator.name, 1, offered, validator.cosigner.sign(statement))
        sent.append(chain.transaction([call], sender=GUEST))
    return sent


def registered(*members: int, own: bool = True) -> EngineBench:
    """Return an engine behind a block that registers second keys."""
    chain = make_chain(contracts=("cosigners",))
    bench = EngineBench(chain=chain, second=SECOND[0] if own else None)
    sent = registering(chain, *members)
    bench.receive(A, TransactionsMessage(tuple(t.envelope for t in sent)))
    bench.commit_here(bench.block(sent))
    bench.sent(CosignatureMessage)
    bench.sent(SecondCosignatureMessage)
    return bench


def cosigning(
    bench: EngineBench, executed: Executed, *twice: int, once: Iterable[int] = ()
) -> None:
    """Have others cosign, the second kind first, as they do."""
    for sender in twice:
        bench.receive(NAMES[sender], bench.second_cosignature(sender, executed, SECOND[sender]))
        bench.receive(NAMES[sender], bench.cosignature(sender, executed))
    for sender in once:
        bench.receive(NAMES[sender], bench.cosignature(sender, executed))


def kinds(bench: EngineBench) -> list[tuple[str, str]]:
    """Verify the newest checkpoint's lines; return their validators and kinds."""
    chain, newest = bench.chain, bench.engine.newest_checkpoint()
    assert newest is not None
    suites = (chain.genesis.suite, key_suite_named(ML_DSA_44))
    keys = {}
    for i, v in enumerate(chain.validators):
        name = f"{chain.genesis.chain_id}/{v.name}"
        for suite, public in zip(suites, (v.cosigner.public, SECOND[i].public), strict=True):
            key = cosigner_key(suite, name, public)
            keys[name, key.key_id] = (v.name, suite.name, key)
    found = []
    for line in newest.signatures:
        validator, suite_name, key = keys[line.name, line.key_id]
        verify_cosignature(key, newest.checkpoint.text(), line)
        found.append((validator, suite_name))
    return found


def next_block(bench: EngineBench) -> Executed:
    bench.clock.advance(100)
    executed = bench.block()
    bench.commit_here(executed)
    return executed


def test_whoever_has_registered_a_second_key_cosigns_with_it_first() -> None:
    bench = registered(0, 1, 2)
    executed = next_block(bench)
    order = [type(message) for _, message, _ in bench.network.said]
    assert order.index(SecondCosignatureMessage) < order.index(CosignatureMessage)
    cosigning(bench, executed, 1, 2)
    first = [(name, "ed25519-sha256") for name in NAMES[:3]]
    assert kinds(bench) == [*first, *((name, ML_DSA_44) for name in NAMES[:3])]
    assert bench.witness.cosigned[-1] == 2


def test_a_second_key_does_not_count_before_it_is_registered_nor_after_another_is() -> None:
    bench = registered(1)
    executed = next_block(bench)
    assert bench.sent(SecondCosignatureMessage) == []
    cosigning(bench, executed, 1, 2)
    assert [k for k in kinds(bench) if k[1] == ML_DSA_44] == [(A, ML_DSA_44)]


def test_a_checkpoint_waits_a_little_for_a_quorum_of_second_cosignatures() -> None:
    bench = registered(0, 1, 2, 3)
    executed = next_block(bench)
    cosigning(bench, executed, 1, once=[3])
    assert bench.witness.cosigned[-1:] != [2]
    bench.receive(B, bench.second_cosignature(2, executed, SECOND[2]))
    assert bench.witness.cosigned[-1] == 2
    assert [name for name, kind in kinds(bench) if kind == ML_DSA_44] == list(NAMES[:3])
    bench.receive(C, bench.second_cosignature(3, executed, SECOND[3]))
    bench.receive(B, bench.cosignature(2, executed))
    assert len(kinds(bench)) == 8


def test_lost_second_keys_hold_checkpoints_up_once_and_not_again_until_they_are_back() -> None:
    bench = registered(0, 1, 2, 3)
    first = next_block(bench)
    cosigning(bench, first, 1, once=[2, 3])
    assert bench.witness.cosigned[-1:] != [2]
    bench.pass_ms(PATIENCE_MS)
    assert bench.witness.cosigned[-1] == 2
    assert ("second_cosignatures_missing", 2) in [
        (name, fields.get("height")) for name, fields in bench.witness.events
    ]
    cosigning(bench, next_block(bench), 1, once=[2, 3])
    assert bench.witness.cosigned[-1] == 3
    cosigning(bench, next_block(bench), 1, 2)
    assert bench.witness.cosigned[-1] == 4
    cosigning(bench, next_block(bench), 1, once=[2, 3])
    assert bench.witness.cosigned[-1] == 4


def test_what_waits_is_passed_over_by_a_newer_complete_one() -> None:
    bench = registered(0, 1, 2, 3)
    cosigning(bench, next_block(bench), 1, once=[2])
    cosigning(bench, next_block(bench), 1, 2)
    assert bench.witness.cosigned[-1] == 3
    bench.pass_ms(PATIENCE_MS)
    assert bench.witness.cosigned[-1] == 3


def test_a_second_cosignature_that_does_not_hold_is_a_fault_like_a_first() -> None:
    bench = registered(0, 1)
    executed = next_block(bench)
    bad = bench.second_cosignature(1, executed, SECOND[2])
    bench.receive(A, bad)
    with pytest.raises(PeerFault):
        bench.receive(A, bad)
    cosigning(bench, executed, 1, once=[2])
    assert (A, ML_DSA_44) in kinds(bench)


def test_nobody_can_strip_a_second_cosignature_by_telling_of_the_first_alone() -> None:
    bench = registered(0, 1, 2)
    executed = next_block(bench)
    bench.receive(C, bench.cosignature(1, executed))
    cosigning(bench, executed, 1, 2)
    assert (A, ML_DSA_44) in kinds(bench)


def test_second_cosignatures_may_be_early_from_their_signers_link() -> None:
    bench = registered(0, 1, 2)
    bench.clock.advance(100)
    executed = bench.block()
    bench.receive(C, bench.second_cosignature(2, executed, SECOND[3]))
    bench.receive(B, bench.second_cosignature(2, executed, SECOND[2]))
    cosigning(bench, executed, 1)
    bench.commit_here(executed)
    cosigning(bench, executed, once=[2])
    assert [name for name, kind in kinds(bench) if kind == ML_DSA_44] == list(NAMES[:3])


def test_our_own_are_told_again_to_whoever_lacks_them_and_found_after_a_restart() -> None:
    bench = registered(0, 1)
    executed = next_block(bench)
    cosigning(bench, executed, 1, once=[2])
    bench.sent(CosignatureMessage)
    bench.sent(SecondCosignatureMessage)
    bench.clock.advance(STATUS_ANSWER_MS)
    bench.receive(C, status(3, tip=2))
    assert [m.sender for _, m in bench.sent(CosignatureMessage)] == [0, 1, 2]
    assert [m.sender for _, m in bench.sent(SecondCosignatureMessage)] == [0]
    before = kinds(bench)
    again = EngineBench(
        chain=bench.chain, store=bench.store, file=bench.file, clock=bench.clock, second=SECOND[0]
    )
    assert kinds(again) == before
    assert len(again.sent(SecondCosignatureMessage)) == 1


def test_a_key_that_is_registered_and_not_the_nodes_own_signs_nothing() -> None:
    bench = registered(0, 1, own=False)
    next_block(bench)
    assert bench.sent(SecondCosignatureMessage) == []


def test_where_a_quorum_does_not_fit_twice_nobody_cosigns_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cosigning_module, "MAX_COSIGNATURES", 5)
    bench = registered(0, 1, 2)
    executed = next_block(bench)
    assert bench.sent(SecondCosignatureMessage) == []
    cosigning(bench, executed, 1, 2)
    assert [kind for _, kind in kinds(bench)] == ["ed25519-sha256"] * 3
