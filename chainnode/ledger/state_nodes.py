"""Nodes of the state tree on disk: where each stands, which height wrote it, and what it holds.

A node is never overwritten. Its key is its place in the tree with the height that wrote it (its *version*), and
a parent names its children by version and hash; so the tree of every older root stays whole until it is pruned.
Every node read is checked against the hash by which it was named, up to the root: damage cannot pass for state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, StorageFault
from chainnode.model.state_tree import EMPTY, inner_hash, leaf_hash
from chainnode.model.suites import HASH_BYTES
from chainnode.storage import keys

if TYPE_CHECKING:
    from chainnode.model.suites import Suite
    from chainnode.storage.kv import KeyValueStore

_MAX_NODE_BYTES: Final = 128
"""An inner node with two children of the highest versions takes 91 bytes."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the tree: the first `depth` bits of the paths of all leaves below."""

    depth: int
    """0 (the root) to 256."""

    bits: int
    """Those bits as a number, less than 2^depth."""

    def child(self, side: int) -> Position:
        """Return the place below, 0 for left and 1 for right."""
        return Position(self.depth + 1, self.bits << 1 | side)

    def key(self, version: int) -> bytes:
        """Return the key under which the node of that version stands here."""
        return keys.state_node(version, self.depth, self.bits)


TOP: Final = Position(0, 0)
"""Where the root stands."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A node on disk, as its parent or a root record names it."""

    version: int
    """The height that wrote the node."""

    hash: bytes
    """The node's hash in the state tree."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key with a value."""

    path: bytes
    value_hash: bytes

    def hash(self, suite: Suite) -> bytes:
        """Return the node's hash."""
        return leaf_hash(suite, self.path, self.value_hash)

    def encode(self) -> bytes:
        """Return the record: [path, value hash]."""
        return codec.encode((self.path, self.value_hash))


@dataclass(frozen=True, slots=True)
class Inner:
    """A fork with at least two leaves below; None is an empty child."""

    left: Ref | None
    right: Ref | None

    def hash(self, suite: Suite) -> bytes:
        """Return the node's hash."""
        return inner_hash(suite, hash_of(self.left), hash_of(self.right))

    def encode(self) -> bytes:
        """Return the record: [left version, left hash, right version, right hash], nil for an empty child's."""
        return codec.encode((*_fields(self.left), *_fields(self.right)))


def hash_of(ref: Ref | None) -> bytes:
    """Return the hash of a subtree."""
    return EMPTY if ref is None else ref.hash


def read_node(store: KeyValueStore, suite: Suite, position: Position, ref: Ref) -> Leaf | Inner:
    """Return the node that `ref` names at `position`.

    Raises:
        StorageFault: it is not there, or not what it was.
    """
    data = store.get(position.key(ref.version))
    if data is None:
        raise StorageFault(f"state tree: the node {position} of height {ref.version} is missing")
    try:
        node = _decode(data)
    except DecodeError as error:
        raise StorageFault(
            f"state tree: the node {position} of height {ref.version} is unreadable: {error}"
        ) from error
    if node.hash(suite) != ref.hash:
        raise StorageFault(f"state tree: the node {position} of height {ref.version} is damaged")
    return node


def _fields(ref: Ref | None) -> tuple[int | None, bytes | None]:
    return (None, None) if ref is None else (ref.version, ref.hash)


def _decode(data: bytes) -> Leaf | Inner:
    fields = codec.array(codec.decode(data, max_bytes=_MAX_NODE_BYTES), "node")
    if len(fields) == 2:
        path, value_hash = (codec.binary(field, "leaf", size=HASH_BYTES) for field in fields)
        return Leaf(path, value_hash)
    if len(fields) != 4:
        raise DecodeError(f"node: found {len(fields)} fields, expected 2 or 4")
    return Inner(_ref(fields[0], fields[1]), _ref(fields[2], fields[3]))


def _ref(version: codec.Value, digest: codec.Value) -> Ref | None:
    if version is None and digest is None:
        return None
    return Ref(codec.integer(version, "version"), codec.binary(digest, "hash", size=HASH_BYTES))
