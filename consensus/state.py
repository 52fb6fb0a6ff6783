"""What a replica knows about its open height. Rules change it; nothing else does."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from consensus.errors import InvariantViolation
from consensus.events import StartHeight, Verdict
from consensus.messages import (
    FIRST_VIEW,
    Commit,
    CommitCertificate,
    Digest,
    Height,
    Justification,
    Leaders,
    Prepare,
    PreparedCertificate,
    Proposal,
    Propose,
    ValidatorIndex,
    View,
    leader_of,
)
from consensus.parameters import Parameters
from consensus.view_changes import ViewChangeBook
from consensus.votes import VoteTable

MAX_VERDICTS: Final = 16
"""Verdicts remembered per height; a forgotten one is asked for again."""


class Step(StrEnum):
    """What a view is waiting for."""

    VIEW_CHANGE = "view_change"
    """For a quorum to ask for this view; its timer is not running."""

    PROPOSE = "propose"
    """For the leader's proposal."""

    VALIDATE = "validate"
    """For our own verdict on it."""

    REFUSED = "refused"
    """For the view's time to run out: we found its block invalid, and others may not."""

    PREPARE = "prepare"
    """For a quorum of PREPAREs."""

    COMMIT = "commit"
    """For a quorum of COMMITs."""

    DECIDED = "decided"
    """For the host to start the next height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What we are going to propose as leader of the current view. Made once per view."""

    justification: Justification | None
    """What goes with the proposal; None in view 0."""

    is_declined: bool = False
    """Whether the host has said that it makes no block for this view."""

    def is_fresh(self) -> bool:
        """Tell whether the block is ours to choose."""
        return self.justification is None or self.justification.prepared is None


@dataclass(slots=True, kw_only=True)
class HeightState:
    """Everything about one height; dropped as a whole when the next one starts."""

    parameters: Parameters
    start: StartHeight
    started_ms: int
    work_since_ms: int | None

    view: View = FIRST_VIEW
    """Never falls; we vote in no other view (R6)."""

    digest: Digest | None = None
    """The proposal accepted in `view`: the first lawful one, for good."""

    proposal: Proposal | None = None
    """The same with its justification; None after a restart until a peer pushes it."""

    my_prepare: Propose | Prepare | None = None
    """Our vote in `view`, durable."""

    my_commit: Commit | None = None
    """Our vote in `view`, durable together with `lock`."""

    lock: PreparedCertificate | None = None
    """What we prepared last; its view never falls."""

    plan: Plan | None = None
    prepares: VoteTable[Prepare | Propose] = field(default_factory=VoteTable)
    commits: VoteTable[Commit] = field(default_factory=VoteTable)
    view_changes: ViewChangeBook = field(default_factory=ViewChangeBook)

    verdicts: dict[Digest, Verdict | None] = field(default_factory=dict)
    """By digest, in order of asking; None while the host works on it."""

    certified: CommitCertificate | None = None
    """A quorum of COMMITs, in whichever view."""

    decided: CommitCertificate | None = None
    """`certified`, once it was handed to the host."""

    armed_ms: int | None = None
    """When this view's timer was started by R4, R9 or R14; view 0 has one from the start anyway."""

    early_leaves: int = 0
    """Views of this height that we left before their time, since nothing could come of them for us."""

    status_due_ms: int = 0
    was_idle: bool = True
    forgetful: set[ValidatorIndex] = field(default_factory=set)
    """Validators whose amnesia was reported; only asked for membership."""

    phase_seen: tuple[View, Step] = (FIRST_VIEW, Step.PROPOSE)
    step_since_ms: int = 0
    """When the pair in `phase_seen` came about; for operators only."""

    busy_since_ms: int | None = None
    """When there first was something to decide; for operators only."""

    @property
    def height(self) -> Height:
        """The open height."""
        return self.start.height

    @property
    def me(self) -> ValidatorIndex | None:
        """Our index; None for an observer."""
        return self.start.me

    @property
    def voter(self) -> ValidatorIndex:
        """Our index, where only a validator can get."""
        if self.start.me is None:
            raise InvariantViolation("an observer was about to vote")
        return self.start.me

    @property
    def n(self) -> int:
        """Validators of this height."""
        return self.start.n

    @property
    def quorum(self) -> int:
        """Validators of whom any two groups share an honest one."""
        return self.start.quorum

    @property
    def f(self) -> int:
        """Validators that may be faulty: (n - 1) // 3."""
        return self.start.n - self.start.quorum

    @property
    def leaders(self) -> Leaders:
        """R2: who leads which view of this height."""
        return self.start.leaders

    @property
    def leader(self) -> ValidatorIndex:
        """R2, for the current view."""
        return self.leader_at(self.view)

    def leader_at(self, view: View) -> ValidatorIndex:
        """R2, for any view."""
        return leader_of(self.start.leaders, view)

    @property
    def step(self) -> Step:
        """What the current view is waiting for."""
        if self.decided is not None:
            return Step.DECIDED
        if self.my_commit is not None:
            return Step.COMMIT
        if self.my_prepare is not None:
            return Step.PREPARE
        if self.digest is not None:
            verdict = self.verdict(self.digest)
            return Step.VALIDATE if verdict is None or verdict.valid else Step.REFUSED
        if self.view > 0 and self.armed_ms is None:
            return Step.VIEW_CHANGE
        return Step.PROPOSE

    def keep_claims_of(self, former: "HeightState") -> None:
        """Take over what was verified of others at this very height."""
        self.prepares, self.commits = former.prepares, former.commits
        self.view_changes, self.forgetful = former.view_changes, former.forgetful
        self.certified, self.decided = former.certified, former.decided
        self.busy_since_ms = former.busy_since_ms
        self.early_leaves = former.early_leaves

    def is_idle(self) -> bool:
        """Tell whether nothing has happened at this height yet."""
        return (
            self.view == 0
            and self.digest is None
            and self.prepares.is_empty()
            and self.commits.is_empty()
        )

    def verdict(self, digest: Digest) -> Verdict | None:
        """Return the host's judgement of `digest`, if there is one."""
        return self.verdicts.get(digest)
