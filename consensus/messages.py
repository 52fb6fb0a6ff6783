"""The claims that validators make to one another, without keys, signatures or bytes.

Two rules hold for everything in this module:

1. A *claim* (`Propose`, `Prepare`, `Commit`, `ViewChange`) reaches the core only after the host has
   verified its sender's signature. Claims are values: equal claims are the same statement, whatever
   the bytes of their signatures.
2. A *certificate* names the signers of claims that the host has verified one by one. It is unsigned
   itself, so whoever relays a bad one is to blame, never the validators that it names.

Names follow PBFT (OSDI'99 section 4): PRE-PREPARE is `Proposal`, NEW-VIEW is its `justification`.
"""

from dataclasses import dataclass
from typing import Final, NewType, TypeAlias

Height = NewType("Height", int)
View = NewType("View", int)
ValidatorIndex = NewType("ValidatorIndex", int)
Digest = NewType("Digest", bytes)
Peer = NewType("Peer", str)
"""The host's name for a connection; the core only echoes it."""

Leaders: TypeAlias = tuple[ValidatorIndex, ...]
"""R2: the order in which the validators of a height lead its views, over and over; each of them once."""

FIRST_VIEW: Final = View(0)
MAX_VIEW: Final = View(2**31)
"""Views are below this: at one view a millisecond it takes 24 days of failure to get there."""


def leader_of(leaders: Leaders, view: View) -> ValidatorIndex:
    """R2. Whoever has the chain up to the parent's parent has the order, so nobody can disagree about whose turn it is."""
    return leaders[view % len(leaders)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """The signed part of a proposal. It counts as its leader's PREPARE."""

    height: Height
    """The height being decided; at least 1."""

    view: View
    """0 <= view < MAX_VIEW."""

    digest: Digest
    """32 bytes; hash of the block header, opaque to this package."""

    sender: ValidatorIndex
    """Who signed; the leader of (`height`, `view`) or the proposal is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """A vote that `digest` is the valid proposal for (`height`, `view`); never sent by the leader."""

    height: Height
    view: View
    digest: Digest
    sender: ValidatorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A vote that `sender` is locked on `digest` since `view`; a quorum of them decides."""

    height: Height
    view: View
    digest: Digest
    sender: ValidatorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """A request for `view`, and what `sender` had prepared when it left the lower views."""

    height: Height

    view: View
    """The view asked for; at least 1."""

    prepared_view: View | None
    """The view of the sender's lock, below `view`; None with `prepared_digest` if it has none."""

    prepared_digest: Digest | None
    sender: ValidatorIndex


Vote: TypeAlias = Propose | Prepare | Commit
Claim: TypeAlias = Vote | ViewChange


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """A quorum saw `digest` proposed in `view` and found it valid."""

    height: Height
    view: View
    digest: Digest

    signers: tuple[ValidatorIndex, ...]
    """Rising. The leader of `view` signed `Propose`, all others `Prepare`."""

    def claims(self, leaders: Leaders) -> tuple[Propose | Prepare, ...]:
        """Return the signed claims behind this certificate; `leaders` is the order of its height."""
        leader = leader_of(leaders, self.view)
        return tuple(
            (Propose if signer == leader else Prepare)(
                height=self.height, view=self.view, digest=self.digest, sender=signer
            )
            for signer in self.signers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitCertificate:
    """A quorum committed `digest` in `view`: `digest` is the decision of `height`."""

    height: Height
    view: View
    digest: Digest

    signers: tuple[ValidatorIndex, ...]
    """Rising; each signed `Commit`."""

    def claims(self) -> tuple[Commit, ...]:
        """Return the signed claims behind this certificate."""
        return tuple(
            Commit(height=self.height, view=self.view, digest=self.digest, sender=signer)
            for signer in self.signers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Justification:
    """Why a proposal is allowed above view 0: what a quorum had prepared when it asked for it."""

    view_changes: tuple[ViewChange, ...]
    """From a quorum of distinct senders, all for the proposal's height and view; at most n."""

    prepared: PreparedCertificate | None
    """Proof of the highest lock among them; None if none of them is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The leader's choice for (`height`, `view`), with what proves that the choice was free."""

    height: Height
    view: View
    digest: Digest
    sender: ValidatorIndex

    first_view: View
    """From the block header: the view in which this block was first proposed."""

    proposer: ValidatorIndex
    """From the block header: who built it, the leader of `first_view`."""

    justification: Justification | None = None
    """None in view 0, required in all others."""

    @property
    def claim(self) -> Propose:
        """The signed part."""
        return Propose(height=self.height, view=self.view, digest=self.digest, sender=self.sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenViewChange:
    """A view change with the certificate of the lock that it states."""

    claim: ViewChange

    prepared: PreparedCertificate | None
    """Of exactly the claim's prepared view and digest; None if the claim states no lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """R12: what the sender holds for its open height, so that others push what it lacks. Unsigned."""

    height: Height
    view: View

    digest: Digest | None
    """The proposal accepted in `view`."""

    has_proposal: bool
    """Whether the proposal itself is held (not after a restart)."""

    prepares: tuple[ValidatorIndex, ...]
    """Whose PREPARE (or proposal) for (`view`, `digest`) is held; rising."""

    commits: tuple[ValidatorIndex, ...]
    """Whose COMMIT for (`view`, `digest`) is held; rising."""

    view_changes: tuple[int, ...]
    """By validator, the highest view that it asked for as far as held; -1 for none. Length n."""


Message: TypeAlias = Proposal | Prepare | Commit | ProvenViewChange | Status
