"""The Merkle tree of the log: RFC 9162 section 2.1 over the chain's hash.

    leaf  = H(00 || record)            node = H(01 || left || right)            empty tree = H()

Two ways of naming what is inside a tree: a *subtree hash* `(level, index)` covers the leaves from
`index * 2**level` on, `2**level` of them, all present (Go's `StoredHash`, the hashes that tiles hold); a *frontier*
is the list of the largest complete subtrees, one per bit of the size, which is all that appending needs.

`verify_...` raises ProofInvalid. Proofs are written from whatever can answer for subtree hashes, so memory, tiles
and a remote log serve alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainnode.model.suites import Suite

    ReadHash = Callable[[int, int], bytes]
    """`read_hash(level, index)`: the hash of a complete subtree."""

MAX_TREE_SIZE: Final = 2**63 - 1
"""Leaves. Verifiers outside hold sizes in signed 64-bit integers."""

MAX_PROOF_HASHES: Final = 63
"""Hashes in an inclusion or consistency proof: C2SP tlog-witness allows no more, and 2**63 leaves need no more."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(suite: Suite, record: bytes) -> bytes:
    """Return the hash of a leaf. RFC 9162 section 2.1.1."""
    return suite.hash(_LEAF + record)


def leaf_hashes(suite: Suite, records: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of many leaves."""
    digest = suite.hash
    return [digest(_LEAF + record) for record in records]


def node_hash(suite: Suite, left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node. RFC 9162 section 2.1.1."""
    return suite.hash(_NODE + left + right)


def root_of(suite: Suite, hashes: Sequence[bytes]) -> bytes:
    """Return the root over all leaf hashes at once."""
    return EMPTY.extended(suite, hashes).root(suite)


def complete_root(suite: Suite, hashes: bytes) -> bytes:
    """Return the root of a complete tree whose 2**n leaf hashes lie one behind the other, as in a tile."""
    digest, pair = suite.hash, 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [digest(_NODE + hashes[at : at + pair]) for at in range(0, len(hashes), pair)]
        )
    return hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Hashes of the subtrees of one level that new leaves completed."""

    level: int
    """Height of the subtrees; 0 are the leaves themselves."""

    first: int
    """Index of the first of them within the level."""

    hashes: Sequence[bytes]
    """The subtrees `first`, `first + 1`, ... in order; possibly none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """A tree reduced to what appending to it and computing its root need."""

    size: int
    """Leaves, 0 to `MAX_TREE_SIZE`."""

    hashes: tuple[bytes, ...]
    """Hashes of the complete subtrees that the tree falls into, widest first: one per set bit of `size`."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise DecodeError(f"frontier: size {self.size} is out of range", field="size")
        if len(self.hashes) != self.size.bit_count():
            raise DecodeError(
                f"frontier: found {len(self.hashes)} hashes; a tree of {self.size} leaves has "
                f"{self.size.bit_count()}",
                field="hashes",
            )
        if any(len(h) != HASH_BYTES for h in self.hashes):
            raise DecodeError(f"frontier: a hash is not {HASH_BYTES} bytes long", field="hashes")

    def root(self, suite: Suite) -> bytes:
        """Return the root of the tree; of the empty tree, the hash of nothing."""
        if not self.hashes:
            return suite.hash(b"")
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(suite, left, root)
        return root

    def extended(self, suite: Suite, hashes: Sequence[bytes]) -> Frontier:
        """Return the frontier after appending leaf hashes."""
        return self.grown(suite, hashes)[0]

    def grown(self, suite: Suite, hashes: Sequence[bytes]) -> tuple[Frontier, tuple[Grown, ...]]:
        """Append leaf hashes; return the new frontier and every subtree completed, level by level.

        About one node hash per leaf: a whole level is paired at a time.
        """
        size = self.size + len(hashes)
        digest = suite.hash
        older = list(self.hashes)
        kept: list[bytes] = []
        levels: list[Grown] = []
        nodes: Sequence[bytes] = hashes
        for level in range(size.bit_length()):
            first = self.size >> level
            levels.append(Grown(level=level, first=first, hashes=nodes))
            if first & 1:
                nodes = (older.pop(), *nodes)
            if len(nodes) & 1:
                kept.append(nodes[-1])
            nodes = [
                digest(_NODE + left + right)
                for left, right in zip(nodes[::2], nodes[1::2], strict=False)
            ]
        return Frontier(size=size, hashes=tuple(reversed(kept))), tuple(levels)


EMPTY: Final = Frontier(size=0, hashes=())
"""The tree without leaves."""


def inclusion_proof_from(
    suite: Suite, read_hash: ReadHash, index: int, size: int
) -> tuple[bytes, ...]:
    """Return PATH(index, tree of `size`), RFC 9162 section 2.1.3.1: siblings from the leaf up.

    Args:
        suite: the chain's.
        read_hash: answers for every complete subtree within the first `size` leaves.
        index: of the leaf, 0 to `size - 1`.
        size: of the tree that the proof is for.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"no leaf {index} in a tree of {size}", code="not_in_tree")
    return tuple(
        _range_hash(suite, read_hash, low, high) for low, high in _inclusion_ranges(index, size)
    )


