"""This node as a witness of other logs (C2SP tlog-witness): it cosigns what continues all that it has cosigned of them.

Which logs, and whose signatures their checkpoints need, is said by policies (C2SP tlog-policy), one file for each log or
group of logs. Of another chain that is the chain's own policy: a log key is any one validator's, and a witness that took
the word of one could be made to cosign a tree that the others never saw, and refuse the genuine log from then on.

Check and record are one step: they run on the event loop without a pause between them, and the record is on the disk
before the cosignature leaves. After a crash the record is at or above everything that was ever cosigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import PUBLIC, replace_file, write_new_file
from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.cosignature import cosign, verify_cosignature
from chainnode.model.errors import (
    CannotTell,
    ChainError,
    DecodeError,
    NotFound,
    ProofInvalid,
    Refused,
    StorageFault,
    Unavailable,
)
from chainnode.model.keys import KeyPurpose
from chainnode.model.merkle import verify_consistency
from chainnode.model.note import (
    MAX_NOTE_BYTES,
    MAX_NOTE_SIGNATURES,
    Note,
    cosigner_key,
    parse_note,
)
from chainnode.model.signatories import verify_checkpoint
from chainnode.model.tlog_witness import SizeConflict, origin_hash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chainnode.clock import Clock
    from chainnode.keystore.signer import Signer
    from chainnode.logs import Log
    from chainnode.model.note import Signature, VerifierKey
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_witness import Submission

MIN_GROWTH_MS: Final = 200
"""Time between two new trees of one log: each costs two syncs of the disk, on the loop that consensus runs on. Sooner ones
are asked to come back."""

NOT_RECORDED_RETRY_MS: Final = 10_000
"""What is asked of a log while the disk refuses."""

MAX_WITNESSED_LOGS: Final = 100
"""Origins that one node witnesses."""

_MS_PER_S: Final = 1_000


@dataclass(slots=True)
class _Witnessed:
    """One log."""

    policy: Policy
    note: Note | None = None
    """The newest checkpoint, with this witness's cosignature last; None before the first."""

    checkpoint: Checkpoint | None = None
    grown_ms: int = -MIN_GROWTH_MS
    """Monotonic clock, when it grew last."""

    @property
    def size(self) -> int:
        return 0 if self.checkpoint is None else self.checkpoint.size


