"""Whose turn it is to lead: everybody's in rotation, but those whose turn failed a short while ago come last.

A turn failed if its block was decided in a later view. What counts is the canonical certificate alone, the one inside
the next block, which all nodes have alike. Who led the views below it follows from the order of that height, and so
from the turns that had failed before: so what failed is written down in the batch of the next block, and nobody has to
go back to genesis for it.

    failed turns = [1, [name, ...]]         of one height; whose last failed view of it was latest comes first

The order of height h rests on blocks up to h - 2, the certificate of h - 3 among them: whoever works on h or on the
height below it knows the order of h. A failed turn counts for `skip_heights` heights, from 3 after it on. Safety does not
depend on any of this: it needs one leader for each view, and everybody leads some view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.ledger.stored import stored
from chainnode.model import codec
from chainnode.model.limits import MAX_NAME_BYTES, MAX_VALIDATORS
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.kv import KeyValueStore, WriteBatch

LAG: Final = 3
"""Heights from a failed turn to the first order that it changes: h - 2 is the newest block that everybody has who hears
of h, and it holds the certificate of h - 3."""

AHEAD: Final = 2
"""Up to how many heights above the tip the order is known, as the validator set is."""

VERSION: Final = 1
_MAX_BYTES: Final = MAX_VALIDATORS * (MAX_NAME_BYTES + 2) + 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTurns:
    """Who led a view of a height in which it was not decided."""

    height: int
    """The height, at least 1."""

    names: tuple[str, ...]
    """The validators by name, since the set may change; each once, whose last such view was latest first."""

    def encode(self) -> bytes:
        """Return the bytes at rest; the height is in the key."""
        return codec.encode((VERSION, self.names))


def decode_failed_turns(height: int, data: bytes) -> FailedTurns:
    """Decode what rests in the store under a height.

    Raises:
        DecodeError: not the canonical bytes of any failed turns.
    """
    version, names = codec.decode_array(data, max_bytes=_MAX_BYTES, arity=2, what="failed turns")
    codec.integer(version, "version", least=VERSION, most=VERSION)
    elements = codec.array_up_to(names, "names", least=1, most=MAX_VALIDATORS)
    return FailedTurns(
        height=height,
        names=tuple(codec.text(name, "name", most_bytes=MAX_NAME_BYTES) for name in elements),
    )


def skipped_at(
    height: int, validators: ValidatorSet, failed: Sequence[FailedTurns], skip_heights: int
) -> tuple[int, ...]:
    """Return who is skipped at `height`: at most f of `validators`, whose turn failed last first.

    Args:
        height: the height to lead, at least 1.
        validators: the set that governs it.
        failed: what failed before, in rising order of heights.
        skip_heights: for how many heights a failed turn counts; 0 for none.
    """
    found: list[int] = []
    newest, oldest = height - LAG, height - LAG + 1 - skip_heights
    for turns in reversed(failed):
        if turns.height > newest:
            continue
        if turns.height < oldest:
            break
        for name in turns.names:
            if len(found) == validators.faulty:
                return tuple(found)
            index = validators.index_of(name)
            if index is not None and index not in found:
                found.append(index)
    return tuple(found)


def order_at(height: int, n: int, skipped: tuple[int, ...]) -> tuple[int, ...]:
    """Return who leads view 0, 1, ... of `height`: in rotation, the `skipped` of the n after all others."""
    rotation = tuple((height + i) % n for i in range(n))
    first = tuple(i for i in rotation if i not in skipped)
    return first + tuple(i for i in rotation if i in skipped)


def failed_turns(
    height: int, view: int, order: tuple[int, ...], validators: ValidatorSet
) -> FailedTurns:
    """Return whose turns failed at `height` if it was decided in `view`, with that `order` of leaders."""
    n = len(order)
    # Of more views than validators, the newest n hold everybody's last one.
    views = range(view - 1, max(-1, view - 1 - n), -1)
    return FailedTurns(
        height=height, names=tuple(validators.members[order[v % n]].name for v in views)
    )


class LeaderHistory:
    """The failed turns that still count, and the orders that follow. Memory changes only through `load` and `committed`."""

    __slots__ = ("_failed", "_orders", "_skip_heights", "_store", "_tip", "_validators_at")

    def __init__(
        self,
        store: KeyValueStore,
        *,
        skip_heights: int,
        validators_at: Callable[[int], ValidatorSet],
    ) -> None:
        """`validators_at` returns the set that governs a height, up to two above the tip."""
        self._store = store
        self._skip_heights = skip_heights
        self._validators_at = validators_at
        self._failed: tuple[FailedTurns, ...] = ()
        self._orders: dict[int, tuple[int, ...]] = {}
        self._tip = 0

    def load(self, tip_height: int) -> None:
        """Read what still counts above `tip_height`.

        Raises:
            StorageFault: an entry cannot be read.
        """
        entries = self._store.scan(
            keys.failed_turns(self._oldest(tip_height)),
            keys.failed_turns(2**64 - 1),
            limit=self._skip_heights + LAG,
        )
        with stored("an entry of failed turns"):
            self._failed = tuple(
                decode_failed_turns(keys.parse_number(key), value) for key, value in entries
            )
        self._tip = tip_height
        self._orders = {}

    def skipped(self, height: int) -> tuple[int, ...]:
        """Return who is skipped at `height`, the tip or up to two above it; indices, whose turn failed last first."""
        return skipped_at(height, self._validators_at(height), self._failed, self._skip_heights)

    def order(self, height: int) -> tuple[int, ...]:
        """Return the order of leaders of `height`, the tip or up to two above it; indices."""
        known = self._orders.get(height)
        if known is None:
            n = self._validators_at(height).size
            known = self._orders[height] = order_at(height, n, self.skipped(height))
        return known

    def stage(self, batch: WriteBatch, view: int) -> FailedTurns | None:
        """Stage what failed at the tip if its canonical certificate is of `view`; None if nothing did.

        Only a block on the tip says which certificate that is; so this goes into that block's batch.
        """
        if view == 0:
            return None
        turns = failed_turns(self._tip, view, self.order(self._tip), self._validators_at(self._tip))
        batch.put(keys.failed_turns(turns.height), turns.encode())
        return turns

    def committed(self, turns: FailedTurns | None) -> None:
        """Take in that the batch of the block on the tip is written, with `turns` of the tip before."""
        self._tip += 1
        if turns is not None:
            oldest = self._oldest(self._tip)
            self._failed = (*(t for t in self._failed if t.height >= oldest), turns)
        self._orders = {h: order for h, order in self._orders.items() if h >= self._tip}

    def _oldest(self, tip_height: int) -> int:
        """Return the lowest height that still counts: the order of the tip itself is needed once more, by `stage`."""
        return max(0, tip_height - LAG + 1 - self._skip_heights)