def consistency_proof_from(
    suite: Suite, read_hash: ReadHash, old: int, new: int
) -> tuple[bytes, ...]:
    """Return PROOF(old, tree of `new`), RFC 9162 section 2.1.4.1; empty if `old` is 0 or `new`."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {old} is no prefix of one of {new}", code="not_in_tree")
    return tuple(
        _range_hash(suite, read_hash, low, high) for low, high in _consistency_ranges(old, new)
    )


def verify_inclusion(
    suite: Suite, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf hash `leaf` stands at `index` in the tree (`size`, `root`). RFC 9162 section 2.1.3.2.

    Raises:
        ProofInvalid: it does not, or the proof has not exactly the hashes that this place needs.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"index {index} is not below the tree size {size}", code="bad_inclusion")
    # Where the path still has a sibling on the left, or both sides are inside the tree, it has a hash.
    inner = (index ^ (size - 1)).bit_length()
    expected = inner + (index >> inner).bit_count()
    if len(proof) != expected:
        raise ProofInvalid(
            f"inclusion proof: found {len(proof)} hashes; leaf {index} of {size} needs {expected}",
            code="bad_inclusion",
        )
    node = leaf
    for level, sibling in enumerate(proof):
        if level >= inner or (index >> level) & 1:
            node = node_hash(suite, sibling, node)
        else:
            node = node_hash(suite, node, sibling)
    if node != root:
        raise ProofInvalid(
            f"inclusion proof: leaf {index} does not lead to the root of the checkpoint",
            code="bad_inclusion",
        )


def verify_consistency(
    suite: Suite, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree (`old`, `old_root`) is a prefix of (`new`, `new_root`). RFC 9162 section 2.1.4.2.

    Raises:
        ProofInvalid: it is not proven to be; also for superfluous hashes.
    """
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {old} is no prefix of one of {new}", code="inconsistent")
    ranges = tuple(_consistency_ranges(old, new))
    if len(proof) != len(ranges):
        raise ProofInvalid(
            f"consistency proof: found {len(proof)} hashes; {old} to {new} needs {len(ranges)}",
            code="inconsistent",
        )
    if old == 0:
        held = old_root == suite.hash(b"")
    elif old == new:
        held = old_root == new_root
    else:
        held = _roots_from(suite, old, old_root, new, proof) == (old_root, new_root)
    if not held:
        raise ProofInvalid(
            f"the trees of {old} and {new} leaves are not one log", code="inconsistent"
        )


def _roots_from(
    suite: Suite, old: int, old_root: bytes, new: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return both roots as the proof has them; the number of its hashes is already checked."""
    hashes = iter(proof)
    # A complete subtree as the old tree is its own first node and is left out of the proof.
    seed = old_root if old & (old - 1) == 0 else next(hashes)
    first = second = seed
    last_old, last_new = old - 1, new - 1
    while last_old & 1:
        last_old >>= 1
        last_new >>= 1
    for sibling in hashes:
        if last_old & 1 or last_old == last_new:
            first = node_hash(suite, sibling, first)
            second = node_hash(suite, sibling, second)
            while last_old and not last_old & 1:
                last_old >>= 1
                last_new >>= 1
        else:
            second = node_hash(suite, second, sibling)
        last_old >>= 1
        last_new >>= 1
    return first, second


def _split(low: int, high: int) -> int:
    """Return where a node over [low, high) divides: after the largest power of two below its width."""
    return low + (1 << ((high - low - 1).bit_length() - 1))


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    low, high = 0, size
    ranges: list[tuple[int, int]] = []
    while high - low > 1:
        middle = _split(low, high)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    ranges.reverse()
    return ranges


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    if old in {0, new}:
        return []
    low, high = 0, new
    ranges: list[tuple[int, int]] = []
    while high != old:
        middle = _split(low, high)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    if low:
        ranges.append((low, high))
    ranges.reverse()
    return ranges


def _range_hash(suite: Suite, read_hash: ReadHash, low: int, high: int) -> bytes:
    """Return the hash of the node over [low, high), whose complete subtrees `read_hash` knows."""
    complete = list(_complete_subtrees(low, high))
    level, index = complete.pop()
    node = read_hash(level, index)
    for level, index in reversed(complete):
        node = node_hash(suite, read_hash(level, index), node)
    return node


def _complete_subtrees(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Divide a node of some tree into complete subtrees, widest first."""
    while low < high:
        level = (high - low).bit_length() - 1
        yield level, low >> level
        low += 1 << level
