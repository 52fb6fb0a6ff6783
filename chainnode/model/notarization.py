"""What a proof says about a document: from `.tlog-proof`, policy and digests to an answer, offline.

    extra = canonical bytes of [leaf, opening]

The checks run from the document outwards: digests against the opening, opening against the leaf's commitment, leaf
against the log. So a proof for another document is found false even if the policy is too old to judge the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import (
    PUBLIC_SALT,
    Digest,
    Opening,
    metadata_commitment_to,
    parse_opening,
    verify_opening,
)
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.limits import MAX_RECORD_BYTES
from chainnode.model.record import Record, decode_record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES, Verdict, Verifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof

KIND: Final = "notary"
"""Kind of the records that notarizing leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notarization:
    """A record about a document, with what opens it. Decoded; nothing is verified."""

    leaf: bytes
    """The bytes that the log hashes."""

    record: Record
    """What they say."""

    opening: Opening
    """Salt and digests that the leaf is said to commit to."""

    @property
    def is_public(self) -> bool:
        """Whether anybody who has the document can search the log for it."""
        return self.opening.salt == PUBLIC_SALT

    @property
    def has_metadata(self) -> bool:
        """Whether the leaf commits to a metadata hash besides the digests."""
        return len(self.record.body) > 1

    def extra(self) -> bytes:
        """Return what a proof carries as `extra`."""
        return codec.encode((self.leaf, self.opening.as_value()))


def parse_notarization(extra: bytes | None) -> Notarization:
    """Read the `extra` of a proof.

    Raises:
        DecodeError: there is none, it is of another shape, or the record is of another kind.
    """
    if extra is None:
        raise DecodeError(
            "proof: no `extra` line, so nothing to compare a document with", field="extra"
        )
    leaf_value, opening = codec.decode_array(
        extra, max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra"
    )
    leaf = codec.binary(leaf_value, "leaf", most=MAX_RECORD_BYTES)
    record = decode_record(leaf)
    if record.kind != KIND:
        raise DecodeError(
            f"proof: its record is of kind {record.kind}; expected {KIND}, which is about a document",
            code="other_kind",
            field="extra",
        )
    return Notarization(leaf=leaf, record=record, opening=parse_opening(opening))


def verify_digests(notarization: Notarization, found: Mapping[str, bytes]) -> None:
    """Check that the opening names the digests of a document.

    Args:
        notarization: as parsed.
        found: the document's digest by algorithm; every algorithm of the opening must be there.

    Raises:
        ProofInvalid: with code `other_document`.
    """
    for digest in notarization.opening.digests:
        if found[digest.algorithm] != digest.value:
            raise ProofInvalid(
                f"the file's {digest.algorithm} is {found[digest.algorithm].hex()}; the record is about "
                f"{digest.value.hex()}: another document, or an altered one",
                code="other_document",
            )


def verify_commitment(suite: Suite, notarization: Notarization) -> None:
    """Check that the leaf commits to the opening.

    Raises:
        DecodeError: the leaf holds no commitment.
        ProofInvalid: with code `opening_mismatch`.
        CannotTell: with code `other_suite`: it does, by the hash of another suite.
    """
    body = notarization.record.body
    commitment = codec.binary(body[0] if body else None, "commitment", size=HASH_BYTES)
    verify_opening(suite, commitment, notarization.opening)


def verify_metadata(suite: Suite, notarization: Notarization, metadata_hash: bytes) -> None:
    """Check that the leaf commits to a metadata hash, under the salt of its opening.

    Raises:
        DecodeError: the leaf's commitment has another shape.
        ProofInvalid: `no_metadata`: it commits to none; `other_metadata`: it commits to another one.
    """
    body = notarization.record.body
    if not notarization.has_metadata:
        raise ProofInvalid(
            "the record commits to no metadata: none was registered with the document",
            code="no_metadata",
        )
    commitment = codec.binary(body[1], "metadata commitment", size=HASH_BYTES)
    if metadata_commitment_to(suite, notarization.opening.salt, metadata_hash) != commitment:
        raise ProofInvalid(
            "the metadata is not what was registered with the document: another one, or altered",
            code="other_metadata",
        )


def verify_notarization(
    proof: Proof,
    policy: Policy | Verifier,
    notarization: Notarization,
    found: Mapping[str, bytes],
) -> Verdict:
    """Check that a chain's validators vouch for a record about the document with the digests `found`.

    Whoever checks many proofs gives the `Verifier` of the policy instead of the policy.

    Raises:
        DecodeError: the policy names no log, or the leaf no commitment.
        ProofInvalid: it is proven not to hold; codes as in `verify_digests`, `verify_commitment` and
            `chainnode.model.tlog_proof`.
        CannotTell: with code `policy_retired`, or `other_suite`: the policy is of a chain of another suite.
    """
    verifier = policy if isinstance(policy, Verifier) else Verifier(policy)
    logs = verifier.policy.logs
    if not logs:
        raise DecodeError("policy: it names no log, so it can vouch for nothing", field="policy")
    verify_digests(notarization, found)
    verify_commitment(logs[0].key.type.suite, notarization)
    return verifier.verify(proof, notarization.leaf)


def digest_map(digests: tuple[Digest, ...]) -> dict[str, bytes]:
    """Return digests by algorithm."""
    return {digest.algorithm: digest.value for digest in digests}
