"""What is done to a stopped home: rebuilding its store loses none, and its validator votes again only by word of all."""

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.model import codec
from chainnode.model.errors import Refused, StorageFault
from chainnode.node.offline import rebuild_home, reinstate_home
from chainnode.storage import keys
from chainnode.storage.append_file import DiskFile
from chainnode.storage.home_lock import HomeLock
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.vote_log import VoteLog, VoteRecord
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


def test_rebuilt_store_keeps_the_blocks_voted_for_the_last_vote_and_the_word_of_the_alliance(home):
    store = LevelStore(home / "data")
    ledger = Ledger.open(store, CHAIN.genesis)
    voted_for = CHAIN.build(ledger, [CHAIN.notarization("not decided")])
    ledger.keep_candidate(voted_for)
    ledger.note_vote(HEIGHTS + 1)
    ledger.reinstate(HEIGHTS + 1)
    ledger.use_reinstatement()
    word = ledger.reinstatement
    store.close()
    rebuild_home(home, lambda *_: None)
    store = LevelStore(home / "data")
    try:
        rebuilt = Ledger.open(store, CHAIN.genesis)
        (kept,) = rebuilt.recover_candidates()
        assert kept.outline == voted_for.outline
        assert rebuilt.voted_height == HEIGHTS + 1
        assert rebuilt.reinstatement == word
    finally:
        store.close()


def test_rebuild_leaves_out_what_it_cannot_read_beside_the_blocks(home):
    store = LevelStore(home / "data")
    batch = WriteBatch()
    for key in (keys.candidate(bytes(32)), keys.VOTED, keys.REINSTATED):
        batch.put(key, b"damaged")
    store.write(batch, sync=True)
    store.close()
    assert rebuild_home(home, lambda *_: None) == HEIGHTS
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


# -- reinstate -------------------------------------------------------------------------------------------------


def reinstated(home):
    store = LevelStore(home / "data")
    try:
        word = Ledger.open(store, CHAIN.genesis).reinstatement
        return 0 if word is None else word.height
    finally:
        store.close()


def test_the_word_of_the_alliance_is_kept_in_the_store(home):
    assert reinstated(home) == 0
    reinstate_home(home, HEIGHTS + 1)
    reinstate_home(home, HEIGHTS + 1)
    assert reinstated(home) == HEIGHTS + 1


@pytest.mark.parametrize("height", [HEIGHTS, HEIGHTS + 2])
def test_a_home_that_does_not_end_at_the_block_below_is_refused(home, height):
    with pytest.raises(Refused, match=f"ends at block {HEIGHTS}, and --height is {height}"):
        reinstate_home(home, height)
    assert reinstated(home) == 0


def test_a_home_whose_vote_log_speaks_of_the_height_is_refused(home):
    file = DiskFile(home / "votes.log")
    vote_log, _ = VoteLog.open(file, CHAIN.genesis.domain.genesis_hash)
    vote_log.append([VoteRecord(kind=1, height=HEIGHTS, payload=b"")])
    reinstate_home(home, HEIGHTS + 1)
    vote_log.append([VoteRecord(kind=1, height=HEIGHTS + 1, payload=b"")])
    vote_log.close()
    with pytest.raises(Refused, match=f"holds votes of height {HEIGHTS + 1}"):
        reinstate_home(home, HEIGHTS + 1)


@pytest.mark.parametrize(("noted", "refuses"), [(HEIGHTS + 1, False), (HEIGHTS + 2, True)])
def test_a_vote_above_the_height_shows_that_somebody_had_a_later_block(home, noted, refuses):
    store = LevelStore(home / "data")
    Ledger.open(store, CHAIN.genesis).note_vote(noted)
    store.close()
    if not refuses:
        reinstate_home(home, HEIGHTS + 1)
        return
    with pytest.raises(Refused, match=f"has voted at height {noted}"):
        reinstate_home(home, HEIGHTS + 1)


def test_a_home_without_a_chain_is_refused_and_one_in_use_is_left_alone(home, tmp_path):
    lock = HomeLock(home)
    with pytest.raises(Refused, match="in use"):
        reinstate_home(home, HEIGHTS + 1)
    lock.release()
    (home / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="let it fetch the chain"):
        reinstate_home(home, HEIGHTS + 1)


@pytest.mark.parametrize("has_data", [True, False])
def test_rebuild_that_earlier_software_began_is_begun_anew(home, has_data):
    def stop(_done, _last):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild_home(home, stop)
    if not has_data:
        # It ended between its two renames.
        (home / "data").rename(home / "data.replaced")
    store = LevelStore(home / "data.rebuilt")
    batch = WriteBatch()
    batch.put(keys.FORMAT, codec.encode((2, CHAIN.genesis.domain.genesis_hash)))
    store.write(batch, sync=True)
    store.close()
    assert rebuild_home(home, lambda *_: None) == HEIGHTS
