"""The file on disk and its twin in memory: content, crashes, and disks that fail."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chainnode.model.errors import StorageFault
from chainnode.storage.append_file import DiskFile, MemoryFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainnode.storage.append_file import AppendFile


@pytest.fixture(params=["disk", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> AppendFile:
    return DiskFile(tmp_path / "log") if request.param == "disk" else MemoryFile()


def raising(number: int) -> Callable[..., int]:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_appends_add_up(file: AppendFile) -> None:
    assert file.read_all(0) == b""
    file.append(b"one")
    file.append(b"")
    file.append(b"two")
    file.sync()
    assert file.size_bytes == 6
    assert file.read_all(6) == b"onetwo"
    file.close()


def test_replaced_content_is_appended_to(file: AppendFile) -> None:
    file.append(b"old")
    file.replace(b"new")
    file.append(b"er")
    assert file.read_all(5) == b"newer"
    file.close()


def test_a_file_over_the_limit_is_not_read(file: AppendFile) -> None:
    file.append(b"four")
    with pytest.raises(StorageFault, match="4 bytes; at most 3"):
        file.read_all(3)
    file.close()


def test_a_closed_file_answers_with_a_storage_fault(file: AppendFile) -> None:
    file.close()
    file.close()
    for use in (lambda: file.append(b"a"), file.sync, lambda: file.read_all(1)):
        with pytest.raises(StorageFault, match="closed"):
            use()
    with pytest.raises(StorageFault, match="closed"):
        file.replace(b"")


def test_content_is_found_by_the_next_process(tmp_path: Path) -> None:
    file = DiskFile(tmp_path / "log")
    file.append(b"one")
    file.replace(b"two")
    file.append(b"three")
    file.close()
    again = DiskFile(tmp_path / "log")
    assert again.read_all(8) == b"twothree"
    again.close()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


def test_a_file_left_behind_by_a_crash_during_replace_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log.new").write_bytes(b"half of something longer")
    file = DiskFile(tmp_path / "log")
    file.replace(b"whole")
    assert file.read_all(9) == b"whole"
    file.close()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:2])))
    file = DiskFile(tmp_path / "log")
    file.append(b"abcde")
    assert file.read_all(9) == b"abcde"
    file.close()


def test_short_reads_are_completed_and_a_shrunken_file_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, _, at: pread(descriptor, 2, at))
    file = DiskFile(tmp_path / "log")
    file.append(b"abcde")
    assert file.read_all(9) == b"abcde"
    (tmp_path / "log").write_bytes(b"ab")
    with pytest.raises(StorageFault, match="ends after 2 of 5"):
        file.read_all(9)
    file.close()


def test_a_failed_sync_is_never_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DiskFile(tmp_path / "log")
    file.append(b"a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.EIO))
        with pytest.raises(StorageFault, match="cannot be synced"):
            file.sync()
    for use in (
        file.sync,
        lambda: file.append(b"b"),
        lambda: file.replace(b""),
        lambda: file.read_all(9),
    ):
        with pytest.raises(StorageFault, match="cannot be synced"):
            use()
    file.close()


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failed_replace_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = DiskFile(tmp_path / "log")
    file.append(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, raising(errno.ENOSPC))
        with pytest.raises(StorageFault, match="No space left"):
            file.replace(b"new")
    with pytest.raises(StorageFault):
        file.append(b"more")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"old"


def test_a_file_that_cannot_be_opened_is_a_storage_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageFault, match="cannot be opened"):
        DiskFile(tmp_path / "absent" / "log")
    (tmp_path / "log.new").mkdir()
    file = DiskFile(tmp_path / "log")
    with pytest.raises(StorageFault, match="cannot be replaced"):
        file.replace(b"")
    file.close()
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(StorageFault, match="cannot be opened"):
        DiskFile(tmp_path / "log")


FILL = """
import resource, signal, sys
from pathlib import Path
from chainnode.model.errors import StorageFault
from chainnode.storage.append_file import DiskFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = DiskFile(Path(sys.argv[1]))
file.append(bytes(900))
for _ in range(2):
    try:
        file.append(bytes(200))
    except StorageFault as fault:
        print(fault)
"""


def test_a_file_that_can_grow_no_more_is_a_storage_fault_for_good(tmp_path: Path) -> None:
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "cannot be written: File too large" in lines[0]
    assert lines[0] == lines[1]
    assert path.stat().st_size <= 1000


def test_a_crash_keeps_what_was_synced_and_tears_the_rest() -> None:
    def crashed(survivors: int, zeros: int) -> bytes:
        file = MemoryFile()
        file.append(b"safe")
        file.sync()
        file.append(b"risky")
        assert file.unsynced_bytes == 5
        found = file.crash(survivors=survivors, zeros=zeros)
        assert found.unsynced_bytes == 0
        with pytest.raises(StorageFault):
            file.sync()
        return found.read_all(99)

    assert crashed(0, 0) == b"safe"
    assert crashed(2, 0) == b"saferi"
    assert crashed(2, 3) == b"saferi\0\0\0"
    assert crashed(5, 0) == b"saferisky"
    for survivors, zeros in ((-1, 0), (0, -1), (3, 3)):
        with pytest.raises(ValueError, match="of 5 unsynced"):
            crashed(survivors, zeros)


def test_a_replace_survives_a_crash() -> None:
    file = MemoryFile(b"old")
    file.append(b"er")
    file.replace(b"new")
    assert file.crash().read_all(99) == b"new"
