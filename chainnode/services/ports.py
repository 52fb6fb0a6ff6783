"""What the services need from the running node above them, as ports that the engine and p2p fill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.ledger.execution import Executed
    from chainnode.model.certificate import Certificate
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.errors import ChainError
    from chainnode.model.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What is known of another validator."""

    name: str
    connected: bool
    last_heard_ms: int
    """Wall clock when its last message came, milliseconds UTC; 0 if never."""

    tip_height: int
    """Height that it says is decided at its place."""

    view: int
    """View that it says it is in."""

    clock_offset_ms: int | None
    """Its clock minus ours, or None before the first sample."""

    round_trip_ms: int | None

    clock_is_off: bool | None
    """Whether its clock is outside the bound of what the clocks agree on; None if that cannot be told."""


class ClockVerdict(StrEnum):
    """What a node thinks of its own clock."""

    UNKNOWN = "unknown"
    """Too few other clocks are known, as after a start."""

    RIGHT = "right"

    DISPUTED = "disputed"
    """The clocks are so far apart that none of them can be called right."""

    WRONG = "wrong"
    """Outside the bound of what the clocks agree on, or of the node's own time source; it proposes no block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSourceStatus:
    """What a node has measured of the time source that it checks its clock with."""

    server: str

    offset_ms: int | None
    """Its clock minus ours; None if no measurement is fresh."""

    error_ms: int | None
    """How far off that may be."""

    measured_ms: int
    """Wall clock of the newest measurement, milliseconds UTC; 0 before the first."""

    problem: str | None
    """Why there was none the last time, or None if there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStatus:
    """What a node knows of its own clock; see `chainnode.engine.timekeeping`."""

    verdict: ClockVerdict

    sentence: str
    """Why, for people."""

    vouches: bool
    """Whether this clock can vouch for a time: right by all that judges it, and by enough of that."""

    since_ms: int
    """Since when the verdict stands; wall clock, milliseconds UTC."""

    bound_ms: int
    """How far a right clock may be from what it is judged by."""

    agreed_ms: tuple[int, int] | None
    """What the clocks agree on, earliest and latest, minus our clock; None if too few are known."""

    judges: int
    """Validators whose clocks are known and fresh, this one included."""

    jumps: int
    """How often this clock has jumped since start."""

    last_jump_ms: int
    """By how much it did the last time; below 0 for backwards, 0 if never."""

    last_jump_at_ms: int
    """When, by the clock as it read afterwards; 0 if never."""

    declined: int
    """Turns to propose that were given up since start because this clock was wrong."""

    declared: tuple[str, ...]
    """The time sources that this node's configuration names."""

    source: TimeSourceStatus | None
    """The one that it measures itself, if any."""


class QuarantineCode(StrEnum):
    """Every reason for a validator to observe; see `chainnode.engine.quarantine`."""

    VOTE_LOG_LOST = "vote_log_lost"
    VOTE_LOG_OLDER = "vote_log_older"
    STORE_OLDER = "store_older"
    UNKNOWN_VOTE = "unknown_vote"
    UNKNOWN_SIGNATURE = "unknown_signature"
    ASKING_OTHERS = "asking_others"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineStatus:
    """Why a validator observes: it may have forgotten what it said."""

    code: QuarantineCode

    height: int
    """The height at which that was found."""

    sentence: str
    """What was found, what was expected, and what ends it; for people."""

    since_ms: int
    """Wall clock, milliseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVote:
    """A signed vote of the open height that this node holds."""

    kind: Literal["propose", "prepare", "commit"]

    view: int
    digest: bytes
    """Hash of the header of the block that it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one validator stands at the open height, as far as this node knows; itself included."""

    name: str
    is_linked: bool
    """Always true of this node itself."""

    last_heard_ms: int
    """Wall clock, milliseconds UTC; 0 if never, or this node itself."""

    tip_height: int | None
    """What it says is decided; None while it is not linked."""

    stated_view: int | None
    """The view in which it says it is, unsigned; None if it said nothing of the open height."""

    asked_view: int | None
    """The highest view that it asked for with its signature, or None."""

    locked_view: int | None
    """The view of the lock that it stated then, or None."""

    locked_digest: bytes | None
    votes: tuple[HeldVote, ...]
    """Proposal or PREPARE, then COMMIT: of the current view, else of the highest in which it voted."""

    awaited_for: str | None
    """The step that waits for it, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """Where consensus stands, and for whom it waits."""

    validator: str
    """This node's name."""

    tip_height: int
    tip_time_ms: int
    open_height: int
    view: int
    step: str
    """What is being waited for: `idle` (nothing is due), `link` (fewer validators are linked
    than make a quorum), `propose`, `validate`, `refused` (this node found the proposed block
    invalid; the view's time runs), `prepare`, `commit`, `view_change`,
    `decided` (the decided block is being fetched), `blocks` (catching up), `starting`."""

    awaited: tuple[str, ...]
    """Validators whose message would let it go on."""

    skipped: tuple[str, ...]
    """Validators that lead the open height only after all others, since a turn of theirs failed a short while ago."""

    waiting_since_ms: int
    """Wall clock, milliseconds UTC; when this step began."""

    undecided_since_ms: int | None
    """Wall clock; since when the open height has had something to decide, or None."""

    is_voting: bool
    """False while this node only observes: it is in quarantine, or no validator of this height."""

    quarantine: QuarantineStatus | None
    """Why it does not vote, though it is a validator; None if it votes."""

    view_changes: int
    """View changes since start."""

    cosigned_height: int
    """Newest height with a quorum of cosignatures; 0 before the first."""

    is_syncing: bool
    """Whether decided blocks are being fetched rather than voted on."""

    pool_count: int
    pool_bytes: int
    unverified: int
    """Transactions whose signatures are being checked."""

    unknown_messages: int
    """Peers' messages of unknown kinds, of newer versions, since start; they were ignored."""

    peers: tuple[PeerStatus, ...]

    clock: ClockStatus

    quorum: int
    """How many validators it takes to decide."""

    digest: bytes | None
    """The block on which the current view works."""

    standings: tuple[Standing, ...]
    """By validator, in the order of the set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """What has passed over the link with another validator since this node started."""

    name: str
    bytes_in: int
    bytes_out: int
    messages_in: int
    faults: int
    """How often the peer broke the protocol."""

    dropped: int
    """Messages to it that were dropped: its queue was full, or there was no link."""


class Links(Protocol):
    """The links with other validators, as the metrics see them."""

    def link_statuses(self) -> tuple[LinkStatus, ...]:
        """Return what has passed over each link."""


class Submitter(Protocol):
    """Takes transactions; the engine's relay."""

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a transaction; `done` hears once whether it was accepted. Raises ChainError if refused at once."""


class EnginePort(Submitter, Protocol):
    """The engine as the services see it."""

    def status(self) -> EngineStatus:
        """Return where consensus stands now."""

    def newest_checkpoint(self) -> CosignedCheckpoint | None:
        """Return the newest checkpoint with a quorum of cosignatures."""

    def is_pending(self, tx_id: bytes) -> bool:
        """Whether a transaction of that id is in the pool or being verified."""


class Witness(Protocol):
    """Whoever wants to know what the engine did: waiting clients, metrics, logs. Must not call back in."""

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        """A block is decided and synced to disk."""

    def checkpoint_cosigned(self, height: int) -> None:
        """A quorum has cosigned the log as of `height`."""

    def event(self, name: str, **fields: int | str) -> None:
        """Something worth a log line happened, for example a view change or a peer's fault."""
