"""Tiles: paths, growth, bundles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.merkle import EMPTY, complete_root, leaf_hashes, root_of
from chainnode.model.suites import suite_named
from chainnode.model.tlog_tiles import (
    TILE_WIDTH,
    TilePath,
    append_leaves,
    decode_entries,
    encode_entries,
    frontier_from,
    hash_reader,
    parse_tile_path,
    tile_width,
)

SUITE = suite_named("ed25519-sha256")
LEAVES = leaf_hashes(SUITE, [b"leaf %d" % n for n in range(1_100)])


class Tiles:
    """The widest version of each tile, in memory."""

    def __init__(self):
        self.data = {}
        self.frontier = EMPTY

    def read(self, level, index):
        return self.data.get((level, index))

    def append(self, hashes):
        growth = append_leaves(SUITE, self.read, self.frontier, hashes)
        for tile in growth.tiles:
            self.data[tile.level, tile.index] = tile.data
        self.frontier = growth.frontier
        return growth


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", TilePath(level=0, index=0)),
        ("tile/2/x001/x234/067.p/1", TilePath(level=2, index=1_234_067, width=1)),
        ("tile/63/999.p/255", TilePath(level=63, index=999, width=255)),
        ("tile/entries/x001/000", TilePath(level=None, index=1_000)),
        ("tile/entries/001.p/3", TilePath(level=None, index=1, width=3)),
    ],
)
def test_a_path_reads_back(path, tile):
    assert tile.text() == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "/tile/0/000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0",
        "tile/0/x000/001", "tile/0/001/001", "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000/", "tile/0/000\n", "tile/data/000", "tile/0/٠٠٠",
        "tile/0/" + "x001/" * 20 + "000",
    ],
)  # fmt: skip
def test_any_other_path_is_refused(path):
    with pytest.raises(DecodeError) as caught:
        parse_tile_path(path)
    assert caught.value.error_code == "bad_tile_path"


@given(st.text(alphabet="tile/x0123456789.pentries", max_size=40))
def test_a_path_that_is_read_is_the_one_that_is_written(path):
    try:
        tile = parse_tile_path(path)
    except DecodeError:
        return
    assert tile.text() == path


@given(level=st.none() | st.integers(0, 63), index=st.integers(0, 2**55), width=st.integers(1, 256))
def test_every_tile_has_a_path_that_reads_back(level, index, width):
    tile = TilePath(level=level, index=index, width=width)
    assert parse_tile_path(tile.text()) == tile


@given(st.lists(st.sampled_from([0, 1, 2, 100, 255, 256, 257, 400]), max_size=6))
def test_tiles_hold_the_tree_however_it_grew(steps):
    tiles = Tiles()
    for step in steps:
        start = tiles.frontier.size
        tiles.append(LEAVES[start : start + step])
    size = tiles.frontier.size
    assert tiles.frontier.root(SUITE) == root_of(SUITE, LEAVES[:size])
    whole = Tiles()
    whole.append(LEAVES[:size])
    assert tiles.data == whole.data
    assert frontier_from(tiles.read, SUITE, size) == tiles.frontier
    assert all(len(d) // 32 == tile_width(*at, size) for at, d in tiles.data.items())
    if size >= TILE_WIDTH:
        assert tiles.data[1, 0][:32] == root_of(SUITE, LEAVES[:TILE_WIDTH])


def test_appending_touches_only_the_tiles_that_change():
    tiles = Tiles()
    tiles.append(LEAVES[:600])
    growth = tiles.append(LEAVES[600:601])
    assert [(t.level, t.index) for t in growth.tiles] == [(0, 2)]
    assert tiles.append([]).tiles == ()


def test_a_missing_or_narrow_tile_is_reported():
    tiles = Tiles()
    tiles.append(LEAVES[:300])
    read_hash = hash_reader(tiles.read, SUITE, 300)
    with pytest.raises(NotFound):
        read_hash(8, 1)
    del tiles.data[0, 1]
    with pytest.raises(NotFound):
        hash_reader(tiles.read, SUITE, 300)(0, 299)
    with pytest.raises(NotFound):
        tiles.append(LEAVES[300:301])


def test_reading_an_older_tree_looks_at_no_later_leaf():
    tiles = Tiles()
    tiles.append(LEAVES[:300])
    read_hash = hash_reader(tiles.read, SUITE, 10)
    assert read_hash(3, 0) == root_of(SUITE, LEAVES[:8])
    with pytest.raises(NotFound):
        read_hash(3, 1)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_readers_of_a_growing_log_may_share_what_they_worked_out(steps):
    tiles, folds = Tiles(), {}
    for step in steps:
        start = tiles.frontier.size
        tiles.append(LEAVES[start : start + step])
        size = tiles.frontier.size
        read_hash = hash_reader(tiles.read, SUITE, size, folds)
        for level in range(size.bit_length()):
            for index in range(size >> level):
                first = index << level
                assert read_hash(level, index) == root_of(
                    SUITE, LEAVES[first : first + (1 << level)]
                )


def test_a_root_is_that_of_a_complete_tree():
    for count in (1, 2, 4, 256):
        assert complete_root(SUITE, b"".join(LEAVES[:count])) == root_of(SUITE, LEAVES[:count])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_entries_read_back(records):
    assert decode_entries(encode_entries(records)) == tuple(records)


@given(st.binary(max_size=200))
def test_any_bytes_are_entries_or_refused(data):
    try:
        records = decode_entries(data)
    except DecodeError:
        return
    assert encode_entries(records) == data


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x02a", b"\x00\x00" * 257])
def test_a_cut_or_overfull_bundle_is_refused(data):
    with pytest.raises(DecodeError):
        decode_entries(data)
