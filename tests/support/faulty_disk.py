"""Stores and files that fail, or stop the world, at a chosen write.

One FaultPlan counts the writes of all adapters that share it, so that a test of a whole node can say
"the 7th thing that reaches the disk" without knowing which file that is:

    for at in range(count_of_writes):
        for fate in Fate:
            plan = FaultPlan(at=at, fate=fate)
            run(FaultyStore(store, plan), FaultyFile(file, plan))
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from chainnode.model.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.storage.append_file import AppendFile
    from chainnode.storage.kv import KeyValueStore, WriteBatch


class SimulatedCrash(BaseException):
    """The process ends here. Not an Exception, so that no handler can survive it."""


class Fate(Enum):
    """What happens to the chosen write."""

    LOST = auto()
    """Nothing is written and StorageFault is raised."""

    KEPT = auto()
    """All is written and StorageFault is raised nevertheless."""

    FULL = auto()
    """An append writes the first half, anything else nothing; then StorageFault."""

    CRASH_BEFORE = auto()
    """The process ends before it."""

    CRASH_AFTER = auto()
    """The process ends after it."""


class FaultPlan:
    """Which write fails, and how. After it every further write fails as well: the node must stop."""

    def __init__(self, *, at: int | None = None, fate: Fate = Fate.LOST) -> None:
        """Fail the write number `at`, counted from 0; None fails none, and counts them."""
        self.at = at
        self.fate = fate
        self.writes = 0
        self.on_write: Callable[[], None] | None = None
        """Called before each write: a slow disk takes its time there."""

    @property
    def has_struck(self) -> bool:
        """Whether the chosen write has been reached."""
        return self.at is not None and self.writes > self.at

    def run(self, write: Callable[[], None], half: Callable[[], None] | None = None) -> None:
        """Carry out `write`, unless it is the chosen one; `half` is what a full disk leaves of it."""
        if self.has_struck:
            raise StorageFault("written to after a fault")
        number = self.writes
        self.writes += 1
        if self.on_write is not None:
            self.on_write()
        if number != self.at:
            write()
            return
        if self.fate in {Fate.KEPT, Fate.CRASH_AFTER}:
            write()
        if self.fate is Fate.FULL and half is not None:
            half()
        if self.fate in {Fate.CRASH_BEFORE, Fate.CRASH_AFTER}:
            raise SimulatedCrash
        raise StorageFault(f"write {number} fails on purpose: {self.fate.name.lower()}")


class FaultyStore:
    """A KeyValueStore whose `write` and `compact` follow a plan; reads always work."""

    def __init__(self, inner: KeyValueStore, plan: FaultPlan) -> None:
        self.inner = inner
        self.plan = plan

    def get(self, key: bytes) -> bytes | None:
        return self.inner.get(key)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        self.plan.run(lambda: self.inner.write(batch, sync=sync))

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False, limit: int
    ) -> list[tuple[bytes, bytes]]:
        return self.inner.scan(start, stop, reverse=reverse, limit=limit)

    def compact(self, start: bytes, stop: bytes) -> None:
        self.plan.run(lambda: self.inner.compact(start, stop))

    def approximate_size_bytes(self) -> int:
        return self.inner.approximate_size_bytes()

    def close(self) -> None:
        self.inner.close()


class FaultyFile:
    """An AppendFile whose `append`, `sync` and `replace` follow a plan; reads always work."""

    def __init__(self, inner: AppendFile, plan: FaultPlan) -> None:
        self.inner = inner
        self.plan = plan

    @property
    def size_bytes(self) -> int:
        return self.inner.size_bytes

    def read_all(self, limit: int) -> bytes:
        return self.inner.read_all(limit)

    def append(self, data: bytes) -> None:
        self.plan.run(
            lambda: self.inner.append(data), lambda: self.inner.append(data[: len(data) // 2])
        )

    def sync(self) -> None:
        self.plan.run(self.inner.sync)

    def replace(self, data: bytes) -> None:
        self.plan.run(lambda: self.inner.replace(data))

    def close(self) -> None:
        self.inner.close()
