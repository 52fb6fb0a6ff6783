"""Many changes to the state tree in one pass: reads each touched node once, writes nothing.

Changes are sorted by path, so that below every node they are one run, which each fork splits in two. The result is
a list of new nodes and a list of nodes that the new tree no longer uses; applying both is the caller's.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from chainnode.ledger.state_nodes import TOP, Inner, Leaf, Position, Ref, read_node
from chainnode.model.errors import StorageFault
from chainnode.model.state_tree import path_bit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.suites import Suite
    from chainnode.storage.kv import KeyValueStore

Subtree: TypeAlias = Ref | Leaf | Inner | None
"""A Ref is a node that stays as it is; a Leaf or Inner is new and gets its place from its parent to be."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key that gets another value, or with None loses its own."""

    path: bytes
    value_hash: bytes | None


class TreeUpdate:
    """One update of the tree, from the root that was to the root that will be."""

    __slots__ = ("_height", "_store", "_suite", "new_nodes", "obsolete")

    def __init__(self, store: KeyValueStore, suite: Suite, height: int) -> None:
        self._store = store
        self._suite = suite
        self._height = height
        self.new_nodes: list[tuple[bytes, bytes]] = []
        """Keys and records of the nodes to write."""
        self.obsolete: list[bytes] = []
        """Keys of the nodes that only older roots use."""

    def run(self, root: Ref | None, changes: Sequence[Change]) -> Ref | None:
        """Return the root after `changes`: rising by path, each of which changes something.

        Raises:
            StorageFault: a node is missing or damaged, or a key that is to lose its value is not in the tree.
        """
        return self._place(self._apply(root, TOP, changes), TOP)

    def _apply(self, ref: Ref | None, position: Position, changes: Sequence[Change]) -> Subtree:
        if not changes:
            return ref
        left: Ref | None = None
        right: Ref | None = None
        if ref is not None:
            node = self._take(ref, position)
            if isinstance(node, Leaf):
                changes = _with_leaf(node, changes)
            else:
                left, right = node.left, node.right
        if left is None and right is None:
            # No fork here: what comes out is made of the changes alone.
            if len(changes) == 1:
                return _only_leaf(changes[0])
            if not changes:
                return None
        middle = bisect_left(changes, 1, key=lambda change: path_bit(change.path, position.depth))
        return self._fork(
            position,
            self._apply(left, position.child(0), changes[:middle]),
            self._apply(right, position.child(1), changes[middle:]),
        )

    def _fork(self, position: Position, left: Subtree, right: Subtree) -> Subtree:
        """Return the node above two subtrees, or the leaf that is all there is."""
        side, only = (1, right) if left is None else (0, left)
        if left is None or right is None:
            if isinstance(only, Ref):
                # It was not read so far: a fork stays where it is, a leaf moves up.
                beside = position.child(side)
                node = read_node(self._store, self._suite, beside, only)
                if isinstance(node, Leaf):
                    self.obsolete.append(beside.key(only.version))
                    return node
            elif not isinstance(only, Inner):
                return only
        return Inner(self._place(left, position.child(0)), self._place(right, position.child(1)))

    def _take(self, ref: Ref, position: Position) -> Leaf | Inner:
        """Read a node that the changes reach, which therefore cannot stay."""
        self.obsolete.append(position.key(ref.version))
        return read_node(self._store, self._suite, position, ref)

    def _place(self, subtree: Subtree, position: Position) -> Ref | None:
        if subtree is None or isinstance(subtree, Ref):
            return subtree
        self.new_nodes.append((position.key(self._height), subtree.encode()))
        return Ref(self._height, subtree.hash(self._suite))


def _with_leaf(leaf: Leaf, changes: Sequence[Change]) -> Sequence[Change]:
    """The changes as if the leaf was one of them, so that they apply to an empty place."""
    index = bisect_left(changes, leaf.path, key=lambda change: change.path)
    if index == len(changes) or changes[index].path != leaf.path:
        kept: tuple[Change, ...] = (Change(leaf.path, leaf.value_hash),)
        return (*changes[:index], *kept, *changes[index:])
    if changes[index].value_hash is None:
        return (*changes[:index], *changes[index + 1 :])
    return changes


def _only_leaf(change: Change) -> Leaf:
    if change.value_hash is None:
        raise StorageFault(f"state tree: the leaf {change.path.hex()} is missing")
    return Leaf(change.path, change.value_hash)
