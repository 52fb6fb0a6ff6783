"""Tiles: the log's tree and records as static resources (C2SP tlog-tiles).

    tile/<level>/<N>[.p/<W>]      256 hashes (W if partial): subtree hashes of height 8 * level
    tile/entries/<N>[.p/<W>]      256 records (W if partial), each behind its length in 16 bits, big-endian

N is written in groups of three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`. A full tile never
changes; a partial one is a prefix of what it grows into, so a store needs to keep only the widest version of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.merkle import Frontier, complete_root
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from chainnode.model.merkle import ReadHash
    from chainnode.model.suites import Suite

    ReadTile = Callable[[int, int], bytes | None]
    """`read_tile(level, index)`: the widest version at hand of a hash tile, or None."""

    Folds = MutableMapping[tuple[int, int], bytes]
    """By level and index of a tile: the hashes of its complete subtrees half way up, as many as were needed yet; 512 bytes at
    most."""

TILE_LEVELS: Final = 8
"""Levels of the tree that one level of tiles spans."""

TILE_WIDTH: Final = 1 << TILE_LEVELS
"""Hashes in a full tile, records in a full bundle."""

MAX_TILE_LEVEL: Final = 63
"""Bound of the specification; a tree of 2**63 leaves needs 8 levels."""

MAX_ENTRY_BYTES: Final = 0xFFFF
"""One record of a bundle: its length has 16 bits."""

MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
"""A full bundle of longest records."""

_CACHED_TILES: Final = 64
"""Tiles that a hash reader keeps: more than the 8 + 8 of the longest consistency proof."""

_FOLD: Final = 16
"""Hashes of a tile under each of its subtrees half way up. With those at hand no subtree of a tile takes more than 7 node hashes;
without, a proof takes 247 for each of its tiles."""

_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)
_MAX_PATH_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePath:
    """Which tile or entry bundle, and how wide."""

    level: int | None
    """0 to 63; None is a bundle of entries."""

    index: int
    """The tile's number within its level, from 0."""

    width: int = TILE_WIDTH
    """1 to 256 hashes or entries; under 256 the tile is partial."""

    def text(self) -> str:
        """Return the path, without a leading slash."""
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_index_text(self.index)}{partial}"


def parse_tile_path(path: str) -> TilePath:
    """Read a path such as `tile/0/x001/067.p/3`, without a leading slash.

    Raises:
        DecodeError: not the one way to write a tile's path.
    """
    match = _PATH.fullmatch(path) if path.isascii() and len(path) <= _MAX_PATH_BYTES else None
    if match is None:
        raise DecodeError(
            f"found {path[:_MAX_PATH_BYTES]!r}; expected a path like tile/0/x001/067.p/3",
            field="path",
            code="bad_tile_path",
        )
    level_text, index_text, width_text = match.groups()
    tile = TilePath(
        level=None if level_text == "entries" else int(level_text),
        index=int(index_text.replace("/", "").replace("x", "")),
        width=TILE_WIDTH if width_text is None else int(width_text),
    )
    if (tile.level or 0) > MAX_TILE_LEVEL or tile.text() != path:
        raise DecodeError(
            f"found {path!r}; expected a level up to {MAX_TILE_LEVEL}, a partial width up to "
            f"{TILE_WIDTH - 1} and no superfluous zeros",
            field="path",
            code="bad_tile_path",
        )
    return tile


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes the tile has in a tree of `size` leaves: 0 (none) to 256."""
    return min(max((size >> (TILE_LEVELS * level)) - index * TILE_WIDTH, 0), TILE_WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A hash tile's new content."""

    level: int
    """0 to 7 in practice."""

    index: int
    """The tile's number within its level."""

    data: bytes
    """1 to 256 hashes of 32 bytes; supersedes every narrower version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What appending leaves changes."""

    tiles: tuple[Tile, ...]
    """New and widened tiles, level by level, in order of index; full ones are final."""

    frontier: Frontier
    """The tree after appending; `frontier.root(suite)` is its root."""


