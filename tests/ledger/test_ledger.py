"""Blocks from proposal to tip, and what is read and proven of them afterwards."""

from __future__ import annotations

import dataclasses

import pytest

import chainnode.ledger.execution as execution_module
from chainnode.ledger.block_store import CHUNK
from chainnode.ledger.errors import InvalidBlock
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.reader import MAX_LEAVES_READ
from chainnode.model.certificate import decode_certificate
from chainnode.model.errors import (
    InvariantViolation,
    NotFound,
    ProofInvalid,
    StorageFault,
    Unavailable,
)
from chainnode.model.merkle import EMPTY, leaf_hash, verify_consistency, verify_inclusion
from chainnode.model.parameters import Parameters
from chainnode.model.record import decode_record
from chainnode.model.state_tree import verify_state_proof
from chainnode.model.tlog_tiles import tile_width
from chainnode.model.validators import ordered_set
from chainnode.storage.keys import VOTED
from chainnode.storage.kv import WriteBatch
from chainnode.storage.memory import MemoryStore
from contracts.notary import lookup_key
from contracts.runtime import VALIDATORS_NEXT_KEY
from tests.support.chain import BLOCK_MS, GENESIS_MS, GUEST, digest, make_chain
from tests.support.refusals import refuses

CHAIN = make_chain()
SUITE = CHAIN.genesis.suite


@pytest.fixture
def ledger():
    return Ledger.open(MemoryStore(), CHAIN.genesis)


def refused(code):
    return refuses(code, NotFound)


def test_new_ledger_stands_at_genesis(ledger):
    tip = ledger.tip
    assert (tip.height, tip.block_hash) == (0, CHAIN.genesis.domain.genesis_hash)
    assert (tip.header, tip.header_bytes, tip.certificate) == (None, b"", None)
    assert (tip.time_ms, tip.log_size) == (GENESIS_MS, 0)
    assert tip.log_root == EMPTY.root(SUITE)
    assert tip.state_root == ledger.state.root() != bytes(32)
    assert tip.certificate_bytes == b""
    assert ledger.state.get(VALIDATORS_NEXT_KEY) == CHAIN.genesis.validator_set.encode()


def test_validator_reaches_the_same_block_as_the_proposer(ledger):
    other = Ledger.open(MemoryStore(), CHAIN.genesis)
    for height in range(1, 4):
        transactions = [CHAIN.notarization(f"{height}/{i}") for i in range(height)]
        built = CHAIN.build(ledger, transactions)
        executed = other.execute(built.outline, transactions)
        assert executed.receipts == built.receipts
        ledger.commit(built, CHAIN.certify(built))
        other.commit(executed, CHAIN.certify(built, view=1, signers=(1, 2, 3)))
    assert ledger.tip.block_hash == other.tip.block_hash
    assert ledger.tip.certificate != other.tip.certificate
    assert ledger.tip.state_root == other.tip.state_root == ledger.state.root()


def test_building_and_executing_change_nothing(ledger):
    before = ledger.tip
    built = CHAIN.build(ledger, [CHAIN.notarization("a")])
    ledger.execute(built.outline, built.transactions)
    assert ledger.tip is before
    with refused("unknown_height"):
        ledger.header(1)
    assert not ledger.is_replayed(built.transactions[0].id)


def test_header_commits_to_what_the_block_holds(ledger):
    transactions = [CHAIN.notarization("a", count=3), CHAIN.notarization("b", sender=GUEST)]
    executed = CHAIN.extend(ledger, transactions)
    header = ledger.tip.header
    assert header is not None
    assert header.tx_count == 2
    assert header.log_size == ledger.tip.log_size == 4
    assert header.time_ms == GENESIS_MS + BLOCK_MS
    assert [r.succeeded for r in executed.receipts] == [True, False]
    assert executed.receipts[1].code == "missing_role"
    assert header.validators_hash == CHAIN.genesis.validator_set.hash(CHAIN.genesis.domain)
    assert header.next_validators_hash == header.validators_hash


