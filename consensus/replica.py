"""The core's one door: `step(event, now_ms) -> Effects`.

Two rules for whoever calls:

1. Carry out each `Effects` field by field, from top to bottom, before the next step's; `persist`
   is on disk before anything below it happens. Steps may share one sync.
2. Call `step(Tick(), now_ms)` no later than `deadline_ms`. `now_ms` never runs backwards.

An event first puts facts into the state; then the rules act on them until none has anything to
do. A rule never calls another one, so that their order is this page's and nobody else's.
"""

from typing import Final, assert_never

from consensus.anti_entropy import on_status, tell_status
from consensus.effects import Ahead, Behind, Effects, Outbox, Record, Refusal
from consensus.errors import InvariantViolation, Refused
from consensus.events import (
    Built,
    CommitReceived,
    DecidedReceived,
    Declined,
    Event,
    PrepareReceived,
    ProposalReceived,
    Received,
    Recovered,
    StartHeight,
    StatusReceived,
    Tick,
    Verdict,
    ViewChangeReceived,
    WorkDone,
    WorkPending,
)
from consensus.held import claims_of_event, claims_of_state
from consensus.messages import Claim, Height, ValidatorIndex
from consensus.parameters import ANTI_ENTROPY_IDLE_FACTOR, Parameters
from consensus.proposing import on_built, on_declined, plan_first, plan_next, propose_again
from consensus.recovery import restore
from consensus.snapshot import Snapshot, take_snapshot
from consensus.state import HeightState
from consensus.timers import next_deadline_ms
from consensus.view_change import arm_timer, expire, jump, on_view_change
from consensus.voting import (
    commit,
    decide,
    on_certificate,
    on_commit,
    on_prepare,
    on_proposal,
    on_verdict,
    prepare,
)

EARLY_PER_VALIDATOR: Final = 4
"""Claims of the next height held per sender: a proposal, a PREPARE, a COMMIT and a view change.
What is dropped beyond comes again through R12."""

_RULES: Final = (
    jump,
    arm_timer,
    plan_first,
    plan_next,
    propose_again,
    prepare,
    commit,
    expire,
    tell_status,
)


