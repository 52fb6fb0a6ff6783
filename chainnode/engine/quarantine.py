"""Why a validator observes instead of voting: a closed set of reasons, each a sentence that says what ends it.

vote_log_lost       the vote log is empty or missing, and the store shows that this validator has voted
vote_log_older      the vote log ends below a height at which the store shows a vote of this validator
store_older         the vote log speaks of a height above the open one: the store lost blocks
unknown_vote        a peer has a vote of ours at the open height, signed, that neither the log nor this life made
unknown_signature   a certificate of a block holds such a signature of ours
asking_others       the node has just started and asks the others what they have heard of it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.services.ports import QuarantineCode

_ENDS: Final = "ends with a block that was proposed after that was found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """One stay in quarantine."""

    code: QuarantineCode
    height: int
    """The height at which it was found."""

    sentence: str
    """What was found, what was expected, what ends it."""

    since_ms: int
    """When it began, on the monotonic clock: nothing was said in an earlier life after this."""

    until_height: int | None = None
    """The open height at which it ends, if one is known; else a block that is younger than `since_ms` ends it."""


def vote_log_lost(height: int, since_ms: int) -> Quarantine:
    """The log holds nothing; a vote at `height` is known, or at some unknown height if that is 0."""
    where = f" at height {height}" if height else ""
    return Quarantine(
        code=QuarantineCode.VOTE_LOG_LOST,
        height=height,
        sentence=(
            f"the vote log holds no vote, and the store shows that this validator voted{where}; "
            "what else it said is not known; ends with a block that was proposed after the start"
        ),
        since_ms=since_ms,
    )


def vote_log_older(height: int, log_height: int, since_ms: int) -> Quarantine:
    """The log ends at `log_height`, below `height`, at which the store shows a vote."""
    return Quarantine(
        code=QuarantineCode.VOTE_LOG_OLDER,
        height=height,
        sentence=(
            f"the vote log ends at height {log_height}, and the store shows a vote of this validator "
            f"at height {height}: the log is an older copy; ends with a block that was proposed after "
            "the start"
        ),
        since_ms=since_ms,
    )


def store_older(height: int, tip_height: int, since_ms: int) -> Quarantine:
    """The log speaks of `height`, more than one above the tip."""
    return Quarantine(
        code=QuarantineCode.STORE_OLDER,
        height=height,
        sentence=(
            f"the vote log speaks of height {height}, and the store ends at block {tip_height}: it is an "
            f"older copy; ends when block {height - 1} is here again"
        ),
        since_ms=since_ms,
        until_height=height,
    )


def unknown_vote(kind: str, height: int, view: int, since_ms: int) -> Quarantine:
    """A verified claim in our own name came that we do not know of."""
    return Quarantine(
        code=QuarantineCode.UNKNOWN_VOTE,
        height=height,
        sentence=(
            f"a peer holds a {kind} of this validator for view {view} of height {height}, and its vote log "
            f"does not: the log is an older copy, or another machine has the keys; {_ENDS}"
        ),
        since_ms=since_ms,
    )


def unknown_signature(height: int, since_ms: int) -> Quarantine:
    """The certificate of a decided block holds a signature of ours that we do not know of."""
    return Quarantine(
        code=QuarantineCode.UNKNOWN_SIGNATURE,
        height=height,
        sentence=(
            f"the certificate of block {height} holds a COMMIT of this validator that its vote log does not: "
            f"log and store are older copies, or another machine has the keys; {_ENDS}"
        ),
        since_ms=since_ms,
    )


def asking_others(height: int, answered: int, needed: int, since_ms: int) -> Quarantine:
    """The others are being asked; `answered` of `needed` have answered."""
    return Quarantine(
        code=QuarantineCode.ASKING_OTHERS,
        height=height,
        sentence=(
            f"the node asks the others what they have heard of it at height {height}; {answered} have "
            f"answered; ends with {needed}, or with a block that was proposed after the start"
        ),
        since_ms=since_ms,
    )
