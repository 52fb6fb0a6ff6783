"""The one place where votes are counted against the size of a validator set.

Every rule of the system that says "a quorum" (certificates, policies, sync, light clients) asks here.
"""

from __future__ import annotations


def quorum_of(validators: int) -> int:
    """Return how many of `validators` equal validators make a quorum: more than two thirds.

    Two quorums share at least `faulty_of(n) + 1` validators, and the correct ones alone make a quorum,
    for every n (not only n = 3f + 1). Raises ValueError for an empty set.
    """
    if validators < 1:
        raise ValueError(f"{validators} validators; a set has at least one")
    return 2 * validators // 3 + 1


def faulty_of(validators: int) -> int:
    """Return f: how many of `validators` may fail in any way without harm to agreement or progress."""
    if validators < 1:
        raise ValueError(f"{validators} validators; a set has at least one")
    return (validators - 1) // 3
