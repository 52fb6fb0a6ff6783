"""Whether a tree extends another, from tiles alone."""

import pytest

from chainnode.model.errors import NotFound, ProofInvalid
from chainnode.model.log_extension import Tree, tiles_between, verify_extension
from chainnode.model.merkle import leaf_hashes, root_of
from chainnode.model.suites import suite_named
from chainnode.model.tlog_tiles import TILE_WIDTH, tile_width

SUITE = suite_named("ed25519-sha256")
HASHES = leaf_hashes(SUITE, [b"%d" % n for n in range(70_000)])
SIZES = [(0, 1), (1, 1), (1, 2), (3, 255), (255, 256), (256, 257), (7, 700), (65_536, 70_000)]


def tree(size):
    return Tree(size=size, root=root_of(SUITE, HASHES[:size]))


def content(path):
    span = TILE_WIDTH**path.level
    first = path.index * TILE_WIDTH
    return b"".join(
        root_of(SUITE, HASHES[number * span : (number + 1) * span])
        for number in range(first, first + path.width)
    )


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_the_tiles_that_are_named_show_that_a_tree_extends_another(old, new):
    wanted = tiles_between(SUITE, old, new)
    assert all(p.width == tile_width(p.level, p.index, new) for p in wanted)
    assert len(wanted) <= 16
    verify_extension(SUITE, tree(old), tree(new), {path: content(path) for path in wanted})


@pytest.mark.parametrize(("old", "new"), [pair for pair in SIZES if pair != (0, 1)])
def test_another_history_does_not_pass(old, new):
    tiles = {path: content(path) for path in tiles_between(SUITE, old, new)}
    forged = Tree(size=old, root=bytes(32))
    with pytest.raises(ProofInvalid, match="are not one log"):
        verify_extension(SUITE, forged, tree(new), tiles)
    with pytest.raises(ProofInvalid, match="are not one log"):
        verify_extension(SUITE, tree(old), Tree(size=new, root=bytes(32)), tiles)


def test_no_tile_can_be_altered_or_left_out():
    tiles = {path: content(path) for path in tiles_between(SUITE, 700, 70_000)}
    assert len(tiles) > 2
    for path, data in tiles.items():
        altered = tiles | {path: bytes(len(data))}
        with pytest.raises(ProofInvalid):
            verify_extension(SUITE, tree(700), tree(70_000), altered)
        others = {p: d for p, d in tiles.items() if p != path}
        with pytest.raises(NotFound):
            verify_extension(SUITE, tree(700), tree(70_000), others)
