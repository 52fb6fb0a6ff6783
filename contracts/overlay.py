"""State changes that may yet be dropped: a layer of writes over what lies below.

The runtime stacks two: the block's over the committed state, and each transaction's over the block's. A failed
transaction's layer is forgotten; so failure leaves nothing, by construction.
"""

from __future__ import annotations

from typing import Protocol


class StateReader(Protocol):
    """The state at some point, by full key: `<contract>/<rest>`."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None if there is none."""


class Overlay:
    """Reads fall through to `below`; writes stay here until they are taken."""

    __slots__ = ("_below", "_changes")

    def __init__(self, below: StateReader) -> None:
        self._below = below
        self._changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value under the full key `key`, or None."""
        if key in self._changes:
            return self._changes[key]
        return self._below.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value under the full key `key`."""
        self._changes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the full key `key` if it is there."""
        self._changes[key] = None

    def absorb(self, above: Overlay) -> None:
        """Take over the writes of the layer `above`, whose work succeeded."""
        self._changes.update(above._changes)

    def net_changes(self) -> dict[bytes, bytes | None]:
        """Return what differs from below, in rising order of keys; None stands for a removed key."""
        return {
            key: value
            for key, value in sorted(self._changes.items(), key=lambda change: change[0])
            if self._below.get(key) != value
        }
