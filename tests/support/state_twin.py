"""The state tree by its definition alone: strings of bits, one recursion, nothing stored. For comparison."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite

EMPTY = bytes(32)


class ShallowSuite:
    """SHA-256, but keys such as b"@<hex>" hash to those very digits and zeros: paths that share many bits."""

    name = "ed25519-sha256"

    def hash(self, data: bytes) -> bytes:
        if data.startswith(b"@"):
            return bytes.fromhex(data[1:].decode().ljust(64, "0"))
        return hashlib.sha256(data).digest()


def bits_of(suite: Suite, key: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in suite.hash(key))


def tree(suite: Suite, entries: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """Hash of every subtree that is not empty, by the bits that lead to it."""
    leaves = {bits_of(suite, key): (key, value) for key, value in entries.items()}
    hashes: dict[str, bytes] = {}

    def subtree(prefix: str) -> bytes:
        below = [bits for bits in leaves if bits.startswith(prefix)]
        if not below:
            return EMPTY
        if len(below) == 1:
            key, value = leaves[below[0]]
            hashes[prefix] = suite.hash(b"\x00" + suite.hash(key) + suite.hash(value))
        else:
            left, right = subtree(prefix + "0"), subtree(prefix + "1")
            hashes[prefix] = suite.hash(b"\x01" + left + right)
        return hashes[prefix]

    subtree("")
    return hashes


def twin_root(suite: Suite, entries: Mapping[bytes, bytes]) -> bytes:
    return tree(suite, entries).get("", EMPTY)


def twin_proof(suite: Suite, entries: Mapping[bytes, bytes], key: bytes) -> bytes:
    """The encoded proof of what `entries` hold at `key`."""
    hashes, way = tree(suite, entries), bits_of(suite, key)
    leaves = {bits_of(suite, k): (suite.hash(k), suite.hash(v)) for k, v in entries.items()}
    prefix, marks, present = "", "", []
    while sum(bits.startswith(prefix) for bits in leaves) > 1:
        bit = way[len(prefix)]
        sibling = hashes.get(prefix + "10"[int(bit)])
        marks += "0" if sibling is None else "1"
        present += [] if sibling is None else [sibling]
        prefix += bit
    other = [leaf for bits, leaf in leaves.items() if bits.startswith(prefix) and bits != way]
    marks += "0" * (-len(marks) % 8)
    bitmap = bytes(int(marks[i : i + 8], 2) for i in range(0, len(marks), 8))
    proof: bytes = msgpack.packb([bitmap, present, list(other[0]) if other else None])
    return proof
