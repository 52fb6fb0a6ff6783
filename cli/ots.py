"""`chainnode ots`: OpenTimestamps proofs that this chain's calendars completed, checked offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import CannotTell, ChainError, DecodeError, ProofInvalid
from chainnode.model.notarization import Notarization, parse_notarization, verify_notarization
from chainnode.model.ots import (
    BITCOIN_TAG,
    CHAIN_TAG,
    MAX_FILE_BYTES,
    PENDING_TAG,
    TimestampFile,
    decode_pending,
    decode_timestamp_file,
)
from chainnode.model.tlog_proof import parse_proof
from cli.command import pass_session, policy_option
from cli.exit_status import ExitStatus
from cli.hashing import digests_of_file
from cli.output import print_fields, print_json, time_text
from cli.proofs import interpret_input, read_policy
from cli.verify import certified_text

if TYPE_CHECKING:
    from chainnode.model.ots import Attestation
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Verdict
    from cli.session import Session

ALGORITHM = "sha256"
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """An attestation of this chain that holds."""

    message: bytes
    """What the document's digest leads to: the digest in the record."""

    notarization: Notarization
    verdict: Verdict
    failed: tuple[ChainError, ...]
    """Of other attestations of this chain that came before it and do not hold."""


@click.group()
def ots() -> None:
    """OpenTimestamps proofs: `ots verify FILE FILE.ots --policy POLICY`."""


@ots.command()
@click.argument("file", type=_PATH)
@click.argument("proof", type=_PATH, metavar="FILE.ots")
@policy_option
@pass_session
def verify(session: Session, *, file: Path, proof: Path, policy: Path) -> int:
    """Check offline that FILE.ots leads from FILE to a record of the chain of POLICY.

    Attestations of others, Bitcoin's for example, are counted and not judged: that is what `ots verify` is for.
    """
    trusted = read_policy(policy)
    stamped = interpret_input(
        proof,
        decode_timestamp_file,
        max_bytes=MAX_FILE_BYTES,
        instead="name the FILE.ots that `ots stamp` wrote",
    )
    (digest,) = digests_of_file(file, [ALGORITHM])
    attested = check_timestamp(stamped, digest.value, trusted)
    record, checkpoint = attested.notarization.record, attested.verdict.checkpoint
    others = _others(stamped)
    failed = [f"another attestation of this chain: {e.message}" for e in attested.failed]
    if session.json:
        print_json(
            {
                "holds": True,
                "sha256": digest.value.hex(),
                "message": attested.message.hex(),
                "index": attested.verdict.index,
                "height": record.height,
                "time_ms": record.time_ms,
                "not_before_ms": record.not_before_ms,
                "not_after_ms": record.not_after_ms,
                "account": record.account,
                "checkpoint": {
                    "origin": checkpoint.origin,
                    "size": checkpoint.size,
                    "root": checkpoint.root.hex(),
                },
                "cosigners": [
                    {"name": c.name, "suite": c.suite, "time_s": c.time_s}
                    for c in attested.verdict.cosigners
                ],
                "not_judged": list(others),
                "not_holding": [error.message for error in attested.failed],
            }
        )
        return ExitStatus.DONE
    print_fields(
        [
            ("result", "the timestamp holds"),
            (ALGORITHM, digest.value.hex()),
            ("message", attested.message.hex()),
            ("record", f"notarized by {record.account}"),
            ("block", record.height),
            ("time", time_text(record.time_ms)),
            ("certified", certified_text(record.not_before_ms, record.not_after_ms)),
            ("log", f"{checkpoint.origin} index {attested.verdict.index}"),
            ("checkpoint", f"size {checkpoint.size} root {checkpoint.root.hex()}"),
            ("cosigned by", "\n".join(c.label for c in attested.verdict.cosigners)),
            *([("not judged", "\n".join(map(_explained, others)))] if others else []),
            *([("not holding", "\n".join(failed))] if failed else []),
        ]
    )
    return ExitStatus.DONE


def check_timestamp(stamped: TimestampFile, digest: bytes, policy: Policy) -> Attested:
    """Check that a timestamp leads from the SHA-256 of a document to a record of the policy's chain.

    Several attestations of chains may be there; the first that holds counts, whatever the others are.

    Raises:
        ProofInvalid: `other_document`, or as `verify_notarization` of the last attestation of ours that can be read.
        CannotTell: `pending` or `not_attested`: there is no attestation of ours; or as `verify_notarization`.
        DecodeError: no attestation of ours can be read.
    """
    if stamped.digest != digest:
        raise ProofInvalid(
            f"the file's {ALGORITHM} is {digest.hex()}; the timestamp is about {stamped.digest.hex()}: another "
            "document, or an altered one",
            code="other_document",
        )
    malformed: list[ChainError] = []
    failed: list[ChainError] = []
    for attestation in stamped.attestations:
        if attestation.tag == CHAIN_TAG and attestation.message is not None:
            try:
                notarization, verdict = _check_attestation(
                    attestation.message, attestation.payload, policy
                )
            except DecodeError as error:
                malformed.append(error)
            except (ProofInvalid, CannotTell) as error:
                failed.append(error)
            else:
                return Attested(
                    message=attestation.message,
                    notarization=notarization,
                    verdict=verdict,
                    failed=(*malformed, *failed),
                )
    if failed or malformed:
        raise (*malformed, *failed)[-1]
    pending = [_calendar(a.payload) for a in stamped.attestations if a.tag == PENDING_TAG]
    if pending:
        calendar = next((uri for uri in pending if uri is not None), None)
        raise CannotTell(
            "the timestamp is pending: the arithmetic holds, and the record is not in it yet; "
            + (
                "the address of its calendar is not one that clients take: stamp the document again"
                if calendar is None
                else f"`ots -l {calendar} upgrade FILE.ots` fetches it; `Failed! Timestamp not complete` and "
                "status 1 at its end mean only that no Bitcoin block is in it"
            ),
            code="pending",
        )
    raise CannotTell(
        "the timestamp has no attestation of this chain; `ots verify` judges those of others",
        code="not_attested",
    )


def _calendar(payload: bytes) -> str | None:
    """Return the address in a pending attestation, which anybody may have written; None if it is not one."""
    try:
        return decode_pending(payload)
    except DecodeError:
        return None


def _check_attestation(
    message: bytes, payload: bytes, policy: Policy
) -> tuple[Notarization, Verdict]:
    proof = parse_proof(payload)
    notarization = parse_notarization(proof.extra)
    # The record must be about the message and by its SHA-256 alone: no other digest of it is known here.
    found = {d.algorithm: b"" for d in notarization.opening.digests} | {ALGORITHM: message}
    return notarization, verify_notarization(proof, policy, notarization, found)


def _others(stamped: TimestampFile) -> tuple[str, ...]:
    return tuple(_name(a) for a in stamped.attestations if a.tag != CHAIN_TAG)


_PENDING: Final = "pending at "


def _explained(other: str) -> str:
    is_pending = other.startswith(_PENDING)
    return f"{other} (a promise stays in the file when it is kept)" if is_pending else other


def _name(attestation: Attestation) -> str:
    if attestation.tag == PENDING_TAG:
        calendar = _calendar(attestation.payload)
        return f"{_PENDING}{'an address that is none' if calendar is None else calendar}"
    if attestation.tag == BITCOIN_TAG:
        return "a Bitcoin block"
    return f"attestation {attestation.tag.hex()}"
