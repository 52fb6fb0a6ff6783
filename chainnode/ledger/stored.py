"""What was read from the store and cannot be right is damage: a fault of this node, told in one line."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chainnode.model.errors import ChainError, StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = "rebuild it from its blocks, or fetch the chain again"


@contextmanager
def stored(what: str) -> Iterator[None]:
    """Turn whatever a decoder says about bytes of our own store into a StorageFault that names `what`."""
    try:
        yield
    except (ChainError, struct.error) as error:
        raise damaged(f"{what} cannot be read: {error}") from error


def damaged(what: str) -> StorageFault:
    """Return the fault of a store that does not hold together."""
    return StorageFault(f"the chain's store is damaged: {what}; {_ADVICE}")


def present(value: bytes | None, what: str) -> bytes:
    """Return what the store must hold."""
    if value is None:
        raise damaged(f"{what} is missing")
    return value
