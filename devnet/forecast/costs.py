"""What things cost a validator, as the benchmark measured them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Microseconds of processor time."""

    client: float
    """Of a client, per transaction: to send it and to hear of it."""

    request: float
    """Of the validator that a client asks, per transaction: to take it and to answer."""

    arrive: float
    """Of each validator, per transaction, when it comes: to decode it, to see whether it is admissible, to put it into the pool."""

    verify: float
    """Of each validator's worker, per transaction."""

    execute: float
    """Of each validator, per transaction, before it votes: to execute it and to bring the trees up to date."""

    store: float
    """The same when the block is decided."""

    compact: float
    """Of each validator's store, per transaction, beside its main thread."""

    copy: float
    """Per transaction that is sent to one peer: half of it of who sends, half of who receives."""

    message: float
    """Per vote, cosignature or other small message: most of it of who receives it, to verify it."""

    block: float
    """Of each validator, per block, whatever is in it and however many they are."""

    sync: float
    """Not processor time: how long the disk takes to keep what was written."""