def append_leaves(
    suite: Suite, read_tile: ReadTile, frontier: Frontier, hashes: Sequence[bytes]
) -> Growth:
    """Append leaf hashes to the tree of `frontier`; reads at most one partial tile per level.

    Raises:
        NotFound: with code `tile_missing` if a partial tile of the old tree is not to be had.
    """
    after, levels = frontier.grown(suite, hashes)
    tiles: list[Tile] = []
    for grown in levels[::TILE_LEVELS]:
        if not grown.hashes:
            break
        level = grown.level // TILE_LEVELS
        index, kept = divmod(grown.first, TILE_WIDTH)
        data = _read_at_least(read_tile, level, index, kept) if kept else b""
        data += b"".join(grown.hashes)
        step = TILE_WIDTH * HASH_BYTES
        tiles.extend(
            Tile(level=level, index=index + number, data=data[start : start + step])
            for number, start in enumerate(range(0, len(data), step))
        )
    return Growth(tiles=tuple(tiles), frontier=after)


def frontier_from(read_tile: ReadTile, suite: Suite, size: int) -> Frontier:
    """Return the frontier of a tree of `size` leaves from its tiles.

    Raises:
        NotFound: with code `tile_missing`.
    """
    read_hash = hash_reader(read_tile, suite, size)
    levels = [level for level in range(size.bit_length()) if size >> level & 1]
    return Frontier(
        size=size,
        hashes=tuple(read_hash(level, (size >> level) - 1) for level in reversed(levels)),
    )


def hash_reader(
    read_tile: ReadTile, suite: Suite, size: int, folds: Folds | None = None
) -> ReadHash:
    """Return a `read_hash(level, index)` over tiles, for the proofs of `merkle`.

    It answers for complete subtrees within the first `size` leaves. Tiles may be wider than that tree's: what lies
    beyond it is not looked at. Keeps the tiles that it has read; make one per proof or per root.

    Args:
        read_tile: where the tiles come from.
        suite: the chain's.
        size: of the tree.
        folds: what earlier readers of the same log have worked out; this one reads it and adds to it. Never wrong later, for a
            complete subtree is the same in every tree that has it.

    Raises (when called):
        NotFound: with code `tile_missing` if a tile is absent, or narrower than the tree needs.
    """
    cached = lru_cache(maxsize=_CACHED_TILES)(read_tile)
    folded = {} if folds is None else folds

    def fold(level: int, number: int, count: int) -> bytes:
        """Return the hashes of a tile's first `count` subtrees of `_FOLD` hashes each."""
        known = folded.get((level, number), b"")
        if len(known) < count * HASH_BYTES:
            data = _read_at_least(cached, level, number, count * _FOLD)
            step = _FOLD * HASH_BYTES
            known += b"".join(
                complete_root(suite, data[start : start + step])
                for start in range(len(known) * _FOLD, len(data), step)
            )
            folded[level, number] = known
        return known

    def read_hash(level: int, index: int) -> bytes:
        if (index + 1) << level > size:
            raise NotFound(
                f"subtree {level}/{index} is not within {size} leaves", code="tile_missing"
            )
        tile_level, inner = divmod(level, TILE_LEVELS)
        number, first = divmod(index << inner, TILE_WIDTH)
        end = first + (1 << inner)
        if end - first < _FOLD:
            data = _read_at_least(cached, tile_level, number, end)
        else:
            first, end = first // _FOLD, end // _FOLD
            data = fold(tile_level, number, end)
        return complete_root(suite, data[first * HASH_BYTES : end * HASH_BYTES])

    return read_hash


def _read_at_least(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile."""
    data = read_tile(level, index)
    if data is None or len(data) < width * HASH_BYTES:
        found = "nothing" if data is None else f"{len(data)} bytes"
        raise NotFound(
            f"tile {level}/{index}: found {found}; expected {width} hashes", code="tile_missing"
        )
    return data[: width * HASH_BYTES]


def encode_entries(records: Sequence[bytes]) -> bytes:
    """Return the bundle of 1 to 256 records, each of at most 65,535 bytes."""
    return b"".join(len(record).to_bytes(2, "big") + record for record in records)


def decode_entries(data: bytes) -> tuple[bytes, ...]:
    """Read a bundle.

    Raises:
        DecodeError: empty, cut off, or of more than 256 records.
    """
    records: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        if start > len(data) or position > len(data) or len(records) == TILE_WIDTH:
            raise DecodeError(
                f"entry bundle: record {len(records)} is cut off, or there are more than "
                f"{TILE_WIDTH}",
                field="entries",
                code="bad_bundle",
            )
        records.append(data[start:position])
    if not records:
        raise DecodeError(
            "entry bundle: found no record; expected 1 to 256", field="entries", code="bad_bundle"
        )
    return tuple(records)


def _index_text(index: int) -> str:
    text = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03}/{text}"
    return text
