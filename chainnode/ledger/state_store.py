"""The state: every key's value at the tip, and the state tree of each height that is still kept.

    height h commits   values at the tip change; replaced values move to the history; the nodes of the new tree are
                       added; the root is recorded; what only older heights need is listed as obsolete at h
    height h is pruned what is listed as obsolete at h is deleted, and with it every root before h

All of a height's writes go into the caller's batch, the block's own. So after a crash values, tree and lists are
those of one and the same height. A height that changes no state writes nothing here, and its root is that of the
height before. Calls must not overlap a write to the underlying store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.ledger.state_nodes import TOP, Leaf, Ref, hash_of, read_node
from chainnode.ledger.state_update import Change, TreeUpdate
from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation, StorageFault, Unavailable
from chainnode.model.state_tree import (
    EMPTY,
    MAX_STATE_KEY_BYTES,
    MAX_STATE_VALUE_BYTES,
    OtherLeaf,
    StateProof,
    path_bit,
    path_of,
)
from chainnode.model.suites import HASH_BYTES
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainnode.model.suites import Suite
    from chainnode.storage.kv import KeyValueStore, WriteBatch

PRUNE_HEIGHTS: Final = 16
"""Heights that one `prune` clears at most. A commit adds one at most, so a backlog shrinks while blocks stay short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedState:
    """What a height would do to the state; nothing has happened yet, and dropping it costs nothing."""

    root: bytes
    """The state root after the height: 32 bytes, zeros for the empty state."""

    operations: tuple[tuple[bytes, bytes | None], ...]
    """Puts and, with None, deletes in the key-value store; none if the height changes no state."""

    def write(self, batch: WriteBatch) -> None:
        """Add the height's writes to the batch that commits it; the state must still be the one staged upon."""
        for key, value in self.operations:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)


MAX_CACHED: Final = 4_096
"""Values of the tip kept in memory: accounts, keys and roles that transactions keep asking for."""

MAX_CACHED_VALUE_BYTES: Final = 4_096
"""Longer values are read each time, so that the cache stays below 16 MiB."""


