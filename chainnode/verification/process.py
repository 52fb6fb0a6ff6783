"""One worker as its node sees it: a subprocess, two pipes that never block, and the chunks it still owes.

It is spawned, never forked from this process's memory, and inherits no descriptor but its own pipes: the locks
and databases of the node stay the node's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

READ_BYTES: Final = 64 * 1024
"""Taken from the pipe at once: its capacity on Linux."""


class WorkerProcess:
    """A running worker, fed and heard on the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        suite: str,
        heard: Callable[[bytes], None],
        ended: Callable[[int], None],
    ) -> None:
        """Start it. `heard` is called with answers, `ended` once with its exit status when it is gone.

        Raises:
            OSError: no process, memory or descriptor is left.
        """
        self._loop = loop
        self._heard = heard
        self._ended = ended
        self._unsent = bytearray()
        self._is_waiting_to_write = False
        # A session of its own keeps the terminal's Ctrl-C away even before the worker can ignore it.
        self._process = subprocess.Popen(  # noqa: S603  # our own module, by the interpreter that runs us
            [sys.executable, "-P", "-m", "chainnode.verification.worker", suite],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:  # pragma: no cover
            raise OSError("a process without the pipes that were asked for")
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        loop.add_reader(self._output, self._read)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Write without blocking; what the pipe does not take is kept and written when it does."""
        self._unsent += data
        if not self._is_waiting_to_write:
            self._write()

    def close(self) -> None:
        """End it and leave nothing behind. It has no state, so it is not asked first. May be called again."""
        if self._input.closed:
            return
        self._loop.remove_reader(self._output)
        self._set_waiting_to_write(waiting=False)
        self._input.close()
        self._output.close()
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        try:
            data = os.read(self._output.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._heard(data)
            return
        # Its end of the pipe is closed: it is gone, or of no more use.
        self.close()
        self._ended(self._process.returncode)

    def _write(self) -> None:
        try:
            sent = os.write(self._input.fileno(), self._unsent)
        except BlockingIOError:
            sent = 0
        except BrokenPipeError:
            # It is gone; the end of its answers tells the owner, who still has every chunk.
            self._unsent.clear()
            sent = 0
        del self._unsent[:sent]
        self._set_waiting_to_write(waiting=bool(self._unsent))

    def _set_waiting_to_write(self, *, waiting: bool) -> None:
        if waiting and not self._is_waiting_to_write:
            self._loop.add_writer(self._input, self._write)
        elif self._is_waiting_to_write and not waiting:
            self._loop.remove_writer(self._input)
        self._is_waiting_to_write = waiting
