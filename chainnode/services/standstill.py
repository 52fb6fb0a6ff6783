"""Why nothing is decided, in one sentence for people: since when, what is held of how many, and who is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chainnode.services.ports import EngineStatus, Standing

STALLED_MS: Final = 10_000
"""A height that was begun and not decided in this time is a standstill; view changes take some seconds at most."""

SHORT_DIGEST: Final = 8
"""Hex digits of a digest that people are shown; enough to tell the blocks of one height apart."""

_VERBS: Final = (("prepare", "prepared"), ("commit", "committed"))
_COUNTED: Final = {"prepare": ("propose", "prepare"), "commit": ("commit",)}


def explain(status: EngineStatus, now_ms: int) -> str | None:
    """Return what the open height waits for, or None if nothing is due and a quorum is linked.

    Args:
        status: the engine's.
        now_ms: wall clock, milliseconds UTC.
    """
    if status.step == "idle":
        return None
    if status.is_syncing:
        return f"catching up from height {status.tip_height}: the others have decided more"
    since_ms = status.waiting_since_ms
    if status.undecided_since_ms is not None and status.step != "link":
        since_ms = status.undecided_since_ms
    waited_ms = max(0, now_ms - since_ms)
    state = "stalled" if waited_ms > STALLED_MS else "under way"
    parts = [_what(status), *_awaited(status)]
    if status.quarantine is not None:
        parts.append(f"this node does not vote: {status.quarantine.sentence}")
    return f"{state} since {waited_ms // 1_000}.{waited_ms % 1_000 // 100} s: {'; '.join(parts)}"


def short(digest: bytes) -> str:
    """Return the first digits of a digest."""
    return digest.hex()[:SHORT_DIGEST]


def _what(status: EngineStatus) -> str:
    size, where = len(status.standings), f"view {status.view} of height {status.open_height}"
    needed = f"a quorum is {status.quorum}"
    for step, verb in _VERBS:
        if status.step == step and status.digest is not None:
            count = sum(_has_voted(s, status) for s in status.standings)
            return f"{count} of {size} validators have {verb} {short(status.digest)} in {where}; {needed}"
    match status.step:
        case "view_change":
            asking = sum(
                s.asked_view is not None and s.asked_view >= status.view for s in status.standings
            )
            return f"{asking} of {size} validators have asked for {where}; {needed}"
        case "link":
            linked = sum(s.is_linked for s in status.standings)
            return f"{linked} of {size} validators are linked; {needed}"
        case "propose":
            return f"nothing is proposed in {where}"
        case "validate":
            return f"the block proposed in {where} is being judged here"
        case "refused":
            return f"the block proposed in {where} is not valid here, for the reason in this node's log"
        case "decided":
            return f"height {status.open_height} is decided, and its block is being fetched"
        case _:
            return "the node is starting"


def _has_voted(standing: Standing, status: EngineStatus) -> bool:
    return any(
        vote.kind in _COUNTED[status.step]
        and (vote.view, vote.digest) == (status.view, status.digest)
        for vote in standing.votes
    )


def _awaited(status: EngineStatus) -> list[str]:
    awaited = [s for s in status.standings if s.awaited_for is not None]
    if not awaited:
        return (
            []
            if status.step in {"validate", "refused", "decided", "starting"}
            else ["it is this node's turn"]
        )
    absent = [s.name for s in awaited if not s.is_linked]
    if len(absent) == len(awaited) > 1:
        names, rest = (
            ", ".join(absent),
            " (both not linked)" if len(absent) == 2 else " (all not linked)",
        )
        return [f"awaited: {names}{rest}"]
    names = ", ".join(s.name if s.is_linked else f"{s.name} (not linked)" for s in awaited)
    return [f"awaited: {names}"]
