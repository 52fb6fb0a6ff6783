"""Whether this node's clock is right: by the other validators' clocks, and by a time source of its own if it has one.

A clock that is wrong by more than the bound dates no block: the node declines its turns to propose, says so, and votes
as ever, since votes carry no time and whatever it finds untimely needs a quorum of others. A clock that too few can
judge is believed: a chain that starts, and one with f validators down, must go on.

What a right clock may be wrong by is half of the chain's precision (`Parameters.clock_bound_ms`), and so far may it be
from what the clocks agree on (`cluster_time`). Right clocks that are no farther apart than that are never found wrong,
whatever f liars say; one that is farther from all right clocks than the bound and the error of measurement, always is.
It is right again within half of the bound, so that a clock at the edge does not come and go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.engine.cluster_time import Span, agree
from chainnode.services.ports import ClockStatus, ClockVerdict, TimeSourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.clock_offsets import ClockOffsets, Reading
    from chainnode.engine.ports import Clock
    from chainnode.ledger.ledger import Ledger
    from chainnode.services.ports import Witness

JUMP_MS: Final = 10
"""Less than this cannot be told from rounding and from two readings that were taken apart."""

JUMP_SHARE: Final = 100
"""A hundredth of the time since the last look is not a jump either: clocks that are set right slowly run that fast."""

JUDGE_EVERY_MS: Final = 100
"""A look that finds no jump judges anew only so often: a busy engine looks at its clock thousands of times a second."""

SOURCE_MAX_AGE_MS: Final = 600_000
"""A time source that has not answered for so long vouches for nothing; two quartz clocks drift 120 ms apart."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What can be seen at one moment; everything relative to our wall clock."""

    spans: dict[str, Span]
    """Clocks of the open height's validators, as far as they are known; our own is at 0."""

    agreed: Span | None
    source: Span | None


