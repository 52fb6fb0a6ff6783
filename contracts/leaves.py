"""Leaves by the thousand: the bytes of `Record.encode()`, with what a call's leaves share encoded once.

A list of documents makes up to 1,000 records that differ in two of their twelve elements only. Canonical arrays
are their elements' encodings one after the other, so the rest can be kept as bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.record import VERSION

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.ids import Height, TransactionId

_ARRAY_OF_12: Final = b"\x9c"
_MEMORISED: Final = 4_096


class LeafEncoder:
    """Encodes the leaves of one call."""

    __slots__ = ("_after_item", "_after_kind", "_before_item")

    def __init__(
        self,
        *,
        height: Height,
        time_ms: int,
        interval_ms: tuple[int, int],
        tx_id: TransactionId,
        call: int,
        contract: str,
        account: str,
    ) -> None:
        block = _memorised_concatenation(height, time_ms, *interval_ms)
        self._after_kind = block + codec.encode(tx_id) + codec.encode(call)
        self._after_item = _memorised_concatenation(contract, account)
        self._before_item: dict[str, bytes] = {}

    def encode(self, kind: str, item: int, body: tuple[Value, ...]) -> bytes:
        """Return the leaf of the call's `item`-th record, equal to `Record.encode()` of it."""
        before_item = self._before_item.get(kind)
        if before_item is None:
            before_item = _ARRAY_OF_12 + _memorised_concatenation(VERSION, kind) + self._after_kind
            self._before_item[kind] = before_item
        return before_item + codec.encode(item) + self._after_item + codec.encode(body)


@lru_cache(maxsize=_MEMORISED)
def _memorised_concatenation(*values: int | str) -> bytes:
    """Return the encodings one after the other; a block's calls share its height and times, and have few senders."""
    return b"".join(codec.encode(value) for value in values)
