"""Who has signed a checkpoint, of those whom a policy trusts, and whether that is enough.

What is found, in this order:

    other_chain             the policy knows no log of the checkpoint's origin
    bad_signature           a key that the policy knows did not make the signature that bears its name and id
    no_log_signature        no log of the policy has signed
    too_few_cosignatures    the policy's quorum is not met
    policy_retired          the same lack, but signatures by keys unknown to the policy, in the log's own names, would
                            make it up if they were genuine: that is how a checkpoint looks when validators or their
                            keys have changed between it and the policy. CannotTell, because unknown keys prove nothing.

A known signature that fails condemns the whole note, however many others hold (signed-note: "clients SHOULD").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosignature_time_s, verify_cosignature
from chainnode.model.errors import CannotTell, ProofInvalid
from chainnode.model.note import VerifierKey, verify_note_signature
from chainnode.model.suites import ML_DSA_44

if TYPE_CHECKING:
    from chainnode.model.note import Note, Signature
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """A witness of the policy that cosigned the checkpoint."""

    witness: str
    """Its name in the policy."""

    name: str
    """Its key name; a validator's is `<chain id>/<validator>`."""

    time_s: int
    """When it says it did, POSIX seconds; its own clock."""

    suite: str
    """Of its key: the chain's, or `ml-dsa-44` of those who cosign a second time."""

    @property
    def label(self) -> str:
        """What people read: the key name, and of a second cosignature its kind."""
        return f"{self.name} ({ML_DSA_44})" if self.suite == ML_DSA_44 else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatories:
    """The signature lines of a checkpoint, sorted by what a policy knows of their keys; those known have verified."""

    origin: str
    suite: Suite
    log_key: VerifierKey | None
    """The log key that signed; the first if several did."""

    cosigners: tuple[Cosigner, ...]
    """Every witness of the policy that cosigned, in the order of the note."""

    unknown: tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCheckpoint:
    """A checkpoint that a policy trusts."""

    checkpoint: Checkpoint
    note: Note
    cosigners: tuple[Cosigner, ...]
    """Every witness of the policy that cosigned, in the order of the note."""

    quorum_s: int
    """POSIX seconds: the latest time at or after which a quorum says that it cosigned. Fewer than a quorum cannot make
    it later by naming times to come. 0 if the policy's quorum is `none`."""


def verify_checkpoint(note: Note, policy: Policy) -> TrustedCheckpoint:
    """Return the checkpoint in a note, if the policy trusts it.

    Raises:
        ProofInvalid: it does not; codes as in the module's table.
        CannotTell: with code `policy_retired`.
        DecodeError: the text is no checkpoint, or a known key's cosignature holds no time.
    """
    checkpoint = parse_checkpoint(note.text)
    check_origin(checkpoint, policy)
    seen = find_signatories(note, checkpoint, policy)
    check_quorum(seen, policy)
    return TrustedCheckpoint(
        checkpoint=checkpoint,
        note=note,
        cosigners=seen.cosigners,
        quorum_s=_quorum_s(seen.cosigners, policy),
    )


def check_origin(checkpoint: Checkpoint, policy: Policy) -> None:
    """Check that the policy is about the checkpoint's log.

    Raises:
        ProofInvalid: with code `other_chain`.
    """
    if checkpoint.origin not in policy.origins():
        known = ", ".join(sorted(policy.origins())) or "none"
        raise ProofInvalid(
            f"the checkpoint is of the log {checkpoint.origin}; the policy is for {known}",
            code="other_chain",
        )


def find_signatories(note: Note, checkpoint: Checkpoint, policy: Policy) -> Signatories:
    """Verify every signature by a key that the policy knows; whether they are enough is not looked at.

    Args:
        note: the signed checkpoint.
        checkpoint: what the note's text says; of an origin that the policy knows.
        policy: whose keys count.

    Raises:
        ProofInvalid: with code `bad_signature`.
        DecodeError: a known key's cosignature holds no time.
    """
    origin = checkpoint.origin
    logs = {(k.name, k.key_id): k for k in (log.key for log in policy.logs) if k.name == origin}
    witnesses = {(w.key.name, w.key.key_id): w for w in policy.witnesses}
    log_keys: list[VerifierKey] = []
    cosigners: list[Cosigner] = []
    unknown: list[Signature] = []
    for signature in note.signatures:
        found = (signature.name, signature.key_id)
        if (key := logs.get(found)) is not None:
            verify_note_signature(key, note.text, signature)
            log_keys.append(key)
        elif (witness := witnesses.get(found)) is not None:
            verify_cosignature(witness.key, note.text, signature)
            time_s = cosignature_time_s(signature)
            cosigners.append(
                Cosigner(
                    witness=witness.name,
                    name=signature.name,
                    time_s=time_s,
                    suite=witness.key.type.suite.name,
                )
            )
        else:
            unknown.append(signature)
    return Signatories(
        origin=origin,
        suite=next(key.type.suite for key in logs.values()),
        log_key=log_keys[0] if log_keys else None,
        cosigners=tuple(cosigners),
        unknown=tuple(unknown),
    )


