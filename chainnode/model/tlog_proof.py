"""Proofs that a record is in the log, for anybody to check offline (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    extra <base64>                  optional; opaque here, and proves nothing by itself
    index <of the leaf, decimal>
    <base64 of a hash>              the inclusion proof, the leaf's sibling first
    <empty line>
    <checkpoint, verbatim>

What `verify` finds, in this order:

    malformed               DecodeError
    other_chain             the policy knows no log of the checkpoint's origin
    bad_signature           a key that the policy knows did not make the signature that bears its name and id
    bad_inclusion           the record is not at that index under that checkpoint
    no_log_signature        no log of the policy has signed
    too_few_cosignatures    the policy's quorum is not met
    policy_retired          the same lack, but signatures by keys unknown to the policy, in the log's own names, would
                            make it up if they were genuine: that is how a proof looks when validators or their keys
                            have changed between it and the policy. CannotTell, because unknown keys prove nothing.

A known signature that fails condemns the whole note, however many others hold (signed-note: "clients SHOULD").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosignature_time_s, verify_cosignature
from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid
from chainnode.model.merkle import MAX_PROOF_HASHES, MAX_TREE_SIZE, leaf_hash, verify_inclusion
from chainnode.model.note import (
    MAX_NOTE_BYTES,
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_decimal,
    parse_note,
    verify_note_signature,
)
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.note import Signature
    from chainnode.model.tlog_policy import Policy

HEADER: Final = "c2sp.org/tlog-proof@v1"

MAX_EXTRA_BYTES: Final = 49_000
"""A longest record (32,768 bytes) with its opening. In base64 it stays under the 64 KiB that readers of lines,
github.com/transparency-dev/formats among them, take."""

MAX_PROOF_BYTES: Final = 2 * MAX_EXTRA_BYTES + MAX_NOTE_BYTES
"""The whole file: extra in base64, 63 hashes and a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A parsed `.tlog-proof`; nothing of it is verified."""

    extra: bytes | None
    """0 to 49,000 bytes that the application understands, or None if the line is absent."""

    index: int
    """Of the leaf, from 0."""

    hashes: tuple[bytes, ...]
    """At most 63 hashes of 32 bytes, the leaf's sibling first."""

    note: Note
    """The signed checkpoint."""

    checkpoint: Checkpoint
    """What the note's text says."""

    def encode(self) -> bytes:
        """Return the proof's bytes."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(h) for h in self.hashes)
        return "\n".join((*lines, "", "")).encode() + self.note.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """A witness of the policy that cosigned the checkpoint."""

    name: str
    """Its key name, `<chain id>/<validator>`."""

    time_s: int
    """When it says it did, POSIX seconds; its own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a valid proof shows."""

    checkpoint: Checkpoint
    index: int
    """Of the record in the log."""

    log_key: VerifierKey
    """The log key that signed; the first if several did."""

    cosigners: tuple[Cosigner, ...]
    """Every witness of the policy that cosigned, in the order of the note."""


def parse_proof(data: bytes) -> Proof:
    """Read a proof; verifies nothing.

    Raises:
        DecodeError: not the one encoding of a proof, or over a limit.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise _bad_proof(f"{len(data)} bytes; at most {MAX_PROOF_BYTES} are read")
    head, separator, note_bytes = data.partition(b"\n\n")
    if not separator or not head.isascii():
        raise _bad_proof("no ASCII lines followed by an empty line and a checkpoint")
    lines = head.decode("ascii").split("\n")
    if lines.pop(0) != HEADER:
        raise _bad_proof(f"the first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "extra")
        if len(extra) > MAX_EXTRA_BYTES:
            raise _bad_proof(f"extra has {len(extra)} bytes; at most {MAX_EXTRA_BYTES} are read")
    if not lines or not lines[0].startswith("index "):
        raise _bad_proof("no index line where one is expected")
    index = parse_decimal(lines.pop(0).removeprefix("index "), "index", MAX_TREE_SIZE - 1)
    if len(lines) > MAX_PROOF_HASHES:
        raise _bad_proof(f"{len(lines)} hashes; at most {MAX_PROOF_HASHES} are possible")
    hashes = tuple(decode_base64(line, "inclusion proof") for line in lines)
    if any(len(h) != HASH_BYTES for h in hashes):
        raise _bad_proof(f"a hash of the inclusion proof is not {HASH_BYTES} bytes long")
    note = parse_note(note_bytes)
    checkpoint = parse_checkpoint(note.text)
    return Proof(extra=extra, index=index, hashes=hashes, note=note, checkpoint=checkpoint)


def verify(proof: Proof, leaf: bytes, policy: Policy) -> Verdict:
    """Check that `leaf` is in a log, under a checkpoint that the policy trusts; return what was seen.

    Args:
        proof: as parsed.
        leaf: the record's bytes. That they are about some document is for the caller to check.
        policy: the trust anchor.

    Raises:
        ProofInvalid: it does not hold; codes as in the module's table.
        CannotTell: with code `policy_retired`.
        DecodeError: a known key's cosignature holds no time.
    """
    return Verifier(policy).verify(proof, leaf)


class Verifier:
    """Verifies many proofs under one policy; of proofs that share a checkpoint, its signatures once."""

    __slots__ = ("_last", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._last: tuple[Note, _Seen] | None = None

    def verify(self, proof: Proof, leaf: bytes) -> Verdict:
        """Do what `verify` does, and raise as it does."""
        checkpoint, policy = proof.checkpoint, self.policy
        if checkpoint.origin not in policy.origins():
            known = ", ".join(sorted(policy.origins())) or "none"
            raise ProofInvalid(
                f"the proof is from the log {checkpoint.origin}; the policy is for {known}",
                code="other_chain",
            )
        seen = self._signatures(proof.note, checkpoint.origin)
        suite = next(log.key.type.suite for log in policy.logs)
        verify_inclusion(
            suite,
            leaf_hash(suite, leaf),
            proof.index,
            checkpoint.size,
            proof.hashes,
            checkpoint.root,
        )
        missing = policy.missing(seen.witnesses)
        if seen.log_key is None or missing:
            raise _lack(seen, missing, suite.signature_bytes, checkpoint.origin)
        return Verdict(
            checkpoint=checkpoint,
            index=proof.index,
            log_key=seen.log_key,
            cosigners=seen.cosigners,
        )

    def _signatures(self, note: Note, origin: str) -> _Seen:
        # Documents that were notarized together lie under one checkpoint, so the last one is enough. It is read and
        # written as one value, so that threads may share this.
        last = self._last
        if last is None or note != last[0]:
            last = self._last = (note, _verify_signatures(note, origin, self.policy))
        return last[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The signature lines of a note, sorted by what a policy knows of their keys."""

    log_key: VerifierKey | None
    witnesses: frozenset[str]
    """Policy names of those that cosigned."""

    cosigners: tuple[Cosigner, ...]
    unknown: tuple[Signature, ...]


def _verify_signatures(note: Note, origin: str, policy: Policy) -> _Seen:
    logs = {(k.name, k.key_id): k for k in (log.key for log in policy.logs) if k.name == origin}
    witnesses = {(w.key.name, w.key.key_id): w for w in policy.witnesses}
    log_keys: list[VerifierKey] = []
    names: list[str] = []
    cosigners: list[Cosigner] = []
    unknown: list[Signature] = []
    for signature in note.signatures:
        found = (signature.name, signature.key_id)
        if (key := logs.get(found)) is not None:
            verify_note_signature(key, note.text, signature)
            log_keys.append(key)
        elif (witness := witnesses.get(found)) is not None:
            verify_cosignature(witness.key, note.text, signature)
            names.append(witness.name)
            time_s = cosignature_time_s(signature)
            cosigners.append(Cosigner(name=signature.name, time_s=time_s))
        else:
            unknown.append(signature)
    return _Seen(
        log_key=log_keys[0] if log_keys else None,
        witnesses=frozenset(names),
        cosigners=tuple(cosigners),
        unknown=tuple(unknown),
    )


def _lack(
    seen: _Seen, missing: int, signature_bytes: int, origin: str
) -> ProofInvalid | CannotTell:
    """Say what is missing, and whether unknown keys of the same log could have supplied it.

    Each name counts once: keys rotate, but a validator has one cosignature under a checkpoint.
    """
    log_lines = [s for s in seen.unknown if s.name == origin and len(s.value) == signature_bytes]
    others = {
        s.name
        for s in seen.unknown
        if s.name.startswith(f"{origin}/") and len(s.value) == TIME_BYTES + signature_bytes
    } - {cosigner.name for cosigner in seen.cosigners}
    if (seen.log_key is not None or log_lines) and missing <= len(others):
        return CannotTell(
            f"{len(others)} cosignatures and {len(log_lines)} log signatures are by keys of "
            f"{origin} that the policy does not know: its validators have changed since the one or "
            "the other; refresh the proof, or take the policy of the proof's time",
            code="policy_retired",
        )
    if missing:
        found = len(seen.cosigners)
        return ProofInvalid(
            f"found {found} cosignatures by witnesses of the policy; its quorum needs {missing} more",
            code="too_few_cosignatures",
        )
    return ProofInvalid("no log of the policy has signed the checkpoint", code="no_log_signature")


def _bad_proof(found: str) -> DecodeError:
    return DecodeError(f"proof: {found}", field="proof", code="bad_proof")
