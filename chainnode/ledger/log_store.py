"""The log at rest: leaves in chunks, the tiles of its tree, and the index that finds records by key.

Leaves lie as blocks brought them, in chunks of at most 256 under the index of the first, so that a block rewrites
nothing; a leaf is found by scanning backwards from its index. Of each tile the widest version is kept. The lookup
index is no consensus data: `rebuild` makes it anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.ledger.stored import damaged, present, stored
from chainnode.model import codec
from chainnode.model.errors import InvariantViolation
from chainnode.model.limits import MAX_RECORD_BYTES
from chainnode.model.merkle import leaf_hashes
from chainnode.model.tlog_tiles import TILE_LEVELS, append_leaves, frontier_from, hash_reader
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.codec import Value
    from chainnode.model.merkle import Frontier, ReadHash
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_tiles import Growth
    from chainnode.storage.kv import KeyValueStore, WriteBatch
    from contracts.runtime import Emitted

CHUNK: Final = 256
"""Leaves in a chunk at most: as many as an entry bundle serves."""

CACHED_SUBTREES: Final = 8_192
"""Hashes of complete subtrees of a tile of leaves and more that are kept in memory, about 2 MiB: all proofs share them, of a log of
a million records all of these."""

CACHED_FOLDS: Final = 16_384
"""Tiles of which the hashes half way up are kept in memory, about 10 MiB: those of four million records. A proof under another
tile takes a tenth of a millisecond longer."""

KNOWN_CHUNKS: Final = 16_384
"""Chunks whose beginnings are remembered, 1 MiB: one that is known is read at once; another is looked for backwards, by which LevelDB
reads its neighbour too. Beyond it they are learnt anew."""

_MAX_CHUNK_BYTES: Final = CHUNK * (MAX_RECORD_BYTES + 3) + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedLog:
    """The log with a block's records appended; not written yet."""

    first: int
    """Index of the block's first leaf."""

    emitted: tuple[Emitted, ...]
    """The leaves and their lookup keys."""

    growth: Growth
    """Tiles and frontier after them."""

    root: bytes
    """Root after them."""

    @property
    def size(self) -> int:
        """Leaves after them."""
        return self.growth.frontier.size

    def write(self, batch: WriteBatch) -> None:
        """Add leaves, tiles and index entries to the block's batch."""
        put = batch.put
        for start in range(0, len(self.emitted), CHUNK):
            chunk = tuple(e.leaf for e in self.emitted[start : start + CHUNK])
            put(keys.leaves(self.first + start), codec.encode(chunk))
        for tile in self.growth.tiles:
            put(keys.tile(tile.level, tile.index), tile.data)
        seen: set[bytes] = set()
        for index, emitted in enumerate(self.emitted, self.first):
            for key in emitted.lookup_keys:
                put(keys.lookup(key, index), b"")
            for key in emitted.block_keys:
                if key not in seen:
                    seen.add(key)
                    put(keys.lookup(key, index), b"")


