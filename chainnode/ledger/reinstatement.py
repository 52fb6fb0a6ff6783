"""The alliance's word that a validator votes again, though it has lost its vote log; see docs/consensus.md.

    reinstatement = [height, times, has_voted]

The word is good for one loss. Once the validator has voted by it, a vote log that is lost again is lost as any other,
and another word for the same height counts as another time: what was said by the first may not be contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chainnode.ledger.stored import stored
from chainnode.model import codec

_MAX_BYTES: Final = 32
_MAX_TIMES: Final = 1_000
"""Each is an agreement of the whole alliance over one height, which never becomes a block before the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstatement:
    """What the alliance has said last, and whether it has served."""

    height: int
    """From there on the validator votes; what it said there and below is given up."""

    times: int
    """1 for the first word that was given for this height."""

    has_voted: bool
    """Whether the validator has voted since, so that the word is used up."""

    def used(self) -> Reinstatement:
        """Return the same, used up."""
        return replace(self, has_voted=True)

    def encode(self) -> bytes:
        """Return how the store keeps it."""
        return codec.encode((self.height, self.times, self.has_voted))


def next_word(last: Reinstatement | None, height: int) -> Reinstatement:
    """Return what another word of the alliance comes to; the same one as before if that has not served yet."""
    times = 1
    if last is not None and last.height == height:
        times = last.times + last.has_voted
    return Reinstatement(height=height, times=times, has_voted=False)


def stored_reinstatement(data: bytes) -> Reinstatement:
    """Return what `encode` wrote.

    Raises:
        StorageFault: it is nothing of the kind.
    """
    with stored("the statement that reinstates"):
        height, times, has_voted = codec.decode_array(
            data, max_bytes=_MAX_BYTES, arity=3, what="reinstatement"
        )
        return Reinstatement(
            height=codec.integer(height, "height", least=1),
            times=codec.integer(times, "times", least=1, most=_MAX_TIMES),
            has_voted=codec.boolean(has_voted, "has_voted"),
        )
