"""The built-in contract `evidence`, version 1: enters into the log what proves a validator's misbehaviour.

    report(evidence)      as `chainnode.model.evidence` encodes it

It is called by reports alone, which act by the evidence that they carry and by nobody's signature. An evidence is
recorded once for each (validator, offence, height), within 5,000 heights of what it is about, and at most eight times
for a validator in each 10,000 heights: what more it signs adds nothing to the proof, and shall not fill the chain.

State, below `evidence/`:

    entry/<validator>/<offence>/<height in decimal>     [1, hash of the evidence, height of the block that recorded it]
    count/<validator>/<height // 10,000 in decimal>     [1, entries of these heights]

Each report leaves one record of kind `evidence` with body = [validator, offence, height, view, evidence]; view is that
of the statement that came to stand first. A refused report is in no block (`chainnode.ledger.checks`), so that refusing
costs the chain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation, ProofInvalid
from chainnode.model.evidence import (
    MAX_EVIDENCE_BYTES,
    Evidence,
    Offence,
    accused_of,
    decode_evidence,
    verify_evidence,
)
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.model.record import EVIDENCE_KIND
from chainnode.model.transaction import NOBODY
from contracts.api import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.validators import ValidatorSet
    from contracts.api import Context, Method
    from contracts.overlay import StateReader

    ReadState = Callable[[bytes], bytes | None]
    """Reads the contract's own state."""

NAME: Final = "evidence"
PREFIX: Final = b"evidence/"
"""Where the contract's state lies in the whole state."""

WINDOW: Final = MAX_VALID_HEIGHTS
"""Heights after an offence within which it can be reported; the same for which a report is valid."""

PERIOD: Final = 10_000
"""Heights in which a validator's entries are counted together: some hours of a busy chain."""

ENTRIES_PER_PERIOD: Final = 8
"""Of one validator. One proves it guilty; some more show that it goes on."""

VERSION: Final = 1
LOOKUP_ALL: Final = b"evidence"
"""Key of the local index under which all records of this kind are found."""

_MAX_RECORD_BYTES: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an evidence that holds says."""

    validator: str
    """Name of the guilty one."""

    offence: Offence
    evidence: Evidence

    def entry_key(self) -> bytes:
        """Return where it is kept, relative to `evidence`."""
        height = int(self.evidence.height)
        return f"entry/{self.validator}/{self.offence}/{height}".encode("ascii")

    def count_key(self) -> bytes:
        """Return where the entries of its period are counted."""
        return f"count/{self.validator}/{self.evidence.height // PERIOD}".encode("ascii")


def report(context: Context, args: tuple[Value, ...]) -> None:
    """Record the evidence `[evidence]`.

    Raises:
        ContractError: `not_a_report`, or as `judge`.
        DecodeError: it is no evidence.
    """
    context.require(
        context.sender == NOBODY,
        "not_a_report",
        "evidence is reported by a transaction without a sender; see docs/formats/evidence.md",
    )
    (value,) = codec.array(args, "args", arity=1)
    data = codec.binary(value, "evidence", most=MAX_EVIDENCE_BYTES)
    block, state = context.block, context.state
    try:
        found = judge(
            decode_evidence(data),
            read=state.get,
            domain=block.domain,
            height=block.height,
            validators_at=block.validators_at,
        )
    except ProofInvalid as error:
        raise ContractError(error.message, code=error.error_code, field="evidence") from error
    digest = block.domain.hash("evidence", data)
    state.put(found.entry_key(), codec.encode((VERSION, digest, block.height)))
    count = _count(state.get(found.count_key()))
    state.put(found.count_key(), codec.encode((VERSION, count + 1)))
    evidence = found.evidence
    context.emit(
        EVIDENCE_KIND,
        (found.validator, found.offence.value, evidence.height, evidence.first.view, data),
        (LOOKUP_ALL, lookup_key(found.validator), report_key(context.tx_id)),
    )


def lookup_key(validator: str) -> bytes:
    """Return the key of the local index under which the evidence against a validator is found."""
    return b"evidence/" + validator.encode("ascii")


def report_key(tx_id: bytes) -> bytes:
    """Return the key of the local index under which what a report recorded is found."""
    return b"evidence-tx/" + tx_id


def judge(
    evidence: Evidence,
    *,
    read: ReadState,
    domain: Domain,
    height: int,
    validators_at: Callable[[int], ValidatorSet],
) -> Finding:
    """Return what an evidence proves, if a block of `height` may record it.

    Asked at admission, and again when its block is executed.

    Args:
        evidence: As decoded.
        read: The state of this contract.
        domain: The chain's.
        height: Of the block.
        validators_at: The set that governs a height, of those up to `height`.

    Raises:
        Refused: `outside_window`, `already_recorded`, `enough_recorded`.
        ProofInvalid: it proves nothing; as `verify_evidence`.
    """
    if not evidence.height <= height <= evidence.height + WINDOW:
        raise ContractError(
            f"evidence of height {evidence.height} can be in blocks {evidence.height} to "
            f"{evidence.height + WINDOW}; this is block {height}",
            code="outside_window",
            field="evidence",
        )
    validators = validators_at(evidence.height)
    validator, offence = accused_of(evidence, validators)
    found = Finding(validator=validator.name, offence=offence, evidence=evidence)
    if read(found.entry_key()) is not None:
        raise ContractError(
            f"{offence} of {validator.name} at height {evidence.height} is recorded already",
            code="already_recorded",
            field="evidence",
        )
    if _count(read(found.count_key())) >= ENTRIES_PER_PERIOD:
        raise ContractError(
            f"{ENTRIES_PER_PERIOD} evidences against {validator.name} are recorded of the {PERIOD} "
            f"heights around {evidence.height}; more are not",
            code="enough_recorded",
            field="evidence",
        )
    # Last, since it costs most.
    verify_evidence(evidence, domain, validators)
    return found


def judge_at_tip(
    evidence: Evidence,
    *,
    state: StateReader,
    domain: Domain,
    height: int,
    validators_at: Callable[[int], ValidatorSet],
) -> Finding:
    """As `judge`, with the whole state to read from."""
    return judge(
        evidence,
        read=lambda key: state.get(PREFIX + key),
        domain=domain,
        height=height,
        validators_at=validators_at,
    )


def parse_finding(body: tuple[Value, ...]) -> Finding:
    """Read the body of a record of this kind. Raises InvariantViolation: the log is of our own making."""
    try:
        validator, offence, height, view, data = codec.array(body, "body", arity=5)
        evidence = decode_evidence(codec.binary(data, "evidence"))
        found = Finding(
            validator=codec.text(validator, "validator", most_bytes=64),
            offence=Offence(codec.text(offence, "offence", most_bytes=32)),
            evidence=evidence,
        )
    except (DecodeError, ValueError) as error:
        raise InvariantViolation(f"a record of evidence cannot be read: {error}") from error
    if (height, view) != (evidence.height, evidence.first.view):
        raise InvariantViolation("a record of evidence says something else than the evidence in it")
    return found


def _count(data: bytes | None) -> int:
    if data is None:
        return 0
    try:
        version, count = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=2, what="count"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return codec.integer(count, "count", least=1)
    except DecodeError as error:
        raise InvariantViolation(f"a record of evidence in the state: {error}") from error


METHODS: Final[Mapping[str, Method]] = MappingProxyType({"report": report})
