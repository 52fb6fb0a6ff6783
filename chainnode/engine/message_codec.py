"""Messages as bytes, and their strict decoder.

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
    15  PRESENCE       [15, challenge, [challenge, ...]]
    16  CLONE          [16, validator, challenge, [challenge, ...], signature]
    17  HEARD          [17, [[validator, challenge], ...]]
    18  SECOND-COSIGNATURE  [18, height, sender, timestamp, signature]

A canonical array that begins with a higher kind, up to LAST_KIND, is a message of a newer version: it has a value of
its own here, and whoever reads it goes on.

`change` and `proof` are described in `message_fields`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_fields import (
    change_value,
    parse_challenge,
    parse_challenges,
    parse_change,
    parse_digest,
    parse_height,
    parse_indices,
    parse_proof,
    parse_sender,
    parse_signature,
    parse_view,
    proof_value,
)
from chainnode.engine.messages import (
    LAST_KIND,
    MAX_BLOCKS_PER_ANSWER,
    MAX_TRANSACTIONS_PER_MESSAGE,
    BlocksMessage,
    ClockMessage,
    CloneMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    HeardMessage,
    OutlineMessage,
    PresenceMessage,
    ProposeMessage,
    SecondCosignatureMessage,
    StatusMessage,
    TransactionsMessage,
    UnknownMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model import codec
from chainnode.model.block import MAX_CERTIFIED_BLOCK_BYTES, MAX_OUTLINE_BYTES
from chainnode.model.errors import DecodeError
from chainnode.model.limits import (
    MAX_BLOCK_TRANSACTIONS,
    MAX_CERTIFICATE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_VALIDATORS,
)
from chainnode.model.suites.ml_dsa_44 import SIGNATURE_BYTES as SECOND_BYTES
from chainnode.model.votes import COMMIT as COMMIT_VOTE
from chainnode.model.votes import MAX_VIEW
from chainnode.model.votes import PREPARE as PREPARE_VOTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.messages import Message
    from chainnode.model.codec import Value


def encode_message(message: Message) -> bytes:
    """Return the canonical bytes of a message."""
    return codec.encode(_to_value(message))


def decode_message(data: bytes) -> Message | UnknownMessage:
    """Decode a message.

    Raises:
        DecodeError: not the canonical bytes of any message of this version, nor of one that a newer one may have.
    """
    elements = codec.array(codec.decode(data, max_bytes=MAX_MESSAGE_BYTES), "message")
    kind = codec.integer(elements[0] if elements else None, "kind", most=255)
    if len(_PARSERS) < kind <= LAST_KIND:
        return UnknownMessage(kind)
    if kind not in _PARSERS:
        raise DecodeError(
            f"kind: found {kind}; known are 1 to {len(_PARSERS)}, and up to {LAST_KIND} those of newer versions",
            code="unknown_kind",
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
        case SecondCosignatureMessage():
            return (18, message.height, message.sender, message.timestamp, message.signature)
        case ClockMessage():
            return (14, message.sent_ms, message.echoed_ms, message.received_ms)
        case PresenceMessage():
            return (15, message.challenge, message.heard)
        case CloneMessage():
            return (16, message.validator, message.challenge, message.shown, message.signature)
        case HeardMessage():
            return (17, message.processes)


def _parse_status(e: tuple[Value, ...]) -> Message:
    return StatusMessage(
        height=parse_height(e[1]),
        view=parse_view(e[2]),
        digest=None if e[3] is None else parse_digest(e[3]),
        has_proposal=codec.boolean(e[4], "has_proposal"),
        prepares=parse_indices(e[5], "prepares"),
        commits=parse_indices(e[6], "commits"),
        view_changes=tuple(
            codec.integer(v, "view_change", least=-1, most=MAX_VIEW)
            for v in codec.array_up_to(e[7], "view_changes", most=MAX_VALIDATORS)
        ),
        tip_height=parse_height(e[8]),
        cosigned_height=parse_height(e[9]),
        tip_cosigners=parse_indices(e[10], "tip_cosigners"),
    )


def _parse_propose(e: tuple[Value, ...]) -> Message:
    return ProposeMessage(
        height=parse_height(e[1]),
        view=parse_view(e[2]),
        sender=parse_sender(e[3]),
        signature=parse_signature(e[4]),
        outline=codec.binary(e[5], "outline", most=MAX_OUTLINE_BYTES),
        changes=tuple(
            parse_change(c) for c in codec.array_up_to(e[6], "changes", most=MAX_VALIDATORS)
        ),
        proof=parse_proof(e[7]),
    )


def _parse_vote(e: tuple[Value, ...]) -> Message:
    return Vote(
        kind=PREPARE_VOTE if e[0] == 3 else COMMIT_VOTE,  # the table above
        height=parse_height(e[1]),
        view=parse_view(e[2]),
        sender=parse_sender(e[3]),
        digest=parse_digest(e[4]),
        signature=parse_signature(e[5]),
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
            parse_digest(h)
            for h in codec.array_up_to(e[1], "tx_hashes", least=1, most=MAX_BLOCK_TRANSACTIONS)
        )
    )


def _parse_fetch_outline(e: tuple[Value, ...]) -> Message:
    return FetchOutlineMessage(parse_height(e[1]), parse_digest(e[2]))


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
        height=parse_height(e[1]),
        sender=parse_sender(e[2]),
        timestamp=codec.integer(e[3], "timestamp"),
        signature=parse_signature(e[4]),
    )


def _parse_second_cosignature(e: tuple[Value, ...]) -> Message:
    return SecondCosignatureMessage(
        height=parse_height(e[1]),
        sender=parse_sender(e[2]),
        timestamp=codec.integer(e[3], "timestamp"),
        signature=codec.binary(e[4], "signature", size=SECOND_BYTES),
    )


def _parse_clock(e: tuple[Value, ...]) -> Message:
    return ClockMessage(
        sent_ms=codec.integer(e[1], "sent_ms"),
        echoed_ms=codec.integer(e[2], "echoed_ms"),
        received_ms=codec.integer(e[3], "received_ms"),
    )


def _parse_presence(e: tuple[Value, ...]) -> Message:
    return PresenceMessage(parse_challenge(e[1]), parse_challenges(e[2], "heard", least=0))


def _parse_clone(e: tuple[Value, ...]) -> Message:
    message = CloneMessage(
        validator=codec.text(e[1], "validator", most_bytes=MAX_NAME_BYTES),
        challenge=parse_challenge(e[2]),
        shown=parse_challenges(e[3], "shown", least=1),
        signature=parse_signature(e[4]),
    )
    if message.challenge in message.shown:
        raise DecodeError("shown: the signer's own challenge is among them", field="shown")
    return message


def _parse_heard(e: tuple[Value, ...]) -> Message:
    processes: list[tuple[str, bytes]] = []
    for element in codec.array_up_to(e[1], "processes", most=MAX_VALIDATORS):
        validator, challenge = codec.array(element, "process", arity=2)
        name = codec.text(validator, "validator", most_bytes=MAX_NAME_BYTES)
        processes.append((name, parse_challenge(challenge)))
    if any(a[0] >= b[0] for a, b in itertools.pairwise(processes)):
        raise DecodeError("processes: not in rising order of names", field="processes")
    return HeardMessage(tuple(processes))


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
    15: (3, _parse_presence),
    16: (5, _parse_clone),
    17: (2, _parse_heard),
    18: (5, _parse_second_cosignature),
}
