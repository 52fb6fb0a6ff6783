"""Stores that are tampered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.storage.kv import WriteBatch

if TYPE_CHECKING:
    from chainnode.storage.kv import KeyValueStore


def put(store: KeyValueStore, key: bytes, value: bytes | None) -> None:
    """Write one entry, or with None remove it."""
    batch = WriteBatch()
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)
    store.write(batch, sync=True)
