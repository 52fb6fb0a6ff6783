"""Whom to blame when more than f validators lie: from all that correct nodes hold to evidence that names the guilty.

Two certificates for different blocks of one height prove that more than f validators broke the protocol. Which ones
follows from what was signed, without asking anybody: every pair of statements of one validator is looked at, and only
what `verify_evidence` accepts names anybody. So no input, however forged, can accuse a correct validator.

At least f + 1 are named if fewer than a quorum are faulty and the statements are those of both certificates and of the
testimony of every correct node. For certificates of d in view r and of d' in r' >= r:

    r' = r      the signers of both have sent two COMMITs; any two quorums share f + 1
    r' > r      let s be the lowest view above r in which a quorum prepared another block than d. One of them is correct
                and kept the justification of what it prepared. Its quorum of view changes to s shares f + 1 validators
                with the signers of COMMIT(r, d). If the highest lock among them is below r, or there is none, these
                f + 1 forgot. If it is of r, its certificate and that of d share f + 1 who prepared one block and
                committed another in one view. It is not of a view between r and s, since s is the lowest.

    testimony = [1, height, [[signer, statement], ...]]          statements as in `chainnode.model.evidence`
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.evidence import (
    MAX_HEIGHT,
    Evidence,
    Offence,
    Statement,
    contradiction,
    pair,
    parse_statement,
    verify_evidence,
)
from chainnode.model.ids import Height
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.votes import COMMIT, VIEW_CHANGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.model.certificate import Certificate
    from chainnode.model.domain import Domain
    from chainnode.model.validators import ValidatorSet

VERSION: Final = 1

MAX_STATEMENTS: Final = 50_000
"""Of one testimony; 100 validators in 250 views say that much."""

MAX_TESTIMONY_BYTES: Final = 16 * 1024 * 1024


def culprits(
    domain: Domain, validators: ValidatorSet, statements: Iterable[Statement]
) -> tuple[Evidence, ...]:
    """Return evidence against every validator that the statements convict, one for each offence, by rising index.

    Args:
        domain: The chain's.
        validators: The set that governs the height of the statements.
        statements: Whatever is held of one height, by whomever, verified or not, in any order, repeated or not: of both
            certificates (`statements_of`), and of `Engine.testimony(height)` of as many nodes as can be asked.
    """
    by_signer: dict[int, list[Statement]] = {}
    for statement in statements:
        by_signer.setdefault(statement.signer, []).append(statement)
    found: list[Evidence] = []
    for signer in sorted(by_signer):
        found += _against_one(domain, validators, by_signer[signer])
    return tuple(found)


def _against_one(
    domain: Domain, validators: ValidatorSet, statements: list[Statement]
) -> list[Evidence]:
    # In one order, so that whoever holds the same finds the same. Forged ones accuse nobody and are left out first: what
    # somebody hands in, however much, is looked at once, and never pair by pair.
    held: dict[tuple[int, int, int, bytes], Statement] = {}
    for statement in sorted(set(statements), key=lambda s: (s.order(), s.signature)):
        if statement.order() not in held and _is_genuine(domain, validators, statement):
            held[statement.order()] = statement
    found: dict[Offence, Evidence] = {}
    for contradicting in (_double_vote(held.values()), _amnesia(held.values())):
        if contradicting is not None:
            evidence = pair(*contradicting)
            _, offence = verify_evidence(evidence, domain, validators)
            found[offence] = evidence
    return [found[offence] for offence in sorted(found)]


def _is_genuine(domain: Domain, validators: ValidatorSet, statement: Statement) -> bool:
    if not 0 <= statement.signer < validators.size:
        return False
    key = validators.members[statement.signer].consensus_key
    return domain.suite.is_signature(key, statement.message(domain), statement.signature)


def _double_vote(held: Iterable[Statement]) -> tuple[Statement, Statement] | None:
    """Return the first two that contradict each other within one view, of different claims in their order."""
    slots: dict[tuple[bool, int], tuple[int, Statement]] = {}
    best: tuple[int, Statement, Statement] | None = None
    for position, statement in enumerate(held):
        slot = (statement.kind == VIEW_CHANGE, int(statement.view))
        # Whatever contradicts another one of its slot, one of the two contradicts the slot's first.
        at, first = slots.setdefault(slot, (position, statement))
        is_double = contradiction(first, statement) is Offence.DOUBLE_VOTE
        if is_double and (best is None or at < best[0]):
            best = (at, first, statement)
    return None if best is None else best[1:]


def _amnesia(held: Iterable[Statement]) -> tuple[Statement, Statement] | None:
    """Return the first COMMIT that a view change forgot, and the first of these, of different claims in their order."""
    claims = tuple(held)
    commits = [s for s in claims if s.kind == COMMIT]
    views = [int(s.view) for s in commits]
    best: tuple[int, Statement] | None = None
    for change in (s for s in claims if s.kind == VIEW_CHANGE):
        lock_view = -1 if change.prepared_view is None else int(change.prepared_view)
        # Of the lock's own view one COMMIT may be for its block; the next of that view, or above it, is not.
        start = bisect.bisect_left(views, lock_view)
        for at in range(start, min(start + 2, len(commits))):
            is_amnesia = contradiction(commits[at], change) is Offence.AMNESIA
            if is_amnesia and (best is None or at < best[0]):
                best = (at, change)
    return None if best is None else (commits[best[0]], best[1])


def statements_of(certificate: Certificate) -> tuple[Statement, ...]:
    """Return the COMMITs of a certificate, one by one."""
    return tuple(
        Statement(
            kind=COMMIT,
            height=certificate.height,
            signer=signer,
            view=certificate.view,
            digest=bytes(certificate.block_hash),
            signature=signature,
        )
        for signer, signature in certificate.signatures
    )


def encode_testimony(height: int, statements: Iterable[Statement]) -> bytes:
    """Return the canonical bytes of what a node holds of one height."""
    return codec.encode((VERSION, height, tuple((s.signer, s.as_value()) for s in statements)))


def decode_testimony(data: bytes) -> tuple[Statement, ...]:
    """Decode a testimony; nothing in it is verified.

    Raises:
        DecodeError: not the canonical bytes of any testimony.
    """
    version, height_value, entries = codec.decode_array(
        data, max_bytes=MAX_TESTIMONY_BYTES, arity=3, what="testimony"
    )
    codec.integer(version, "version", least=VERSION, most=VERSION)
    height = Height(codec.integer(height_value, "height", least=1, most=MAX_HEIGHT))
    statements: list[Statement] = []
    for entry in codec.array_up_to(entries, "statements", least=1, most=MAX_STATEMENTS):
        signer, statement = codec.array(entry, "entry", arity=2)
        index = codec.integer(signer, "signer", most=MAX_VALIDATORS - 1)
        statements.append(parse_statement(statement, height, index))
    return tuple(statements)


def check_one_height(statements: Iterable[Statement]) -> None:
    """Refuse statements of several heights: they contradict each other never.

    Raises:
        DecodeError: they are of more than one.
    """
    heights = sorted({s.height for s in statements})
    if len(heights) > 1:
        raise DecodeError(
            f"height: found {heights[0]} and {heights[-1]}; expected testimonies of one height"
        )
