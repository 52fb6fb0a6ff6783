"""Evidence: two statements that one validator signed and that no correct validator signs both of.

    evidence    = [1, height, signer, statement, statement]
    statement   = [kind, view, digest, signature]                           PROPOSE 1, PREPARE 2, COMMIT 3
                | [4, view, [prepared_view, digest] | nil, signature]       VIEW-CHANGE

`signer` is the validator's index in the set that governs `height`. The statements stand in rising order of the bytes
that were signed, so the same two make the same evidence whoever found them. Signatures are not compared: SM2 is
randomised, and two signatures of one statement say one thing. What contradicts what follows from the rules that every
correct validator keeps (docs/consensus.md, R4 to R8):

    double-vote   two votes of one view for different blocks; or two view changes to one view with different locks
    amnesia       a COMMIT, and a view change above it whose lock is older than that COMMIT, or of its view and
                  another block, or missing

In one view a validator votes for one block: its PROPOSE is its PREPARE, and it commits nothing that it has not
prepared there. So PROPOSE, PREPARE and COMMIT share a slot, and who led the view does not matter. Votes carry their
view, and locks only rise; so neither a crash nor a late message makes a correct validator look guilty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.ids import Height, View
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import (
    COMMIT,
    MAX_VIEW,
    PROPOSE,
    VIEW_CHANGE,
    view_change_message,
    vote_message,
)

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.validators import Validator, ValidatorSet

VERSION: Final = 1

MAX_EVIDENCE_BYTES: Final = 512
"""Two statements with the longest signatures take under 400 bytes."""

MAX_SIGNATURE_BYTES: Final = 128

MAX_HEIGHT: Final = 2**62
"""Leaves room above any height for the window in which it may be reported."""


class Offence(StrEnum):
    """What an evidence proves."""

    DOUBLE_VOTE = "double-vote"
    """Two votes of one view for different blocks, or two requests for one view with different locks."""

    AMNESIA = "amnesia"
    """A request for a view that forgot a COMMIT of a lower one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One signed claim of consensus, whatever its kind."""

    kind: int
    """PROPOSE, PREPARE, COMMIT or VIEW_CHANGE."""

    height: Height
    """At least 1."""

    signer: int
    """Index in the validator set of `height`."""

    view: View
    """Of a view change: the view asked for, at least 1."""

    digest: bytes | None
    """Block voted for; of a view change: the block of the lock, None without one."""

    prepared_view: View | None = None
    """Of a view change with a lock: the lock's view, below `view`. Else None."""

    signature: bytes
    """By the consensus key of `signer`; says nothing until it is verified."""

    def message(self, domain: Domain) -> bytes:
        """Return the bytes that were signed."""
        if self.kind == VIEW_CHANGE:
            prepared = None
            if self.prepared_view is not None and self.digest is not None:
                prepared = (int(self.prepared_view), self.digest)
            return view_change_message(domain, self.height, self.view, prepared)
        return vote_message(domain, self.kind, self.height, self.view, self.digest or b"")

    def order(self) -> tuple[int, int, int, bytes]:
        """Return what sorts statements of one height as the bytes that were signed do; equal only for the same claim."""
        prepared = -1 if self.prepared_view is None else int(self.prepared_view)
        # A view change without a lock has prepared view -1, all ones in a signed integer: it sorts last.
        rank = prepared if prepared >= 0 else 2**32
        return (self.kind, self.view, rank if self.kind == VIEW_CHANGE else 0, self.digest or b"")

    def as_value(self) -> Value:
        """Return the array form, as it stands in an evidence of its height and signer."""
        said: Value = self.digest
        if self.kind == VIEW_CHANGE:
            said = None if self.prepared_view is None else (self.prepared_view, self.digest)
        return (self.kind, self.view, said, self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Two statements of one validator at one height; `offence` and `verify_evidence` judge them."""

    first: Statement
    second: Statement
    """Of the same height and signer as `first`, and above it in `Statement.order`."""

    @property
    def height(self) -> Height:
        """Height that both are about."""
        return self.first.height

    @property
    def signer(self) -> int:
        """Index of the accused in the validator set of that height."""
        return self.first.signer

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (VERSION, self.height, self.signer, self.first.as_value(), self.second.as_value())
        )


def pair(one: Statement, other: Statement) -> Evidence:
    """Return the evidence of two different statements of one validator and height, in whichever order they came."""
    first, second = sorted((one, other), key=Statement.order)
    return Evidence(first=first, second=second)


def decode_evidence(data: bytes) -> Evidence:
    """Decode an evidence. Neither its signatures nor whether it proves anything is looked at.

    Raises:
        DecodeError: not the canonical bytes of any evidence.
    """
    fields = codec.decode_array(data, max_bytes=MAX_EVIDENCE_BYTES, arity=5, what="evidence")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    height = Height(codec.integer(fields[1], "height", least=1, most=MAX_HEIGHT))
    signer = codec.integer(fields[2], "signer", most=MAX_VALIDATORS - 1)
    evidence = Evidence(
        first=parse_statement(fields[3], height, signer),
        second=parse_statement(fields[4], height, signer),
    )
    if evidence.first.order() >= evidence.second.order():
        raise DecodeError("evidence: its statements are one and the same, or not in rising order")
    return evidence


def parse_statement(value: Value, height: Height, signer: int) -> Statement:
    """Read a statement of `signer` at `height`. Raises DecodeError."""
    kind_value, view_value, said, signature = codec.array(value, "statement", arity=4)
    kind = codec.integer(kind_value, "kind", least=PROPOSE, most=VIEW_CHANGE)
    view = View(codec.integer(view_value, "view", most=MAX_VIEW))
    digest: bytes | None = None
    prepared_view: View | None = None
    if kind != VIEW_CHANGE:
        digest = codec.binary(said, "digest", size=HASH_BYTES)
    else:
        if view == 0:
            raise DecodeError("view: found 0 in a view change, expected 1 or more", field="view")
        if said is not None:
            lock_view, lock_digest = codec.array(said, "lock", arity=2)
            prepared_view = View(codec.integer(lock_view, "prepared_view", most=view - 1))
            digest = codec.binary(lock_digest, "digest", size=HASH_BYTES)
    return Statement(
        kind=kind,
        height=height,
        signer=signer,
        view=view,
        digest=digest,
        prepared_view=prepared_view,
        signature=codec.binary(signature, "signature", most=MAX_SIGNATURE_BYTES),
    )


def contradiction(one: Statement, other: Statement) -> Offence | None:
    """Return which rule two statements break together, if one validator signed both; None if they agree.

    Whether they are of one chain, and whether the signatures hold, is for `verify_evidence` to say.
    """
    if (one.height, one.signer) != (other.height, other.signer):
        return None
    first, second = sorted((one, other), key=Statement.order)
    if second.kind != VIEW_CHANGE:
        is_double = first.view == second.view and first.digest != second.digest
        return Offence.DOUBLE_VOTE if is_double else None
    if first.kind == VIEW_CHANGE:
        locks = [(s.prepared_view, s.digest) for s in (first, second)]
        is_double = first.view == second.view and locks[0] != locks[1]
        return Offence.DOUBLE_VOTE if is_double else None
    if first.kind != COMMIT or first.view >= second.view:
        return None
    return Offence.AMNESIA if _forgets(second, first) else None


def _forgets(change: Statement, commit: Statement) -> bool:
    """Whether a view change above a COMMIT states less than what the COMMIT was locked on."""
    if change.prepared_view is None or change.prepared_view < commit.view:
        return True
    return change.prepared_view == commit.view and change.digest != commit.digest


def accused_of(evidence: Evidence, validators: ValidatorSet) -> tuple[Validator, Offence]:
    """Return whom an evidence accuses, and of what, its signatures not looked at.

    Raises:
        ProofInvalid: as `verify_evidence`, but for `bad_signature`.
    """
    offence = contradiction(evidence.first, evidence.second)
    if offence is None:
        raise ProofInvalid(
            f"evidence of height {evidence.height}: its two statements do not contradict each other",
            code="no_contradiction",
        )
    if not 0 <= evidence.signer < validators.size:
        raise ProofInvalid(
            f"evidence of height {evidence.height}: signer {evidence.signer} is not among "
            f"{validators.size} validators",
            code="unknown_signer",
        )
    return validators.members[evidence.signer], offence


def verify_evidence(
    evidence: Evidence, domain: Domain, validators: ValidatorSet
) -> tuple[Validator, Offence]:
    """Return who is proven guilty, and of what.

    Args:
        evidence: As decoded.
        domain: The chain's: statements for another chain prove nothing here.
        validators: The set that governs the evidence's height.

    Raises:
        ProofInvalid: with code `no_contradiction` if a correct validator may sign both, `unknown_signer` if there is no
            such validator, `bad_signature` if it did not sign them.
    """
    accused, offence = accused_of(evidence, validators)
    for statement in (evidence.first, evidence.second):
        message = statement.message(domain)
        if not domain.suite.is_signature(accused.consensus_key, message, statement.signature):
            raise ProofInvalid(
                f"evidence of height {evidence.height}: a signature of {accused.name} does not hold",
                code="bad_signature",
            )
    return accused, offence
