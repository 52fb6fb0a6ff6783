"""What validators say to each other, and its strict decoder.

Every message is a canonical array that begins with its kind. Signatures cover the fixed bytes of
`chainnode.model.votes`, never these arrays; nothing here is verified, only decoded.

     1  STATUS         [1, height, view, digest | nil, has_proposal, prepares, commits, view_changes,
                        tip_height, cosigned_height, tip_cosigners]
     2  PROPOSE        [2, height, view, sender, signature, outline, [change, ...], proof | nil]
     3  PREPARE        [3, height, view, sender, digest, signature]
     4  COMMIT         [4, height, view, sender, digest, signature]
     5  VIEW-CHANGE    [5, change, proof | nil]
     6  DECIDED        [6, certificate]
     7  TRANSACTIONS   [7, [envelope, ...]]
     8  FETCH          [8, [tx_hash, ...]]
     9  FETCH-OUTLINE  [9, height, digest]
    10  OUTLINE        [10, outline]
    11  FETCH-BLOCKS   [11, from_height, count]
    12  BLOCKS         [12, [certified block, ...]]
    13  COSIGNATURE    [13, height, sender, timestamp, signature]
    14  CLOCK          [14, sent_ms, echoed_ms, received_ms]

    change = [height, view, sender, prepared_view (-1 = none), prepared_digest, signature]
    proof  = [view, digest, [[sender, signature], ...]]        a prepared certificate, senders rising
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from chainnode.model import codec
from chainnode.model.block import MAX_CERTIFIED_BLOCK_BYTES, MAX_OUTLINE_BYTES
from chainnode.model.errors import DecodeError
from chainnode.model.limits import (
    MAX_BLOCK_TRANSACTIONS,
    MAX_CERTIFICATE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_VALIDATORS,
)
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import COMMIT as COMMIT_VOTE
from chainnode.model.votes import MAX_VIEW
from chainnode.model.votes import PREPARE as PREPARE_VOTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.codec import Value

MAX_BLOCKS_PER_ANSWER: Final = 64
"""Certified blocks in one BLOCKS message; their bytes are bounded too (`MAX_ANSWER_BYTES`)."""

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""An answer to FETCH or FETCH-BLOCKS stops growing here, so that votes are not held up for long."""

MAX_TRANSACTIONS_PER_MESSAGE: Final = 1_024
"""Envelopes in one TRANSACTIONS message."""

