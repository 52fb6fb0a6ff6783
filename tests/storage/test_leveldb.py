"""LevelDB on bad days: damaged files, full disks, two processes, kill -9."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chainnode.model.errors import Refused, StorageFault
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCHES = 12


def batch_number(number: int) -> WriteBatch:
    """Two new keys and one that every batch overwrites."""
    batch = WriteBatch()
    batch.put(b"last", b"%d" % number)
    batch.put(b"a%03d" % number, bytes([number]) * 40)
    batch.put(b"b%03d" % number, os.urandom(40))
    return batch


@pytest.fixture(scope="module")
def prototypes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A store whose data is in its log, and one whose data is in tables."""
    folder = tmp_path_factory.mktemp("prototypes")
    made = {}
    for kind in ("log", "table"):
        store = LevelStore(folder / kind)
        for number in range(BATCHES):
            store.write(batch_number(number), sync=True)
        if kind == "table":
            store.compact(b"", b"\xff")
        store.close()
        made[kind] = folder / kind
    return made


def contents(folder: Path) -> dict[bytes, bytes]:
    store = LevelStore(folder)
    try:
        forwards = store.scan(b"", b"\xff", limit=1_000)
        assert store.scan(b"", b"\xff", limit=1_000, reverse=True) == forwards[::-1]
        for key, value in forwards:
            assert store.get(key) == value
    finally:
        store.close()
    return dict(forwards)


def states(whole: dict[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    """What the store held after each batch, newest first."""
    for count in range(BATCHES, 0, -1):
        kept = {
            key: value for key, value in whole.items() if key != b"last" and int(key[1:]) < count
        }
        yield kept | {b"last": b"%d" % (count - 1)}
    yield {}


@pytest.mark.parametrize(
    ("kind", "pattern", "step"),
    [
        ("log", "*.log", 37),
        ("table", "*.ldb", 23),
        ("table", "MANIFEST-*", 11),
        ("table", "CURRENT", 3),
    ],
)
def test_a_flipped_bit_is_a_fault_or_an_earlier_state_but_never_a_wrong_one(
    kind: str, pattern: str, step: int, prototypes: dict[str, Path], tmp_path: Path
) -> None:
    whole_folder = tmp_path / "whole"
    shutil.copytree(prototypes[kind], whole_folder)
    (name,) = [path.name for path in prototypes[kind].glob(pattern) if path.stat().st_size]
    whole = contents(whole_folder)
    valid = list(states(whole))
    assert whole == valid[0]
    faults = 0
    size = (prototypes[kind] / name).stat().st_size
    for offset in range(0, size, step):
        folder = tmp_path / str(offset)
        shutil.copytree(prototypes[kind], folder)
        content = bytearray((folder / name).read_bytes())
        content[offset] ^= 0x41
        (folder / name).write_bytes(content)
        try:
            found = contents(folder)
        except StorageFault as fault:
            faults += "\n" not in str(fault)
        else:
            assert found in valid if pattern not in {"*.ldb", "CURRENT"} else found == whole, (
                f"offset {offset} of {size}"
            )
        shutil.rmtree(folder)
    assert faults >= 1


def test_a_lost_current_file_does_not_start_the_chain_afresh(
    prototypes: dict[str, Path], tmp_path: Path
) -> None:
    for kind, prototype in prototypes.items():
        shutil.copytree(prototype, tmp_path / kind)
        (tmp_path / kind / "CURRENT").unlink()
        with pytest.raises(StorageFault, match="CURRENT file is missing"):
            LevelStore(tmp_path / kind)


def test_a_crash_before_the_first_current_file_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST-000001").write_bytes(b"")
    LevelStore(tmp_path).close()


def test_a_lost_table_is_a_storage_fault(prototypes: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(prototypes["table"], tmp_path / "store")
    for path in (tmp_path / "store").glob("*.ldb"):
        path.unlink()
    with pytest.raises(StorageFault, match="fetch the chain again"):
        LevelStore(tmp_path / "store")


def test_a_path_that_is_no_folder_is_a_storage_fault(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(StorageFault, match="cannot be opened"):
        LevelStore(tmp_path / "store")


HOLD = """
import os, sys
from pathlib import Path
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore
store = LevelStore(Path(sys.argv[1]))
for number in range(5):
    batch = WriteBatch()
    batch.put(b"%d" % number, b"v")
    store.write(batch, sync=False)
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_refused_and_after_kill_9_everything_is_there(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Refused, match="in use") as caught:
            LevelStore(tmp_path)
        assert caught.value.error_code == "home_in_use"
        holder.kill()
    store = LevelStore(tmp_path)
    assert store.scan(b"", b"z", limit=9) == [(b"%d" % number, b"v") for number in range(5)]
    store.close()


FILL = """
import resource, signal, sys
from pathlib import Path
from chainnode.model.errors import StorageFault
from chainnode.storage.kv import WriteBatch
from chainnode.storage.leveldb import LevelStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LevelStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for number in range(100):
    batch = WriteBatch()
    batch.put(b"%03d" % number, bytes(3_000))
    try:
        store.write(batch, sync=True)
    except StorageFault as fault:
        print(number, fault)
"""


def test_a_full_disk_loses_nothing_acknowledged_and_ends_all_writing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    first = int(lines[0].split()[0])
    assert 0 < first < 40
    assert "File too large" in lines[0]
    assert len(lines) == 100 - first, "every write after the first failure fails"
    assert all("nothing is written after that" in line for line in lines[1:])
    store = LevelStore(tmp_path)
    keys = [key for key, _ in store.scan(b"", b"z", limit=1_000)]
    assert keys[:first] == [b"%03d" % number for number in range(first)]
    assert len(keys) <= first + 1
    store.close()


def test_a_file_that_a_compaction_deletes_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vanished:
        def stat(self) -> os.stat_result:
            raise FileNotFoundError(errno.ENOENT, "gone")

    store = LevelStore(tmp_path)
    monkeypatch.setattr(os, "scandir", lambda _: [Vanished()])
    assert store.approximate_size_bytes() == 0
    store.close()