def test_what_was_committed_can_be_read(ledger):
    count = 2 * CHUNK + 3
    transactions = [CHAIN.notarization(f"{i}") for i in range(count)]
    executed = CHAIN.extend(ledger, transactions)
    assert ledger.transactions(1) == tuple(t.envelope for t in transactions)
    assert ledger.receipts(1) == executed.receipts
    for position in (0, CHUNK - 1, CHUNK, count - 1):
        transaction = transactions[position]
        assert ledger.find_transaction(transaction.id) == (1, position)
        assert ledger.is_replayed(transaction.id)
        assert ledger.transaction(1, position) == transaction.envelope
        assert ledger.receipt(1, position) == executed.receipts[position]
        assert ledger.receipt(1, position).tx_id == transaction.id
    header_bytes, certificate = ledger.header(1)
    assert header_bytes == ledger.tip.header_bytes
    assert certificate == ledger.tip.certificate


def test_what_is_not_there_is_not_found(ledger):
    CHAIN.extend(ledger, [CHAIN.notarization("a")])
    assert ledger.find_transaction(bytes(32)) is None
    assert not ledger.is_replayed(bytes(32))
    for height in (-1, 0, 2):
        for read in (ledger.header, ledger.certified_block, ledger.receipts, ledger.transactions):
            with refused("unknown_height"):
                read(height)
    for position in (-1, 1):
        with refused("unknown_transaction"):
            ledger.receipt(1, position)
        with refused("unknown_transaction"):
            ledger.transaction(1, position)


def test_next_block_fixes_the_certificate_of_its_parent(ledger):
    own = CHAIN.build(ledger)
    ledger.commit(own, CHAIN.certify(own))
    assert decode_certificate(ledger.certified_block(1).certificate) == ledger.tip.certificate

    twin = Ledger.open(MemoryStore(), CHAIN.genesis)
    twin.commit(own, CHAIN.certify(own, view=2, signers=(0, 1, 3)))
    proposed = CHAIN.build(twin)
    executed = ledger.execute(proposed.outline, ())
    ledger.commit(executed, CHAIN.certify(executed))
    assert ledger.certified_block(1).certificate == proposed.outline.parent_certificate
    assert ledger.certified_block(2).parent_certificate == proposed.outline.parent_certificate
    assert ledger.header(1)[1].view == 2


def test_commit_refuses_a_block_of_another_tip(ledger):
    first, second = CHAIN.build(ledger), CHAIN.build(ledger, [CHAIN.notarization("a")])
    ledger.commit(first, CHAIN.certify(first))
    with pytest.raises(InvariantViolation, match="another tip"):
        ledger.commit(second, CHAIN.certify(second))


def test_commit_refuses_the_certificate_of_another_block(ledger):
    first, second = CHAIN.build(ledger), CHAIN.build(ledger, [CHAIN.notarization("a")])
    with pytest.raises(InvariantViolation, match="another block"):
        ledger.commit(first, CHAIN.certify(second))
    assert ledger.tip.height == 0


# -- what a proposer takes ---------------------------------------------------------------------------------


def test_proposer_leaves_out_what_no_block_may_hold(ledger):
    old = CHAIN.notarization("old")
    CHAIN.extend(ledger, [old])
    good = CHAIN.notarization("good")
    candidates = [
        old,
        CHAIN.notarization("expired", last_valid_height=1),
        CHAIN.notarization("far", last_valid_height=5_003),
        CHAIN.transaction(good.body.calls, chain_id="other.example/chain"),
        good,
        good,
        CHAIN.notarization("edge", last_valid_height=2),
        CHAIN.notarization("far edge", last_valid_height=5_002),
    ]
    built = CHAIN.build(ledger, candidates)
    assert built.transactions == (good, candidates[6], candidates[7])


def test_proposer_takes_what_fits_from_the_front():
    parameters = Parameters(max_block_transactions=3, max_block_bytes=256 * 1024)
    chain = make_chain(parameters=parameters)
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    small = [chain.notarization(f"{i}") for i in range(5)]
    assert chain.build(ledger, small).transactions == tuple(small[:3])
    large = [chain.notarization(f"large {i}", count=1_000) for i in range(6)]
    size = len(large[0].envelope)
    room = 256 * 1024 // size
    assert 1 <= room < 6
    expected = min(3, room)
    assert chain.build(ledger, large).transactions == tuple(large[:expected])
    block = chain.build(ledger, [large[0]] * 2 + small[:2])
    assert block.transactions == (large[0], *small[:2])


def test_proposer_leaves_what_would_exceed_the_records_of_a_block():
    chain = make_chain(parameters=Parameters(max_block_records=20_000))
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    lists = [chain.notarization(f"{i}", count=1_000) for i in range(21)]
    built = chain.build(ledger, lists)
    assert built.transactions == tuple(lists[:19])
    assert built.outline.header.log_size == 19_001
    assert ledger.execute(built.outline, built.transactions).receipts == built.receipts


