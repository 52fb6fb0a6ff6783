"""One process per home, tried with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chainnode.model.errors import Refused, StorageFault
from chainnode.storage.home_lock import HomeLock

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from chainnode.storage.home_lock import HomeLock
lock = HomeLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Refused, match=rf"process {holder.pid}\b") as caught:
            HomeLock(tmp_path)
        assert caught.value.error_code == "home_in_use"
        holder.kill()
    HomeLock(tmp_path).release()


def test_a_second_lock_in_one_process_is_refused_as_well(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    with pytest.raises(Refused, match=f"process {os.getpid()}"):
        HomeLock(tmp_path)
    lock.release()
    lock.release()
    HomeLock(tmp_path).release()


def test_a_holder_that_has_not_written_its_pid_is_another_process(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    (tmp_path / "node.lock").write_bytes(b"")
    with pytest.raises(Refused, match="another process"):
        HomeLock(tmp_path)
    lock.release()


def test_a_home_that_does_not_exist_is_a_storage_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageFault, match="cannot be locked"):
        HomeLock(tmp_path / "absent")
