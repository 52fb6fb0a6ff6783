"""Rebuilding a home's store from its blocks: whenever it is interrupted or repeated, no store is lost."""

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.model.errors import Refused, StorageFault
from chainnode.node.offline import rebuild_home
from chainnode.storage.leveldb import LevelStore
from tests.support.chain import make_chain

CHAIN = make_chain()
HEIGHTS = 2


@pytest.fixture
def home(tmp_path):
    """A stopped node's home with a chain of a few blocks."""
    (tmp_path / "genesis").write_bytes(CHAIN.genesis.encoded)
    store = LevelStore(tmp_path / "data")
    ledger = Ledger.open(store, CHAIN.genesis)
    for number in range(HEIGHTS):
        CHAIN.extend(ledger, [CHAIN.notarization(f"document {number}")])
    store.close()
    return tmp_path


def stores(home):
    return sorted(path.name for path in home.glob("data*"))


def opened(home):
    """Return (height, whether the chain knows that this validator has voted)."""
    store = LevelStore(home / "data")
    try:
        ledger = Ledger.open(store, CHAIN.genesis)
        return ledger.tip.height, ledger.voted_height == 0
    finally:
        store.close()


def test_rebuilt_store_takes_the_place_of_the_old_one_and_knows_that_it_may_have_voted(home):
    steps = []
    assert rebuild_home(home, lambda *step: steps.append(step)) == HEIGHTS
    assert steps == [(1, HEIGHTS), (2, HEIGHTS)]
    assert stores(home) == ["data", "data.replaced"]
    assert opened(home) == (HEIGHTS, True)


def test_rebuild_that_was_interrupted_between_its_renames_is_finished(home):
    rebuild_home(home, lambda *_: None)
    (home / "data").rename(home / "data.rebuilt")
    assert rebuild_home(home, lambda *_: None) == HEIGHTS
    assert stores(home) == ["data", "data.replaced"]
    assert opened(home) == (HEIGHTS, True)


def test_store_that_was_replaced_earlier_is_not_overwritten_and_nothing_is_begun(home):
    rebuild_home(home, lambda *_: None)
    with pytest.raises(Refused, match=r"data\.replaced is there from an earlier rebuild"):
        rebuild_home(home, lambda *_: None)
    assert stores(home) == ["data", "data.replaced"]


def test_home_without_a_chain_is_left_without_one(home):
    (home / "data").rename(home / "elsewhere")
    with pytest.raises(Refused, match="no blocks to rebuild from"):
        rebuild_home(home, lambda *_: None)
    assert stores(home) == []


def test_store_that_cannot_be_put_in_place_is_left_where_it_is(home, monkeypatch):
    def refuse(self, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pathlib.PosixPath.rename", refuse, raising=False)
    with pytest.raises(StorageFault, match="cannot take the place"):
        rebuild_home(home, lambda *_: None)
    assert stores(home) == ["data", "data.rebuilt"]
