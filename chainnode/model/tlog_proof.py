"""Proofs that a record is in the log, for anybody to check offline (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    extra <base64>                  optional; opaque here, and proves nothing by itself
    index <of the leaf, decimal>
    <base64 of a hash>              the inclusion proof, the leaf's sibling first
    <empty line>
    <checkpoint, verbatim>

What `verify` finds is what `signatories` does, and between whose signatures are there and whether they are enough:

    bad_inclusion           the record is not at that index under that checkpoint
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.errors import DecodeError
from chainnode.model.merkle import MAX_PROOF_HASHES, MAX_TREE_SIZE, leaf_hash, verify_inclusion
from chainnode.model.note import (
    MAX_NOTE_BYTES,
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_decimal,
    parse_note,
)
from chainnode.model.signatories import Cosigner, check_origin, check_quorum, find_signatories
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.signatories import Signatories
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
        ProofInvalid: it does not hold; codes as above and in `signatories`.
        CannotTell: with code `policy_retired`.
        DecodeError: a known key's cosignature holds no time.
    """
    return Verifier(policy).verify(proof, leaf)


class Verifier:
    """Verifies many proofs under one policy; of proofs that share a checkpoint, its signatures once."""

    __slots__ = ("_last", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._last: tuple[Note, Signatories] | None = None

    def verify(self, proof: Proof, leaf: bytes) -> Verdict:
        """Do what `verify` does, and raise as it does."""
        checkpoint = proof.checkpoint
        check_origin(checkpoint, self.policy)
        seen = self._signatories(proof.note, checkpoint)
        suite = seen.suite
        verify_inclusion(
            suite,
            leaf_hash(suite, leaf),
            proof.index,
            checkpoint.size,
            proof.hashes,
            checkpoint.root,
        )
        log_key = check_quorum(seen, self.policy)
        return Verdict(
            checkpoint=checkpoint,
            index=proof.index,
            log_key=log_key,
            cosigners=seen.cosigners,
        )

    def _signatories(self, note: Note, checkpoint: Checkpoint) -> Signatories:
        # Documents that were notarized together lie under one checkpoint, so the last one is enough. It is read and
        # written as one value, so that threads may share this.
        last = self._last
        if last is None or note != last[0]:
            last = self._last = (note, find_signatories(note, checkpoint, self.policy))
        return last[1]


def _bad_proof(found: str) -> DecodeError:
    return DecodeError(f"proof: {found}", field="proof", code="bad_proof")
