"""Which tiles of a log the proofs of neighbouring records need, and those proofs made from them.

A node is asked for some kilobytes instead of a thousand proofs, and may cache or mirror them; what it answers is
checked by the root of the checkpoint, to which every proof must lead.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model.merkle import inclusion_proof_from
from chainnode.model.tlog_tiles import TILE_LEVELS, TILE_WIDTH, TilePath, hash_reader, tile_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite

_CACHED_HASHES: Final = 16_384
"""Subtree hashes that are kept while proofs of neighbours are made: of 1,000 records some 2,000; a hash takes 100 bytes."""


def tiles_for(first: int, count: int, size: int) -> tuple[TilePath, ...]:
    """Return the hash tiles that inclusion proofs of `count` records from `first` on need, in a tree of `size`."""
    wanted: list[TilePath] = []
    level = 0
    while size >> (TILE_LEVELS * level):
        above = TILE_LEVELS * (level + 1)
        # The tiles over the records, which hold their siblings, and the right edge of the tree.
        indices = {*range(first >> above, ((first + count - 1) >> above) + 1)}
        indices.add((size >> (TILE_LEVELS * level)) // TILE_WIDTH)
        wanted += (
            TilePath(level=level, index=index, width=width)
            for index in sorted(indices)
            if (width := tile_width(level, index, size))
        )
        level += 1
    return tuple(wanted)


def inclusion_proofs(
    suite: Suite, tiles: Mapping[tuple[int, int], bytes], first: int, count: int, size: int
) -> tuple[tuple[bytes, ...], ...]:
    """Return the inclusion proofs of `count` records from `first` on in a tree of `size`.

    Args:
        suite: the chain's.
        tiles: by level and index, those that `tiles_for` names.
        first: log index of the first record.
        count: how many.
        size: of the tree, more than `first + count - 1`.

    Raises:
        NotFound: with code `tile_missing` if a tile is missing or too short.
    """
    read_hash = lru_cache(maxsize=_CACHED_HASHES)(
        hash_reader(lambda level, index: tiles.get((level, index)), suite, size)
    )
    return tuple(
        inclusion_proof_from(suite, read_hash, index, size) for index in range(first, first + count)
    )