class Replica:
    """One validator, or an observer, across heights; one height is open at a time."""

    __slots__ = ("_early", "_parameters", "_state", "_work_since_ms")

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._state: HeightState | None = None
        self._early: list[Received] = []
        self._work_since_ms: int | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When to send `Tick` at the latest; None while only other events can change anything."""
        return None if self._state is None else next_deadline_ms(self._state)

    def snapshot(self) -> Snapshot | None:
        """Return what the open height waits for; None before the first height."""
        return None if self._state is None else take_snapshot(self._state)

    def held_claims(self) -> frozenset[Claim]:
        """Return every claim whose signature may still be needed; the host may forget all others.

        At most a few hundred per validator and height, whatever that validator signs (R15).
        """
        if self._state is None:
            return frozenset()
        held = set(claims_of_state(self._state))
        for event in self._early:
            held.update(claims_of_event(event))
        return frozenset(held)

    def step(self, event: Event, now_ms: int) -> Effects:
        """Take in one event and return all that follows from it.

        Raises:
            InvariantViolation: The host broke its contract, or agreement is broken: the node
                must stop. Whatever peers send raises nothing while at most f are faulty.
        """
        out = Outbox()
        match event:
            case StartHeight():
                self._open(event, (), now_ms, out)
            case Recovered():
                self._open(event.start, event.records, now_ms, out)
            case WorkPending():
                self._set_work(event.since_ms)
            case WorkDone():
                self._set_work(None)
            case Verdict() | Built() | Declined():
                self._answer(event, now_ms, out)
            case Tick():
                pass
            case _:
                self._receive(event, now_ms, out)
        if self._state is not None:
            _run_rules(self._state, now_ms, out)
        return out.effects()

    def _open(
        self, start: StartHeight, records: tuple[Record, ...], now_ms: int, out: Outbox
    ) -> None:
        former = self._state
        if former is not None and not _may_follow(former.start, start):
            raise InvariantViolation(
                f"height {start.height} cannot start after height {former.height}"
            )
        if not (1 <= start.quorum <= start.n and 2 * start.quorum > start.n):
            raise InvariantViolation(f"quorum {start.quorum} of {start.n} validators")
        if sorted(start.leaders) != list(range(start.n)):
            raise InvariantViolation(
                f"leaders are {start.leaders}; expected each of {start.n} validators once"
            )
        parameters = self._parameters
        first_status_ms = now_ms + parameters.anti_entropy_ms * ANTI_ENTROPY_IDLE_FACTOR
        self._state = HeightState(
            parameters=parameters,
            start=start,
            started_ms=now_ms,
            work_since_ms=self._work_since_ms,
            status_due_ms=now_ms if records else first_status_ms,
            step_since_ms=now_ms,
        )
        if former is not None and former.height == start.height:
            self._state.keep_claims_of(former)
            self._state.status_due_ms = now_ms
        if records:
            restore(self._state, records, now_ms, out)
        early, self._early = self._early, []
        for event in early:
            self._receive(event, now_ms, out)

    def _set_work(self, since_ms: int | None) -> None:
        self._work_since_ms = since_ms
        if self._state is not None:
            self._state.work_since_ms = since_ms

    def _answer(self, event: Verdict | Built | Declined, now_ms: int, out: Outbox) -> None:
        """Take an answer of the host; one for a height that has passed is late, not wrong."""
        state = self._state
        if state is None or event.height != state.height or state.decided is not None:
            return
        match event:
            case Verdict():
                on_verdict(state, event)
            case Built():
                on_built(state, event, now_ms, out)
            case Declined():
                on_declined(state, event)

    def _receive(self, event: Received, now_ms: int, out: Outbox) -> None:
        """R13: take in what is of our height; hold, answer or point out what is not."""
        state = self._state
        height, sender = _origin(event)
        if state is None:
            return
        if height < state.height:
            # A late decision asks for nothing; answering it would bounce between us for ever.
            if not isinstance(event, DecidedReceived):
                out.behind.append(Behind(peer=event.peer, height=height))
        elif height > state.height:
            if height > state.height + 1 or not self._hold(event, sender):
                out.ahead.append(Ahead(peer=event.peer, height=height))
        elif sender is None or sender != state.me:
            # What comes back from others in our own name is either known or not ours.
            try:
                _take_in(state, event, now_ms, out)
            except Refused as refused:
                out.refused.append(
                    Refusal(peer=event.peer, code=refused.code, sentence=str(refused))
                )

    def _hold(self, event: Received, sender: ValidatorIndex | None) -> bool:
        """Keep a claim of the next height until it starts; what has no signer is not kept."""
        if sender is None:
            return False
        if sum(_origin(held)[1] == sender for held in self._early) < EARLY_PER_VALIDATOR:
            self._early.append(event)
        return True


def _may_follow(former: StartHeight, start: StartHeight) -> bool:
    """A height may be opened again only to begin or to cease voting in it."""
    if start.height == former.height:
        return (start.me is None) != (former.me is None)
    return start.height > former.height


def _origin(event: Received) -> tuple[Height, ValidatorIndex | None]:
    """Return the height that a message is about, and who signed it; None if nobody did."""
    match event:
        case ProposalReceived():
            return event.proposal.height, event.proposal.sender
        case PrepareReceived() | CommitReceived():
            return event.vote.height, event.vote.sender
        case ViewChangeReceived():
            return event.message.claim.height, event.message.claim.sender
        case DecidedReceived():
            return event.certificate.height, None
        case StatusReceived():
            return event.status.height, None
    assert_never(event)


def _take_in(state: HeightState, event: Received, now_ms: int, out: Outbox) -> None:
    """Hand a message of the open height to its phase."""
    match event:
        case ProposalReceived():
            on_proposal(state, event.proposal, timely=event.timely, now_ms=now_ms, out=out)
        case PrepareReceived():
            on_prepare(state, event.vote, out)
        case CommitReceived():
            on_commit(state, event.vote, out)
        case ViewChangeReceived():
            on_view_change(state, event.message, out)
        case DecidedReceived():
            on_certificate(state, event.certificate)
        case StatusReceived():
            on_status(state, event.peer, event.status, event.sender, out)
        case _:
            assert_never(event)


def _run_rules(state: HeightState, now_ms: int, out: Outbox) -> None:
    """Let every rule act until none does. Each acts once per view or digest, so this ends."""
    busy = True
    while busy:
        busy = decide(state, now_ms, out)
        if state.me is not None and state.decided is None:
            for rule in _RULES:
                busy = rule(state, now_ms, out) or busy
    if state.busy_since_ms is None and (state.work_since_ms is not None or not state.is_idle()):
        state.busy_since_ms = now_ms
    phase = (state.view, state.step)
    if phase != state.phase_seen:
        state.phase_seen = phase
        state.step_since_ms = now_ms
