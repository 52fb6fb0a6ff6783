"""Inclusion proofs made from tiles are those that the log itself would give."""

import random

import pytest

from chainnode.client.tiles import inclusion_proofs, tiles_for
from chainnode.model.errors import NotFound
from chainnode.model.merkle import EMPTY, inclusion_proof_from, leaf_hashes, verify_inclusion
from chainnode.model.suites import ED25519_SHA256, suite_named
from chainnode.model.tlog_tiles import append_leaves, hash_reader

SUITE = suite_named(ED25519_SHA256)
LEAVES = leaf_hashes(SUITE, [b"%d" % n for n in range(70_000)])


@pytest.fixture(scope="module")
def grown():
    growth = append_leaves(SUITE, lambda level, index: None, EMPTY, LEAVES)
    return {(tile.level, tile.index): tile.data for tile in growth.tiles}


@pytest.mark.parametrize("seed", range(12))
def test_the_named_tiles_are_enough_and_as_wide_as_the_tree(grown, seed):
    rng = random.Random(seed)
    size = rng.choice([1, 255, 256, 257, 512, 65_535, 65_536, 65_537, rng.randint(1, 70_000)])
    count = rng.randint(1, min(size, 600))
    first = rng.randint(0, size - count)
    paths = tiles_for(first, count, size)
    assert len(paths) <= count // 256 + 8
    tiles = {(p.level, p.index): grown[p.level, p.index][: 32 * p.width] for p in paths}
    proofs = inclusion_proofs(SUITE, tiles, first, count, size)
    root = EMPTY.extended(SUITE, LEAVES[:size]).root(SUITE)
    for index, hashes in enumerate(proofs, first):
        verify_inclusion(SUITE, LEAVES[index], index, size, hashes, root)
    read = hash_reader(lambda level, index: grown.get((level, index)), SUITE, size)
    assert proofs[-1] == inclusion_proof_from(SUITE, read, first + count - 1, size)


def test_a_tile_that_is_missing_or_short_is_named(grown):
    paths = tiles_for(300, 5, 1_000)
    tiles = {(p.level, p.index): grown[p.level, p.index][: 32 * p.width] for p in paths}
    for place, data in tiles.items():
        for short in (None, data[:-32]):
            spoilt = {k: v for k, v in tiles.items() if k != place}
            if short is not None:
                spoilt[place] = short
            with pytest.raises(NotFound) as caught:
                inclusion_proofs(SUITE, spoilt, 300, 5, 1_000)
            assert caught.value.error_code == "tile_missing"
