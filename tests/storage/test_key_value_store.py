"""What the port promises, checked on each implementation, and on both against a plain dict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import StorageFault
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.storage.kv import KeyValueStore

KEYS = st.binary(max_size=3) | st.sampled_from([b"a", b"ab", b"b", b"\xff", b"\xff\xff"])
OPERATIONS = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=5)), max_size=8)
STEPS = st.lists(
    st.tuples(st.just("write"), OPERATIONS, st.booleans())
    | st.tuples(st.just("scan"), KEYS, KEYS, st.booleans(), st.integers(1, 6))
    | st.tuples(st.just("bulk"), st.integers(60, 200))
    | st.just(("reopen",))
    | st.tuples(st.just("compact"), KEYS, KEYS),
    max_size=12,
)


def batch_of(operations: list[tuple[bytes, bytes | None]]) -> WriteBatch:
    batch = WriteBatch()
    for key, value in operations:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    return batch


@pytest.fixture(params=["leveldb", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValueStore]:
    opened = LevelStore(tmp_path / "store") if request.param == "leveldb" else MemoryStore()
    yield opened
    opened.close()


def expected_scan(
    model: dict[bytes, bytes], start: bytes, stop: bytes, reverse: bool, limit: int
) -> list[tuple[bytes, bytes]]:
    keys = sorted((key for key in model if start <= key < stop), reverse=reverse)
    return [(key, model[key]) for key in keys[:limit]]


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_leveldb_and_memory_agree_with_a_dict(steps: list) -> None:
    model: dict[bytes, bytes] = {}
    memory = MemoryStore()
    with tempfile.TemporaryDirectory() as folder:
        level = LevelStore(Path(folder, "store"))
        for step in steps:
            match step:
                case ("write", operations, sync):
                    for key, value in operations:
                        if value is None:
                            model.pop(key, None)
                        else:
                            model[key] = value
                    for store in (memory, level):
                        store.write(batch_of(operations), sync=sync)
                case ("bulk", count):
                    operations = [
                        (b"%04d" % (number * 7919 % 997), b"v") for number in range(count)
                    ]
                    model.update(operations)
                    for store in (memory, level):
                        store.write(batch_of(operations), sync=False)
                case ("scan", start, stop, reverse, limit):
                    expected = expected_scan(model, start, stop, reverse, limit)
                    for store in (memory, level):
                        assert store.scan(start, stop, reverse=reverse, limit=limit) == expected
                case ("compact", start, stop):
                    for store in (memory, level):
                        store.compact(start, stop)
                case ("reopen",):
                    level.close()
                    level = LevelStore(Path(folder, "store"))
                    memory = memory.crash(survivors=memory.unsynced_count)
        for store in (memory, level):
            whole = store.scan(b"", b"\xff" * 4, limit=10_000)
            assert whole == sorted(model.items())
            assert all(store.get(key) == value for key, value in whole)
        level.close()


def test_later_operations_of_a_batch_win(store: KeyValueStore) -> None:
    store.write(batch_of([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")]), sync=True)
    assert store.get(b"a") is None
    assert store.get(b"b") == b"2"


def test_an_empty_value_is_a_value(store: KeyValueStore) -> None:
    store.write(batch_of([(b"a", b"")]), sync=True)
    assert store.get(b"a") == b""
    assert store.scan(b"", b"z", limit=1) == [(b"a", b"")]


def test_an_empty_batch_can_be_written(store: KeyValueStore) -> None:
    store.write(WriteBatch(), sync=True)
    assert store.scan(b"", b"\xff", limit=1) == []


def test_a_scan_is_not_changed_by_a_later_write(store: KeyValueStore) -> None:
    store.write(batch_of([(b"a", b"1")]), sync=True)
    entries = store.scan(b"", b"z", limit=9)
    store.write(batch_of([(b"a", None), (b"b", b"2")]), sync=True)
    assert entries == [(b"a", b"1")]


def test_size_grows_with_what_is_stored(store: KeyValueStore) -> None:
    before = store.approximate_size_bytes()
    store.write(batch_of([(b"a", bytes(range(256)) * 100)]), sync=True)
    assert store.approximate_size_bytes() >= before + 25_600


def test_a_closed_store_answers_with_a_storage_fault(store: KeyValueStore) -> None:
    store.close()
    store.close()
    for use in (
        lambda: store.get(b"a"),
        lambda: store.write(batch_of([(b"a", b"1")]), sync=True),
        lambda: store.scan(b"", b"z", limit=1),
        lambda: store.compact(b"", b"z"),
    ):
        with pytest.raises(StorageFault, match="closed"):
            use()


def test_batch_knows_its_length_and_size() -> None:
    batch = batch_of([(b"key", b"value"), (b"gone", None)])
    assert len(batch) == 2
    assert batch.size_bytes == 3 + 5 + 4
    assert list(batch) == [(b"key", b"value"), (b"gone", None)]


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(st.tuples(OPERATIONS, st.booleans()), max_size=8),
    survivors=st.integers(0, 8),
)
def test_a_crash_loses_unsynced_batches_newest_first(batches: list, survivors: int) -> None:
    store = MemoryStore()
    for operations, sync in batches:
        store.write(batch_of(operations), sync=sync)
    synced = max((at + 1 for at, (_, sync) in enumerate(batches) if sync), default=0)
    assert store.unsynced_count == len(batches) - synced
    survivors = min(survivors, store.unsynced_count)

    found = store.crash(survivors=survivors)

    expected: dict[bytes, bytes] = {}
    for operations, _ in batches[: synced + survivors]:
        for key, value in operations:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
    assert found.scan(b"", b"\xff" * 4, limit=1_000) == sorted(expected.items())
    assert found.unsynced_count == 0


def test_a_crashed_store_is_closed_and_cannot_keep_more_than_it_had() -> None:
    store = MemoryStore()
    store.write(batch_of([(b"a", b"1")]), sync=False)
    with pytest.raises(ValueError, match="2, of 1"):
        store.crash(survivors=2)
    store.crash()
    with pytest.raises(StorageFault, match="closed"):
        store.get(b"a")
