"""Which validators governed, govern and will govern each height.

A set that block h puts into the state governs from h + 2 on. One entry per change is stored, under the first height
that the set governs; the newest few stay in memory, since every vote asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.ledger.stored import damaged, stored
from chainnode.model.validators import decode_validator_set
from chainnode.storage import keys

if TYPE_CHECKING:
    from chainnode.model.suites import Suite
    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.kv import KeyValueStore, WriteBatch

DELAY: Final = 2
"""Heights from the block that changes the set to the first that the new one decides."""

_KEPT: Final = 4
"""Sets in memory. Votes concern the tip and the two heights after it: at most 3 different sets."""


class ValidatorHistory:
    """The validator sets of a chain by height. Memory changes only through `load` and `add`."""

    __slots__ = ("_recent", "_store", "_suite")

    def __init__(self, store: KeyValueStore, suite: Suite) -> None:
        self._store = store
        self._suite = suite
        self._recent: tuple[tuple[int, ValidatorSet], ...] = ()

    def load(self) -> None:
        """Read the newest sets from the store."""
        entries = self._store.scan(
            keys.validators(0), keys.validators(2**64 - 1), reverse=True, limit=_KEPT
        )
        self._recent = tuple((keys.parse_number(key), self._decode(v)) for key, v in entries)

    def at(self, height: int) -> ValidatorSet:
        """Return the set that governs `height`; the caller knows that it is determined."""
        for first, validators in self._recent:
            if first <= height:
                return validators
        older = self._store.scan(
            keys.validators(0), keys.validators(height + 1), reverse=True, limit=1
        )
        if not older:
            raise damaged(f"the validator set of height {height} is missing")
        return self._decode(older[0][1])

    def add(self, from_height: int, validators: ValidatorSet) -> None:
        """Remember a set that is in the store by now."""
        self._recent = ((from_height, validators), *self._recent[: _KEPT - 1])

    def _decode(self, value: bytes) -> ValidatorSet:
        with stored("a validator set"):
            return decode_validator_set(value, self._suite)


def put_validators(batch: WriteBatch, from_height: int, validators: ValidatorSet) -> None:
    """Stage the set that governs from `from_height` on."""
    batch.put(keys.validators(from_height), validators.encode())
