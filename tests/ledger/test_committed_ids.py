"""What the ledger remembers of transactions that it was asked about."""

from __future__ import annotations

import pytest

from chainnode.ledger import committed_ids, transaction_index
from chainnode.ledger.ledger import Ledger
from chainnode.model.errors import StorageFault
from chainnode.storage import keys
from chainnode.storage.memory import MemoryStore
from contracts.notary import lookup_key
from tests.support.chain import digest, make_chain
from tests.support.stores import put

CHAIN = make_chain()


class CountingStore(MemoryStore):
    """Counts the reads of transaction ids."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up = 0

    def get(self, key: bytes) -> bytes | None:
        self.looked_up += key[:1] == b"X"
        return super().get(key)


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture
def ledger(store):
    return Ledger.open(store, CHAIN.genesis)


def test_a_new_transaction_is_looked_up_once_and_known_once_a_block_holds_it(ledger, store):
    CHAIN.extend(ledger, [CHAIN.notarization("first")])
    store.looked_up = 0
    transaction = CHAIN.notarization("a")
    for _ in range(3):
        assert not ledger.is_replayed(transaction.id)
    assert store.looked_up == 1
    CHAIN.extend(ledger, [transaction])
    assert ledger.is_replayed(transaction.id)
    assert Ledger.open(store, CHAIN.genesis).is_replayed(transaction.id)


def test_a_transaction_that_was_forgotten_is_looked_up_again(ledger, store, monkeypatch):
    monkeypatch.setattr(committed_ids, "MAX_NEW", 2)
    CHAIN.extend(ledger, [CHAIN.notarization("first")])
    store.looked_up = 0
    ids = [CHAIN.notarization(name).id for name in "abc"]
    assert not any(map(ledger.is_replayed, ids))
    assert store.looked_up == 3
    assert not ledger.is_replayed(ids[2])
    assert store.looked_up == 3
    assert not ledger.is_replayed(ids[0])
    assert store.looked_up == 4


@pytest.fixture
def small_partitions(monkeypatch):
    """Partitions of four records, which are of one age; in the index of transactions of three blocks; transactions are valid for three blocks."""
    monkeypatch.setattr(keys, "_PARTITION_BITS", 2)
    monkeypatch.setattr(keys, "_AGE_BITS", 2)
    monkeypatch.setattr(transaction_index, "PARTITION_RECORDS", 4)
    monkeypatch.setattr(transaction_index, "MAX_VALID_HEIGHTS", 3)
    monkeypatch.setattr(committed_ids, "MAX_VALID_HEIGHTS", 3)


@pytest.mark.usefixtures("small_partitions")
def test_only_blocks_whose_transactions_may_come_again_are_looked_at(ledger, store):
    made = [CHAIN.notarization(name) for name in "abcdefghijkl"]
    for transaction in made:
        CHAIN.extend(ledger, [transaction])
    assert begun(store) == [1, 4, 7, 10]
    for again in (ledger, Ledger.open(store, CHAIN.genesis)):
        assert all(again.is_replayed(t.id) for t in made[-3:])
        assert not again.is_replayed(made[0].id)
        assert [again.find_transaction(t.id) for t in made] == [(h, 0) for h in range(1, 13)]
        store.looked_up = 0
        assert not again.is_replayed(CHAIN.notarization("new").id)
        assert store.looked_up <= 2


@pytest.mark.usefixtures("small_partitions")
def test_partitions_of_transactions_follow_from_the_blocks_however_often_one_started_anew(
    store, ledger
):
    other = MemoryStore()
    for name in "abcdefghijkl":
        for each in (ledger, Ledger.open(other, CHAIN.genesis)):
            CHAIN.extend(each, [CHAIN.notarization(name)])
    assert begun(store) == begun(other) == [1, 4, 7, 10]


@pytest.mark.parametrize(
    ("heights", "records", "expected"),
    [
        (5, 1, [1, 6]),
        # The first block has a record, and each other has two: that of its parent and its own.
        (1, 7, [1, 5]),
    ],
)
def test_a_partition_of_transactions_spans_the_window_and_has_records_enough(
    store, ledger, monkeypatch, heights, records, expected
):
    monkeypatch.setattr(transaction_index, "PARTITION_RECORDS", records)
    monkeypatch.setattr(transaction_index, "MAX_VALID_HEIGHTS", heights)
    for name in "abcdef":
        CHAIN.extend(ledger, [CHAIN.notarization(name)])
    assert begun(store) == expected


def test_more_partitions_than_are_read_at_once_are_all_known(store, ledger, monkeypatch):
    monkeypatch.setattr(transaction_index, "PARTITION_RECORDS", 1)
    monkeypatch.setattr(transaction_index, "MAX_VALID_HEIGHTS", 1)
    monkeypatch.setattr(transaction_index, "_PAGE", 2)
    made = [CHAIN.notarization(name) for name in "abcde"]
    for transaction in made:
        CHAIN.extend(ledger, [transaction])
    again = Ledger.open(store, CHAIN.genesis)
    assert [again.find_transaction(t.id) for t in made] == [(h, 0) for h in range(1, 6)]


def test_leaves_are_read_across_partitions_wherever_their_chunks_begin(ledger, monkeypatch):
    # Sixteen records of one age; a chunk, which is of one block, is shorter, as it is in earnest.
    monkeypatch.setattr(keys, "_AGE_BITS", 4)
    leaves = []
    for number, count in enumerate((1, 2, 14, 1, 3, 9, 1, 15, 6)):
        executed = CHAIN.extend(ledger, [CHAIN.notarization(f"{number}", count=count)])
        leaves += [emitted.leaf for emitted in executed.results.log.emitted]
    assert len(leaves) == ledger.tip.log_size
    for first in range(len(leaves)):
        for count in range(1, len(leaves) - first + 1):
            assert list(ledger.leaves(first, count)) == leaves[first : first + count]


def test_what_a_block_writes_lies_together_and_no_older_block_or_record_between(monkeypatch):
    monkeypatch.setattr(keys, "_PARTITION_BITS", 5)
    monkeypatch.setattr(keys, "_AGE_BITS", 3)
    store, old = MemoryStore(), set()
    ledger = Ledger.open(store, CHAIN.genesis)
    for number in range(40):
        CHAIN.extend(ledger, [CHAIN.notarization(f"{number} {i}", count=3) for i in range(3)])
        every = [key for key, _ in store.scan(keys.FIRST, keys.BEYOND, limit=100_000)]
        new = [key for key in every if key not in old and key[:1] in b"BZ"]
        between = [key for key in old if min(new) < key < max(new) and key[:1] in b"BZ"]
        old = set(every)
        assert not [key for key in between if key[:1] == b"B"]
        # Of the partition of the index that grows and, where the block begins another, of the one before.
        assert len({key[:5] for key in between if key[5:6] == b"I"}) <= 2
        # Leaves and tiles of the ages of the block's own, and of the one before where it begins another.
        assert len({key[:5] for key in between if key[5:6] != b"I"}) <= 3
    assert len({key[:5] for key in old if key[:1] == b"Z"}) > 40


@pytest.mark.parametrize("lost", [1, 4, 7, 10])
@pytest.mark.usefixtures("small_partitions")
def test_a_store_that_lost_where_a_partition_of_the_window_begins_is_damaged(store, ledger, lost):
    for name in "abcdefghijkl":
        CHAIN.extend(ledger, [CHAIN.notarization(name)])
    put(store, keys.transactions_from(lost), None)
    if lost < 7:
        # Nothing that may come again lies there.
        Ledger.open(store, CHAIN.genesis)
        return
    with pytest.raises(StorageFault, match="partition of transactions"):
        Ledger.open(store, CHAIN.genesis)


@pytest.mark.parametrize(
    ("height", "value"), [(1, None), (1, keys.size(1)), (2, keys.size(1)), (1, b"\x00")]
)
def test_a_store_with_other_partitions_than_its_blocks_call_for_is_damaged(
    store, ledger, height, value
):
    for name in "ab":
        CHAIN.extend(ledger, [CHAIN.notarization(name)])
    Ledger.open(store, CHAIN.genesis)
    put(store, keys.transactions_from(height), value)
    if height == 2:
        put(store, keys.transactions_from(3), keys.size(3))
    with pytest.raises(StorageFault, match="partition"):
        Ledger.open(store, CHAIN.genesis)


def begun(store):
    return [keys.parse_number(key) for key, _ in store.scan(b"Q", b"R", limit=100)]


@pytest.mark.usefixtures("small_partitions")
def test_records_are_found_in_whatever_partitions_they_lie(ledger):
    for number in range(12):
        calls = CHAIN.notarization("same" if number % 3 else "other").body.calls
        CHAIN.extend(ledger, [CHAIN.transaction(calls, nonce=str(number))])
    key = lookup_key(digest("same 0"))
    every = ledger.lookup(key, 100)
    assert len(every) == 8
    assert every == sorted(every)
    assert len({keys.partition_of(index) for index in every}) > 2
    for limit in range(1, 9):
        assert ledger.lookup(key, limit) == every[:limit]
        assert ledger.lookup(key, 100, after=every[limit - 1]) == every[limit:]
    assert ledger.lookup(key, 100, after=every[3] - 1) == every[3:]
    assert ledger.lookup(lookup_key(digest("none 0")), 100) == []
