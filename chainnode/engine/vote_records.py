"""What the vote log remembers: the core's records with the signatures behind them.

    kind 1  view entered   [view]
    kind 2  proposed       [view, digest, first_view, proposer, signature, [change, ...], proof | nil, justified]
    kind 3  voted          [kind of vote, view, digest, signature]        PREPARE or COMMIT
    kind 4  view change    [change]
    kind 5  locked         [proof]

The sender of kinds 2 to 4 is this validator itself; its index is taken from the height's validator set. The decision
of a height has no record: the block's own synced batch is it. After a crash the log holds every vote whose message
may have left, since each group is synced before it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.message_fields import change_value, parse_change, parse_proof, proof_value
from chainnode.model import codec, votes
from chainnode.model.errors import DecodeError, PeerFault, StorageFault
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import MAX_VIEW
from chainnode.storage.vote_log import VoteRecord
from consensus.effects import Decided, Locked, Proposed, Record, ViewEntered, Voted
from consensus.messages import (
    Commit,
    Digest,
    Height,
    Justification,
    Leaders,
    Prepare,
    Proposal,
    ValidatorIndex,
    View,
    ViewChange,
)

if TYPE_CHECKING:
    from chainnode.engine.book import SignatureBook
    from chainnode.model.codec import Value
    from chainnode.model.validators import ValidatorSet

VIEW_ENTERED: Final = 1
PROPOSED: Final = 2
VOTED: Final = 3
CHANGED: Final = 4
LOCKED: Final = 5

_MAX_RECORD_BYTES: Final = 2 * 1024 * 1024
_MAX_SIGNATURE_BYTES: Final = 128


def encode_records(
    records: tuple[Record, ...], book: SignatureBook, leaders: Leaders
) -> tuple[VoteRecord, ...]:
    """Return the records to append, signing what is our own on the way."""
    encoded: list[VoteRecord] = []
    for record in records:
        match record:
            case ViewEntered():
                encoded.append(_record(VIEW_ENTERED, record.height, (record.view,)))
            case Proposed():
                proposal = record.proposal
                value = _proposal_value(proposal, book, leaders)
                encoded.append(_record(PROPOSED, proposal.height, value))
            case Voted():
                encoded.append(_voted(record.vote, book))
            case Locked():
                proof = proof_value(book.seal_proof(record.certificate, leaders))
                encoded.append(_record(LOCKED, record.certificate.height, (proof,)))
            case Decided():
                continue
    return tuple(encoded)


def decode_records(
    records: tuple[VoteRecord, ...],
    book: SignatureBook,
    validators: ValidatorSet,
    leaders: Leaders,
    me: int,
) -> tuple[Record, ...]:
    """Return the core's records of one height, and enter their signatures into the book.

    Raises:
        StorageFault: a record is not one that this software writes.
    """
    try:
        return tuple(
            _decode(record, book, validators, leaders, ValidatorIndex(me)) for record in records
        )
    except (DecodeError, PeerFault) as error:
        raise StorageFault(
            f"the vote log holds a record that cannot be read ({error}); it is damaged or of a newer "
            "version: restore it, or move it away and let the node observe until it is safe to vote"
        ) from error


def _record(kind: int, height: int, value: Value) -> VoteRecord:
    return VoteRecord(kind=kind, height=height, payload=codec.encode(value))


def _voted(vote: Prepare | Commit | ViewChange, book: SignatureBook) -> VoteRecord:
    signature = book.sign(vote)
    if isinstance(vote, ViewChange):
        return _record(CHANGED, vote.height, (change_value(book.seal_change(vote)),))
    kind = votes.PREPARE if isinstance(vote, Prepare) else votes.COMMIT
    return _record(VOTED, vote.height, (kind, vote.view, vote.digest, signature))


def _proposal_value(proposal: Proposal, book: SignatureBook, leaders: Leaders) -> Value:
    justification = proposal.justification
    changes: tuple[Value, ...] = ()
    proof: Value = None
    if justification is not None:
        changes = tuple(change_value(book.seal_change(c)) for c in justification.view_changes)
        proof = proof_value(book.seal_proof(justification.prepared, leaders))
    return (
        proposal.view,
        proposal.digest,
        proposal.first_view,
        proposal.proposer,
        book.sign(proposal.claim),
        changes,
        proof,
        justification is not None,
    )


def _decode(
    record: VoteRecord,
    book: SignatureBook,
    validators: ValidatorSet,
    leaders: Leaders,
    me: ValidatorIndex,
) -> Record:
    height = Height(record.height)
    value = codec.decode(record.payload, max_bytes=_MAX_RECORD_BYTES)
    if record.kind == VIEW_ENTERED:
        (view,) = codec.array(value, "view entered", arity=1)
        return ViewEntered(height=height, view=_view(view))
    if record.kind == PROPOSED:
        return Proposed(proposal=_decode_proposal(value, height, book, validators, leaders, me))
    if record.kind == VOTED:
        kind, view, digest, signature = codec.array(value, "vote", arity=4)
        made = codec.integer(kind, "kind", least=votes.PREPARE, most=votes.COMMIT)
        vote = (Prepare if made == votes.PREPARE else Commit)(
            height=height, view=_view(view), digest=_digest(digest), sender=me
        )
        book.remember_own(vote, _signature(signature))
        return Voted(vote=vote)
    if record.kind == CHANGED:
        (change,) = codec.array(value, "view change", arity=1)
        signed = parse_change(change)
        if (signed.height, signed.sender) != (height, me):
            raise DecodeError(
                f"view change: of validator {signed.sender} at height {signed.height}"
            )
        # Own words, read back: verified like anybody's, so that a log of another validator's is noticed.
        asked = book.open_change(signed, validators)
        book.remember_own(asked, signed.signature)
        return Voted(vote=asked)
    if record.kind == LOCKED:
        (proof,) = codec.array(value, "locked", arity=1)
        certificate = book.open_proof(parse_proof(proof), height, validators, leaders)
        if certificate is None:
            raise DecodeError("locked: without a certificate")
        return Locked(certificate=certificate)
    raise DecodeError(f"kind: found {record.kind}; known are 1 to {LOCKED}")


def _decode_proposal(
    value: Value,
    height: Height,
    book: SignatureBook,
    validators: ValidatorSet,
    leaders: Leaders,
    me: ValidatorIndex,
) -> Proposal:
    fields = codec.array(value, "proposed", arity=8)
    view, digest, first_view, proposer, signature, changes, proof, is_justified = fields
    justification = None
    if codec.boolean(is_justified, "justified"):
        justification = Justification(
            view_changes=tuple(
                book.open_change(parse_change(c), validators)
                for c in codec.array_up_to(changes, "changes", most=MAX_VALIDATORS)
            ),
            prepared=book.open_proof(parse_proof(proof), height, validators, leaders),
        )
    proposal = Proposal(
        height=height,
        view=_view(view),
        digest=_digest(digest),
        sender=me,
        first_view=_view(first_view),
        proposer=ValidatorIndex(codec.integer(proposer, "proposer", most=MAX_VALIDATORS - 1)),
        justification=justification,
    )
    book.remember_own(proposal.claim, _signature(signature))
    return proposal


def _view(value: Value) -> View:
    return View(codec.integer(value, "view", most=MAX_VIEW))


def _digest(value: Value) -> Digest:
    return Digest(codec.binary(value, "digest", size=HASH_BYTES))


def _signature(value: Value) -> bytes:
    return codec.binary(value, "signature", most=_MAX_SIGNATURE_BYTES)
