"""Backups of a simulated validator's home, and careless restores of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainnode.storage.append_file import MemoryFile
    from chainnode.storage.memory import MemoryStore
    from tests.support.simulated_chain import SimulatedChain
    from tests.support.simulated_node import SimulatedNode


@dataclass(frozen=True)
class Backup:
    """What a home held at one moment."""

    height: int
    store: MemoryStore
    file: MemoryFile


def back_up(node: SimulatedNode) -> Backup:
    """Copy store and vote log as they are now."""
    return Backup(node.ledger.tip.height, node.disk.copy_store(), copy.deepcopy(node.disk.file))


def restore(
    world: SimulatedChain,
    node: SimulatedNode,
    backup: Backup,
    *,
    store: bool = True,
    vote_log: bool = True,
) -> None:
    """Put the parts that are asked for under a node that is down."""
    if vote_log:
        node.disk.file = copy.deepcopy(backup.file)
    if store:
        node.disk.store = copy.deepcopy(backup.store)
        world.observer.restored(node.name, backup.height)
