"""What validators say to each other, as plain data. As bytes: `message_codec`. What of it is true: `book`, `sync`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from chainnode.model.limits import MAX_VALIDATORS

MAX_BLOCKS_PER_ANSWER: Final = 64
"""Certified blocks in one BLOCKS message; their bytes are bounded too (`MAX_ANSWER_BYTES`)."""

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""An answer to FETCH or FETCH-BLOCKS stops growing here, so that votes are not held up for long."""

MAX_TRANSACTIONS_PER_MESSAGE: Final = 1_024
"""Envelopes in one TRANSACTIONS message."""

MAX_CHALLENGES: Final = 4
"""Processes of one validator whose links a neighbour keeps account of: two are one too many."""

MAX_SHOWN: Final = MAX_CHALLENGES + MAX_VALIDATORS
"""Challenges that a process may be shown at once: those, and one that each other validator reports."""

LAST_KIND: Final = 127
"""Kinds beyond the known ones up to this belong to versions to come: one byte each, and as many again as ever needed."""


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
class SecondCosignatureMessage:
    """A validator's second cosignature, of its ML-DSA-44 key; sent before the first, so that a quorum of both comes at once."""

    height: int
    sender: int
    timestamp: int
    """Seconds since 1970 UTC, as the cosignature states it."""

    signature: bytes
    """2,420 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMessage:
    """A clock sample: what the sender's clock reads, and an echo of the last sample it got."""

    sent_ms: int
    echoed_ms: int
    """`sent_ms` of the last sample received from the addressee; 0 if there is none."""

    received_ms: int
    """What the sender's clock read when that sample came."""


@dataclass(frozen=True, slots=True)
class PresenceMessage:
    """A process shows itself to a neighbour, and tells which other processes of the neighbour's name it has seen."""

    challenge: bytes
    """32 bytes that the sender's process drew when it started."""

    heard: tuple[bytes, ...]
    """Challenges in the addressee's name, from its own links or reported by others, rising; up to `MAX_SHOWN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneMessage:
    """What one process of a validator has signed when it was shown challenges that are not its own."""

    validator: str
    """Whose processes these are; the signature is by its consensus key."""

    challenge: bytes
    """32 bytes; that of the process that signed."""

    shown: tuple[bytes, ...]
    """Those that it was shown, rising; 1 to `MAX_SHOWN`, none of them `challenge`."""

    signature: bytes


@dataclass(frozen=True, slots=True)
class HeardMessage:
    """Which processes the sender is linked with, for those who may be linked with others of the same names."""

    processes: tuple[tuple[str, bytes], ...]
    """(validator, its newest challenge), names rising; up to `MAX_VALIDATORS`."""


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a kind that a newer version may have; well-formed, and nothing more is known of it."""

    kind: int


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
    | PresenceMessage
    | CloneMessage
    | HeardMessage
    | SecondCosignatureMessage
)
