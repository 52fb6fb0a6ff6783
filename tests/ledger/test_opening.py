"""A store is opened only if everything in it agrees; damage is told in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.ledger import opening
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.rebuild import rebuild
from chainnode.ledger.tip import TipRecord, decode_tip_record
from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation, Refused, StorageFault
from chainnode.storage import keys
from chainnode.storage.memory import MemoryStore
from contracts.notary import lookup_key
from tests.support.chain import digest, make_chain
from tests.support.refusals import refuses
from tests.support.stores import put

CHAIN = make_chain()


def store_of(*blocks):
    """A store with a block for each list of labels."""
    store = MemoryStore()
    ledger = Ledger.open(store, CHAIN.genesis)
    for labels in blocks:
        CHAIN.extend(ledger, [CHAIN.notarization(label) for label in labels])
    return store


def damage_is_told(store, match=""):
    with pytest.raises(StorageFault, match=match) as caught:
        Ledger.open(store, CHAIN.genesis)
    assert "\n" not in str(caught.value)


def test_reopened_ledger_is_the_same():
    store = store_of(["a"], [], ["b", "c"])
    first, second = (Ledger.open(store, CHAIN.genesis) for _ in range(2))
    assert first.tip == second.tip
    assert first.tip.height == 3
    assert CHAIN.build(first).outline == CHAIN.build(second).outline


def test_chain_of_another_genesis_is_refused():
    other = make_chain(chain_id="other.example/chain")
    with refuses("other_genesis", Refused):
        Ledger.open(store_of(["a"]), other.genesis)


def test_opening_writes_nothing_into_a_chain_that_is_there():
    store = store_of(["a"])
    before = store.scan(b"", b"\xff" * 8, limit=10_000)
    Ledger.open(store, CHAIN.genesis)
    assert store.scan(b"", b"\xff" * 8, limit=10_000) == before


@pytest.mark.parametrize("version", [1, 2])
def test_store_of_earlier_software_is_refused_with_what_to_do(version):
    store = store_of(["a"])
    put(store, keys.FORMAT, codec.encode((version, CHAIN.genesis.domain.genesis_hash)))
    with pytest.raises(Refused, match="Run `chainnode rebuild`"):
        Ledger.open(store, CHAIN.genesis)
    rebuilt = rebuild(store, MemoryStore(), CHAIN.genesis, progress=lambda _done, _last: None)
    assert rebuilt.find_transaction(CHAIN.notarization("a").id) == (1, 0)


def test_data_without_a_chain_is_damage():
    store = MemoryStore()
    put(store, keys.header(1), b"x")
    damage_is_told(store, "format record is missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.FORMAT, None),
        (keys.FORMAT, b""),
        (keys.FORMAT, codec.encode((4, CHAIN.genesis.domain.genesis_hash))),
        (keys.FORMAT, codec.encode((0, CHAIN.genesis.domain.genesis_hash))),
        (keys.TIP, None),
        (keys.TIP, b"\x90"),
        (keys.header(2), None),
        (keys.header(2), b"\x90"),
        (keys.certificate(2), None),
        (keys.certificate(2), b"\x90"),
        (keys.tile(0, 0), None),
        (keys.tile(0, 0), bytes(32)),
        (keys.tile(0, 0), bytes(32 * 4)),
    ],
)
def test_missing_or_unreadable_entry_of_the_tip_is_damage(key, value):
    store = store_of(["a"], ["b"])
    assert store.get(key) is not None
    put(store, key, value)
    damage_is_told(store, "damaged")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 1),
        ("height", 3),
        ("height", 0),
        ("block_hash", bytes(32)),
        ("log_size", 1),
        ("log_root", bytes(32)),
        ("state_root", bytes(32)),
    ],
)
def test_tip_record_that_differs_from_its_block_is_damage(field, value):
    store = store_of(["a"], ["b"])
    record = decode_tip_record(store.get(keys.TIP))
    fields = {name: getattr(record, name) for name in TipRecord.__slots__}
    put(store, keys.TIP, TipRecord(**{**fields, field: value}).encode())
    damage_is_told(store, "damaged")


def test_header_of_another_height_is_damage():
    store = store_of(["a"], ["b"])
    put(store, keys.header(2), store.get(keys.header(1)))
    damage_is_told(store, "header 2 is that of height 1")


def test_certificate_of_another_block_is_damage():
    store = store_of(["a"], ["b"])
    put(store, keys.certificate(2), store.get(keys.certificate(1)))
    damage_is_told(store, "certified block")


def test_state_tree_of_another_height_is_damage(monkeypatch):
    store = store_of(["a"])
    monkeypatch.setattr("chainnode.ledger.reader.StateStore.root", lambda _: bytes(32))
    damage_is_told(store, "state root of the tree")


def test_genesis_state_without_its_validators_is_a_fault(monkeypatch):
    monkeypatch.setattr(opening, "genesis_state", lambda _: {b"x": b"y"})
    with pytest.raises(InvariantViolation):
        Ledger.open(MemoryStore(), CHAIN.genesis)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (keys.envelopes(1, 0), lambda ledger: ledger.transactions(1)),
        (keys.envelopes(1, 0), lambda ledger: ledger.transaction(1, 0)),
        (keys.receipts(1, 0), lambda ledger: ledger.receipts(1)),
        (keys.receipts(1, 0), lambda ledger: ledger.receipt(1, 0)),
        (keys.certificate(1), lambda ledger: ledger.header(1)),
        (keys.leaves(0), lambda ledger: ledger.leaf(1)),
        (keys.leaves(0), lambda ledger: ledger.leaves(0, 4)),
        (keys.leaves(2), lambda ledger: ledger.leaves(0, 5)),
        (keys.leaves(4), lambda ledger: ledger.leaves(3, 2)),
        (keys.leaves(4), lambda ledger: ledger.leaf(4)),
    ],
)
@pytest.mark.parametrize("value", [None, b"", b"\x90", b"\xa1x"])
def test_damage_behind_the_tip_is_found_when_it_is_read(key, read, value):
    ledger = Ledger.open(store_of(["a"], ["b"], ["c"]), CHAIN.genesis)
    assert ledger._store.get(key) is not None
    put(ledger._store, key, value)
    with pytest.raises(StorageFault, match="damaged"):
        read(ledger)


@pytest.mark.parametrize("value", [None, bytes(32)])
def test_missing_or_narrow_tile_behind_the_tip_is_damage(value):
    ledger = Ledger.open(store_of(["a"], ["b"]), CHAIN.genesis)
    put(ledger._store, keys.tile(0, 0), value)
    with pytest.raises(StorageFault, match="tile"):
        ledger.inclusion_proof(0, 4)
    with pytest.raises(StorageFault, match="tile"):
        ledger.consistency_proof(2, 3)
    with pytest.raises(StorageFault, match="tile"):
        ledger.log_root_at(3)
    with pytest.raises(StorageFault, match="tile"):
        CHAIN.build(ledger, ())


def test_place_of_a_transaction_that_is_unreadable_is_damage():
    ledger = Ledger.open(store_of(["a"]), CHAIN.genesis)
    tx_id = CHAIN.notarization("a").id
    put(ledger._store, keys.transaction(1, tx_id), b"\x00" * 11)
    with pytest.raises(StorageFault, match="place of transaction"):
        ledger.find_transaction(tx_id)


def test_validator_set_that_is_missing_or_unreadable_is_damage():
    store = store_of(["a"])
    put(store, keys.validators(1), b"\x90")
    damage_is_told(store, "validator set")
    put(store, keys.validators(1), None)
    ledger = Ledger.open(store, CHAIN.genesis)
    with pytest.raises(StorageFault, match="height 1"):
        ledger.validators(1)


def test_leaf_that_is_no_record_is_damage():
    ledger = Ledger.open(store_of(["a"]), CHAIN.genesis)
    put(ledger._store, keys.leaves(0), codec.encode((b"x", b"y")))
    with pytest.raises(StorageFault, match="leaf 1"):
        ledger.locate_record(1)


def test_missing_index_entry_is_only_a_missing_answer():
    ledger = Ledger.open(store_of(["a"]), CHAIN.genesis)
    key = lookup_key(digest("a 0"))
    assert ledger.lookup(key, 1) == [1]
    put(ledger._store, keys.lookup(key, 1), None)
    assert ledger.lookup(key, 1) == []


hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(min_value=0, max_value=2**63 - 1)


@given(numbers, hashes, numbers, hashes, hashes, st.data())
def test_tip_record_survives_its_bytes(height, block, size, log, state, data):
    record = TipRecord(
        height=height,
        block_hash=block,
        log_size=size,
        log_root=log,
        state_root=state,
        state_from=data.draw(st.integers(min_value=0, max_value=height)),
    )
    assert decode_tip_record(record.encode()) == record


@given(st.binary(max_size=200))
def test_tip_record_of_any_other_bytes_is_refused(data):
    with pytest.raises(DecodeError):
        decode_tip_record(data)
