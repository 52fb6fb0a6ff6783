"""One process per home: two nodes with the same keys would contradict each other in their votes."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused, StorageFault

if TYPE_CHECKING:
    from pathlib import Path

_FILE_NAME: Final = "node.lock"

_MAX_PID_BYTES: Final = 20
"""A process id in decimal; anything longer in the file is not one."""


class HomeLock:
    """Held while this process runs a node in a home; the kernel releases it when the process dies.

    The file stays when the lock is released: deleting it would let two processes lock two files of one
    name. A child made by fork shares the lock, so worker processes are spawned, not forked.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, home: Path) -> None:
        """Take the lock of `home`, a folder that exists.

        Raises:
            Refused: `home_in_use`; the message names the process that has it.
            StorageFault: the lock file cannot be opened or written.
        """
        path = home / _FILE_NAME
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError as error:
            holder = _holder(self._descriptor)
            self.release()
            raise Refused(
                f"{home} is in use by {holder}; stop it first, or start this node in its own home",
                code="home_in_use",
            ) from error
        except OSError as error:
            self.release()
            raise StorageFault(f"{path} cannot be locked: {error.strerror}") from error

    def release(self) -> None:
        """Let another process take the home; releasing twice is allowed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _holder(descriptor: int) -> str:
    """The process named in the file: empty for an instant after it takes the lock, so not certain."""
    pid = os.pread(descriptor, _MAX_PID_BYTES, 0).strip()
    return f"process {int(pid)}" if pid.isdigit() else "another process"