def check_quorum(seen: Signatories, policy: Policy) -> VerifierKey:
    """Return the log key that signed, if a quorum of the policy has cosigned as well.

    Raises:
        ProofInvalid: with code `too_few_cosignatures` or `no_log_signature`.
        CannotTell: with code `policy_retired`.
    """
    missing = policy.missing({cosigner.witness for cosigner in seen.cosigners})
    if seen.log_key is None or missing:
        raise _lack(seen, policy, missing)
    return seen.log_key


def _quorum_s(cosigners: tuple[Cosigner, ...], policy: Policy) -> int:
    counted: set[str] = set()
    for cosigner in sorted(cosigners, key=lambda c: c.time_s, reverse=True):
        counted.add(cosigner.witness)
        if policy.missing(counted) == 0:
            return cosigner.time_s
    return 0


def _lack(seen: Signatories, policy: Policy, missing: int) -> ProofInvalid | CannotTell:
    """Say what is missing, and whether unknown keys of the same log could have supplied it."""
    origin, signature_bytes = seen.origin, seen.suite.signature_bytes
    log_lines = [s for s in seen.unknown if s.name == origin and len(s.value) == signature_bytes]
    suites = {witness.key.type.suite for witness in policy.witnesses}
    others = {suite: _others(seen, suite) for suite in suites}
    could_be = all(_missing_of(suite, seen, policy) <= len(others[suite]) for suite in suites)
    if (seen.log_key is not None or log_lines) and could_be:
        return CannotTell(
            f"{sum(map(len, others.values()))} cosignatures and {len(log_lines)} log signatures are by keys of "
            f"{origin} that the policy does not know: its validators have changed since the one or "
            "the other; refresh the proof, or take the policy of the proof's time",
            code="policy_retired",
        )
    if missing:
        found = len(seen.cosigners)
        return ProofInvalid(
            f"found {found} cosignatures by witnesses of the policy; its quorum needs {missing} more"
            f"{_whose(seen, policy)}",
            code="too_few_cosignatures",
        )
    return ProofInvalid("no log of the policy has signed the checkpoint", code="no_log_signature")


def _whose(seen: Signatories, policy: Policy) -> str:
    """Return whose cosignatures are missing, by kind, and what fetches those that come later than the validators' own."""
    kinds: dict[str, set[str]] = {}
    for witness in policy.witnesses:
        kinds.setdefault(_kind(witness.key, seen.origin), set()).add(witness.name)
    lacking = {kind: _missing_among(names, seen, policy) for kind, names in kinds.items()}
    said = [f"{count} {kind}" for kind, count in lacking.items() if count]
    if not said:
        return ""
    remedy = ""
    if lacking.get(_OUTSIDE) or lacking.get(_SECOND):
        option = " --witnessed" if lacking.get(_OUTSIDE) else ""
        remedy = (
            f"; `chainnode refresh PROOF{option}` at a node that has them replaces an older proof"
        )
    return f": {' and '.join(said)}{remedy}"


_VALIDATORS: Final = "by validators"
_SECOND: Final = "by second keys of validators (ML-DSA-44)"
_OUTSIDE: Final = "by outside witnesses"


def _kind(key: VerifierKey, origin: str) -> str:
    """Return whose key a policy's witness has, as people call it."""
    if not key.name.startswith(f"{origin}/"):
        return _OUTSIDE
    return _SECOND if key.type.suite.name == ML_DSA_44 else _VALIDATORS


def _missing_of(suite: Suite, seen: Signatories, policy: Policy) -> int:
    """Return how many further cosignatures of one suite the policy needs, were all of the others there."""
    names = {witness.name for witness in policy.witnesses if witness.key.type.suite is suite}
    return _missing_among(names, seen, policy)


def _missing_among(names: set[str], seen: Signatories, policy: Policy) -> int:
    """Return how many further cosignatures of these witnesses the policy needs, were all of the others there."""
    there = {cosigner.witness for cosigner in seen.cosigners}
    return policy.missing(there | {w.name for w in policy.witnesses if w.name not in names})


def _others(seen: Signatories, suite: Suite) -> set[str]:
    """Return the names in the log's own name space that have cosigned in one kind with unknown keys.

    Each counts once: keys rotate, but a validator has one cosignature of a kind under a checkpoint.
    """
    size, prefix = TIME_BYTES + suite.signature_bytes, f"{seen.origin}/"
    names = {s.name for s in seen.unknown if s.name.startswith(prefix) and len(s.value) == size}
    return names - {c.name for c in seen.cosigners if c.suite == suite.name}