MAX_SIGNATURE_BYTES: Final = 128
_NOTHING: Final = bytes(HASH_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A signed PREPARE or COMMIT."""

    kind: int
    """`votes.PREPARE` or `votes.COMMIT`."""

    height: int
    view: int
    sender: int
    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedChange:
    """The signed part of a VIEW-CHANGE."""

    height: int
    view: int
    sender: int
    prepared: tuple[int, bytes] | None
    """(view, digest) of the highest block that the sender prepared, if any."""

    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedProof:
    """Signatures of a quorum's PREPAREs for one digest in one view."""

    view: int
    digest: bytes
    signatures: tuple[tuple[int, bytes], ...]
    """(sender, signature), senders rising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChangeMessage:
    """A VIEW-CHANGE with the proof of what it says was prepared."""

    change: SignedChange
    proof: PreparedProof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeMessage:
    """A leader's proposal; above view 0 with its justification."""

    height: int
    view: int
    sender: int
    signature: bytes
    outline: bytes
    changes: tuple[SignedChange, ...]
    proof: PreparedProof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """Where a validator stands; unsigned, between two neighbours."""

    height: int
    """The open height."""

    view: int

    digest: bytes | None
    """The proposal accepted in `view`."""

    has_proposal: bool
    """Whether it holds that proposal itself."""

    prepares: tuple[int, ...]
    """Validators whose PREPARE (or proposal) for (`view`, `digest`) it holds, rising."""

    commits: tuple[int, ...]
    """Validators whose COMMIT for (`view`, `digest`) it holds, rising."""

    view_changes: tuple[int, ...]
    """By validator, the highest view that it asked for as far as held; -1 for none."""

    tip_height: int
    """Its newest decided height."""

    cosigned_height: int
    """Newest height for which it holds a quorum of cosignatures."""

    tip_cosigners: tuple[int, ...]
    """Validators whose cosignature of its tip it holds, rising."""


@dataclass(frozen=True, slots=True)
class DecidedMessage:
    """A commit certificate, for a peer that is behind."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class TransactionsMessage:
    """Signed transactions."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FetchMessage:
    """A wish for transactions by hash."""

    tx_hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FetchOutlineMessage:
    """A wish for the outline of a block that was prepared."""

    height: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class OutlineMessage:
    """The answer to FETCH-OUTLINE."""

    outline: bytes


@dataclass(frozen=True, slots=True)
class FetchBlocksMessage:
    """A wish for decided blocks."""

    from_height: int
    count: int


@dataclass(frozen=True, slots=True)
class BlocksMessage:
    """Certified blocks in rising order of height."""

    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignatureMessage:
    """A validator's cosignature of the log as of a decided height."""

    height: int
    sender: int
    timestamp: int
    """Seconds since 1970 UTC, as the cosignature states it."""

    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMessage:
    """A clock sample: what the sender's clock reads, and an echo of the last sample it got."""

    sent_ms: int
    echoed_ms: int
    """`sent_ms` of the last sample received from the addressee; 0 if there is none."""

    received_ms: int
    """What the sender's clock read when that sample came."""


Message: TypeAlias = (
    StatusMessage
    | ProposeMessage
    | Vote
    | ViewChangeMessage
    | DecidedMessage
    | TransactionsMessage
    | FetchMessage
    | FetchOutlineMessage
    | OutlineMessage
    | FetchBlocksMessage
    | BlocksMessage
    | CosignatureMessage
    | ClockMessage
)


def encode_message(message: Message) -> bytes:
    """Return the canonical bytes of a message."""
    return codec.encode(_to_value(message))


def decode_message(data: bytes) -> Message:
    """Decode a message.

    Raises:
        DecodeError: not the canonical bytes of any message.
    """
    elements = codec.array(codec.decode(data, max_bytes=MAX_MESSAGE_BYTES), "message")
    kind = codec.integer(elements[0] if elements else None, "kind", most=255)
    if kind not in _PARSERS:
        raise DecodeError(
            f"kind: found {kind}; known are 1 to {len(_PARSERS)}", code="unknown_kind"
        )
    arity, parse = _PARSERS[kind]
    return parse(codec.array(elements, "message", arity=arity))


def _to_value(message: Message) -> Value:  # one return per kind of message
    match message:
        case StatusMessage():
            return (
                1,
                message.height,
                message.view,
                message.digest,
                message.has_proposal,
                message.prepares,
                message.commits,
                message.view_changes,
                message.tip_height,
                message.cosigned_height,
                message.tip_cosigners,
            )
        case ProposeMessage():
            return (
                2,
                message.height,
                message.view,
                message.sender,
                message.signature,
                message.outline,
                tuple(change_value(c) for c in message.changes),
                proof_value(message.proof),
            )
        case Vote():
            return (
                3 if message.kind == PREPARE_VOTE else 4,
                message.height,
                message.view,
                message.sender,
                message.digest,
                message.signature,
            )
        case ViewChangeMessage():
            return (5, change_value(message.change), proof_value(message.proof))
        case DecidedMessage():
            return (6, message.certificate)
        case TransactionsMessage():
            return (7, message.envelopes)
        case FetchMessage():
            return (8, message.tx_hashes)
        case FetchOutlineMessage():
            return (9, message.height, message.digest)
        case OutlineMessage():
            return (10, message.outline)
        case FetchBlocksMessage():
            return (11, message.from_height, message.count)
        case BlocksMessage():
            return (12, message.blocks)
        case CosignatureMessage():
            return (13, message.height, message.sender, message.timestamp, message.signature)
        case ClockMessage():
            return (14, message.sent_ms, message.echoed_ms, message.received_ms)


def parse_proof(value: Value) -> PreparedProof | None:
    """Read a prepared certificate or nil.

    Raises:
        DecodeError: of another shape.
    """
    if value is None:
        return None
    view, digest, signatures = codec.array(value, "proof", arity=3)
    pairs: list[tuple[int, bytes]] = []
    for element in codec.array_up_to(signatures, "signatures", least=1, most=MAX_VALIDATORS):
        sender, signature = codec.array(element, "signature", arity=2)
        pairs.append((_sender(sender), _signature(signature)))
    if any(a[0] >= b[0] for a, b in itertools.pairwise(pairs)):
        raise DecodeError("proof: its senders are not in rising order")
    return PreparedProof(view=_view(view), digest=_digest(digest), signatures=tuple(pairs))


def change_value(change: SignedChange) -> Value:
    """Return the array form of the signed part of a VIEW-CHANGE."""
    view, digest = change.prepared if change.prepared is not None else (-1, _NOTHING)
    return (change.height, change.view, change.sender, view, digest, change.signature)


def proof_value(proof: PreparedProof | None) -> Value:
    """Return the array form of a prepared certificate, or nil."""
    return None if proof is None else (proof.view, proof.digest, proof.signatures)


def _height(value: Value) -> int:
    return codec.integer(value, "height")


def _view(value: Value) -> int:
    return codec.integer(value, "view", most=MAX_VIEW)


def _sender(value: Value) -> int:
    return codec.integer(value, "sender", most=MAX_VALIDATORS - 1)


def _digest(value: Value) -> bytes:
    return codec.binary(value, "digest", size=HASH_BYTES)


def _signature(value: Value) -> bytes:
    return codec.binary(value, "signature", most=MAX_SIGNATURE_BYTES)


def _indices(value: Value, what: str) -> tuple[int, ...]:
    indices = tuple(_sender(v) for v in codec.array_up_to(value, what, most=MAX_VALIDATORS))
    if any(a >= b for a, b in itertools.pairwise(indices)):
        raise DecodeError(f"{what}: not in rising order", field=what)
    return indices


def parse_change(value: Value) -> SignedChange:
    """Read the signed part of a VIEW-CHANGE.

    Raises:
        DecodeError: of another shape.
    """
    height, view, sender, prepared_view, digest, signature = codec.array(value, "change", arity=6)
    prepared_at = codec.integer(prepared_view, "prepared_view", least=-1, most=MAX_VIEW)
    prepared_digest = _digest(digest)
    if prepared_at == -1 and prepared_digest != _NOTHING:
        raise DecodeError("change: a digest without a prepared view")
    return SignedChange(
        height=_height(height),
        view=_view(view),
        sender=_sender(sender),
        prepared=None if prepared_at == -1 else (prepared_at, prepared_digest),
        signature=_signature(signature),
    )


def _parse_status(e: tuple[Value, ...]) -> Message:
    return StatusMessage(
        height=_height(e[1]),
        view=_view(e[2]),
        digest=None if e[3] is None else _digest(e[3]),
        has_proposal=codec.boolean(e[4], "has_proposal"),
        prepares=_indices(e[5], "prepares"),
        commits=_indices(e[6], "commits"),
        view_changes=tuple(
            codec.integer(v, "view_change", least=-1, most=MAX_VIEW)
            for v in codec.array_up_to(e[7], "view_changes", most=MAX_VALIDATORS)
        ),
        tip_height=_height(e[8]),
        cosigned_height=_height(e[9]),
        tip_cosigners=_indices(e[10], "tip_cosigners"),
    )


def _parse_propose(e: tuple[Value, ...]) -> Message:
    return ProposeMessage(
        height=_height(e[1]),
        view=_view(e[2]),
        sender=_sender(e[3]),
        signature=_signature(e[4]),
        outline=codec.binary(e[5], "outline", most=MAX_OUTLINE_BYTES),
        changes=tuple(
            parse_change(c) for c in codec.array_up_to(e[6], "changes", most=MAX_VALIDATORS)
        ),
        proof=parse_proof(e[7]),
    )


def _parse_vote(e: tuple[Value, ...]) -> Message:
    return Vote(
        kind=PREPARE_VOTE if e[0] == 3 else COMMIT_VOTE,  # the table above
        height=_height(e[1]),
        view=_view(e[2]),
        sender=_sender(e[3]),
        digest=_digest(e[4]),
        signature=_signature(e[5]),
    )


def _parse_view_change(e: tuple[Value, ...]) -> Message:
    return ViewChangeMessage(change=parse_change(e[1]), proof=parse_proof(e[2]))


def _parse_decided(e: tuple[Value, ...]) -> Message:
    return DecidedMessage(codec.binary(e[1], "certificate", most=MAX_CERTIFICATE_BYTES))


def _parse_transactions(e: tuple[Value, ...]) -> Message:
    return TransactionsMessage(
        tuple(
            codec.binary(t, "envelope", most=MAX_TRANSACTION_BYTES)
            for t in codec.array_up_to(
                e[1], "envelopes", least=1, most=MAX_TRANSACTIONS_PER_MESSAGE
            )
        )
    )


def _parse_fetch(e: tuple[Value, ...]) -> Message:
    return FetchMessage(
        tuple(
            _digest(h)
            for h in codec.array_up_to(e[1], "tx_hashes", least=1, most=MAX_BLOCK_TRANSACTIONS)
        )
    )


def _parse_fetch_outline(e: tuple[Value, ...]) -> Message:
    return FetchOutlineMessage(_height(e[1]), _digest(e[2]))


def _parse_outline(e: tuple[Value, ...]) -> Message:
    return OutlineMessage(codec.binary(e[1], "outline", most=MAX_OUTLINE_BYTES))


def _parse_fetch_blocks(e: tuple[Value, ...]) -> Message:
    return FetchBlocksMessage(
        codec.integer(e[1], "from_height", least=1),
        codec.integer(e[2], "count", least=1, most=MAX_BLOCKS_PER_ANSWER),
    )


def _parse_blocks(e: tuple[Value, ...]) -> Message:
    return BlocksMessage(
        tuple(
            codec.binary(b, "block", most=MAX_CERTIFIED_BLOCK_BYTES)
            for b in codec.array_up_to(e[1], "blocks", least=1, most=MAX_BLOCKS_PER_ANSWER)
        )
    )


def _parse_cosignature(e: tuple[Value, ...]) -> Message:
    return CosignatureMessage(
        height=_height(e[1]),
        sender=_sender(e[2]),
        timestamp=codec.integer(e[3], "timestamp"),
        signature=_signature(e[4]),
    )


def _parse_clock(e: tuple[Value, ...]) -> Message:
    return ClockMessage(
        sent_ms=codec.integer(e[1], "sent_ms"),
        echoed_ms=codec.integer(e[2], "echoed_ms"),
        received_ms=codec.integer(e[3], "received_ms"),
    )


_PARSERS: Final[dict[int, tuple[int, Callable[[tuple[Value, ...]], Message]]]] = {
    1: (11, _parse_status),
    2: (8, _parse_propose),
    3: (6, _parse_vote),
    4: (6, _parse_vote),
    5: (3, _parse_view_change),
    6: (2, _parse_decided),
    7: (2, _parse_transactions),
    8: (2, _parse_fetch),
    9: (3, _parse_fetch_outline),
    10: (2, _parse_outline),
    11: (3, _parse_fetch_blocks),
    12: (2, _parse_blocks),
    13: (5, _parse_cosignature),
    14: (4, _parse_clock),
}
