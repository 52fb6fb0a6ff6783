"""The state tree: one root over a map of keys to values, with proofs of presence and of absence.

    path  = H(key)                         256 bits; bit 0 is the most significant bit of the first byte
    leaf  = H(00 || path || H(value))      at the shallowest depth where no other path shares its bits
    inner = H(01 || left || right)         has two leaves or more below; left where the next bit is 0
    empty = 32 zero bytes                  an empty child, and the root of the empty tree

An inner node that would have a single leaf below is that leaf. So the shape follows from the set of keys alone
and the root from the map alone, whatever happened before. docs/formats/state-tree.md has the bytes in full.

Source: sparse Merkle trees with collapsed leaves as in "Jellyfish Merkle Tree" (Gao, Hu, Wu; 2021); the hashes and
the proof are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.suites import Suite

MAX_STATE_KEY_BYTES: Final = 512
"""A contract's name, a slash, and what the contract names its things; names are 129 bytes at most."""

MAX_STATE_VALUE_BYTES: Final = 64 * 1024
"""The longest value is a set of 100 validators with their keys, some 25 KiB."""

PATH_BITS: Final = 8 * HASH_BYTES
"""Depth of the deepest possible leaf: two paths that differ only in their last bit."""

EMPTY: Final = bytes(HASH_BYTES)
"""The hash of an empty subtree. No input of SHA-256 or SM3 is known that gives it."""

MAX_STATE_PROOF_BYTES: Final = PATH_BITS * (HASH_BYTES + 2) + 128
"""A sibling at every depth, each with two bytes of MessagePack, the bitmap and the other leaf."""

_LEAF: Final = b"\x00"
_INNER: Final = b"\x01"


def path_of(suite: Suite, key: bytes) -> bytes:
    """Return the path of a key: 32 bytes, read as 256 bits from the most significant on."""
    return suite.hash(key)


def path_bit(path: bytes, depth: int) -> int:
    """Return the bit that decides at an inner node of `depth` (0 to 255): 0 is left, 1 is right."""
    return path[depth >> 3] >> (7 - (depth & 7)) & 1


def leaf_hash(suite: Suite, path: bytes, value_hash: bytes) -> bytes:
    """Return the hash of the leaf of a key, from the key's path and the hash of its value."""
    return suite.hash(_LEAF + path + value_hash)


