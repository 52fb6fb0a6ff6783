"""Whether one tree extends another, from public tiles alone: what a monitor needs of a log that it does not trust.

The tiles come from whoever serves the log. They prove nothing by themselves: the hashes that they give must lead from the
old root to the new one, as a consistency proof does (RFC 9162 section 2.1.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.merkle import consistency_proof_from, verify_consistency
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_tiles import TilePath, hash_reader, tile_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree by what a checkpoint says of it."""

    size: int
    """Leaves."""

    root: bytes
    """32 bytes."""


def tiles_between(suite: Suite, old_size: int, new_size: int) -> tuple[TilePath, ...]:
    """Return the tiles, at most 16, that show whether a tree of `new_size` extends one of `old_size`.

    Which ones they are does not depend on what is in them, so a proof made of empty hashes finds them out.
    """
    found: dict[TilePath, None] = {}

    def read_tile(level: int, index: int) -> bytes:
        path = _path(level, index, new_size)
        found[path] = None
        return bytes(path.width * HASH_BYTES)

    consistency_proof_from(suite, hash_reader(read_tile, suite, new_size), old_size, new_size)
    return tuple(found)


def verify_extension(suite: Suite, old: Tree, new: Tree, tiles: Mapping[TilePath, bytes]) -> None:
    """Check that `new` extends `old`.

    Args:
        suite: of the log.
        old: the older tree, not larger than `new`.
        new: the newer one.
        tiles: the content of each of `tiles_between`, as wide as its path says.

    Raises:
        ProofInvalid: with code `inconsistent`: the tiles do not lead from the one root to the other.
        NotFound: with code `tile_missing`: a tile is not there, or too narrow.
    """

    def read_tile(level: int, index: int) -> bytes | None:
        return tiles.get(_path(level, index, new.size))

    reader = hash_reader(read_tile, suite, new.size)
    proof = consistency_proof_from(suite, reader, old.size, new.size)
    verify_consistency(suite, old.size, old.root, new.size, new.root, proof)


def _path(level: int, index: int, size: int) -> TilePath:
    return TilePath(level=level, index=index, width=tile_width(level, index, size))