def test_proposer_must_be_a_validator_and_time_must_rise(ledger):
    with refuses("unknown_proposer", InvalidBlock):
        ledger.build(transactions=(), time_ms=GENESIS_MS + 1, first_view=0, proposer="nobody")
    with refuses("time_not_rising", InvalidBlock):
        ledger.build(transactions=(), time_ms=GENESIS_MS, first_view=0, proposer="ash")


# -- the log -----------------------------------------------------------------------------------------------


def grown(ledger, counts):
    """Commit a block for each count of records; return (log size, root) after each, genesis first."""
    states = [(0, ledger.tip.log_root)]
    for number, count in enumerate(counts):
        name = f"g{ledger.tip.height}-{number}"
        CHAIN.extend(ledger, [CHAIN.notarization(name, count=count)] if count else [])
        states.append((ledger.tip.log_size, ledger.tip.log_root))
    return states


def test_proofs_of_the_log_hold(ledger):
    states = grown(ledger, (0, 1, 5, 255, 300, 0, 2))
    size, root = states[-1]
    for index in (0, 1, 2, 3, 254, 255, 256, 300, size - 1):
        leaf = leaf_hash(SUITE, ledger.leaf(index))
        proof = ledger.inclusion_proof(index, size)
        verify_inclusion(SUITE, leaf, index, size, proof, root)
        with pytest.raises(ProofInvalid):
            verify_inclusion(SUITE, leaf, index ^ 1, size, proof, root)
    for old, old_root in states:
        assert ledger.log_root_at(old) == old_root
        for new, new_root in states:
            if old <= new:
                proof = ledger.consistency_proof(old, new)
                verify_consistency(SUITE, old, old_root, new, new_root, proof)


def test_older_trees_are_proven_from_wider_tiles(ledger):
    states = grown(ledger, (3, 100, 400))
    size, root = states[2]
    leaf = leaf_hash(SUITE, ledger.leaf(7))
    verify_inclusion(SUITE, leaf, 7, size, ledger.inclusion_proof(7, size), root)


def test_proofs_hold_however_few_hashes_are_kept(ledger, monkeypatch):
    monkeypatch.setattr("chainnode.ledger.log_store.CACHED_SUBTREES", 3)
    monkeypatch.setattr("chainnode.ledger.log_store.CACHED_FOLDS", 1)
    size, root = grown(ledger, (2, 300, 5))[-1]
    for index in (0, 5, 0, 299, size - 1):
        leaf = leaf_hash(SUITE, ledger.leaf(index))
        proof = ledger.inclusion_proof(index, size)
        verify_inclusion(SUITE, leaf, index, size, proof, root)
    assert len(ledger._log._subtrees) == 3
    assert len(ledger._log._folds) == 1


