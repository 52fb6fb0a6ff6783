"""Kinds of messages between validators, by the number that each begins with (docs/formats/peer-messages.md).

They are not the numbers of votes: `chainnode.model.votes.PREPARE` is what is signed, `Kind.PREPARE` what is sent.
"""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """What a message is."""

    STATUS = 1
    PROPOSE = 2
    PREPARE = 3
    COMMIT = 4
    VIEW_CHANGE = 5
    DECIDED = 6
    TRANSACTIONS = 7
    FETCH = 8
    FETCH_OUTLINE = 9
    OUTLINE = 10
    FETCH_BLOCKS = 11
    BLOCKS = 12
    COSIGNATURE = 13
    CLOCK = 14
    PRESENCE = 15
    CLONE = 16
    HEARD = 17
    SECOND_COSIGNATURE = 18


def kind_of(data: bytes) -> int:
    """Return the kind of an encoded message: what follows the head of its array."""
    return data[1]
