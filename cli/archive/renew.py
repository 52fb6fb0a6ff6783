"""`archive renew`: newer tokens over records, before what these rest on grows weak.

A record is replaced in one step, so that whoever stops this finds each of them old or new, and whole. Which are due is
read from the records themselves: running it again goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.ers.renewal import chains_leaf, timestamp_group, with_chain, with_timestamp
from chainnode.ers.tree import grow
from chainnode.ers.verifying import check_timestamp, verify_evidence
from chainnode.model.commitment import Digest
from chainnode.model.errors import ChainError, Refused
from chainnode.pki.times import time_text
from chainnode.tsp.algorithms import IMPRINT_NAMES
from cli.archive.files import Item, Items, read_record
from cli.folder.walk import Problem
from cli.hashing import digests_of_file
from cli.proofs import write_result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.ers.record import EvidenceRecord
    from chainnode.ers.tree import HashGroup
    from cli.archive.tokens import TokenSource

DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which records, and how."""

    algorithm: str | None
    """Of a new chain; None: a newer token in the last chain."""

    is_forced: bool
    within_days: int
    """A certificate that ends within these is renewed."""

    older_than_days: int | None
    """Records whose last token is older are renewed too."""

    leaving: frozenset[str]
    """Digest algorithms that the alliance deprecates or has closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What became of the records."""

    renewed: int
    not_due: int
    tokens: int
    weak_trees: tuple[str, ...]
    """Digest algorithms of trees that the alliance is leaving, and that only `--algorithm` replaces."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    item: Item
    record: EvidenceRecord
    algorithm: str
    group: HashGroup
    """The leaf, as a new tree has it."""


def renew(items: Items, source: TokenSource, order: Order, now_ms: int) -> Renewed:
    """Renew what is due, with one token for each digest algorithm.

    Raises:
        ChainError: no token, or a record cannot be written.
    """
    due: list[_Due] = []
    problems, not_due, weak = list(items.problems), 0, set()
    for item in items.items:
        try:
            record = read_record(item.record)
            if order.algorithm is None and record.last.algorithm in order.leaving:
                weak.add(record.last.algorithm)
            if not _is_due(record, order, now_ms):
                not_due += 1
                continue
            _check_in_time(record, now_ms)
            due.append(_due(item, record, order, now_ms))
        except ChainError as error:
            problems.append(Problem(path=item.name, sentence=error.message))
    algorithms = sorted({one.algorithm for one in due})
    for algorithm in algorithms:
        _renew(source, algorithm, [one for one in due if one.algorithm == algorithm], order)
    return Renewed(
        renewed=len(due),
        not_due=not_due,
        tokens=len(algorithms),
        weak_trees=tuple(sorted(weak)),
        problems=tuple(problems),
    )


def _is_due(record: EvidenceRecord, order: Order, now_ms: int) -> bool:
    token = record.last.token
    if order.is_forced:
        return True
    if order.algorithm is not None:
        return record.last.algorithm != order.algorithm
    if order.older_than_days is not None and (
        token.time_ms < now_ms - order.older_than_days * DAY_MS
    ):
        return True
    ends_ms = min((c.not_after_ms for c in token.certificates), default=0)
    signed_by = IMPRINT_NAMES.get(token.digest_oid, token.digest_oid)
    return ends_ms < now_ms + order.within_days * DAY_MS or signed_by in order.leaving


def _check_in_time(record: EvidenceRecord, now_ms: int) -> None:
    """Check that the last token still holds: a newer one over it would say so."""
    certificate = check_timestamp(record.last)
    if not certificate.is_valid_at(now_ms):
        raise Refused(
            f"the certificate of its last token ended at {time_text(certificate.not_after_ms)}: it is too "
            "late to renew it; seal the document anew",
            code="too_late",
        )


def _due(item: Item, record: EvidenceRecord, order: Order, now_ms: int) -> _Due:
    if order.algorithm is None:
        group = timestamp_group(record)
        return _Due(item=item, record=record, algorithm=record.last.algorithm, group=group)
    digests = digests_of_file(item.document, {*record.algorithms, order.algorithm})
    verify_evidence(record, digests, at_ms=now_ms, roots=())
    leaf = chains_leaf(_by(digests, order.algorithm), record.chains)
    return _Due(item=item, record=record, algorithm=order.algorithm, group=(leaf,))


def _by(digests: Iterable[Digest], algorithm: str) -> Digest:
    return next(digest for digest in digests if digest.algorithm == algorithm)


def _renew(source: TokenSource, algorithm: str, due: list[_Due], order: Order) -> None:
    groups = list(dict.fromkeys(one.group for one in due))
    root, trees = grow(algorithm, groups)
    by_group = dict(zip(groups, trees, strict=True))
    token, certificate = source.token_over(Digest(algorithm=algorithm, value=root))
    for one in due:
        tree = by_group[one.group]
        if order.algorithm is None:
            newer = with_timestamp(one.record, tree, token)
        else:
            newer = with_chain(one.record, algorithm, tree, token)
        write_result(one.item.record, newer.encode())
    source.keep_proof(token, certificate)
