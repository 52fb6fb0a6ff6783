"""`archive seal`: one token for many documents, and a record for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.ers.renewal import first_record
from chainnode.ers.tree import grow
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.commitment import Digest
from chainnode.model.errors import ChainError
from cli.archive.files import Item, Items, read_record
from cli.folder.walk import Problem
from cli.hashing import digests_of_file

if TYPE_CHECKING:
    from cli.archive.tokens import TokenSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What became of the documents."""

    sealed: int
    had_record: int
    """Documents that a record of an earlier run is about."""

    problems: tuple[Problem, ...]


def seal(items: Items, source: TokenSource, algorithm: str | None) -> Sealed:
    """Seal what has no record yet. An interrupted run leaves whole records; the next one seals the rest.

    Args:
        items: The documents.
        source: Who gives the token.
        algorithm: Of the digests; None: the chain's own.

    Raises:
        ChainError: no token, or a record cannot be written.
    """
    chosen = source.suite.hash_name if algorithm is None else algorithm
    fresh: list[tuple[Item, bytes]] = []
    problems, had_record = list(items.problems), 0
    for item in items.items:
        try:
            if item.record.exists():
                _check_kept(item)
                had_record += 1
            else:
                fresh.append((item, digests_of_file(item.document, [chosen])[0].value))
        except ChainError as error:
            problems.append(Problem(path=item.name, sentence=error.message))
    if fresh:
        groups = [(value, fresh_bytes(len(value))) for _, value in fresh]
        root, trees = grow(chosen, groups)
        token, certificate = source.token_over(Digest(algorithm=chosen, value=root))
        for (item, _), tree in zip(fresh, trees, strict=True):
            record = first_record(chosen, tree, token)
            write_new_file(item.record, record.encode(), mode=PUBLIC)
        source.keep_proof(token, certificate)
    return Sealed(sealed=len(fresh), had_record=had_record, problems=tuple(problems))


def _check_kept(item: Item) -> None:
    first = read_record(item.record).chains[0][0]
    (found,) = digests_of_file(item.document, [first.algorithm])
    if not first.has_leaf(found.value):
        raise ChainError(
            f"it was altered since {item.record} was made; seal the new version into another folder (--out)",
            code="other_document",
        )
