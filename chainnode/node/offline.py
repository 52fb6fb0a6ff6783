"""Opens a home without starting it: to rebuild its store from the blocks, or to let its validator vote again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from chainnode.ledger.ledger import Ledger
from chainnode.ledger.rebuild import rebuild
from chainnode.model.errors import Refused, StorageFault
from chainnode.node.home import read_genesis
from chainnode.storage.append_file import DiskFile
from chainnode.storage.home_lock import HomeLock
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.vote_log import VoteLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainnode.model.genesis import Genesis


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
            _remove_if_former(new, genesis)
            target = LevelStore(new)
            try:
                ledger = rebuild(source, target, genesis, progress=progress)
                # That it has voted as well: the old store may have lost that note, and nobody rebuilds an unused home.
                ledger.take_over(source)
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


def _remove_if_former(new: Path, genesis: Genesis) -> None:
    """Remove what earlier software had begun to rebuild: this cannot carry on with it, and the blocks are all in the old store."""
    if not new.exists():
        return
    store = LevelStore(new)
    try:
        Ledger.open(store, genesis)
    except Refused as refusal:
        if refusal.error_code != "older_format":
            raise
    else:
        return
    finally:
        store.close()
    try:
        shutil.rmtree(new)
    except OSError as error:
        raise StorageFault(
            f"{new}, which earlier software has begun, cannot be removed: {error}"
        ) from error


def reinstate_home(home: Path, height: int) -> None:
    """Write into a stopped home that its validator may vote again from `height` on, by word of the alliance.

    Raises:
        ChainError: the home is in use or holds no chain, its tip is not the block below `height`, or what it has
            said is not forgotten after all.
        NodeFault: the store or the vote log cannot be read.
    """
    genesis = read_genesis(home)
    lock = HomeLock(home)
    try:
        if not (home / "data").exists():
            raise Refused(
                f"{home / 'data'} does not exist; start the node, let it fetch the chain up to block "
                f"{height - 1}, stop it, and try again",
                code="no_chain",
            )
        _check_vote_log(home, genesis.domain.genesis_hash, height)
        store = LevelStore(home / "data")
        try:
            ledger = Ledger.open(store, genesis)
            _check_reinstatable(ledger, height)
            ledger.reinstate(height)
        finally:
            store.close()
    finally:
        lock.release()


def _check_vote_log(home: Path, binding: bytes, height: int) -> None:
    path = home / "votes.log"
    if not path.exists():
        return
    file = DiskFile(path)
    try:
        _, records = VoteLog.open(file, binding)
    finally:
        file.close()
    newest = max((record.height for record in records), default=0)
    if newest >= height:
        raise Refused(
            f"votes.log holds votes of height {newest}: this validator has not forgotten what it said; "
            "start it as it is",
            code="has_votes",
        )


def _check_reinstatable(ledger: Ledger, height: int) -> None:
    tip_height = ledger.tip.height
    if height != tip_height + 1:
        raise Refused(
            f"the chain of this home ends at block {tip_height}, and --height is {height}; it must be one above "
            "the newest block that anybody in the alliance still has, and this home must have that block: "
            "let the node fetch it first",
            code="wrong_height",
            field="height",
        )
    noted = ledger.voted_height
    if noted is not None and noted > height:
        raise Refused(
            f"this validator has voted at height {noted}, so somebody had block {noted - 1}; "
            f"find who still has it, and start over with --height {noted}",
            code="wrong_height",
            field="height",
        )


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
