"""A node's disk: a store and a file that survive its crashes, less what was never synced."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from chainnode.storage.append_file import MemoryFile
from chainnode.storage.memory import MemoryStore
from tests.support.faulty_disk import FaultPlan, FaultyFile, FaultyStore

if TYPE_CHECKING:
    import random


class SimulatedDisk:
    """Store and vote log file of one node, over all its lives."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.file = MemoryFile()
        self.plan = FaultPlan()
        self.torn: tuple[int, int] | None = None
        """(first bytes, zeros after them) that the next crash leaves of an unsynced append; None for by chance."""

    def attach(self, plan: FaultPlan) -> tuple[FaultyStore, FaultyFile]:
        """Return both for one life of the process, whose writes follow `plan`.

        What an earlier process appended and could not sync is found, and synced as the real file is when it is opened.
        """
        self.plan = plan
        self.file.sync()
        return FaultyStore(self.store, plan), FaultyFile(self.file, plan)

    def crash(self, random: random.Random) -> None:
        """Lose unsynced batches from some point on, and all but some first bytes of an unsynced append.

        Sometimes the file had grown before its data arrived: zeros follow.
        """
        self.store = self.store.crash(survivors=random.randint(0, self.store.unsynced_count))
        unsynced = self.file.unsynced_bytes
        survivors = random.randint(0, unsynced)
        zeros = random.choice((0, 0, random.randint(0, unsynced - survivors)))
        if self.torn is not None:
            (survivors, zeros), self.torn = self.torn, None
        self.file = self.file.crash(survivors=survivors, zeros=zeros)

    def copy(self) -> SimulatedDisk:
        """Return another disk that holds what this one holds now."""
        disk = SimulatedDisk()
        disk.store, disk.file = copy.deepcopy(self.store), copy.deepcopy(self.file)
        return disk

    def copy_store(self) -> MemoryStore:
        """Return a backup of the store as it is now."""
        return copy.deepcopy(self.store)

    def lose_vote_log(self) -> None:
        """Replace the vote log by an empty file, as a careless restore does."""
        self.file = MemoryFile()
