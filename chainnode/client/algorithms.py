"""Which digest algorithms a chain takes for new records, asked before anything is read or signed.

A node may lie about it: then a list is refused by the chain instead, or made with fewer digests than it could have had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.client.digesting import DEFAULT_ALGORITHMS
from chainnode.model.algorithms import AlgorithmStatus
from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.rpc.results import AlgorithmListResult


def choose(found: AlgorithmListResult) -> tuple[str, ...]:
    """Return what to register documents with: the default algorithms that the chain takes, else another.

    Raises:
        Refused: with code `algorithm_closed`: the chain takes none that this software knows.
    """
    taken = _taken(found)
    chosen = tuple(name for name in taken if name in DEFAULT_ALGORITHMS) or taken[:1]
    if not chosen:
        raise Refused(
            "the chain takes none of the digest algorithms that this software knows; install a newer one",
            code="algorithm_closed",
        )
    return chosen


def check_taken(found: AlgorithmListResult, algorithms: Iterable[str]) -> None:
    """Raise Refused, with code `algorithm_closed`, if the chain takes no new records of one of these."""
    taken = _taken(found)
    for name in sorted(set(algorithms) - set(taken)):
        raise Refused(
            f"the chain takes no new records with {name}; nothing was sent; it takes "
            f"{', '.join(taken) or 'none that this software knows'}",
            code="algorithm_closed",
            field="digests",
        )


def warnings(found: AlgorithmListResult, algorithms: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each of these that the alliance is leaving behind."""
    wanted = frozenset(algorithms)
    others = ", ".join(
        a["name"] for a in found["algorithms"] if a["status"] == AlgorithmStatus.ACCEPTED.value
    )
    return tuple(
        f"the alliance is leaving {a['name']} behind"
        + ("" if a["closed_from"] is None else f", and closes it from block {a['closed_from']} on")
        + f"; accepted: {others or 'none'}"
        for a in found["algorithms"]
        if a["name"] in wanted and a["status"] == AlgorithmStatus.DEPRECATED.value
    )


def _taken(found: AlgorithmListResult) -> tuple[str, ...]:
    closed = {a["name"] for a in found["algorithms"] if a["status"] == AlgorithmStatus.CLOSED.value}
    return tuple(sorted(DIGEST_BYTES.keys() - closed))
