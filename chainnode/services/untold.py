"""Documents that have ended and of which one target is still to be told, in turn: whoever was tried goes behind the others."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.services.gateway_journal import Entry

MAX_LOOKED_AT: Final = 1_000
"""Documents that are looked at for one that is due, 0.1 ms; the next look goes on behind them."""


@dataclass(slots=True, eq=False)
class Untold:
    """A document, and how telling of it has gone since the node started."""

    entry: Entry
    tries: int = 0
    """In vain."""

    due_ms: int = 0
    """When it may be tried again, on the monotonic clock."""

    is_being_told: bool = False


class UntoldQueue:
    """Those of one target. What leaves the queue, told or forgotten, takes its count of tries along."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: OrderedDict[bytes, Untold] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._all

    def __iter__(self) -> Iterator[Entry]:
        """Yield what would come next first."""
        return (one.entry for one in self._all.values())

    def add(self, entry: Entry) -> None:
        """Put a document behind the others."""
        self._all[entry.id] = Untold(entry)

    def drop(self, id_: bytes) -> None:
        """Take a document out, if it is in."""
        self._all.pop(id_, None)

    def take(self, now_ms: int) -> Untold | None:
        """Return the first that is due, marked as being told, or None; all that were looked at go behind the others."""
        for _ in range(min(len(self._all), MAX_LOOKED_AT)):
            id_, one = next(iter(self._all.items()))
            self._all.move_to_end(id_)
            if not one.is_being_told and one.due_ms <= now_ms:
                one.is_being_told = True
                return one
        return None
