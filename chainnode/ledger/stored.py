"""What was read from the store and cannot be right is damage: a fault of this node, told in one line."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chainnode.model.errors import ChainError, StorageFault

if TYPE_CHECKING:
    from types import TracebackType

_ADVICE = "rebuild it from its blocks, or fetch the chain again"


class stored:  # noqa: N801 - reads as the statement that it makes
    """Turns whatever a decoder says about bytes of our own store into a StorageFault that names `what`."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ChainError | struct.error):
            raise damaged(f"{self._what} cannot be read: {error}") from error


def damaged(what: str) -> StorageFault:
    """Return the fault of a store that does not hold together."""
    return StorageFault(f"the chain's store is damaged: {what}; {_ADVICE}")


def present(value: bytes | None, what: str) -> bytes:
    """Return what the store must hold."""
    if value is None:
        raise damaged(f"{what} is missing")
    return value