def test_what_a_proof_worked_out_serves_the_proofs_of_later_trees(ledger):
    for count in (20, 30, 250, 1, 700):
        size, root = grown(ledger, (count,))[-1]
        for index in (0, 19, size // 2, size - 1):
            leaf = leaf_hash(SUITE, ledger.leaf(index))
            proof = ledger.inclusion_proof(index, size)
            verify_inclusion(SUITE, leaf, index, size, proof, root)


@pytest.mark.parametrize("known", [1, 2, 16_384])
def test_leaves_are_read_across_blocks_and_chunks(ledger, monkeypatch, known):
    monkeypatch.setattr("chainnode.ledger.log_store.KNOWN_CHUNKS", known)
    grown(ledger, (1, 600, 0, 0, 3))
    size = ledger.tip.log_size
    every = ledger.leaves(0, size)
    for _ in range(2):
        assert [ledger.leaf(i) for i in reversed(range(size))] == list(reversed(every))
    for first, count in ((0, 1), (1, 2), (2, 256), (255, 300), (size - 4, 4)):
        assert ledger.leaves(first, count) == every[first : first + count]
    heights = [decode_record(leaf).height for leaf in every]
    assert heights == sorted(heights)
    for index in (0, 2, 300, 603, 604, size - 1):
        assert ledger.locate_record(index) == heights[index]


def test_records_beyond_the_log_are_not_found(ledger):
    grown(ledger, (2,))
    size = ledger.tip.log_size
    for first, count in ((-1, 1), (size, 1), (0, 0), (0, size + 1), (0, MAX_LEAVES_READ + 1)):
        with refused("unknown_record"):
            ledger.leaves(first, count)
    with refused("unknown_record"):
        ledger.inclusion_proof(0, size + 1)
    with refused("unknown_record"):
        ledger.consistency_proof(0, size + 1)
    with refused("unknown_record"):
        ledger.log_root_at(-1)
    with pytest.raises(ProofInvalid):
        ledger.inclusion_proof(size, size)


def test_tiles_are_as_wide_as_the_log(ledger):
    grown(ledger, (1, 300, 300))
    size = ledger.tip.log_size
    for level, index in ((0, 0), (0, 1), (0, 2), (1, 0)):
        tile = ledger.tile(level, index)
        assert tile is not None
        assert len(tile) == 32 * tile_width(level, index, size)
    assert ledger.tile(0, 3) is None
    assert ledger.tile(2, 0) is None


def test_records_are_found_by_digest_in_pages(ledger):
    for _ in range(3):
        CHAIN.extend(ledger)
    again = [CHAIN.notarization("x", last_valid_height=900 + i) for i in range(5)]
    CHAIN.extend(ledger, again[:3])
    CHAIN.extend(ledger, [CHAIN.notarization("y"), *again[3:]])
    key = lookup_key(digest("x 0"))
    found = ledger.lookup(key, 10)
    assert found == [4, 5, 6, 9, 10]
    assert [decode_record(ledger.leaf(i)).kind for i in found] == ["notary"] * 5
    assert ledger.lookup(key, 2) == found[:2]
    assert ledger.lookup(key, 2, after=found[1]) == found[2:4]
    assert ledger.lookup(key, 2, after=found[-1]) == []
    assert ledger.lookup(key[:-1], 10) == []
    assert ledger.lookup(lookup_key(digest("z")), 10) == []
    assert ledger.lookup(bytes(300), 10) == []


def test_lookup_key_that_is_too_long_is_a_fault_of_the_contract(ledger):
    emitted = CHAIN.build(ledger).results.log.emitted[0]
    bad = emitted._replace(lookup_keys=(bytes(256),))
    with pytest.raises(InvariantViolation, match="256 bytes"):
        ledger._log.stage(EMPTY, (bad,))


# -- state and validators ----------------------------------------------------------------------------------


def test_state_of_older_heights_is_proven(ledger):
    root_0 = ledger.tip.state_root
    CHAIN.extend(ledger, [CHAIN.notarization("a")])
    for height in (0, 1):
        value, proof = ledger.prove_state(VALIDATORS_NEXT_KEY, height)
        assert value == CHAIN.genesis.validator_set.encode()
        verify_state_proof(SUITE, root_0, VALIDATORS_NEXT_KEY, value, proof)
    for height in (-1, 2):
        with refused("unknown_height"):
            ledger.prove_state(b"x", height)


def changing(monkeypatch, at_height, values):
    """Let the block at `at_height` change the state as no built-in contract does."""
    original = execution_module.execute_block

    def execute_block(**arguments):
        result = original(**arguments)
        if arguments["block"].height != at_height:
            return result
        return dataclasses.replace(result, changes={**result.changes, **values})

    monkeypatch.setattr(execution_module, "execute_block", execute_block)


def test_changed_validators_are_announced_one_height_later_and_govern_two(ledger, monkeypatch):
    old = CHAIN.genesis.validator_set
    new = ordered_set(old.members[:3])
    changing(monkeypatch, 2, {VALIDATORS_NEXT_KEY: new.encode()})
    domain = CHAIN.genesis.domain
    CHAIN.extend(ledger)
    assert ledger.validators(3) == old
    CHAIN.extend(ledger)
    assert [ledger.validators(h) for h in range(1, 5)] == [old, old, old, new]
    CHAIN.extend(ledger)
    CHAIN.extend(ledger)
    headers = [ledger.certified_block(h).header for h in range(1, 5)]
    assert [h.validators_hash for h in headers] == [s.hash(domain) for s in (old, old, old, new)]
    assert [h.next_validators_hash for h in headers] == [
        s.hash(domain) for s in (old, old, new, new)
    ]
    reopened = Ledger.open(ledger._store._store, CHAIN.genesis)
    assert [reopened.validators(h) for h in range(1, 7)] == [old] * 3 + [new] * 3
    for height in (0, 7):
        with refused("unknown_height"):
            reopened.validators(height)


def test_validators_of_long_ago_are_read_from_the_store(ledger, monkeypatch):
    members = CHAIN.genesis.validator_set.members
    sets = [ordered_set((*members[:2], members[2 + height % 2])) for height in range(6)]
    for height in range(1, 7):
        with monkeypatch.context() as patch:
            changing(patch, height, {VALIDATORS_NEXT_KEY: sets[height - 1].encode()})
            executed = CHAIN.build(ledger)
            ledger.commit(executed, CHAIN.certify(executed))
    assert [ledger.validators(h) for h in range(3, 9)] == sets
    assert ledger.validators(1) == ledger.validators(2) == CHAIN.genesis.validator_set


@pytest.mark.parametrize("value", [None, b"", b"\x90"])
def test_impossible_validators_stop_the_node(ledger, monkeypatch, value):
    changing(monkeypatch, 1, {VALIDATORS_NEXT_KEY: value})
    with pytest.raises(InvariantViolation, match="validator set"):
        CHAIN.build(ledger)


def test_window_of_state_proofs_follows_the_tip(ledger, monkeypatch):
    monkeypatch.setattr("chainnode.ledger.ledger.STATE_PROOF_HEIGHTS", 3)
    monkeypatch.setattr("chainnode.ledger.ledger.STATE_PROOF_MS", 4 * BLOCK_MS)
    for height in range(1, 9):
        with monkeypatch.context() as patch:
            changing(patch, height, {b"test/x": bytes([height])})
            CHAIN.extend(ledger)
        # Four heights lie within four blocks' time; the fifth from the tip is the newest that is as old as that.
        assert ledger.state_from == max(0, height - 4)
    for height in range(4, 9):
        assert ledger.prove_state(b"test/x", height)[0] == bytes([height])
    with refuses("pruned", Unavailable):
        ledger.prove_state(b"test/x", 2)
    reopened = Ledger.open(ledger._store._store, CHAIN.genesis)
    assert reopened.state_from == 4


def test_window_catches_up_by_a_bounded_step(ledger, monkeypatch):
    for _ in range(12):
        CHAIN.extend(ledger)
    monkeypatch.setattr("chainnode.ledger.ledger.STATE_PROOF_HEIGHTS", 2)
    monkeypatch.setattr("chainnode.ledger.ledger.STATE_PROOF_MS", 0)
    starts = []
    for _ in range(4):
        CHAIN.extend(ledger)
        starts.append(ledger.state_from)
    assert starts == [4, 8, 12, 14]


def test_checkpoint_of_the_engine_is_kept(ledger):
    assert ledger.load_checkpoint() is None
    ledger.save_checkpoint(b"first")
    ledger.save_checkpoint(b"second")
    assert ledger.load_checkpoint() == b"second"
    assert ledger.approximate_size_bytes() > 0


def test_the_highest_height_with_a_vote_is_noted_with_its_block_and_never_falls():
    chain, store = make_chain(), MemoryStore()
    ledger = Ledger.open(store, chain.genesis)
    assert ledger.voted_height is None
    for voted in (0, 2, 1):
        executed = chain.build(ledger, ())
        ledger.commit(executed, chain.certify(executed), voted_height=voted)
    assert Ledger.open(store, chain.genesis).voted_height == 2
    ledger.note_vote(1)
    ledger.note_vote(300)
    # [300] in canonical MessagePack; see docs/formats/storage.md.
    assert store.get(VOTED) == bytes.fromhex("91cd012c")
    assert Ledger.open(store, chain.genesis).voted_height == 300


@pytest.mark.parametrize(("stored", "height"), [(b"", 0), (bytes.fromhex("9100"), 0)])
def test_a_note_of_an_unknown_height_says_that_there_was_a_vote(stored, height):
    chain, store = make_chain(), MemoryStore()
    Ledger.open(store, chain.genesis)
    batch = WriteBatch()
    batch.put(VOTED, stored)
    store.write(batch, sync=True)
    assert Ledger.open(store, chain.genesis).voted_height == height


@pytest.mark.parametrize("stored", ["90", "91c0", "9101ff", "91cd0001"])
def test_a_note_of_another_shape_is_damage(stored):
    chain, store = make_chain(), MemoryStore()
    Ledger.open(store, chain.genesis)
    batch = WriteBatch()
    batch.put(VOTED, bytes.fromhex(stored))
    store.write(batch, sync=True)
    with pytest.raises(StorageFault):
        Ledger.open(store, chain.genesis)