class LogStore:
    """Reads and stages the log."""

    __slots__ = ("_counts", "_folds", "_starts", "_store", "_subtrees", "_suite")

    def __init__(self, store: KeyValueStore, suite: Suite) -> None:
        self._store = store
        self._suite = suite
        self._subtrees: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._folds: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._starts: list[int] = []
        """Where chunks begin that were read before, rising."""

        self._counts: list[int] = []
        """How many leaves each of them has; a chunk never changes."""

    def stage(self, frontier: Frontier, emitted: tuple[Emitted, ...]) -> StagedLog:
        """Append records to the log of `frontier`, in memory."""
        for record in emitted:
            for key in (*record.lookup_keys, *record.block_keys):
                if len(key) > keys.MAX_LOOKUP_KEY_BYTES:
                    raise InvariantViolation(f"a lookup key of {len(key)} bytes was emitted")
        hashes = leaf_hashes(self._suite, [e.leaf for e in emitted])
        with stored("a tile"):
            growth = append_leaves(self._suite, self.tile, frontier, hashes)
        return StagedLog(
            first=frontier.size,
            emitted=emitted,
            growth=growth,
            root=growth.frontier.root(self._suite),
        )

    def frontier(self, size: int) -> Frontier:
        """Return the frontier of the tree over the first `size` leaves."""
        with stored("a tile"):
            return frontier_from(self.tile, self._suite, size)

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the widest version of a tile, or None if the tree has not reached it."""
        return self._store.get(keys.tile(level, index))

    def hash_reader(self, size: int) -> ReadHash:
        """Return what the proofs of a tree of `size` leaves, all of them here, read hashes through."""
        subtrees, folds = self._subtrees, self._folds
        read_hash = hash_reader(self.tile, self._suite, size, folds)

        def read_cached(level: int, index: int) -> bytes:
            # A complete subtree is the same in every later tree, so what was read once stays right.
            found = subtrees.get((level, index))
            if found is None:
                with stored("a tile"):
                    found = read_hash(level, index)
                # Large ones, and those at the right edge, are in every proof; the rest is read from a fold as soon.
                if level >= TILE_LEVELS or (index + 2) << level > size:
                    subtrees[level, index] = found
                _trim(subtrees, CACHED_SUBTREES)
                _trim(folds, CACHED_FOLDS)
            return found

        return read_cached

    def leaves(self, first: int, count: int) -> tuple[bytes, ...]:
        """Return `count` (>= 1) leaves from `first` on, all of which must be here."""
        start, nearest = self._chunk_with(first)
        # Every chunk holds at least a leaf, so `count` more chunks are enough.
        later = self._chunks(first + 1, first + count, count) if count > 1 else []
        found = list(self._decode_chunk(start, nearest))
        for key, value in later:
            if keys.parse_number(key) != start + len(found):
                raise damaged(f"leaf {start + len(found)} is missing")
            found.extend(self._decode_chunk(start + len(found), value))
        if start + len(found) < first + count:
            raise damaged(f"leaf {start + len(found)} is missing")
        with stored("a chunk of leaves"):
            # Only those that were asked for: looking at a whole chunk costs as much as the rest of a proof.
            wanted = found[first - start : first - start + count]
            return tuple([codec.binary(leaf, "leaf") for leaf in wanted])

    def _chunk_with(self, index: int) -> tuple[int, bytes]:
        """Return the nearest chunk that begins at `index` or before, and where."""
        at = bisect_right(self._starts, index) - 1
        if at >= 0 and index < self._starts[at] + self._counts[at]:
            start = self._starts[at]
            return start, present(self._store.get(keys.leaves(start)), f"leaf {start}")
        key, value = self._scan_for_chunk_with(index)
        return keys.parse_number(key), value

    def _scan_for_chunk_with(self, index: int) -> tuple[bytes, bytes]:
        first, _ = keys.age_of(index)
        nearest = self._store.scan(*_chunk_keys(first, index + 1), reverse=True, limit=1)
        if not nearest and first:
            # A chunk of a block may begin among the records before, which are of another age.
            before, _ = keys.age_of(first - 1)
            nearest = self._store.scan(*_chunk_keys(before, first), reverse=True, limit=1)
        if not nearest:
            raise damaged(f"leaf {index} is missing")
        return nearest[0]

    def _chunks(self, start: int, stop: int, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` chunks that begin at start..stop - 1."""
        found: list[tuple[bytes, bytes]] = []
        while start < stop and len(found) < limit:
            _, following = keys.age_of(start)
            upto = min(stop, following)
            found += self._store.scan(*_chunk_keys(start, upto), limit=limit - len(found))
            start = upto
        return found

    def _decode_chunk(self, start: int, value: bytes) -> Sequence[Value]:
        with stored("a chunk of leaves"):
            chunk = codec.decode(value, max_bytes=_MAX_CHUNK_BYTES)
            leaves = codec.array_up_to(chunk, "leaves", least=1, most=CHUNK)
        at = bisect_right(self._starts, start)
        if not at or self._starts[at - 1] != start:
            if len(self._starts) == KNOWN_CHUNKS:
                self._starts, self._counts, at = [], [], 0
            self._starts.insert(at, start)
            self._counts.insert(at, len(leaves))
        return leaves

    def lookup(self, key: bytes, limit: int, after: int | None, size: int) -> list[int]:
        """Return at most `limit` indices of records found by `key` in a log of `size`, rising, above `after` if given."""
        if len(key) > keys.MAX_LOOKUP_KEY_BYTES:
            return []
        found: list[int] = []
        first = 0 if after is None else after + 1
        for partition in range(keys.partition_of(first), keys.partition_of(size) + 1):
            start = keys.lookup(key, max(first, keys.first_of(partition)))
            # Just above the entry of the partition's last record.
            stop = keys.lookup(key, keys.first_of(partition + 1) - 1) + b"\0"
            entries = self._store.scan(start, stop, limit=limit - len(found))
            found += [keys.parse_number(entry) for entry, _ in entries]
            if len(found) == limit:
                break
        return found


def _trim(cache: OrderedDict[tuple[int, int], bytes], most: int) -> None:
    if len(cache) > most:
        cache.popitem(last=False)


def _chunk_keys(start: int, stop: int) -> tuple[bytes, bytes]:
    """Return the range of keys of the chunks that begin at start..stop - 1, all of one age."""
    return keys.leaves(start), keys.leaves(stop - 1) + b"\0"
