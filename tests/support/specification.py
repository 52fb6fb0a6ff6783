"""The protocol's rules, restated without the engine: judges every message that a correct host sends by what it has heard.

It reads messages as bytes from the wire, verifies each signature itself, and keeps its own books. From the engine it
takes nothing but the codec of messages and blocks. Numbers of rules are those of docs/consensus.md. What it says of a
host is an obligation: a message that the rules did not allow at that moment is a Violation, whether or not harm
follows from it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import (
    DecidedMessage,
    ProposeMessage,
    StatusMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model.block import decode_outline
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import ChainError
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, view_change_message, vote_message
from tests.support.message_kinds import Kind, kind_of
from tests.support.simulated_checks import Violation
from tests.support.simulated_clock import EPOCH_MS

if TYPE_CHECKING:
    from chainnode.engine.messages import PreparedProof, SignedChange
    from chainnode.model.header import Header
    from tests.support.simulated_chain import SimulatedChain

_JUDGED = {
    Kind.STATUS,
    Kind.PROPOSE,
    Kind.PREPARE,
    Kind.COMMIT,
    Kind.VIEW_CHANGE,
    Kind.DECIDED,
}

_MAX_REMEMBERED = 4_000
_SILENCE_MS = 4_000
"""Every validator that runs tells its status more often than this (R12)."""

_CERTAIN_VIEWS = 6
"""Of a validator that voted in no more views than this at a height, no vote may have been pushed out (R15 holds 8)."""

_NAMES = {PROPOSE: "PROPOSE", PREPARE: "PREPARE", COMMIT: "COMMIT"}


Claim = tuple[int, int, int, int, bytes]
"""(kind, height, view, sender, what): a statement that somebody may have signed."""

_CHANGE = 4


@dataclass(frozen=True, slots=True)
class Lock:
    """A prepared certificate that somebody showed."""

    view: int
    digest: bytes
    holds: bool
    """Whether a quorum of distinct validators is named."""

    claims: tuple[Claim, ...]
    """Those of its claims whose signatures hold."""

    doubts: tuple[Claim, ...]
    """The others: whoever has seen them signed elsewhere may believe them all the same."""


@dataclass(frozen=True, slots=True)
class VoteSeen:
    """A PREPARE or COMMIT."""

    kind: int
    height: int
    view: int
    digest: bytes
    sender: int
    is_signed: bool
    """Whether the signature that came with it holds."""

    signature: bytes

    def doubts(self) -> tuple[Claim, ...]:
        """Return what one must have seen signed elsewhere to believe this."""
        return () if self.is_signed else (self._claim,)

    def claims(self) -> tuple[Claim, ...]:
        """Return what one has seen signed by this."""
        return (self._claim,) if self.is_signed else ()

    @property
    def _claim(self) -> Claim:
        return (self.kind, self.height, self.view, self.sender, self.digest)


@dataclass(frozen=True, slots=True)
class ChangeSeen:
    """A VIEW-CHANGE, or the signed part of one."""

    height: int
    view: int
    sender: int
    stated: tuple[int, bytes] | None
    lock: Lock | None
    """What was shown for it; a bare claim of a justification shows nothing."""

    is_signed: bool
    """Whether the signature that came with it holds."""

    signature: bytes

    @property
    def claim(self) -> Claim:
        """The statement itself."""
        stated = b"" if self.stated is None else b"%d " % self.stated[0] + self.stated[1]
        return (_CHANGE, self.height, self.view, self.sender, stated)

    def doubts(self) -> tuple[Claim, ...]:
        """Return what one must have seen signed elsewhere to believe this."""
        own = () if self.is_signed else (self.claim,)
        return own if self.lock is None else (*own, *self.lock.doubts)

    def claims(self) -> tuple[Claim, ...]:
        """Return what one has seen signed by this."""
        own = (self.claim,) if self.is_signed else ()
        return own if self.lock is None else (*own, *self.lock.claims)


@dataclass(frozen=True, slots=True)
class ProposalSeen:
    """A PROPOSE."""

    height: int
    view: int
    digest: bytes
    sender: int
    header: Header
    changes: tuple[ChangeSeen, ...]
    lock: Lock | None
    unlawful: str
    """Why R3 forbids it, its time aside; empty if it does not."""

    is_fresh: bool
    is_signed: bool
    """Whether the signature that came with it holds."""

    signature: bytes

    def doubts(self) -> tuple[Claim, ...]:
        """Return what one must have seen signed elsewhere to believe this."""
        parts = [] if self.is_signed else [self._claim]
        parts += [d for change in self.changes for d in change.doubts()]
        return (*parts, *(() if self.lock is None else self.lock.doubts))

    def claims(self) -> tuple[Claim, ...]:
        """Return what one has seen signed by this."""
        parts = [self._claim] if self.is_signed else []
        parts += [c for change in self.changes for c in change.claims()]
        return (*parts, *(() if self.lock is None else self.lock.claims))

    @property
    def _claim(self) -> Claim:
        return (PROPOSE, self.height, self.view, self.sender, self.digest)


@dataclass(frozen=True, slots=True)
class StatusSeen:
    """A STATUS; unsigned."""


@dataclass(frozen=True, slots=True)
class NothingToJudge:
    """A decision whose certificate holds, or a message that is not of agreement."""


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Something that no correct host may send."""

    why: str


