"""Whether the chain issued a token: the record on the log that its serial number leads to.

A token's signature shows that somebody had the unit's key. The record shows that the chain took the imprint before the
token was signed, and that the unit's certificate was entered and in force in that block: the contract checks it. So a
token that was made with a stolen key satisfies every outside verifier, and has no record.

    proof extra = canonical bytes of [leaf, [salt, [[algorithm, digest]]]]      as for notarized documents
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.commitment import Opening, parse_opening
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.limits import MAX_RECORD_BYTES
from chainnode.model.record import Record, decode_record
from chainnode.model.timestamp import opening_salt, parse_serial, verify_imprint
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES, verify
from chainnode.tsp.checking import check_token

if TYPE_CHECKING:
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof, Verdict
    from chainnode.pki.certificate import X509Certificate
    from chainnode.tsp.reading import Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A token that the chain issued."""

    record: Record
    verdict: Verdict
    """Where the record is, and who vouches for it."""


def record_extra(leaf: bytes, token: Token) -> bytes:
    """Return what the proof of a token's record carries as `extra`."""
    salt = opening_salt(parse_serial(token.serial_number).blinding)
    return codec.encode((leaf, Opening(salt=salt, digests=(token.imprint,)).as_value()))


def decode_leaf(extra: bytes | None) -> bytes:
    """Return the leaf in the `extra` of a timestamp's proof.

    Raises:
        DecodeError: there is none, or it is of another shape.
    """
    if extra is None:
        raise DecodeError("proof: no `extra` line, so there is no record in it", field="extra")
    leaf, opening = codec.decode_array(extra, max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra")
    parse_opening(opening)
    return codec.binary(leaf, "leaf", most=MAX_RECORD_BYTES)


def verify_recorded(
    token: Token, certificate: X509Certificate, proof: Proof, leaf: bytes, policy: Policy
) -> Recorded:
    """Check that a token holds, and that a chain's validators vouch for the record that it names.

    Args:
        token: as read.
        certificate: that of the unit.
        proof: of the record.
        leaf: the record's bytes.
        policy: the trust anchor; names at least one log.

    Raises:
        DecodeError: the leaf is of another shape, or the policy names no log.
        ProofInvalid: it is proven not to hold: as `check_token`, `verify_imprint`, `chainnode.model.tlog_proof`, or
            `other_authority`, `other_record`, `other_certificate`, `other_time`.
        CannotTell: with code `policy_retired`, or `other_suite`: the policy is of a chain of another suite.
    """
    if not policy.logs:
        raise DecodeError("policy: it names no log, so it can vouch for nothing", field="policy")
    suite = policy.logs[0].key.type.suite
    check_token(token, certificate)
    record = check_record(token, certificate, proof.index, leaf, suite)
    return Recorded(record=record, verdict=verify(proof, leaf, policy))


def check_record(
    token: Token, certificate: X509Certificate, index: int, leaf: bytes, suite: Suite
) -> Record:
    """Check that a leaf says what a token says; whether it is in the log is not looked at. Raises as `verify_recorded`."""
    serial = parse_serial(token.serial_number)
    if index != serial.index:
        raise ProofInvalid(
            f"the proof is of record {index}; the token's serial number names record {serial.index}",
            code="other_record",
        )
    record = decode_record(leaf)
    fingerprint = verify_imprint(suite, record, serial, token.imprint)
    if suite.hash(certificate.encoded) != fingerprint:
        raise ProofInvalid(
            f"record {index} names another certificate than {certificate.subject.text()}: the token "
            "was not issued by the chain",
            code="other_certificate",
        )
    accuracy_ms = token.accuracy_ms or 0
    if record.time_ms != token.time_ms or not (
        token.time_ms - accuracy_ms <= record.not_before_ms
        and record.not_after_ms <= token.time_ms + accuracy_ms
    ):
        raise ProofInvalid(
            f"the token says {token.time_ms} ms, give or take {accuracy_ms}; its record says "
            f"{record.not_before_ms} to {record.not_after_ms}: the token was not issued by the chain",
            code="other_time",
        )
    return record