def inner_hash(suite: Suite, left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node from those of its children, at most one of them EMPTY."""
    return suite.hash(_INNER + left + right)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLeaf:
    """The leaf of another key, found where the key asked for would be."""

    path: bytes
    """32 bytes: H(key) of that key."""

    value_hash: bytes
    """32 bytes: H(value) of that key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateProof:
    """What lies beside the way from the root towards a key, and what lies at its end.

    The end is the key's own leaf (presence), nothing (absence), or another key's leaf (absence). Which of the first two
    is meant is said by the question that the proof answers, as are the key and the value.
    """

    siblings: tuple[bytes, ...]
    """Hashes of 32 bytes from the root downwards, EMPTY where there is nothing; at most 256, the last never EMPTY."""

    other: OtherLeaf | None
    """The other key's leaf, if the way ends there."""

    def __post_init__(self) -> None:
        # An inner node with one leaf below is that leaf, and one with none is EMPTY. So whatever the way ends in,
        # beside the end there is something; and two different leaves part at depth 255 at the latest.
        if self.siblings and self.siblings[-1] == EMPTY:
            raise DecodeError("state proof: nothing beside the end of the way", field="siblings")
        if len(self.siblings) > PATH_BITS - (self.other is not None):
            raise DecodeError(f"state proof: depth {len(self.siblings)}", field="siblings")

    def encode(self) -> bytes:
        """Return the canonical bytes: [bitmap, siblings that are not EMPTY, nil or [path, value hash]]."""
        bitmap = bytearray((len(self.siblings) + 7) // 8)
        for depth, sibling in enumerate(self.siblings):
            if sibling != EMPTY:
                bitmap[depth >> 3] |= 0x80 >> (depth & 7)
        present = tuple(sibling for sibling in self.siblings if sibling != EMPTY)
        other = None if self.other is None else (self.other.path, self.other.value_hash)
        return codec.encode((bytes(bitmap), present, other))


def decode_state_proof(data: bytes) -> StateProof:
    """Decode a proof; each proof has one encoding.

    Raises:
        DecodeError: not the canonical bytes of any proof.
    """
    bitmap_value, present_value, other_value = codec.decode_array(
        data, max_bytes=MAX_STATE_PROOF_BYTES, arity=3, what="state proof"
    )
    bitmap = codec.binary(bitmap_value, "bitmap", most=PATH_BITS // 8)
    if bitmap and bitmap[-1] == 0:
        raise DecodeError("bitmap: ends with a byte of zeros", field="bitmap")
    bits = int.from_bytes(bitmap, "big")
    present = codec.array_up_to(present_value, "siblings", most=PATH_BITS)
    if len(present) != bits.bit_count():
        raise DecodeError(
            f"siblings: found {len(present)}; the bitmap has {bits.bit_count()} bits set",
            field="siblings",
        )
    hashes = iter(present)
    padding = (bits & -bits).bit_length() - 1 if bits else 0
    depth = 8 * len(bitmap) - padding
    siblings = tuple(
        _sibling(next(hashes)) if path_bit(bitmap, level) else EMPTY for level in range(depth)
    )
    return StateProof(siblings=siblings, other=_other_leaf(other_value))


def verify_state_proof(
    suite: Suite, root: bytes, key: bytes, value: bytes | None, proof: StateProof
) -> None:
    """Check that the map under `root` holds `value` at `key`, or with None that it has no such key.

    Raises:
        ProofInvalid: the proof does not show that.
    """
    path = path_of(suite, key)
    node = _end_of_way(suite, path, value, proof)
    for depth in range(len(proof.siblings) - 1, -1, -1):
        sibling = proof.siblings[depth]
        if path_bit(path, depth):
            node = inner_hash(suite, sibling, node)
        else:
            node = inner_hash(suite, node, sibling)
    if node != root:
        raise ProofInvalid(
            f"the proof leads to the state root {node.hex()}; expected {root.hex()}", field="proof"
        )


def _end_of_way(suite: Suite, path: bytes, value: bytes | None, proof: StateProof) -> bytes:
    """The hash at the end of the way that `value` calls for, if the proof's shape allows it."""
    depth, other = len(proof.siblings), proof.other
    if value is not None:
        if other is not None:
            raise ProofInvalid(
                "the proof ends in another key's leaf: the key is absent", field="proof"
            )
        return leaf_hash(suite, path, suite.hash(value))
    if other is None:
        if depth == PATH_BITS:
            raise ProofInvalid(
                "nothing can be empty at depth 256: its parent has one leaf", field="proof"
            )
        return EMPTY
    if other.path == path:
        raise ProofInvalid(
            "the proof ends in the key's own leaf: the key is present", field="proof"
        )
    distance = int.from_bytes(other.path, "big") ^ int.from_bytes(path, "big")
    if distance >> (PATH_BITS - depth):
        raise ProofInvalid("the proof ends in a leaf that is not on the key's way", field="proof")
    return leaf_hash(suite, other.path, other.value_hash)


def _sibling(value: codec.Value) -> bytes:
    sibling = codec.binary(value, "sibling", size=HASH_BYTES)
    if sibling == EMPTY:
        raise DecodeError("sibling: an empty one is a zero in the bitmap", field="siblings")
    return sibling


def _other_leaf(value: codec.Value) -> OtherLeaf | None:
    if value is None:
        return None
    path, value_hash = codec.array(value, "other leaf", arity=2)
    return OtherLeaf(
        path=codec.binary(path, "path", size=HASH_BYTES),
        value_hash=codec.binary(value_hash, "value_hash", size=HASH_BYTES),
    )
