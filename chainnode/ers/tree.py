"""Hash trees of RFC 4998 section 4: one hash over many, and for each of them the hashes that lead to it.

    node = H(children, sorted as bytes, one behind the other)

It is not the tree of the log (RFC 9162): there are no prefixes, and order does not count. Nodes here have two children, since
other software disagrees on what more siblings on one level mean; one that is left over is its own parent.

Whoever gets one path gets its siblings. A document whose content can be guessed would be found by its bare hash in the
paths of others; so leaves of documents are `H(hash, blind)`, which the standard allows: any hash may stand in a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from chainnode.tsp.algorithms import HASHES

if TYPE_CHECKING:
    from collections.abc import Sequence

HashGroup: TypeAlias = tuple[bytes, ...]
"""Hashes under one parent (RFC 4998 PartialHashtree)."""

ReducedTree: TypeAlias = tuple[HashGroup, ...]
"""The way from a leaf to the root: the first group holds the leaf, each further one what joins the hash of all before."""


def node_of(algorithm: str, group: Sequence[bytes]) -> bytes:
    """Return what a group amounts to: its only hash as it is, else the hash of all, sorted."""
    if len(group) == 1:
        return group[0]
    return HASHES[algorithm](b"".join(sorted(group)))


def root_of(algorithm: str, tree: ReducedTree) -> bytes:
    """Return the root that a reduced tree of one group or more leads to."""
    found = node_of(algorithm, tree[0])
    for group in tree[1:]:
        found = node_of(algorithm, (found, *group))
    return found


def grow(algorithm: str, groups: Sequence[HashGroup]) -> tuple[bytes, tuple[ReducedTree, ...]]:
    """Return the root over one or more groups, and the reduced tree of each.

    Args:
        algorithm: of the nodes.
        groups: in any order. `(hash, blind)` of a document, `(hash,)` of what nobody could guess.
    """
    paths: list[list[HashGroup]] = [[group] for group in groups]
    # Of each node: its hash, and which leaves lie below it.
    level = [(node_of(algorithm, group), [place]) for place, group in enumerate(groups)]
    while len(level) > 1:
        above = []
        for (left, left_leaves), (right, right_leaves) in zip(
            level[0::2], level[1::2], strict=False
        ):
            for leaf in left_leaves:
                paths[leaf].append((right,))
            for leaf in right_leaves:
                paths[leaf].append((left,))
            above.append((node_of(algorithm, (left, right)), left_leaves + right_leaves))
        level = above + level[len(level) - len(level) % 2 :]
    return level[0][0], tuple(tuple(path) for path in paths)
