"""Whatever happens to a write, a restart finds the end of a block, and carries on to the same chain."""

from __future__ import annotations

import contextlib

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.model.errors import StorageFault
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.memory import MemoryStore
from tests.support.chain import make_chain
from tests.support.faulty_disk import Fate, FaultPlan, FaultyStore, SimulatedCrash

CHAIN = make_chain()
HEIGHTS = 4


def transactions(height):
    return [CHAIN.notarization(f"{height}/{i}", count=i + 1) for i in range(height)]


def live(store) -> Ledger:
    """Open the store and bring the chain to its last height, saving a checkpoint on the way."""
    ledger = Ledger.open(store, CHAIN.genesis)
    while ledger.tip.height < HEIGHTS:
        CHAIN.extend(ledger, transactions(ledger.tip.height + 1))
        ledger.save_checkpoint(bytes([ledger.tip.height]))
    return ledger


@pytest.fixture(scope="module")
def expected():
    """Block hashes by height of a chain that met no fault, and everything in its store."""
    store = MemoryStore()
    ledger = live(store)
    hashes = [CHAIN.genesis.domain.genesis_hash]
    hashes += [ledger.certified_block(h).block_hash for h in range(1, HEIGHTS + 1)]
    return hashes, contents(store)


def contents(store):
    """Everything but the checkpoint, which alone may be lost."""
    entries = store.scan(b"", b"\xff" * 8, limit=1_000_000)
    return [(key, value) for key, value in entries if key != keys.CHECKPOINT]


def count_of_writes():
    plan = FaultPlan()
    live(FaultyStore(MemoryStore(), plan))
    return plan.writes


def test_a_block_is_one_write():
    assert count_of_writes() == 1 + 2 * HEIGHTS  # genesis; a block and a checkpoint each


@pytest.mark.parametrize("unsynced", ["lost", "found"])
@pytest.mark.parametrize("fate", list(Fate))
def test_restart_finds_the_end_of_a_block(expected, fate, unsynced):
    hashes, everything = expected
    for at in range(count_of_writes()):
        disk = MemoryStore()
        with contextlib.suppress(SimulatedCrash, StorageFault):
            live(FaultyStore(disk, FaultPlan(at=at, fate=fate)))
        found = disk.crash(survivors=0 if unsynced == "lost" else disk.unsynced_count)
        ledger = Ledger.open(found, CHAIN.genesis)
        assert ledger.tip.block_hash == hashes[ledger.tip.height]
        # Write 0 begins the chain; then every block is followed by a checkpoint.
        written = at + 1 if fate in {Fate.KEPT, Fate.CRASH_AFTER} else at
        assert ledger.tip.height == written // 2
        live(found)
        assert contents(found) == everything


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.KEPT, Fate.FULL])
def test_nothing_is_used_after_a_failed_write(fate):
    ledger = Ledger.open(FaultyStore(MemoryStore(), FaultPlan(at=2, fate=fate)), CHAIN.genesis)
    CHAIN.extend(ledger, transactions(1))
    executed = CHAIN.build(ledger, transactions(2))
    with pytest.raises(StorageFault):
        ledger.commit(executed, CHAIN.certify(executed))
    assert ledger.tip.height == 1
    for use in (
        lambda: CHAIN.build(ledger),
        lambda: ledger.execute(executed.outline, executed.transactions),
        lambda: ledger.commit(executed, CHAIN.certify(executed)),
        lambda: ledger.header(1),
        lambda: ledger.is_replayed(bytes(32)),
        lambda: ledger.lookup(b"x", 1),
        lambda: ledger.state.get(b"x"),
        lambda: ledger.save_checkpoint(b"x"),
        ledger.load_checkpoint,
    ):
        with pytest.raises(StorageFault, match="not used after a failed write"):
            use()


def test_guard_passes_the_rest_of_the_port_on():
    disk = MemoryStore()
    guard = Ledger.open(disk, CHAIN.genesis)._store
    guard.compact(b"", b"\xff")
    assert guard.approximate_size_bytes() == disk.approximate_size_bytes()
    broken = Ledger.open(FaultyStore(disk, FaultPlan(at=0)), CHAIN.genesis)._store
    with pytest.raises(StorageFault, match="on purpose"):
        broken.write(WriteBatch(), sync=True)
    with pytest.raises(StorageFault, match="not used"):
        broken.compact(b"", b"\xff")
    guard.close()
    with pytest.raises(StorageFault, match="closed"):
        disk.get(b"x")


def test_chain_on_leveldb_is_the_same_and_survives_being_closed(expected, tmp_path):
    hashes, everything = expected
    for _ in range(2):
        store = LevelStore(tmp_path / "store")
        assert live(store).tip.block_hash == hashes[-1]
        assert contents(store) == everything
        store.close()