class StateStore:
    """The state in a key-value store, with the tip's most wanted values in memory."""

    __slots__ = ("_cache", "_store", "_suite")

    def __init__(self, store: KeyValueStore, suite: Suite) -> None:
        self._store = store
        self._suite = suite
        self._cache: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at the tip, or None."""
        try:
            return self._cache[key]
        except KeyError:
            pass
        value = self._store.get(keys.state_value(key))
        if value is None or len(value) <= MAX_CACHED_VALUE_BYTES:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = value
        return value

    def committed(self, staged: StagedState) -> None:
        """Note that what was staged is written: the tip has moved. To be called before the next read."""
        if staged.operations:
            self._cache.clear()

    def scan(
        self, prefix: bytes, limit: int, after: bytes | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Return keys that begin with `prefix` and their values at the tip, rising by key.

        Args:
            prefix: What the keys begin with; empty for all keys.
            limit: How many to return at most, 1 or more.
            after: Leave out this key and all before it: the last key of the page before.
        """
        start = prefix if after is None else max(prefix, after + b"\0")
        entries = self._store.scan(
            keys.state_value(start), keys.end_of(keys.state_value(prefix)), limit=limit
        )
        return [(key[len(keys.STATE_VALUES) :], value) for key, value in entries]

    def root(self) -> bytes:
        """Return the state root at the tip."""
        latest = self._root_before(None)
        return EMPTY if latest is None else latest.hash

    def root_at(self, height: int) -> bytes:
        """Return the state root after `height`, which must not be above the chain's tip.

        Raises:
            Unavailable: with code `pruned` if that height is no longer kept.
        """
        return self._kept_root(height).hash

    def stage(self, changes: Mapping[bytes, bytes | None], height: int) -> StagedState:
        """Return what `changes` would do to the state if they were those of `height`.

        Args:
            changes: New values by key, None to delete; keys of 1 to 512 bytes, values of at most 64 KiB. A key that
                already has the value given, or is deleted and not there, is no change.
            height: Above every height that changed the state so far; 0 for genesis.

        Raises:
            InvariantViolation: a key, a value or the height is out of its range.
            StorageFault: the tree is damaged.
        """
        replaced = self._net_changes(changes)
        before = self._root_before(None)
        if not replaced:
            return StagedState(root=EMPTY if before is None else before.hash, operations=())
        if before is not None and height <= before.version:
            raise InvariantViolation(
                f"state: height {height} is staged upon height {before.version}"
            )
        return self._stage(before, replaced, height)

    def prove(self, key: bytes, height: int) -> tuple[bytes | None, StateProof]:
        """Return the value of `key` after `height`, or None, and the proof of it under that height's state root.

        Args:
            key: Any bytes.
            height: At most the chain's tip; heights that changed nothing are heights like others.

        Raises:
            Unavailable: with code `pruned` if that height is no longer kept.
            StorageFault: the tree or a value is damaged.
        """
        root, path = self._kept_root(height), path_of(self._suite, key)
        siblings: list[bytes] = []
        ref, position = (None if root.hash == EMPTY else root), TOP
        while ref is not None:
            node = read_node(self._store, self._suite, position, ref)
            if isinstance(node, Leaf):
                return self._prove_leaf(key, path, node, height, tuple(siblings))
            side = path_bit(path, position.depth)
            ref, beside = (node.right, node.left) if side else (node.left, node.right)
            siblings.append(hash_of(beside))
            position = position.child(side)
        return None, StateProof(siblings=tuple(siblings), other=None)

    def prune(self, batch: WriteBatch, *, height: int, below_height: int) -> None:
        """Add to `batch` the deletion of what only heights below `below_height` need.

        Heights from `below_height` on stay provable, and so do lower ones back to the last change of the state before.
        A call clears at most 16 of the heights that changed the state; the rest is left to the next calls.

        Args:
            batch: The batch that commits `height`, or any other.
            height: The height that the batch commits.
            below_height: First height to keep, at most `height`.

        Raises:
            InvariantViolation: `below_height` is above `height`.
            StorageFault: a list of obsolete records is damaged.
        """
        if below_height > height:
            raise InvariantViolation(
                f"state: pruning below {below_height} would not leave height {height}"
            )
        due = self._store.scan(
            keys.OBSOLETE,
            keys.obsolete(max(below_height, 0) + 1),
            limit=PRUNE_HEIGHTS,
        )
        for list_key, data in due:
            for key in _decode_obsolete(data):
                batch.delete(key)
            batch.delete(list_key)

    def _net_changes(
        self, changes: Mapping[bytes, bytes | None]
    ) -> list[tuple[bytes, bytes | None, bytes | None]]:
        """(key, value at the tip, value to be) of the keys whose value really changes."""
        net = []
        for key, value in changes.items():
            if not 1 <= len(key) <= MAX_STATE_KEY_BYTES:
                raise InvariantViolation(f"state: a key of {len(key)} bytes; 1 to 512 are allowed")
            if value is not None and len(value) > MAX_STATE_VALUE_BYTES:
                raise InvariantViolation(
                    f"state: a value of {len(value)} bytes; at most 64 KiB are allowed"
                )
            old = self.get(key)
            if old != value:
                net.append((key, old, value))
        return net

    def _stage(
        self,
        before: Ref | None,
        replaced: Iterable[tuple[bytes, bytes | None, bytes | None]],
        height: int,
    ) -> StagedState:
        operations: list[tuple[bytes, bytes | None]] = []
        obsolete: list[bytes] = []
        tree_changes = []
        for key, old, value in replaced:
            path = path_of(self._suite, key)
            operations.append((keys.state_value(key), value))
            if old is not None:
                history_key = keys.past_value(path, height)
                operations.append((history_key, old))
                obsolete.append(history_key)
            tree_changes.append(Change(path, None if value is None else self._suite.hash(value)))
        tree_changes.sort(key=lambda change: change.path)

        top: Ref | None = None
        if before is not None:
            obsolete.append(keys.state_root(before.version))
            top = None if before.hash == EMPTY else before
        update = TreeUpdate(self._store, self._suite, height)
        root = hash_of(update.run(top, tree_changes))
        operations += update.new_nodes
        operations.append((keys.state_root(height), root))
        if before is not None:
            operations.append(
                (
                    keys.obsolete(height),
                    codec.encode((*obsolete, *update.obsolete)),
                )
            )
        return StagedState(root=root, operations=tuple(operations))

    def _prove_leaf(
        self, key: bytes, path: bytes, leaf: Leaf, height: int, siblings: tuple[bytes, ...]
    ) -> tuple[bytes | None, StateProof]:
        if leaf.path != path:
            other = OtherLeaf(path=leaf.path, value_hash=leaf.value_hash)
            return None, StateProof(siblings=siblings, other=other)
        # The value after a height is the one replaced soonest afterwards, or the one at the tip if none was.
        later = self._store.scan(
            keys.past_value(path, height + 1),
            keys.end_of(keys.past_values(path)),
            limit=1,
        )
        value = later[0][1] if later else self.get(key)
        if value is None or self._suite.hash(value) != leaf.value_hash:
            raise StorageFault(f"state: the value of {key!r} after height {height} is damaged")
        return value, StateProof(siblings=siblings, other=None)

    def _kept_root(self, height: int) -> Ref:
        root = self._root_before(height + 1)
        if root is not None:
            return root
        oldest = self._store.scan(keys.STATE_ROOTS, keys.end_of(keys.STATE_ROOTS), limit=1)
        if not oldest:
            return Ref(0, EMPTY)
        raise Unavailable(
            f"the state after height {height} is no longer kept; the oldest that is, is of height "
            f"{_root_record(*oldest[0]).version}",
            code="pruned",
            field="height",
        )

    def _root_before(self, height: int | None) -> Ref | None:
        """The newest root of a height below `height`, or of all; its version is the height that changed the state."""
        stop = keys.end_of(keys.STATE_ROOTS) if height is None else keys.state_root(max(height, 0))
        newest = self._store.scan(keys.STATE_ROOTS, stop, reverse=True, limit=1)
        return _root_record(*newest[0]) if newest else None


def _root_record(key: bytes, value: bytes) -> Ref:
    if len(value) != HASH_BYTES:
        raise StorageFault(f"state: a root of {len(value)} bytes")
    return Ref(keys.parse_number(key), value)


def _decode_obsolete(data: bytes) -> list[bytes]:
    try:
        listed = codec.array(codec.decode(data, max_bytes=len(data)), "obsolete")
        return [codec.binary(key, "obsolete") for key in listed]
    except DecodeError as error:
        raise StorageFault(f"state: a list of obsolete records is unreadable: {error}") from error
