"""What the host tells the core. Every claim in an event carries a signature that the host verified."""

from dataclasses import dataclass
from typing import TypeAlias

from consensus.effects import Record
from consensus.messages import (
    Commit,
    CommitCertificate,
    Digest,
    Height,
    Leaders,
    Peer,
    Prepare,
    Proposal,
    ProvenViewChange,
    Status,
    ValidatorIndex,
    View,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartHeight:
    """R1: open `height`; its parent is stored and synced. Heights may be skipped.

    The open one is repeated only for an observer to begin to vote, or for a validator to cease; claims held stay.
    """

    height: Height

    n: int
    """Validators of this height; at least 1."""

    quorum: int
    """2n // 3 + 1, computed by the host; the core takes f = n - quorum."""

    me: ValidatorIndex | None
    """Our index; None for an observer, which follows decisions and never votes.

    A node that may have forgotten votes must observe until a height in which it cannot have voted.
    """

    leaders: Leaders
    """R2: who leads which view; each of the n validators once."""

    parent_ms: int
    """When the parent was proposed, on the scale of `now_ms`; the core treats later than now as now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """R14: open a height after a restart, with all that was made durable for it, in order."""

    start: StartHeight
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalReceived:
    """A proposal arrived. Header content is judged later; `first_view` and proposer are its header's."""

    peer: Peer
    proposal: Proposal

    timely: bool
    """Whether the header's time was within bounds when the proposal left the socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReceived:
    """A PREPARE arrived, from its sender or relayed."""

    peer: Peer
    vote: Prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReceived:
    """A COMMIT arrived, from its sender or relayed."""

    peer: Peer
    vote: Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChangeReceived:
    """A view change arrived, from its sender or relayed."""

    peer: Peer
    message: ProvenViewChange


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedReceived:
    """A commit certificate arrived, as an answer or through sync; anybody may bring it."""

    peer: Peer
    certificate: CommitCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReceived:
    """R12: a peer tells what it holds. Unsigned: it can cost us some messages and nothing else."""

    peer: Peer
    status: Status

    sender: ValidatorIndex | None = None
    """Which validator the peer is, so that one that knows nothing of itself can be told what it has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The host fetched, executed and judged a block: the answer to `Validate`."""

    height: Height
    digest: Digest

    first_view: View
    """From the block's header; 0 if the block cannot be read."""

    valid: bool
    """Whether the block follows every rule and its results equal our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The host built a block whose header says `first_view == view`: the answer to `Build`."""

    height: Height
    view: View
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The host makes no block for this view, since it cannot date one: the other answer to `Build`."""

    height: Height
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPending:
    """There are transactions to decide. Holds across heights until `WorkDone` or the next one."""

    since_ms: int
    """When the oldest of them arrived, on the scale of `now_ms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """There is nothing left to decide; best told before the height after is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """`deadline_ms` has passed."""


Received: TypeAlias = (
    ProposalReceived
    | PrepareReceived
    | CommitReceived
    | ViewChangeReceived
    | DecidedReceived
    | StatusReceived
)
Event: TypeAlias = (
    StartHeight | Recovered | Received | Verdict | Built | Declined | WorkPending | WorkDone | Tick
)
