"""Opens a home without starting it: for rebuilding its store from the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.ledger.rebuild import rebuild
from chainnode.model.errors import StorageFault
from chainnode.node.home import read_genesis
from chainnode.storage.home_lock import HomeLock
from chainnode.storage.leveldb import LevelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rebuild_home(home: Path, progress: Callable[[int, int], None]) -> int:
    """Execute the chain of a home again, from its blocks into a new store; return the height reached.

    The new store is made beside the old one, which stays untouched until every root of every block came out
    equal. Interrupted, the next call goes on where this one stopped.

    Raises:
        ChainError: the home is in use, or holds another chain.
        NodeFault: a block cannot be read, or does not give what its header says.
    """
    genesis = read_genesis(home)
    lock = HomeLock(home)
    try:
        old, new, aside = home / "data", home / "data.rebuilt", home / "data.replaced"
        source = LevelStore(old)
        try:
            target = LevelStore(new)
            try:
                ledger = rebuild(source, target, genesis, progress=progress)
                height = ledger.tip.height
            finally:
                target.close()
        finally:
            source.close()
        try:
            # A crash between the two finds the old store aside and the new one complete; neither is lost.
            old.rename(aside)
            new.rename(old)
        except OSError as error:
            raise StorageFault(
                f"the rebuilt store cannot take the place of {old}: {error}; "
                f"move {aside} away and {new} to {old} by hand"
            ) from error
    finally:
        lock.release()
    return height
