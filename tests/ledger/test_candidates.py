"""Blocks that were voted for outlive a crash, and go when their height is decided."""

from __future__ import annotations

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.model import codec
from chainnode.model.errors import InvariantViolation, StorageFault
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from chainnode.storage.memory import MemoryStore
from tests.support.chain import make_chain
from tests.support.faulty_disk import FaultPlan, FaultyStore

CHAIN = make_chain()


def candidates(ledger):
    return {executed.outline.block_hash for executed in ledger.recover_candidates()}


def test_block_voted_for_is_there_after_a_crash():
    disk = MemoryStore()
    ledger = Ledger.open(disk, CHAIN.genesis)
    first, second = CHAIN.build(ledger, [CHAIN.notarization("a")]), CHAIN.build(ledger)
    ledger.keep_candidate(first)
    ledger.keep_candidate(second)
    reopened = Ledger.open(disk.crash(), CHAIN.genesis)
    hashes = {first.outline.block_hash, second.outline.block_hash}
    assert candidates(reopened) == hashes
    recovered = {e.outline.block_hash: e for e in reopened.recover_candidates()}
    again = recovered[first.outline.block_hash]
    assert again.outline == first.outline
    assert again.receipts == first.receipts
    assert [t.envelope for t in again.transactions] == [t.envelope for t in first.transactions]
    reopened.commit(again, CHAIN.certify(again))
    assert candidates(reopened) == set()


def test_block_is_kept_once():
    plan = FaultPlan()
    ledger = Ledger.open(FaultyStore(MemoryStore(), plan), CHAIN.genesis)
    executed = CHAIN.build(ledger)
    before = plan.writes
    ledger.keep_candidate(executed)
    ledger.keep_candidate(executed)
    assert plan.writes == before + 1


def test_decided_height_leaves_no_candidate_behind():
    disk = MemoryStore()
    ledger = Ledger.open(disk, CHAIN.genesis)
    ledger.keep_candidate(CHAIN.build(ledger, [CHAIN.notarization("a")]))
    CHAIN.extend(ledger)
    assert candidates(ledger) == set()
    assert disk.scan(keys.CANDIDATES, keys.end_of(keys.CANDIDATES), limit=10) == []
    assert candidates(Ledger.open(disk.crash(), CHAIN.genesis)) == set()


def test_no_candidate_outlives_its_height_however_many_views_it_took():
    disk = MemoryStore()
    ledger = Ledger.open(disk, CHAIN.genesis)
    for number in range(70):
        ledger.keep_candidate(CHAIN.build(ledger, [CHAIN.notarization(f"{number}")]))
    reopened = Ledger.open(disk.crash(), CHAIN.genesis)
    assert len(candidates(reopened)) == 70
    CHAIN.extend(reopened)
    assert candidates(Ledger.open(disk_of(reopened), CHAIN.genesis)) == set()


def disk_of(ledger):
    return ledger._store._store


def test_candidate_that_is_unreadable_or_no_longer_valid_stops_the_node():
    for value, fault in (
        (b"\x90", StorageFault),
        (codec.encode((CHAIN.build(grown(1)).outline.encode(), ())), InvariantViolation),
    ):
        disk = MemoryStore()
        Ledger.open(disk, CHAIN.genesis)
        batch = WriteBatch()
        batch.put(keys.candidate(bytes(32)), value)
        disk.write(batch, sync=True)
        with pytest.raises(fault):
            Ledger.open(disk, CHAIN.genesis).recover_candidates()


def grown(height):
    ledger = Ledger.open(MemoryStore(), CHAIN.genesis)
    for _ in range(height):
        CHAIN.extend(ledger)
    return ledger
