"""The Merkle tree against its recursive definition in RFC 9162."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.merkle import (
    EMPTY,
    Frontier,
    consistency_proof_from,
    inclusion_proof_from,
    leaf_hash,
    leaf_hashes,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from chainnode.model.suites import SUITE_NAMES, suite_named

SUITE = suite_named("ed25519-sha256")
LEAVES = leaf_hashes(SUITE, [b"leaf %d" % n for n in range(70)])
ROOTS = [root_of(SUITE, LEAVES[:n]) for n in range(len(LEAVES) + 1)]


def defined_root(hashes):
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    both = defined_root(hashes[:k]) + defined_root(hashes[k:])
    return hashlib.sha256(b"\x01" + both).digest()


def defined_path(m, hashes):
    """PATH of RFC 9162 section 2.1.3.1, word for word."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*defined_path(m, hashes[:k]), defined_root(hashes[k:])]
    return [*defined_path(m - k, hashes[k:]), defined_root(hashes[:k])]


def defined_subproof(m, hashes, known):
    """SUBPROOF of RFC 9162 section 2.1.4.1, word for word."""
    if m == len(hashes):
        return [] if known else [defined_root(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m <= k:
        return [*defined_subproof(m, hashes[:k], known), defined_root(hashes[k:])]
    return [*defined_subproof(m - k, hashes[k:], False), defined_root(hashes[:k])]


def read_hash(level, index):
    assert (index + 1) << level <= len(LEAVES)
    return defined_root(LEAVES[index << level : (index + 1) << level])


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_leaf_and_node_are_told_apart_by_their_prefix(name):
    suite = suite_named(name)
    assert leaf_hash(suite, b"x") == suite.hash(b"\x00x")
    assert node_hash(suite, b"l", b"r") == suite.hash(b"\x01lr")
    assert root_of(suite, []) == suite.hash(b"")


def test_root_is_the_defined_one_at_every_size():
    assert [defined_root(LEAVES[:n]) for n in range(len(LEAVES) + 1)] == ROOTS


@given(cuts=st.lists(st.integers(0, len(LEAVES)), max_size=8))
def test_frontier_is_the_same_however_leaves_are_grouped(cuts):
    frontier = EMPTY
    edges = [0, *sorted(cuts), len(LEAVES)]
    for start, stop in itertools.pairwise(edges):
        frontier = frontier.extended(SUITE, LEAVES[start:stop])
        assert frontier.root(SUITE) == ROOTS[stop]
    assert frontier == EMPTY.extended(SUITE, LEAVES)


def test_growing_names_every_subtree_that_the_new_leaves_complete():
    for old in range(40):
        for new in range(old, 41):
            before = EMPTY.extended(SUITE, LEAVES[:old])
            _, levels = before.grown(SUITE, LEAVES[old:new])
            for grown in levels:
                assert grown.first == old >> grown.level
                assert len(grown.hashes) == (new >> grown.level) - grown.first
                for offset, found in enumerate(grown.hashes):
                    assert found == read_hash(grown.level, grown.first + offset)


@pytest.mark.parametrize(
    ("size", "hashes"), [(1, ()), (3, (b"x" * 32,)), (1, (b"x" * 31,)), (-1, ()), (2**63, ())]
)
def test_frontier_refuses_hashes_that_do_not_fit_its_size(size, hashes):
    with pytest.raises(DecodeError):
        Frontier(size=size, hashes=hashes)


def test_inclusion_proofs_are_the_defined_ones_and_verify():
    for size in range(1, 41):
        for index in range(size):
            proof = inclusion_proof_from(SUITE, read_hash, index, size)
            assert list(proof) == defined_path(index, LEAVES[:size])
            verify_inclusion(SUITE, LEAVES[index], index, size, proof, ROOTS[size])


def test_consistency_proofs_are_the_defined_ones_and_verify():
    for new in range(41):
        for old in range(new + 1):
            proof = consistency_proof_from(SUITE, read_hash, old, new)
            if old:
                assert list(proof) == defined_subproof(old, LEAVES[:new], True)
            verify_consistency(SUITE, old, ROOTS[old], new, ROOTS[new], proof)


@given(data=st.data())
def test_an_inclusion_proof_holds_for_nothing_else(data):
    size = data.draw(st.integers(2, 70))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof_from(SUITE, read_hash, index, size)
    at = data.draw(st.integers(0, len(proof) - 1))
    bent = (*proof[:at], bytes(32), *proof[at + 1 :])
    other = data.draw(st.integers(-1, size).filter(lambda n: n != index))
    for case in (
        (LEAVES[index - 1], index, size, proof, ROOTS[size]),
        (LEAVES[index], other, size, proof, ROOTS[size]),
        (LEAVES[index], index, size, bent, ROOTS[size]),
        (LEAVES[index], index, size, proof[1:], ROOTS[size]),
        (LEAVES[index], index, size, (*proof, bytes(32)), ROOTS[size]),
        (LEAVES[index], index, size, proof, ROOTS[size - 1]),
    ):
        with pytest.raises(ProofInvalid):
            verify_inclusion(SUITE, *case)


@given(data=st.data())
def test_a_consistency_proof_holds_for_nothing_else(data):
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof_from(SUITE, read_hash, old, new)
    at = data.draw(st.integers(0, len(proof) - 1))
    bent = (*proof[:at], bytes(32), *proof[at + 1 :])
    for case in (
        (old, ROOTS[old - 1], new, ROOTS[new], proof),
        (old, ROOTS[old], new, ROOTS[new - 1], proof),
        (old, ROOTS[old], new, ROOTS[new], bent),
        (old, ROOTS[old], new, ROOTS[new], proof[1:]),
        (old, ROOTS[old], new, ROOTS[new], (*proof, bytes(32))),
        (new, ROOTS[new], old, ROOTS[old], proof),
    ):
        with pytest.raises(ProofInvalid):
            verify_consistency(SUITE, *case)


def test_two_trees_of_one_size_are_consistent_only_if_equal():
    verify_consistency(SUITE, 5, ROOTS[5], 5, ROOTS[5], ())
    with pytest.raises(ProofInvalid):
        verify_consistency(SUITE, 5, ROOTS[5], 5, ROOTS[6], ())
    with pytest.raises(ProofInvalid):
        verify_consistency(SUITE, 0, ROOTS[1], 5, ROOTS[5], ())


def test_proofs_of_places_outside_the_tree_are_not_written():
    with pytest.raises(ProofInvalid):
        inclusion_proof_from(SUITE, read_hash, 5, 5)
    with pytest.raises(ProofInvalid):
        consistency_proof_from(SUITE, read_hash, 6, 5)
