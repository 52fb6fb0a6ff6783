"""What the ledger remembers of transactions that it was asked about."""

from __future__ import annotations

import pytest

from chainnode.ledger import committed_ids
from chainnode.ledger.ledger import Ledger
from chainnode.storage.memory import MemoryStore
from tests.support.chain import make_chain

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
