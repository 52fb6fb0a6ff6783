"""Discrete events, and machines whose cores are shared by threads. Times are microseconds, simulated.

A thread does one job after the other. The threads of a machine that have work take turns on its cores, a quantum each, as a
fair scheduler has them; a thread that waits for a disk keeps no core.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUANTUM_US: Final = 3_000.0
"""Of the processor, before another thread has its turn; what Linux gives each of a few."""


class Events:
    """What happens when."""

    def __init__(self) -> None:
        self.now_us = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, wait_us: float, action: Callable[[], None]) -> None:
        """Have `action` happen so much later; what is due at the same time happens in the order of the calls."""
        self._count += 1
        heapq.heappush(self._due, (self.now_us + wait_us, self._count, action))

    def run(self, until_us: float) -> None:
        """Have everything happen that is due until then."""
        while self._due and self._due[0][0] <= until_us:
            self.now_us, _, action = heapq.heappop(self._due)
            action()
        self.now_us = until_us


class Machine:
    """Cores, and the threads that wait for one."""

    def __init__(self, events: Events, cores: int) -> None:
        self.events = events
        self.busy_us = 0.0
        """Of all cores together, so far."""

        self._free = cores
        self._waiting: deque[Thread] = deque()

    def wants_core(self, thread: Thread) -> None:
        """Run a thread as soon as its turn comes; it does not run, nor wait for a core."""
        self._waiting.append(thread)
        self._next()

    def _next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            thread = self._waiting.popleft()
            slice_us = min(QUANTUM_US, thread.left_us)
            self.busy_us += slice_us
            self.events.after(slice_us, lambda t=thread, us=slice_us: self._ran(t, us))  # type: ignore[misc]

    def _ran(self, thread: Thread, slice_us: float) -> None:
        self._free += 1
        thread.ran(slice_us)
        self._next()


class Thread:
    """Does one job after the other."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._jobs: deque[tuple[float, float, Callable[[], None] | None]] = deque()
        self.left_us = 0.0
        """Processor time that the job at hand still takes."""

    def do(
        self, cost_us: float, then: Callable[[], None] | None = None, *, disk_us: float = 0
    ) -> None:
        """Add a job.

        Args:
            cost_us: processor time.
            then: happens when it is done.
            disk_us: how long the thread then waits for a disk.
        """
        self._jobs.append((cost_us, disk_us, then))
        if len(self._jobs) == 1:
            self._begin()

    def _begin(self) -> None:
        self.left_us = self._jobs[0][0]
        self._machine.wants_core(self)

    def ran(self, slice_us: float) -> None:
        """Note that it had a core for so long; its machine calls this."""
        self.left_us -= slice_us
        if self.left_us > 0:
            self._machine.wants_core(self)
            return
        disk_us = self._jobs[0][1]
        if disk_us:
            self._machine.events.after(disk_us, self._done)
        else:
            self._done()

    def _done(self) -> None:
        _, _, then = self._jobs[0]
        if then is not None:
            then()
        self._jobs.popleft()
        if self._jobs:
            self._begin()