Seen = VoteSeen | ChangeSeen | ProposalSeen | StatusSeen | NothingToJudge | Rubbish


@dataclass(slots=True)
class Chapter:
    """What one host knows and has said of one height."""

    prepares: dict[tuple[int, bytes], set[int]] = field(default_factory=lambda: defaultdict(set))
    proposals: dict[int, dict[bytes, int | None]] = field(default_factory=lambda: defaultdict(dict))
    """Lawful ones by view and digest, with the wall clock at their arrival; None if time does not matter."""

    votes: dict[tuple[int, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Digests by (kind, view, sender), as heard in this life."""

    known: set[Claim] = field(default_factory=set)
    """Statements that the host has seen signed."""

    asked: dict[int, int] = field(default_factory=dict)
    """By sender, the highest view that it asked for, as heard in this life."""

    commits: dict[tuple[int, bytes], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Who committed what, as its core heard at this height in this life; only where nobody lies."""

    followed: dict[int, int] = field(default_factory=dict)
    """As `asked`, but only what its core heard at this height; only where nobody lies."""

    heeds_since_ms: int = -1
    """When the core began that heard `commits` and `followed`; -1 before any did."""

    changes: set[ChangeSeen] = field(default_factory=set)
    """View changes that the host need believe."""

    entitled_ms: dict[int, int] = field(default_factory=dict)
    """By view, when it had a lawful proposal, in this life (R9)."""

    quorums_ms: list[tuple[int, int]] = field(default_factory=list)
    """Rising: the highest view that a quorum had asked for, and since when, in this life (R9)."""

    own: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """One's own votes by (kind, view); PROPOSE counts as PREPARE."""

    own_changes: dict[int, tuple[int, bytes] | None] = field(default_factory=dict)
    """One's own view changes by view, with the lock that each stated."""

    has_refused: bool = False
    """Whether the host found a block of this height invalid, so that it may leave views early (R8)."""

    hasty: int = 0
    """How many views it left before their time in this life, as it may for blocks that it refused (R8)."""

    opened_ms: int = 0
    """When the host began to work on the height; virtual time, as all moments here."""

    booted_ms: int = -1
    """When a life began in this height; -1 if none did."""

    def entitled(self, view: int) -> int | None:
        """Return since when the timer of a view above 0 may run (R9); None if it may not."""
        times = [ms for reached, ms in self.quorums_ms if reached >= view][:1]
        times += [self.entitled_ms[view]] if view in self.entitled_ms else []
        return min(times, default=None)

    def reached(self) -> int:
        """Return the highest view that the host has said anything in."""
        return max([0, *(view for _, view in self.own), *self.own_changes])


class Specification:
    """Watches a simulated chain; see the module."""

    def __init__(self, world: SimulatedChain) -> None:
        self._world = world
        self._genesis = world.chain.genesis
        self._seen: dict[bytes, Seen] = {}
        self._chapters: dict[str, dict[int, Chapter]] = defaultdict(lambda: defaultdict(Chapter))
        self._told_status_ms: dict[str, int] = {}
        """When each host told its status last, or began to live."""

        self._times: dict[bytes, tuple[int, int]] = {}
        """(time, first view) of each block that was proposed lawfully."""

        self._have_spoken: set[str] = set()
        self._forgot_ms: dict[str, int] = {}
        """When (true wall clock) a host came back without all that it had written down."""

    # -- what happens --------------------------------------------------------------------------------------------

    def heard(self, host: str, data: bytes) -> None:
        """The host's engine takes a message."""
        node = self._world.nodes[host]
        if node.name in self._world.faulty:
            return
        seen = self._read(data)
        if isinstance(seen, VoteSeen | ChangeSeen | ProposalSeen):
            tip = self._world.observer.tips.get(host, 0)
            if seen.height > tip:
                self._learn(host, seen, node.clock.now_ms())

    def said(self, host: str, data: bytes) -> None:
        """A correct host says something."""
        if kind_of(data) not in _JUDGED:
            return
        seen = self._read(data)
        if isinstance(seen, Rubbish):
            raise Violation(f"{host} says what does not hold: {seen.why}")
        if isinstance(seen, StatusSeen):
            self._told_status_ms[host] = self._world.time.now_ms
            return
        if isinstance(seen, NothingToJudge):
            return
        if seen.doubts():
            raise Violation(f"{host} says what does not hold: {seen.doubts()}")
        name = self._world.nodes[host].name
        sender = self._world.observer.validators(seen.height).members[seen.sender].name
        if sender != name:
            return
        chapter = self._chapters[host][seen.height]
        match seen:
            case VoteSeen():
                self._judge_vote(host, chapter, seen)
            case ChangeSeen():
                self._judge_change(host, chapter, seen)
            case ProposalSeen():
                self._judge_proposal(host, chapter, seen)
        self._learn(host, seen, self._world.nodes[host].clock.now_ms())

    def booted(self, host: str) -> None:
        """A new life begins: what was heard is forgotten, what was said is not."""
        now_ms = self._world.time.now_ms
        self._told_status_ms[host] = now_ms
        for height, chapter in self._chapters[host].items():
            chapter.booted_ms = now_ms
            chapter.hasty = 0
            chapter.entitled_ms.clear()
            chapter.quorums_ms.clear()
            chapter.votes.clear()
            chapter.asked.clear()
            chapter.commits.clear()
            chapter.followed.clear()
            sender = self._index(host, height)
            if sender is not None and chapter.own_changes:
                chapter.asked[sender] = max(chapter.own_changes)
            for kind, view in chapter.own:
                if kind == PREPARE:
                    # R14: with a vote in its view, the timer of that view runs at once.
                    chapter.entitled_ms[view] = now_ms

    def opened(self, host: str, height: int) -> None:
        """The host works on this height from now on; those below are over."""
        chapters = self._chapters[host]
        # One height later: what comes to light with the very vote that decides is told after the decision.
        for old in [h for h in chapters if h < height - 1]:
            self._check_evidence(host, old, chapters.pop(old))
        chapters[height].opened_ms = self._world.time.now_ms

    def refused(self, host: str, height: int) -> None:
        """The host found a block of this height invalid."""
        self._chapters[host][height].has_refused = True

    def forgot(self, host: str) -> None:
        """The host has lost what it had written down of its votes, and boots now."""
        if host in self._have_spoken:
            self._forgot_ms[host] = EPOCH_MS + self._world.time.now_ms

    def check_talkative(self) -> None:
        """R12: whoever runs has told its status lately."""
        now_ms = self._world.time.now_ms
        for node in self._world.running():
            if now_ms - self._told_status_ms.get(node.host, 0) > _SILENCE_MS:
                raise Violation(f"R12: {node.host} has told no status for {_SILENCE_MS} ms")

    # -- judging -------------------------------------------------------------------------------------------------

    def _judge_vote(self, host: str, chapter: Chapter, vote: VoteSeen) -> None:
        what = f"{host} {_NAMES[vote.kind]} at height {vote.height}, view {vote.view}"
        if chapter.own.get((vote.kind, vote.view)) == vote.digest:
            return
        self._check_slot(what, chapter, vote.kind, vote.view)
        self._check_durable(host, what, vote.signature)
        self._check_memory(host, what, vote.height)
        self._check_heeds(host, what, vote.height, vote.view, vote.sender)
        if vote.kind == PREPARE:
            if vote.sender == self._world.leader(vote.height, vote.view):
                raise Violation(f"R2: {what}: a leader's proposal is its PREPARE")
            known = chapter.proposals[vote.view]
            if vote.digest not in known:
                raise Violation(f"R4: {what}: no lawful proposal of that block has come")
            came_ms = known[vote.digest]
            if came_ms is not None and not self._was_timely(chapter, vote):
                raise Violation(f"R3: {what}: the block's time is out of bounds")
        else:
            if chapter.own.get((PREPARE, vote.view)) != vote.digest:
                raise Violation(f"R5: {what}: it has not prepared that block itself")
            prepared = chapter.prepares[vote.view, vote.digest]
            if len(prepared) < self._quorum(vote.height):
                raise Violation(f"R5: {what}: only {sorted(prepared)} have prepared it")
        self._cast(host, chapter, vote.kind, vote.view, vote.digest)

    def _cast(self, host: str, chapter: Chapter, kind: int, view: int, digest: bytes) -> None:
        chapter.own[kind, view] = digest
        if self._is_restoring(host, chapter):
            # R14: a vote of before the crash, said for the first time; the timer of its view runs at once.
            chapter.entitled_ms.setdefault(view, self._world.time.now_ms)

    def _is_restoring(self, host: str, chapter: Chapter) -> bool:
        """Whether this is the moment after a restart in which a host says what it had made durable before."""
        began_ms = self._world.nodes[host].voting_since_ms
        return chapter.booted_ms >= 0 and began_ms == self._world.time.now_ms

    def _judge_proposal(self, host: str, chapter: Chapter, proposal: ProposalSeen) -> None:
        what = f"{host} PROPOSE at height {proposal.height}, view {proposal.view}"
        if chapter.own.get((PREPARE, proposal.view)) == proposal.digest:
            return
        self._check_slot(what, chapter, PREPARE, proposal.view)
        self._check_durable(host, what, proposal.signature)
        self._check_memory(host, what, proposal.height)
        self._check_heeds(host, what, proposal.height, proposal.view, proposal.sender)
        if proposal.unlawful:
            raise Violation(f"R3, R11: {what}: {proposal.unlawful}")
        for change in proposal.changes:
            if not any(_same_claim(change, known) for known in chapter.changes):
                raise Violation(f"R11: {what}: names a view change that has not come")
        if proposal.view == 0 and proposal.header.tx_count == 0:
            self._check_due(host, what, proposal)
        self._cast(host, chapter, PREPARE, proposal.view, proposal.digest)

    def _judge_change(self, host: str, chapter: Chapter, change: ChangeSeen) -> None:
        what = f"{host} VIEW-CHANGE to {change.view} of height {change.height}"
        if change.view in chapter.own_changes:
            return
        self._check_durable(host, what, change.signature)
        self._check_memory(host, what, change.height)
        self._check_heeds(host, what, change.height, change.view, change.sender)
        voted = max([-1, *(view for _, view in chapter.own)])
        if change.view <= voted or change.view < chapter.reached():
            raise Violation(f"R6, R8: {what}: it has been in view {max(voted, chapter.reached())}")
        committed = max([-1, *(v for kind, v in chapter.own if kind == COMMIT)])
        stated = -1 if change.stated is None else change.stated[0]
        if stated < committed:
            raise Violation(f"R5, R8: {what}: states {stated}, but it committed in {committed}")
        if change.stated is not None and (change.lock is None or not change.lock.holds):
            raise Violation(f"R8: {what}: its lock is not proven")
        if stated >= change.view:
            raise Violation(f"R8: {what}: states a lock of view {stated}")
        self._check_reason(host, what, chapter, change)
        chapter.own_changes[change.view] = change.stated

    def _check_slot(self, what: str, chapter: Chapter, kind: int, view: int) -> None:
        if (kind, view) in chapter.own:
            raise Violation(f"R4: {what}: it has voted for another block there")
        left = max([0, *chapter.own_changes])
        highest = max([left, *(v for _, v in chapter.own)])
        if view < highest:
            raise Violation(f"R6: {what}: it has left for view {highest}")

    def _check_reason(self, host: str, what: str, chapter: Chapter, change: ChangeSeen) -> None:
        """R8, R9, R10, R14: one leaves a view when its time is over, or with f + 1 others, or after a restart."""
        height, view = change.height, change.view
        others = [v for sender, v in chapter.asked.items() if sender != change.sender]
        if sum(asked >= view for asked in others) > self._faulty(height):
            return
        if self._is_restoring(host, chapter) or (
            chapter.booted_ms >= 0 and view in chapter.proposals
        ):
            # R14: what was made durable and not said before a crash is said first thing after it.
            return
        too_early = self._too_early(host, chapter, height, view - 1)
        if not too_early:
            return
        if not chapter.has_refused and not self._is_leaderless(host, what, chapter, change):
            raise Violation(f"{too_early[:2]}: {what}: {too_early[4:]}")
        chapter.hasty += 1
        if chapter.hasty > self._faulty(height):
            raise Violation(f"R8: {what}: in haste for the {chapter.hasty}th time in this height")

    def _is_leaderless(self, host: str, what: str, chapter: Chapter, change: ChangeSeen) -> bool:
        """R8: whether the view that is left has no block and will have none, since its leader has left it."""
        left = change.view - 1
        order = self._world.observer.leaders(change.height)
        leader = order[left % len(order)]
        if leader != change.sender:
            return chapter.asked.get(leader, 0) > left and (PREPARE, left) not in chapter.own
        if (PREPARE, left) in chapter.own:
            return False
        if not self._world.may_be_found_wrong(host):
            raise Violation(f"R8: {what}: it declines its turn, and its clock is right")
        return True

    def _too_early(self, host: str, chapter: Chapter, height: int, left: int) -> str:
        """Return the rule and the reason why its time in a view is not over; empty if it is."""
        now_ms = self._world.time.now_ms
        since_ms = chapter.opened_ms if left == 0 else chapter.entitled(left)
        if since_ms is None:
            return f"R9: no quorum had asked for view {left}, nor had it a proposal"
        node = self._world.nodes[host]
        if (
            left == 0
            and len(node.pool) == 0
            and not chapter.proposals[0]
            and not node.clock.has_jumped
            and not self._is_heartbeat_near(height)
        ):
            return "R1: nothing was due"
        waited_ms = now_ms - max(since_ms, chapter.opened_ms)
        if waited_ms < self._timeout_ms(left):
            return f"R8: after {waited_ms} ms of {self._timeout_ms(left)}"
        return ""

    def _check_due(self, host: str, what: str, proposal: ProposalSeen) -> None:
        """R1: an empty block is proposed only when a heartbeat is due, or what was pending cannot be in a block."""
        node, parameters = self._world.nodes[host], self._world.parameters
        parent = self._world.observer.decisions.get(proposal.height - 1)
        parent_ms = self._genesis.time_ms if parent is None else parent.header.time_ms
        if len(node.pool) == 0 and proposal.header.time_ms < min(
            parent_ms, node.clock.now_ms()
        ) + parameters.heartbeat_ms - 2 * parameters.precision_ms - 7_200_000 * self._is_wild(host):
            raise Violation(f"R1: {what}: an empty block, and no heartbeat is due")

    def _is_heartbeat_near(self, height: int) -> bool:
        """Whether a heartbeat may be due by some correct clock."""
        parent = self._world.observer.decisions.get(height - 1)
        parent_ms = self._genesis.time_ms if parent is None else parent.header.time_ms
        parameters = self._world.parameters
        age_ms = EPOCH_MS + self._world.time.now_ms - parent_ms
        return age_ms >= parameters.heartbeat_ms - 2 * parameters.precision_ms

    def _is_wild(self, host: str) -> bool:
        """Whether the wall clock was ever far off in this run, so that it says little about waiting."""
        return self._world.nodes[host].clock.has_jumped

    def _was_timely(self, chapter: Chapter, vote: VoteSeen) -> bool:
        """Whether the block's time was within the bounds around the host's clock when a proposal of it arrived."""
        came_ms = chapter.proposals[vote.view][vote.digest]
        time_ms, first_view = self._times[vote.digest]
        return came_ms is None or self._world.parameters.is_timely(time_ms, first_view, came_ms)

    def _check_durable(self, host: str, what: str, signature: bytes) -> None:
        """What is said of oneself is in the synced part of the vote log before."""
        file = self._world.nodes[host].disk.file
        if file._content.find(signature, 0, file._durable_bytes) < 0:
            raise Violation(f"R6: {what}: said before it was synced to the vote log")

    def _check_evidence(self, host: str, height: int, chapter: Chapter) -> None:
        """R15: whoever has heard two votes of one validator for one place says so."""
        observer = self._world.observer
        views: dict[int, set[int]] = defaultdict(set)
        for _, view, sender in chapter.votes:
            views[sender].add(view)
        for (kind, view, sender), digests in chapter.votes.items():
            if len(digests) < 2 or len(views[sender]) > _CERTAIN_VIEWS:
                continue
            name = observer.validators(height).members[sender].name
            if not observer.has_accused(host, height, name):
                raise Violation(
                    f"R15: {host} has heard {name} vote twice ({_NAMES[kind]}, height {height}, "
                    f"view {view}) and says nothing of it"
                )

    # -- knowing -------------------------------------------------------------------------------------------------

    def _learn(self, host: str, seen: VoteSeen | ChangeSeen | ProposalSeen, wall_ms: int) -> None:
        chapter = self._chapters[host][seen.height]
        now_ms = self._world.time.now_ms
        chapter.known.update(seen.claims())
        if not chapter.known.issuperset(seen.doubts()):
            return
        match seen:
            case VoteSeen():
                is_leader = seen.sender == self._world.leader(seen.height, seen.view)
                if seen.kind == PREPARE and is_leader:
                    # A leader has none: its proposal counts.
                    return
                if seen.kind == PREPARE:
                    chapter.prepares[seen.view, seen.digest].add(seen.sender)
                if seen.height == self._world.observer.tips.get(host, 0) + 1:
                    chapter.votes[seen.kind, seen.view, seen.sender].add(seen.digest)
                if seen.kind == COMMIT and self._must_heed(host, seen.height):
                    chapter.commits[seen.view, seen.digest].add(seen.sender)
            case ChangeSeen():
                self._learn_change(chapter, seen, now_ms)
                if self._must_heed(host, seen.height) and seen in chapter.changes:
                    known = chapter.followed.get(seen.sender, 0)
                    chapter.followed[seen.sender] = max(known, seen.view)
            case ProposalSeen():
                if seen.sender == self._world.leader(seen.height, seen.view):
                    chapter.prepares[seen.view, seen.digest].add(seen.sender)
                if not seen.unlawful:
                    came_ms = wall_ms if seen.is_fresh else None
                    known = chapter.proposals[seen.view]
                    if known.get(seen.digest, 0) is not None and (
                        seen.digest not in known or not self._is_now_timely(known, seen)
                    ):
                        known[seen.digest] = came_ms
                    self._times[seen.digest] = (seen.header.time_ms, seen.header.first_view)
                    chapter.entitled_ms.setdefault(seen.view, now_ms)

    def _must_heed(self, host: str, height: int) -> bool:
        """Whether what a host hears is bound to reach its core: where nobody lies, nobody is not listened to."""
        node = self._world.nodes[host]
        if self._world.faulty or node.core_height != height or not node.core_votes:
            return False
        chapter = self._chapters[host][height]
        if chapter.heeds_since_ms != node.voting_since_ms:
            # The core began anew, with what it had made durable and nothing that it had heard.
            chapter.heeds_since_ms = node.voting_since_ms
            chapter.commits.clear()
            chapter.followed.clear()
        return True

    def _check_memory(self, host: str, what: str, height: int) -> None:
        """R14: who has forgotten votes at no height in which it may have voted: only above a block that came later."""
        forgot_ms = self._forgot_ms.get(host)
        self._have_spoken.add(host)
        if forgot_ms is None:
            return
        parent = self._world.observer.decisions.get(height - 1)
        margin_ms = 2 * self._world.parameters.precision_ms
        if parent is None or parent.header.time_ms < forgot_ms - margin_ms:
            raise Violation(f"R14: {what}: it has forgotten what it said there")
        del self._forgot_ms[host]

    def _check_heeds(self, host: str, what: str, height: int, view: int, sender: int) -> None:
        """R7, R10: a quorum of COMMITs ends the height, and f + 1 others who left a view take one along."""
        chapter = self._chapters[host][height]
        if not self._must_heed(host, height):
            return
        for (committed_view, _), senders in chapter.commits.items():
            if len(senders) >= self._quorum(height):
                raise Violation(f"R7: {what}: a quorum has committed in view {committed_view}")
        others = sorted((v for s, v in chapter.followed.items() if s != sender), reverse=True)
        rank = self._faulty(height)
        if len(others) > rank and others[rank] > view:
            raise Violation(f"R10: {what}: f + 1 others have asked for view {others[rank]}")

    def _is_now_timely(self, known: dict[bytes, int | None], seen: ProposalSeen) -> bool:
        came_ms = known[seen.digest]
        return came_ms is None or self._world.parameters.is_timely(
            seen.header.time_ms, seen.header.first_view, came_ms
        )

    def _learn_change(self, chapter: Chapter, change: ChangeSeen, now_ms: int) -> None:
        if change.stated is not None and (change.lock is None or not change.lock.holds):
            # Nobody need believe a lock that is not shown.
            return
        chapter.changes.add(change)
        chapter.asked[change.sender] = max(chapter.asked.get(change.sender, 0), change.view)
        quorum = self._quorum(change.height)
        asked = sorted(chapter.asked.values(), reverse=True)
        if len(asked) >= quorum:
            reached, known = asked[quorum - 1], chapter.quorums_ms
            if not known or reached > known[-1][0]:
                known.append((reached, now_ms))

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> Seen:
        if kind_of(data) not in _JUDGED:
            return NothingToJudge()
        seen = self._seen.get(data)
        if seen is None:
            if len(self._seen) > _MAX_REMEMBERED:
                self._seen.clear()
            seen = self._parse(data)
            # Whoever speaks of a height whose validators are not determined yet is read again when they are.
            known = max(self._world.observer.decisions, default=0) + 2
            if isinstance(seen, StatusSeen | NothingToJudge) or (
                not isinstance(seen, Rubbish) and seen.height <= known
            ):
                self._seen[data] = seen
        return seen

    def _parse(self, data: bytes) -> Seen:
        try:
            message = decode_message(data)
            match message:
                case Vote():
                    return self._parse_vote(message)
                case ViewChangeMessage():
                    return self._parse_change(message.change, message.proof, is_shown=True)
                case ProposeMessage():
                    return self._parse_proposal(message)
                case DecidedMessage():
                    return self._parse_decided(message)
                case StatusMessage():
                    return StatusSeen()
                case _:
                    return Rubbish("a kind of message that is not of agreement")
        except ChainError as error:
            return Rubbish(str(error))

    def _parse_vote(self, vote: Vote) -> Seen:
        if self._key(vote.height, vote.sender) is None:
            return Rubbish("a vote of nobody")
        is_signed = self._is_signed(
            vote.kind, vote.height, vote.view, vote.digest, vote.sender, vote.signature
        )
        return VoteSeen(
            vote.kind, vote.height, vote.view, vote.digest, vote.sender, is_signed, vote.signature
        )

    def _parse_change(
        self, change: SignedChange, proof: PreparedProof | None, *, is_shown: bool
    ) -> ChangeSeen | Rubbish:
        key = self._key(change.height, change.sender)
        if key is None:
            return Rubbish("a view change of nobody")
        message = view_change_message(
            self._genesis.domain, change.height, change.view, change.prepared
        )
        is_signed = self._genesis.suite.is_signature(key, message, change.signature)
        lock = None if proof is None else self._lock(change.height, proof)
        if lock is not None and change.prepared != (lock.view, lock.digest):
            lock = replace(lock, holds=False)
        if change.view < 1 or (change.prepared is not None and change.prepared[0] >= change.view):
            return Rubbish("a view change with impossible views")
        if is_shown and change.prepared is None and proof is not None:
            return Rubbish("a view change that proves a lock which it does not state")
        return ChangeSeen(
            change.height,
            change.view,
            change.sender,
            change.prepared,
            lock,
            is_signed,
            change.signature,
        )

    def _parse_proposal(self, message: ProposeMessage) -> Seen:
        outline = decode_outline(self._genesis.domain, message.outline)
        header, digest = outline.header, outline.block_hash
        height, view, sender = message.height, message.view, message.sender
        if header.height != height:
            return Rubbish("a proposal of another height's block")
        if self._key(height, sender) is None:
            return Rubbish("a proposal of nobody")
        is_signed = self._is_signed(PROPOSE, height, view, digest, sender, message.signature)
        changes: list[ChangeSeen] = []
        for change in message.changes:
            parsed = self._parse_change(change, None, is_shown=False)
            if isinstance(parsed, Rubbish):
                return parsed
            changes.append(parsed)
        lock = None if message.proof is None else self._lock(height, message.proof)
        unlawful, is_fresh = self._law(height, view, digest, sender, header, changes, lock)
        return ProposalSeen(
            height,
            view,
            digest,
            sender,
            header,
            tuple(changes),
            lock,
            unlawful,
            is_fresh,
            is_signed,
            message.signature,
        )

    def _law(
        self,
        height: int,
        view: int,
        digest: bytes,
        sender: int,
        header: Header,
        changes: list[ChangeSeen],
        lock: Lock | None,
    ) -> tuple[str, bool]:
        """R3 without time: return why a proposal is unlawful (or ""), and whether its leader was free to choose."""
        world = self._world
        names = [v.name for v in world.observer.validators(height).members]
        if sender != world.leader(height, view):
            return "its sender does not lead the view", True
        if view == 0:
            if changes or lock is not None:
                return "a justification in view 0", True
            highest = None
        else:
            senders = {c.sender for c in changes if (c.height, c.view) == (height, view)}
            if len(senders) < self._quorum(height) or len(senders) != len(changes):
                return "not justified by a quorum of distinct validators", True
            highest = max((c.stated for c in changes if c.stated is not None), default=None)
        if highest is None:
            if lock is not None:
                return "a proof that nobody needs", True
            if (header.first_view, header.proposer) != (view, names[sender]):
                return "a fresh block of another view or proposer", True
            return "", True
        if lock is None or not lock.holds:
            return "the highest lock is not proven", False
        if lock.view != highest[0] or (lock.view, lock.digest) not in [c.stated for c in changes]:
            return "the proof is not of the highest lock", False
        if digest != lock.digest:
            return "another block than the locked one", False
        first = header.first_view
        if first > lock.view or header.proposer != names[world.leader(height, first)]:
            return "a block whose first view or proposer cannot be", False
        return "", False

    def _lock(self, height: int, proof: PreparedProof) -> Lock:
        leader = self._world.leader(height, proof.view)
        claims: list[Claim] = []
        doubts: list[Claim] = []
        for sender, signature in proof.signatures:
            kind = PROPOSE if sender == leader else PREPARE
            is_signed = self._is_signed(kind, height, proof.view, proof.digest, sender, signature)
            claim = (kind, height, proof.view, sender, proof.digest)
            (claims if is_signed else doubts).append(claim)
        senders = {sender for sender, _ in proof.signatures}
        n = self._world.observer.validators(height).size
        holds = len(senders) >= self._quorum(height) and max(senders) < n
        return Lock(proof.view, proof.digest, holds, tuple(claims), tuple(doubts))

    def _parse_decided(self, message: DecidedMessage) -> Seen:
        certificate = decode_certificate(message.certificate)
        validators = self._world.observer.validators(certificate.height)
        verify_certificate(certificate, self._genesis.domain, validators)
        return NothingToJudge()

    # -- small things --------------------------------------------------------------------------------------------

    def _is_signed(
        self, kind: int, height: int, view: int, digest: bytes, sender: int, signature: bytes
    ) -> bool:
        key = self._key(height, sender)
        message = vote_message(self._genesis.domain, kind, height, view, digest)
        return key is not None and self._genesis.suite.is_signature(key, message, signature)

    def _key(self, height: int, sender: int) -> bytes | None:
        members = self._world.observer.validators(height).members
        return members[sender].consensus_key if sender < len(members) else None

    def _index(self, host: str, height: int) -> int | None:
        name = self._world.nodes[host].name
        return self._world.observer.validators(height).index_of(name)

    def _quorum(self, height: int) -> int:
        n = self._world.observer.validators(height).size
        # Restated: more than two thirds.
        return next(q for q in range(1, n + 1) if 3 * q > 2 * n)

    def _faulty(self, height: int) -> int:
        return (self._world.observer.validators(height).size - 1) // 3

    def _timeout_ms(self, view: int) -> int:
        parameters = self._world.parameters
        timeout_ms = parameters.timeout_ms
        for _ in range(min(view, 64)):
            timeout_ms = min(timeout_ms * 3 // 2, parameters.timeout_cap_ms)
        return timeout_ms


def _same_claim(one: ChangeSeen, other: ChangeSeen) -> bool:
    return (one.height, one.view, one.sender, one.stated) == (
        other.height,
        other.view,
        other.sender,
        other.stated,
    )
