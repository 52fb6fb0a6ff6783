"""The height above the tip: who may vote on it, what was voted before a restart, what waits, what is built of it.

All that this node itself puts to the core; what peers say comes through the inbox. Each height is opened once in a
life of the node.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from chainnode.engine.leaders import leaders_at
from consensus.events import Built, Declined, Recovered, StartHeight, WorkDone, WorkPending
from consensus.messages import Digest, Height, ValidatorIndex
from consensus.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.candidates import Candidates
    from chainnode.engine.ports import Clock
    from chainnode.engine.recovery import VotingLicence
    from chainnode.engine.timekeeping import Timekeeper
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.genesis import Genesis
    from consensus.effects import Build, Record, Validate
    from consensus.events import Event

MAX_JITTER_PERMILLE: Final = 100
"""View timers of different validators differ by up to a tenth, so that they do not all fire at once."""


class OpenHeight:
    """The height on which the core works."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        name: str,
        ledger: Ledger,
        pool: Pool,
        candidates: Candidates,
        licence: VotingLicence,
        timekeeper: Timekeeper,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        """`emit` queues an event for the core."""
        self._genesis = genesis
        self._name = name
        self._ledger = ledger
        self._pool = pool
        self._candidates = candidates
        self._licence = licence
        self._timekeeper = timekeeper
        self._clock = clock
        self._emit = emit
        self._height = 0
        self._has_work = False
        self._records: tuple[Record, ...] = ()
        self._held: Build | None = None
        self.is_voting = False
        """Whether this validator votes on it, or only observes."""

    def begin(self) -> bool:
        """Have the core work on the height above the tip; return False if it does already."""
        height = self._ledger.tip.height + 1
        if self._height == height:
            return False
        self._height, self._held = height, None
        self._records = self._licence.take_records(height, self._ledger.validators(height))
        self._has_work = self._pool.oldest_since_ms is not None
        if self._pool.oldest_since_ms is None:
            self._emit(WorkDone())
        else:
            self._emit(WorkPending(since_ms=self._pool.oldest_since_ms))
        self._open()
        return True

    def reconsider(self) -> None:
        """Begin or cease to vote at the open height, as the licence has it now."""
        height = self._ledger.tip.height + 1
        me = self._licence.index_at(height, self._ledger.validators(height))
        if self._height == height and self.is_voting != (me is not None):
            self._open()

    def _open(self) -> None:
        tip = self._ledger.tip
        height = tip.height + 1
        validators = self._ledger.validators(height)
        now_ms = self._clock.monotonic_ms()
        age_ms = max(0, self._clock.now_ms() - tip.time_ms)
        me = self._licence.index_at(height, validators)
        self.is_voting = me is not None
        start = StartHeight(
            height=Height(height),
            n=validators.size,
            quorum=validators.quorum,
            me=None if me is None else ValidatorIndex(me),
            leaders=leaders_at(self._ledger, height),
            parent_ms=now_ms - age_ms,
        )
        if self._records and me is not None:
            self._emit(Recovered(start=start, records=self._records))
        else:
            self._emit(start)

    def note_work(self) -> None:
        """Tell the core, once in a height, that transactions wait."""
        since_ms = self._pool.oldest_since_ms
        if since_ms is not None and not self._has_work:
            self._has_work = True
            self._emit(WorkPending(since_ms=since_ms))

    def build(self, build: Build) -> None:
        """Make a block of what waits, for the core to propose; or none, if our clock must date none."""
        tip, self._held = self._ledger.tip, None
        if build.height != tip.height + 1:
            return
        if not self._timekeeper.may_date():
            self._emit(Declined(height=build.height, view=build.view))
            return
        if self._early_by_ms():
            self._held = build
            return
        parameters = self._genesis.parameters
        executed = self._ledger.build(
            transactions=self._pool.select(
                parameters.max_block_transactions, parameters.max_block_bytes
            ),
            time_ms=max(self._clock.now_ms(), tip.time_ms + 1),
            first_view=build.view,
            proposer=self._name,
        )
        self._candidates.add_executed(executed)
        digest = Digest(executed.outline.block_hash)
        self._emit(Built(height=build.height, view=build.view, digest=digest))

    def _early_by_ms(self) -> int:
        """Return how long it takes until our own clock would let the least time above the parent's pass; mostly 0.

        Our proposal is our PREPARE, so we must find it timely ourselves. After a leap second, or when a clock was set
        back, the parent's time lies ahead of right clocks.
        """
        least_ms = self._ledger.tip.time_ms + 1 - self._genesis.parameters.tolerance_ms
        return max(0, least_ms - self._clock.now_ms())

    @property
    def deadline_ms(self) -> int | None:
        """When `go_on` has something to do; None for never."""
        return None if self._held is None else self._clock.monotonic_ms() + self._early_by_ms()

    def go_on(self) -> None:
        """Make the block that had to wait for our clock, if it still does."""
        if self._held is not None and not self._early_by_ms():
            self.build(self._held)

    def validate(self, validate: Validate) -> None:
        """Have a proposed block judged."""
        if validate.height != self._ledger.tip.height + 1:
            return
        members = self._ledger.validators(validate.height).members
        holders = tuple(members[i].name for i in validate.holders if members[i].name != self._name)
        self._candidates.want(validate.digest, holders)


def waiting_times(genesis: Genesis, name: str) -> Parameters:
    """Return the core's waiting times: those of the chain, a little longer for some validators than for others."""
    parameters = genesis.parameters
    return Parameters(
        timeout_ms=parameters.timeout_ms,
        timeout_cap_ms=parameters.timeout_cap_ms,
        min_interval_ms=parameters.min_interval_ms,
        heartbeat_ms=parameters.heartbeat_ms,
        jitter_permille=zlib.crc32(name.encode()) % MAX_JITTER_PERMILLE,
    )
