"""What the ledger remembers of transactions that it was asked about."""

from __future__ import annotations

import pytest

from chainnode.ledger import committed_ids
from chainnode.ledger.ledger import Ledger
from chainnode.storage import keys
from chainnode.storage.memory import MemoryStore
from contracts.notary import lookup_key
from tests.support.chain import digest, make_chain

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
    transaction = CHAIN.notarization("a")
    for _ in range(3):
        assert not ledger.is_replayed(transaction.id)
    assert store.looked_up == 1
    CHAIN.extend(ledger, [transaction])
    assert ledger.is_replayed(transaction.id)
    assert Ledger.open(store, CHAIN.genesis).is_replayed(transaction.id)


def test_a_transaction_that_was_forgotten_is_looked_up_again(ledger, store, monkeypatch):
    monkeypatch.setattr(committed_ids, "MAX_NEW", 2)
    ids = [CHAIN.notarization(name).id for name in "abc"]
    assert not any(map(ledger.is_replayed, ids))
    assert store.looked_up == 3
    assert not ledger.is_replayed(ids[2])
    assert store.looked_up == 3
    assert not ledger.is_replayed(ids[0])
    assert store.looked_up == 4


@pytest.fixture
def small_partitions(monkeypatch):
    """Partitions of four records, and transactions that are valid for three blocks."""
    monkeypatch.setattr(keys, "_PARTITION_BITS", 2)
    monkeypatch.setattr(committed_ids, "WINDOW_EVERY", 1)
    monkeypatch.setattr(committed_ids, "MAX_VALID_HEIGHTS", 3)


@pytest.mark.usefixtures("small_partitions")
def test_only_blocks_whose_transactions_may_come_again_are_looked_at(ledger, store):
    made = [CHAIN.notarization(name) for name in "abcdefghijkl"]
    for transaction in made:
        CHAIN.extend(ledger, [transaction])
    # A block has two records here: that of its parent and its own.
    assert keys.partition_of(ledger.tip.log_size) == 6
    for again in (ledger, Ledger.open(store, CHAIN.genesis)):
        assert all(again.is_replayed(t.id) for t in made[-3:])
        assert not again.is_replayed(made[0].id)
        assert [again.find_transaction(t.id) for t in made] == [(h, 0) for h in range(1, 13)]
        store.looked_up = 0
        assert not again.is_replayed(CHAIN.notarization("new").id)
        assert store.looked_up <= 3


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
