"""The checks of a report: each is made for itself, so that one that fails hides no other.

What cannot be read at all is raised, and there is no report: a report about a file that is no proof would look like one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chainnode.model.commitment import OTHER_SUITE
from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid
from chainnode.model.merkle import leaf_hash, verify_inclusion
from chainnode.model.notarization import (
    Notarization,
    digest_map,
    parse_notarization,
    verify_commitment,
    verify_digests,
    verify_metadata,
)
from chainnode.model.proven_state import parse_proven_state, verify_proven_state
from chainnode.model.signatories import check_origin, check_quorum, find_signatories
from chainnode.pki.path import check_path
from chainnode.pki.profiles import TIMESTAMP
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.recorded import decode_leaf, verify_recorded
from cli.capture import read_capture
from cli.hashing import digests_of_file
from cli.marks import check_not_withdrawn
from cli.output import time_text
from cli.proofs import read_policy, read_proof
from cli.proven_state import marks_in
from cli.report import repeat
from cli.timestamp import proof_beside, signer_of, token_in
from cli.trust import read_bundle, read_bundle_if_any, read_crls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainnode.model.commitment import Digest
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof


class Result(StrEnum):
    """How a check ended."""

    HOLDS = "holds"
    FAILS = "fails"
    CANNOT_TELL = "cannot-tell"
    NOT_EXAMINED = "not-examined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and what it found; what it is about and by which method is the same in all reports (`cli.report.words`)."""

    name: str
    """A key of `WORDS`."""

    result: Result
    found: str
    """What was seen, or the code and sentence of the error."""

    repeat: str = ""
    """A script for `sh`; empty if there is none."""

    code: str | None = None
    """Stable code of a check that does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The files of a report."""

    file: Path
    proof: Path
    policy: Path
    token: Path | None
    certificate: Path | None
    root: Path | None
    crls: tuple[Path, ...]
    context: Path | None
    marks: Path | None

    def paths(self) -> tuple[tuple[str, Path], ...]:
        """Return those that are there, by what they are."""
        named = [("document", self.file), ("proof", self.proof), ("policy", self.policy)]
        if self.token is not None:
            named.append(("timestamp token", self.token))
            if proof_beside(self.token).exists():
                named.append(("proof of the token's record", proof_beside(self.token)))
        optional = (
            ("certificate", self.certificate),
            ("root certificate", self.root),
            ("capture record", self.context),
            ("marks", self.marks),
        )
        named += [("revocation list", path) for path in self.crls]
        return (*named, *((name, path) for name, path in optional if path is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Everything that a report says."""

    checks: tuple[Check, ...]
    notarization: Notarization
    proof: Proof
    digests: tuple[Digest, ...]
    """Of the document as it was found."""


def examine(inputs: Inputs) -> Examined:
    """Make all checks for which there are files.

    Raises:
        DecodeError: a file cannot be read as what it should be, or the policy names no log.
        CannotTell: `other_suite`: the policy is of a chain of another suite, so no check would mean anything.
    """
    policy, proof = read_policy(inputs.policy), read_proof(inputs.proof)
    if not policy.logs:
        raise DecodeError("policy: it names no log, so it can vouch for nothing", field="policy")
    suite = policy.logs[0].key.type.suite
    notarization = parse_notarization(proof.extra)
    digests = digests_of_file(inputs.file, [d.algorithm for d in notarization.opening.digests])
    commitment = _commitment(suite, notarization)
    if commitment.code == OTHER_SUITE:
        raise CannotTell(commitment.found, code=OTHER_SUITE)
    checks = (
        _digests(inputs.file, notarization, digests),
        commitment,
        _inclusion(suite, notarization, proof),
        _cosignatures(proof, policy),
        *_token(inputs, policy),
        _context(inputs.context, suite, notarization),
        _marks(inputs.marks, policy, suite, notarization),
    )
    return Examined(checks=checks, notarization=notarization, proof=proof, digests=digests)


def _checked(name: str, work: Callable[[], str], script: str = "") -> Check:
    try:
        found = work()
    except (ProofInvalid, CannotTell) as error:
        result = Result.FAILS if isinstance(error, ProofInvalid) else Result.CANNOT_TELL
        return Check(
            name=name, result=result, found=error.message, repeat=script, code=error.error_code
        )
    return Check(name=name, result=Result.HOLDS, found=found, repeat=script)


def _unexamined(name: str, option: str) -> Check:
    return Check(name=name, result=Result.NOT_EXAMINED, found=f"{option} was not given")


def _digests(file: Path, notarization: Notarization, digests: tuple[Digest, ...]) -> Check:
    def work() -> str:
        verify_digests(notarization, digest_map(digests))
        return ", ".join(f"{d.algorithm} {d.value.hex()}" for d in digests)

    return _checked("digests", work, repeat.digests(file, notarization))


def _commitment(suite: Suite, notarization: Notarization) -> Check:
    def work() -> str:
        verify_commitment(suite, notarization)
        return "the record commits to these digests" + (
            ", publicly" if notarization.is_public else ", blinded by a salt"
        )

    return _checked("commitment", work, repeat.commitment(suite, notarization))


def _inclusion(suite: Suite, notarization: Notarization, proof: Proof) -> Check:
    checkpoint = proof.checkpoint

    def work() -> str:
        hashed = leaf_hash(suite, notarization.leaf)
        verify_inclusion(suite, hashed, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        return (
            f"record {proof.index} of {checkpoint.size} of the log {checkpoint.origin}, "
            f"root {checkpoint.root.hex()}"
        )

    return _checked("inclusion", work, repeat.inclusion(suite, notarization.leaf, proof))


def _cosignatures(proof: Proof, policy: Policy) -> Check:
    def work() -> str:
        check_origin(proof.checkpoint, policy)
        seen = find_signatories(proof.note, proof.checkpoint, policy)
        check_quorum(seen, policy)
        return "a quorum of the policy: " + ", ".join(c.label for c in seen.cosigners)

    return _checked("cosignatures", work, repeat.cosignatures(proof, policy))


def _token(inputs: Inputs, policy: Policy) -> tuple[Check, Check]:
    file, path = inputs.file, inputs.token
    if path is None:
        return _unexamined("token", "--tsr"), _unexamined("token-record", "--tsr")
    token = token_in(path)
    certificate = signer_of(token, inputs.certificate)
    (digest,) = digests_of_file(file, [token.imprint.algorithm])

    def signature() -> str:
        check_imprint(token, digest)
        check_token(token, certificate)
        if inputs.root is not None:
            check_path(
                certificate,
                (*token.certificates, *read_bundle_if_any(inputs.certificate)),
                read_bundle(inputs.root),
                at_ms=token.time_ms,
                profile=TIMESTAMP,
                crls=read_crls(inputs.crls),
            )
        seen = (
            "" if inputs.root is not None else "; its certificate's path was not examined: --root"
        )
        accuracy_s = (token.accuracy_ms or 0) / 1_000
        return (
            f"signed by {certificate.subject.text()} at {time_text(token.time_ms)}, give or take "
            f"{accuracy_s:g} s{seen}"
        )

    beside = proof_beside(path)
    brought = None if token.signer is not None else inputs.certificate
    script = repeat.token(file, path, token, certificate, brought=brought, root=inputs.root)
    if not beside.exists():
        record = _unexamined("token-record", f"{beside.name} does not lie beside the token: it")
        return _checked("token", signature, script), record
    found = read_proof(beside)
    leaf = decode_leaf(found.extra)

    def recorded() -> str:
        record = verify_recorded(token, certificate, found, leaf, policy).record
        return (
            f"record {found.index}, entered by {record.account} in block {record.height}: the chain "
            "issued the token"
        )

    return _checked("token", signature, script), _checked("token-record", recorded)


def _context(path: Path | None, suite: Suite, notarization: Notarization) -> Check:
    if path is None:
        seen = "the record has one" if notarization.has_metadata else "the record has none"
        return _unexamined("context", f"--context ({seen})")
    capture = read_capture(path)

    def work() -> str:
        verify_metadata(suite, notarization, capture.hash(suite))
        return "this capture record was registered with the document; what it states nobody checked"

    script = (
        repeat.context(suite, notarization, capture.hash(suite))
        if notarization.has_metadata
        else ""
    )
    return _checked("context", work, script)


def _marks(path: Path | None, policy: Policy, suite: Suite, notarization: Notarization) -> Check:
    if path is None:
        return _unexamined("marks", "--marks")
    state = read_proof(path)
    proven = parse_proven_state(state.extra)
    known = marks_in(state, notarization, suite)

    def work() -> str:
        verify_proven_state(state, policy, proven)
        check_not_withdrawn(known)
        newer = "superseded by a newer version" if known.marks.successor else "not superseded"
        return (
            f"not withdrawn and {newer} as of block {known.height}, {time_text(known.time_ms)}; "
            + ", ".join(f"{name} {status}" for name, status in known.algorithms)
        )

    return _checked("marks", work)