class WitnessService:
    """Cosigns the checkpoints of other logs, and remembers the newest of each."""

    def __init__(
        self,
        *,
        name: str,
        signer: Signer,
        policies: Sequence[Policy],
        directory: Path,
        clock: Clock,
        log: Log,
    ) -> None:
        """Take up where an earlier run stopped.

        Args:
            name: of the cosignatures' key; a URL without scheme.
            signer: a key of purpose `witness`, which signs nothing else.
            policies: what is witnessed, and whose signatures it needs.
            directory: where the newest checkpoint of each log is kept; of this key alone.
            clock: the node's.
            log: hears of new trees and of refusals that somebody should look at.

        Raises:
            Refused: the key has another purpose, or a suite that its logs do not have; a log is in two policies.
            StorageFault: what an earlier run kept is damaged.
        """
        if signer.purpose is not KeyPurpose.WITNESS:
            raise Refused(
                f"the key {signer.name!r} is of purpose {signer.purpose}; expected "
                f"{KeyPurpose.WITNESS}: make one with `chainnode keys new NAME --purpose witness`",
                code="wrong_purpose",
                field="witness.key",
            )
        self._signer = signer
        self._key = cosigner_key(signer.suite, name, signer.public_key)
        self._directory = directory
        self._clock = clock
        self._log = log
        self._logs = _by_origin(policies, signer.suite)
        for origin, witnessed in self._logs.items():
            self._restore(origin, witnessed)

    @property
    def key(self) -> VerifierKey:
        """The key that others check the cosignatures with."""
        return self._key

    def newest(self, place: str) -> Note:
        """Return the newest cosigned checkpoint of a log, by the SHA-256 of its origin in hex.

        Raises:
            NotFound: with code `unknown_log` or `nothing_cosigned`.
        """
        for origin, witnessed in self._logs.items():
            if origin_hash(origin) == place:
                if witnessed.note is None:
                    raise NotFound(f"no checkpoint of {origin} yet", code="nothing_cosigned")
                return witnessed.note
        raise NotFound("no log of that origin is witnessed here", code="unknown_log")

    def add_checkpoint(self, submission: Submission) -> Signature:
        """Return this witness's cosignature of a checkpoint; that it was cosigned is durable by then.

        Raises:
            NotFound: with code `unknown_log`.
            Refused: with code `not_trusted`: the log's policy is not met.
            DecodeError: with code `bad_submission`: its old size is above its size.
            SizeConflict: it does not start from the tree that was cosigned last, or is another tree of that size.
            ProofInvalid: with code `inconsistent`.
            Unavailable: with code `too_fast`, or `not_recorded` if the disk refused; nothing was signed.
        """
        checkpoint = submission.checkpoint
        witnessed = self._logs.get(checkpoint.origin)
        if witnessed is None:
            raise NotFound(f"the log {checkpoint.origin} is not witnessed here", code="unknown_log")
        self._check_signatures(submission.note, witnessed.policy)
        self._check_continues(submission, witnessed)
        now_ms = self._clock.now_ms()
        own = cosign(submission.note.text, now_ms // _MS_PER_S, self._key, self._signer.sign)
        note = Note(
            text=submission.note.text,
            signatures=(*_known(submission.note, witnessed.policy)[: MAX_NOTE_SIGNATURES - 1], own),
        )
        if checkpoint != witnessed.checkpoint:
            self._check_pace(witnessed)
            self._record(checkpoint.origin, note)
            self._log.event("log_witnessed", origin=checkpoint.origin, size=checkpoint.size)
        witnessed.note, witnessed.checkpoint = note, checkpoint
        return own

    # -- checks --------------------------------------------------------------------------------------------

    @staticmethod
    def _check_signatures(note: Note, policy: Policy) -> None:
        try:
            verify_checkpoint(note, policy)
        except (ProofInvalid, CannotTell) as error:
            raise Refused(error.message, code="not_trusted") from error

    def _check_continues(self, submission: Submission, witnessed: _Witnessed) -> None:
        old, new = submission.old_size, submission.checkpoint
        if old > new.size:
            raise DecodeError(
                f"old size {old} is above the checkpoint's {new.size}",
                field="old",
                code="bad_submission",
            )
        if old != witnessed.size:
            raise SizeConflict(
                f"found old size {old}; the tree of {new.origin} that was cosigned last has "
                f"{witnessed.size} records",
                size=witnessed.size,
            )
        suite = self._key.type.suite
        known = witnessed.checkpoint
        if known is not None and known.size == new.size and known.root != new.root:
            self._keep_conflict(new.origin, submission.note)
            raise SizeConflict(
                f"{new.origin} has shown another tree of {new.size} records before", size=known.size
            )
        if new.size == 0 and new.root != suite.hash(b""):
            raise ProofInvalid("the root is not that of an empty tree", code="inconsistent")
        old_root = suite.hash(b"") if known is None else known.root
        try:
            verify_consistency(suite, old, old_root, new.size, new.root, submission.proof)
        except ProofInvalid:
            self._log.warning("log_not_consistent", origin=new.origin, old=old, size=new.size)
            raise

    def _check_pace(self, witnessed: _Witnessed) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - witnessed.grown_ms < MIN_GROWTH_MS:
            raise Unavailable(
                f"a new tree of this log is taken every {MIN_GROWTH_MS} ms",
                code="too_fast",
                retry_after_ms=MIN_GROWTH_MS,
            )
        witnessed.grown_ms = now_ms

    # -- records -------------------------------------------------------------------------------------------

    def _path(self, origin: str) -> Path:
        return self._directory / f"{origin_hash(origin)}.checkpoint"

    def _record(self, origin: str, note: Note) -> None:
        try:
            replace_file(self._path(origin), note.encode(), mode=PUBLIC)
        except ChainError as error:
            # The disk may have the new record, this process goes on with the old one. As the new tree was not signed for
            # anybody, whatever continues the old one may be signed yet.
            self._log.warning("log_not_recorded", origin=origin, why=error.message)
            raise Unavailable(
                "the witness cannot record what it would sign; try again later",
                code="not_recorded",
                retry_after_ms=NOT_RECORDED_RETRY_MS,
            ) from error
        # From here on the signature may leave: a restart finds this tree.

    def _keep_conflict(self, origin: str, note: Note) -> None:
        """Write down, once, a second tree of one size: with the record it proves that the log lied."""
        path = self._path(origin).with_suffix(".conflict")
        self._log.warning("log_forked", origin=origin, evidence=str(path))
        try:
            write_new_file(path, note.encode(), mode=PUBLIC)
        except ChainError as error:
            if error.error_code != "exists":
                self._log.warning("conflict_not_kept", why=error.message)

    def _restore(self, origin: str, witnessed: _Witnessed) -> None:
        path = self._path(origin)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageFault(f"{path} cannot be read: {error.strerror}") from error
        try:
            note = parse_note(data)
            checkpoint = parse_checkpoint(note.text)
            self._check_own(note)
        except (DecodeError, ProofInvalid) as error:
            raise self._damaged(path, error.message) from error
        if checkpoint.origin != origin:
            raise self._damaged(path, f"it is of {checkpoint.origin}")
        witnessed.note, witnessed.checkpoint = note, checkpoint

    def _check_own(self, note: Note) -> None:
        """Check that this key has cosigned the note, under whatever name it had then."""
        last = note.signatures[-1]
        key = cosigner_key(self._signer.suite, last.name, self._signer.public_key)
        if key.key_id != last.key_id:
            raise ProofInvalid("its last signature is not by this witness's key")
        verify_cosignature(key, note.text, last)

    @staticmethod
    def _damaged(path: Path, why: str) -> StorageFault:
        return StorageFault(
            f"{path} is damaged: {why}; a witness must not sign on a guess: restore the file as it was last, "
            "or give up this key and make another one"
        )


def _known(note: Note, policy: Policy) -> tuple[Signature, ...]:
    """Return the signatures by keys of the policy; whoever submits could put anything beside them."""
    keys = {(log.key.name, log.key.key_id) for log in policy.logs}
    keys |= {(witness.key.name, witness.key.key_id) for witness in policy.witnesses}
    return tuple(s for s in note.signatures if (s.name, s.key_id) in keys)


def _by_origin(policies: Sequence[Policy], suite: Suite) -> dict[str, _Witnessed]:
    found: dict[str, _Witnessed] = {}
    for policy in policies:
        for origin in sorted(policy.origins()):
            if origin in found:
                raise Refused(
                    f"the log {origin} stands in two of the witness's policies; leave one",
                    code="two_policies",
                    field="witness.logs",
                )
            found[origin] = _Witnessed(policy=policy)
        if any(log.key.type.suite is not suite for log in policy.logs):
            raise Refused(
                f"a log of the witness's policies is not of the suite {suite.name}, which its key "
                "has; make a key with --suite for it",
                code="wrong_suite",
                field="witness.key",
            )
    if len(found) > MAX_WITNESSED_LOGS:
        raise Refused(
            f"{len(found)} logs to witness; at most {MAX_WITNESSED_LOGS} are",
            code="too_many",
            field="witness.logs",
        )
    return found
