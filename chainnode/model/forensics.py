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

from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid
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
from chainnode.model.votes import COMMIT

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
    # In one order, so that whoever holds the same finds the same.
    held = sorted(set(statements), key=lambda s: (s.order(), s.signature))
    found: dict[Offence, Evidence] = {}
    for i, one in enumerate(held):
        for other in held[i + 1 :]:
            offence = contradiction(one, other)
            if offence is None or offence in found:
                continue
            evidence = pair(one, other)
            try:
                verify_evidence(evidence, domain, validators)
            except ProofInvalid:
                # One of them is forged: it accuses nobody.
                continue
            found[offence] = evidence
    return [found[offence] for offence in sorted(found)]


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
