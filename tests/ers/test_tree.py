"""Hash trees against what RFC 4998 says, worked out by hand and for any number of leaves."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from chainnode.ers.tree import grow, node_of, root_of
from chainnode.tsp.algorithms import HASHES


def sha256(*parts):
    return hashlib.sha256(b"".join(sorted(parts))).digest()


def test_three_leaves_by_hand():
    a, b, c = (bytes([n]) * 32 for n in (3, 1, 2))
    root, trees = grow("sha256", [(a,), (b,), (c,)])
    assert root == sha256(sha256(a, b), c)
    assert trees == (((a,), (b,), (c,)), ((b,), (a,), (c,)), ((c,), (sha256(a, b),)))


def test_one_leaf_with_a_blind_is_hashed_and_without_one_is_the_root():
    a, blind = bytes([1]) * 32, bytes([2]) * 32
    assert grow("sha256", [(a,)]) == (a, (((a,),),))
    assert grow("sha256", [(a, blind)]) == (sha256(a, blind), (((a, blind),),))


@given(
    st.lists(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3), min_size=1),
    st.sampled_from(sorted(HASHES)),
)
def test_every_leaf_leads_to_the_root_in_as_few_steps_as_two_branches_allow(groups, algorithm):
    root, trees = grow(algorithm, [tuple(group) for group in groups])
    for group, tree in zip(groups, trees, strict=True):
        assert tree[0] == tuple(group)
        assert root_of(algorithm, tree) == root
        assert all(len(more) == 1 for more in tree[1:])
        assert len(tree) <= 1 + (len(groups) - 1).bit_length()


@given(st.integers(2, 40), st.data())
def test_whoever_has_one_path_sees_no_document_of_another(count, data):
    """Siblings are hashes with blinds: none is a document's own hash."""
    hashes = [hashlib.sha256(b"%d" % n).digest() for n in range(count)]
    blinds = [hashlib.sha256(b"b%d" % n).digest() for n in range(count)]
    _, trees = grow("sha256", list(zip(hashes, blinds, strict=True)))
    own = data.draw(st.integers(0, count - 1))
    seen = {node for group in trees[own][1:] for node in group}
    assert not seen & (set(hashes) | set(blinds))
    assert node_of("sha256", (hashes[0], blinds[0])) == sha256(hashes[0], blinds[0])
