"""Opens a home without starting it: for rebuilding its store from the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.ledger.rebuild import rebuild
from chainnode.model.errors import Refused, StorageFault
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
        ChainError: the home is in use, holds no chain or another one, or still keeps the store that an earlier
            rebuild replaced.
        NodeFault: a block cannot be read, or does not give what its header says.
    """
    genesis = read_genesis(home)
    lock = HomeLock(home)
    try:
        data, new, aside = home / "data", home / "data.rebuilt", home / "data.replaced"
        # Without `data` a crash came between the two renames below: what remains is the second.
        old = data if data.exists() else aside
        _check_stores(data, old, aside)
        source = LevelStore(old)
        try:
            target = LevelStore(new)
            try:
                ledger = rebuild(source, target, genesis, progress=progress)
                # The old store may have lost this note, and nobody rebuilds a home that was never used.
                ledger.note_vote()
                height = ledger.tip.height
            finally:
                target.close()
        finally:
            source.close()
        try:
            if old == data:
                data.rename(aside)
            # A crash here finds the old store aside and the new one complete; neither is lost.
            new.rename(data)
        except OSError as error:
            raise StorageFault(
                f"the rebuilt store {new} cannot take the place of {data}: {error}"
            ) from error
    finally:
        lock.release()
    return height


def _check_stores(data: Path, old: Path, aside: Path) -> None:
    if not old.exists():
        raise Refused(
            f"{data} does not exist, so there are no blocks to rebuild from; "
            "start the node, which fetches the chain from the others",
            code="no_chain",
        )
    if old == data and aside.exists():
        raise Refused(
            f"{aside} is there from an earlier rebuild; remove it if the node has run well since, "
            "else move it away; then rebuild again",
            code="exists",
        )