class Timekeeper:
    """Judges this node's wall clock against its monotonic one, the peers' clocks, and a time source."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        name: str,
        offsets: ClockOffsets,
        clock: Clock,
        witness: Witness,
        jumped: Callable[[], None],
        declared: tuple[str, ...] = (),
        source: str | None = None,
    ) -> None:
        """`jumped` is called when the wall clock has; `source` names what `source_measured` will tell of."""
        self._ledger = ledger
        self._name = name
        self._offsets = offsets
        self._clock = clock
        self._witness = witness
        self._jumped = jumped
        self._declared = declared
        self._bound_ms = ledger.genesis.parameters.clock_bound_ms
        self._looked_ms = clock.monotonic_ms()
        self._lead_ms = clock.now_ms() - self._looked_ms
        """Wall clock less monotonic clock, when we last looked."""

        self._jumps = self._last_jump_ms = self._last_jump_at_ms = 0
        self._declined = 0
        self._verdict = ClockVerdict.UNKNOWN
        self._since_ms = self._looked_ms
        self._is_outside = False
        """Whether the others' clocks have found ours wrong and not yet right again."""

        self._is_off_source = False
        self._known: frozenset[str] = frozenset()
        """Validators whose clocks could be judged when we last looked."""

        self._wrong_peers: frozenset[str] = frozenset()
        self._judged_ms: int | None = None
        self._source = source
        self._source_reading: Reading | None = None
        self._source_problem: str | None = "it was not asked yet"

    # -- what is measured ------------------------------------------------------------------------------------

    def look(self) -> None:
        """See whether the wall clock has jumped, and judge it anew if it has, or if it is time to."""
        has_jumped = self._notice_jump()
        now_ms = self._clock.monotonic_ms()
        if has_jumped or self._judged_ms is None or now_ms - self._judged_ms >= JUDGE_EVERY_MS:
            self._judge(now_ms)

    def may_date(self) -> bool:
        """Look, and tell whether a block may be dated now; False is counted as a turn that is declined."""
        self._notice_jump()
        self._judge(self._clock.monotonic_ms())
        is_wrong = self._verdict is ClockVerdict.WRONG
        self._declined += is_wrong
        return not is_wrong

    def source_measured(self, found: Reading | None, problem: str | None) -> None:
        """Take a measurement of the time source, or why there is none."""
        if found is not None:
            self._source_reading = found
        if problem is not None and problem != self._source_problem:
            self._witness.event("time_source_silent", source=self._source or "", reason=problem)
        self._source_problem = problem
        self._notice_jump()
        self._judge(self._clock.monotonic_ms())

    def _notice_jump(self) -> bool:
        before_ms = self._clock.monotonic_ms()
        wall_ms = self._clock.now_ms()
        after_ms = self._clock.monotonic_ms()
        if after_ms - before_ms > 1:
            # Something came in between, so the two readings do not belong together.
            return False
        lead_ms = wall_ms - after_ms
        by_ms = lead_ms - self._lead_ms
        slack_ms = JUMP_MS + (after_ms - self._looked_ms) // JUMP_SHARE
        self._looked_ms, self._lead_ms = after_ms, lead_ms
        if abs(by_ms) <= slack_ms:
            return False
        self._jumps += 1
        self._last_jump_ms, self._last_jump_at_ms = by_ms, wall_ms
        self._witness.event("clock_jumped", by_ms=by_ms, jumps=self._jumps)
        self._offsets.own_clock_jumped()
        self._jumped()
        return True

    def _see(self, now_ms: int) -> _Sight:
        validators = self._ledger.validators(self._ledger.tip.height + 1)
        spans: dict[str, Span] = {}
        for member in validators.members:
            if member.name == self._name:
                spans[member.name] = Span(earliest_ms=0, latest_ms=0)
            elif (reading := self._offsets.of(member.name, now_ms)) is not None:
                spans[member.name] = self._span_of(reading, now_ms)
        is_enough = len(spans) >= validators.quorum
        agreed = agree(tuple(spans.values()), validators.faulty) if is_enough else None
        source, found = None, self._source_reading
        if found is not None and now_ms - found.measured_ms <= SOURCE_MAX_AGE_MS:
            source = self._span_of(found, now_ms)
        return _Sight(spans, agreed, source)

    def _span_of(self, reading: Reading, now_ms: int) -> Span:
        offset_ms, error_ms = reading.ahead_ms - self._lead_ms, reading.error_ms(now_ms)
        return Span(earliest_ms=offset_ms - error_ms, latest_ms=offset_ms + error_ms)

    # -- what follows ----------------------------------------------------------------------------------------

    def _judge(self, now_ms: int) -> None:
        self._judged_ms = now_ms
        sight = self._see(now_ms)
        if sight.agreed is not None:
            self._is_outside = self._exceeds(sight.agreed, was=self._is_outside)
        if sight.source is not None:
            self._is_off_source = self._exceeds(sight.source, was=self._is_off_source)
        elif sight.agreed is not None:
            # One that is silent vouches for nothing, and accuses nobody either.
            self._is_off_source = False
        self._judge_peers(sight)
        if self._is_outside or self._is_off_source:
            verdict = ClockVerdict.WRONG
        elif sight.agreed is None:
            verdict = ClockVerdict.UNKNOWN
        elif _reach_ms(sight.agreed) > self._precision_ms:
            verdict = ClockVerdict.DISPUTED
        else:
            verdict = ClockVerdict.RIGHT
        self._turn(verdict, now_ms, sight)

    def _exceeds(self, right: Span, *, was: bool) -> bool:
        return abs(right.distance_ms(0)) > (self._bound_ms // 2 if was else self._bound_ms)

    def _turn(self, verdict: ClockVerdict, now_ms: int, sight: _Sight) -> None:
        was = self._verdict
        if verdict is was:
            return
        self._verdict, self._since_ms = verdict, now_ms
        if verdict is ClockVerdict.WRONG:
            self._witness.event("clock_wrong", reason=self._sentence(sight))
        elif verdict is ClockVerdict.DISPUTED:
            self._witness.event("clocks_disputed", reason=self._sentence(sight))
        elif was in {ClockVerdict.WRONG, ClockVerdict.DISPUTED}:
            self._witness.event("clock_right_again", reason=self._sentence(sight))

    def _judge_peers(self, sight: _Sight) -> None:
        """Say when a peer's clock begins or ceases to be wrong."""
        agreed, wrong = sight.agreed, set[str]()
        if agreed is not None:
            low_ms, high_ms = agreed.earliest_ms - self._bound_ms, agreed.latest_ms + self._bound_ms
            for peer, span in sight.spans.items():
                if peer != self._name and (span.latest_ms < low_ms or span.earliest_ms > high_ms):
                    wrong.add(peer)
        for peer in sorted(wrong - self._wrong_peers):
            span = sight.spans[peer]
            middle_ms = (span.earliest_ms + span.latest_ms) // 2
            self._witness.event("peer_clock_wrong", peer=peer, offset_ms=middle_ms)
        for peer in sorted(self._wrong_peers - wrong):
            self._witness.event("peer_clock_right_again", peer=peer)
        self._wrong_peers = frozenset(wrong)
        self._known = frozenset() if agreed is None else frozenset(sight.spans)

    # -- what people are told --------------------------------------------------------------------------------

    def offset_ms(self, peer: str) -> tuple[int, int] | None:
        """Return (offset, round trip) of a peer's clock in milliseconds, or None; offset is its clock minus ours."""
        reading = self._offsets.of(peer, self._clock.monotonic_ms())
        return (
            None if reading is None else (reading.ahead_ms - self._lead_ms, reading.round_trip_ms)
        )

    def is_off(self, peer: str) -> bool | None:
        """Whether a peer's clock is outside the bound of what the clocks agree on; None if that cannot be told."""
        return peer in self._wrong_peers if peer in self._known else None

    def status(self) -> ClockStatus:
        """Return what is known of this node's clock."""
        sight = self._see(self._clock.monotonic_ms())
        agreed = sight.agreed
        is_checked = self._source is None or sight.source is not None
        return ClockStatus(
            verdict=self._verdict,
            sentence=self._sentence(sight),
            vouches=self._verdict is ClockVerdict.RIGHT and agreed is not None and is_checked,
            since_ms=self._since_ms + self._lead_ms,
            bound_ms=self._bound_ms,
            agreed_ms=None if agreed is None else (agreed.earliest_ms, agreed.latest_ms),
            judges=len(sight.spans),
            jumps=self._jumps,
            last_jump_ms=self._last_jump_ms,
            last_jump_at_ms=self._last_jump_at_ms,
            declined=self._declined,
            declared=self._declared,
            source=None if self._source is None else self._source_status(sight.source),
        )

    def _source_status(self, span: Span | None) -> TimeSourceStatus:
        reading = self._source_reading
        return TimeSourceStatus(
            server=self._source or "",
            offset_ms=None if span is None else (span.earliest_ms + span.latest_ms) // 2,
            error_ms=None if span is None else (span.latest_ms - span.earliest_ms) // 2,
            measured_ms=0 if reading is None else reading.measured_ms + self._lead_ms,
            problem=self._source_problem,
        )

    def _sentence(self, sight: _Sight) -> str:
        """Return why the verdict is what it is, and what would change it."""
        agreed, source, bound_ms = sight.agreed, sight.source, self._bound_ms
        allowed = f"{bound_ms} ms are allowed, and it is right again within {bound_ms // 2} ms"
        validators = self._ledger.validators(self._ledger.tip.height + 1)
        if self._is_off_source and source is not None:
            return f"the time source {self._source} is {_text(source)} from this clock; {allowed}"
        if self._is_outside and agreed is not None:
            return f"the validators' clocks agree on {_text(agreed)} from this one; {allowed}"
        if self._verdict is ClockVerdict.WRONG:
            return "it was found wrong, and nothing that is known now shows that it is right again"
        if agreed is None:
            return (
                f"{len(sight.spans)} of {validators.size} validators' clocks are known, this one included; "
                f"it takes {validators.quorum} to judge"
            )
        if self._verdict is ClockVerdict.DISPUTED:
            return (
                f"the validators' clocks agree on no more than {_text(agreed)} from this one; "
                f"to call it right takes {self._precision_ms} ms"
            )
        if self._source is not None and source is None:
            return f"the time source {self._source} has told nothing: {self._source_problem}"
        return f"the validators' clocks agree on {_text(agreed)} from this one; {bound_ms} ms are allowed"

    @property
    def _precision_ms(self) -> int:
        return self._ledger.genesis.parameters.precision_ms


def _reach_ms(agreed: Span) -> int:
    """Return how far the farther end of what the clocks agree on is from our clock."""
    return max(-agreed.earliest_ms, agreed.latest_ms)


def _text(span: Span) -> str:
    return f"{span.earliest_ms:+d} to {span.latest_ms:+d} ms"
