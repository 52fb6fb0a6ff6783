"""What the core asks of its host, in the order of the work, and the builder that collects it."""

from dataclasses import dataclass, field
from typing import TypeAlias

from consensus.messages import (
    Claim,
    Commit,
    CommitCertificate,
    Digest,
    Height,
    Justification,
    Message,
    Peer,
    Prepare,
    PreparedCertificate,
    Proposal,
    ValidatorIndex,
    View,
    ViewChange,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewEntered:
    """A justified proposal took us to `view` (R4); we never vote below it again (R6)."""

    height: Height
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """We proposed in this view. Without it a restart would build a second block for one view."""

    proposal: Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """We cast this vote. Stored with its signature: signing again may give other bytes.

    The block that a PREPARE names must be on disk when this record is: others may need to fetch
    it from us after a crash of everybody.
    """

    vote: Prepare | Commit | ViewChange

    grounds: Justification | None = field(default=None, compare=False)
    """Of a PREPARE above view 0: why its proposal was lawful. Not needed to go on after a crash, but it convicts those
    who lied if two blocks should ever be decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """We prepared; stored with the certificate's signatures, in one group with our COMMIT."""

    certificate: PreparedCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The height is final; stored with the certificate's signatures."""

    certificate: CommitCertificate


Record: TypeAlias = ViewEntered | Proposed | Voted | Locked | Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message to deliver. The host attaches signatures from its book of verified claims."""

    to: Peer | None
    """One peer, or None for every other validator."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Build a block for this view; `Built` is the answer, or `Declined`. In a view above 0 even an empty one."""

    height: Height
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Fetch, execute and judge a block; `Verdict` is the answer, asked once per digest."""

    height: Height
    digest: Digest

    holders: tuple[ValidatorIndex, ...]
    """Who should have it: its leader, or those that prepared it. Rising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleVote:
    """Two different claims by one sender for one (kind, height, view)."""

    first: Claim
    second: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Amnesia:
    """A view change above a COMMIT that states an older lock than that COMMIT, or none."""

    commit: Commit
    view_change: ViewChange


Misbehaviour: TypeAlias = DoubleVote | Amnesia


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """R13: `peer` still works on `height`, which we know to be decided: send it the decision."""

    peer: Peer
    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """R13: `peer` works on `height`, above ours: a hint to sync, not a proof of anything."""

    peer: Peer
    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that was refused. The peer relayed it; only its claims bind their signers."""

    peer: Peer
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What the host must do, field by field, from top to bottom."""

    persist: tuple[Record, ...] = ()
    """One group: appended together and synced once BEFORE anything below is carried out.

    A crash before the sync finds none of them, and none of what is below has happened.
    """

    send: tuple[Send, ...] = ()
    """Messages to deliver; loss, delay, reordering and repetition are allowed."""

    decided: tuple[CommitCertificate, ...] = ()
    """At most one per height, rising. The host gets the block, stores it, then starts the next."""

    build: tuple[Build, ...] = ()
    """Blocks to build for us as leader; the latest one asked for replaces those before it."""

    validate: tuple[Validate, ...] = ()
    """Blocks to judge; needless once the height is decided."""

    faults: tuple[Misbehaviour, ...] = ()
    """Proof, by the sender's own signatures, that it broke the protocol."""

    behind: tuple[Behind, ...] = ()
    """Peers that need a decision; the host limits the rate per peer."""

    ahead: tuple[Ahead, ...] = ()
    """Peers that may have decisions for us."""

    refused: tuple[Refusal, ...] = ()
    """For the log and the budget of the peer that delivered it."""


NO_EFFECTS = Effects()
"""What most messages lead to: one more vote of many."""


@dataclass(slots=True)
class Outbox:
    """Collects the effects of one step."""

    persist: list[Record] = field(default_factory=list)
    send: list[Send] = field(default_factory=list)
    decided: list[CommitCertificate] = field(default_factory=list)
    build: list[Build] = field(default_factory=list)
    validate: list[Validate] = field(default_factory=list)
    faults: list[Misbehaviour] = field(default_factory=list)
    behind: list[Behind] = field(default_factory=list)
    ahead: list[Ahead] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def broadcast(self, message: Message) -> None:
        """Send `message` to every other validator."""
        self.send.append(Send(to=None, message=message))

    def effects(self) -> Effects:
        """Return everything collected, frozen."""
        if not (
            self.send
            or self.persist
            or self.decided
            or self.build
            or self.validate
            or self.faults
            or self.behind
            or self.ahead
            or self.refused
        ):
            return NO_EFFECTS
        return Effects(
            persist=tuple(self.persist),
            send=tuple(self.send),
            decided=tuple(self.decided),
            build=tuple(self.build),
            validate=tuple(self.validate),
            faults=tuple(self.faults),
            behind=tuple(self.behind),
            ahead=tuple(self.ahead),
            refused=tuple(self.refused),
        )
