"""Chain parameters: what validators must agree on, fixed in genesis and named by every header's params_hash.

    parameters = [2, precision_ms, message_delay_ms, message_delay_cap_ms, min_interval_ms, heartbeat_ms,
                  timeout_ms, timeout_cap_ms, max_block_transactions, max_block_bytes, max_block_records,
                  skip_heights]

The certified interval of a block's time follows from them offline: at least f+1 validators whose clocks were right got
the proposal at a time, UTC, within [time - precision, time + delay(first view) + precision]. Half of the precision is
what a right clock may be wrong by; the other half is what its validator allows a stamp to be off. Source:
proposer-based timestamps (Tendermint PBTS specification), which leaves the first half to the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain

VERSION: Final = 2
MAX_PARAMETERS_BYTES: Final = 256
MAX_SKIP_HEIGHTS: Final = 10_000
"""A quarter of an hour of blocks at full speed; each failed turn in so many heights is kept in memory."""

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What all validators of a chain agree on about time and size."""

    precision_ms: int = 500
    """How far the certified interval reaches beyond the delay; twice what a right clock may be from UTC."""

    message_delay_ms: int = 2_000
    """How late a first proposal of view 0 may arrive; grows by a tenth with every view."""

    message_delay_cap_ms: int = 10_000
    """Where that growth ends: the most by which a block's time can be back-dated, less precision."""

    min_interval_ms: int = 40
    """A leader with work pending waits this long after the parent's time."""

    heartbeat_ms: int = 60_000
    """A leader without work proposes an empty block this long after the parent's time."""

    timeout_ms: int = 1_000
    """Timer of view 0 once work is pending; grows by half with every view."""

    timeout_cap_ms: int = 20_000
    """Where that growth ends."""

    max_block_transactions: int = 4_000
    """Transactions in a block."""

    max_block_bytes: int = 4 * 1024 * 1024
    """Bytes of all envelopes of a block together."""

    max_block_records: int = 50_000
    """Log leaves of a block; a transaction that would go beyond waits for the next one."""

    skip_heights: int = 1_000
    """For how many heights a validator whose turn to lead failed leads only after all others; 0 for never."""

    @property
    def clock_bound_ms(self) -> int:
        """How far a right clock may be from UTC, and how far right clocks may be apart without costing a view."""
        return self.precision_ms // 2

    @property
    def tolerance_ms(self) -> int:
        """How far outside its own clock's bounds a validator lets a stamp be: what the clock's error leaves of the precision."""
        return self.precision_ms - self.clock_bound_ms

    def as_value(self) -> Value:
        """Return the array form."""
        return (
            VERSION,
            self.precision_ms,
            self.message_delay_ms,
            self.message_delay_cap_ms,
            self.min_interval_ms,
            self.heartbeat_ms,
            self.timeout_ms,
            self.timeout_cap_ms,
            self.max_block_transactions,
            self.max_block_bytes,
            self.max_block_records,
            self.skip_heights,
        )

    def hash(self, domain: Domain) -> bytes:
        """Return what headers carry as params_hash."""
        return domain.hash("parameters", codec.encode(self.as_value()))

    def delay_ms(self, first_view: int) -> int:
        """Return how late a block first proposed in `first_view` may arrive, in milliseconds."""
        delay = self.message_delay_ms
        for _ in range(first_view):
            if delay >= self.message_delay_cap_ms:
                break
            # The +1 lets even a delay of a few milliseconds grow, so the loop ends.
            delay += delay // 10 + 1
        return min(delay, self.message_delay_cap_ms)

    def interval_ms(self, time_ms: int, first_view: int) -> tuple[int, int]:
        """Return the certified interval (not_before_ms, not_after_ms) of a block's time."""
        return (
            max(0, time_ms - self.precision_ms),
            time_ms + self.delay_ms(first_view) + self.precision_ms,
        )

    def is_timely(self, time_ms: int, first_view: int, received_ms: int) -> bool:
        """Whether a first proposal stamped `time_ms` may be voted for by a clock that read `received_ms`."""
        latest_ms = time_ms + self.delay_ms(first_view) + self.tolerance_ms
        return time_ms - self.tolerance_ms <= received_ms <= latest_ms


def parse_parameters(value: Value) -> Parameters:
    """Read parameters.

    Raises:
        DecodeError: of another shape, or with values that cannot work together.
    """
    fields = codec.array(value, "parameters", arity=12)
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    parameters = Parameters(
        precision_ms=codec.integer(fields[1], "precision_ms", least=1, most=60_000),
        message_delay_ms=codec.integer(fields[2], "message_delay_ms", least=1, most=60_000),
        message_delay_cap_ms=codec.integer(
            fields[3], "message_delay_cap_ms", least=1, most=600_000
        ),
        min_interval_ms=codec.integer(fields[4], "min_interval_ms", least=1, most=60_000),
        heartbeat_ms=codec.integer(fields[5], "heartbeat_ms", least=100, most=_DAY_MS),
        timeout_ms=codec.integer(fields[6], "timeout_ms", least=10, most=600_000),
        timeout_cap_ms=codec.integer(fields[7], "timeout_cap_ms", least=10, most=600_000),
        max_block_transactions=codec.integer(
            fields[8], "max_block_transactions", least=1, most=MAX_BLOCK_TRANSACTIONS
        ),
        max_block_bytes=codec.integer(
            fields[9], "max_block_bytes", least=MAX_TRANSACTION_BYTES, most=MAX_BLOCK_BYTES
        ),
        max_block_records=codec.integer(
            fields[10], "max_block_records", least=20_000, most=1_000_000
        ),
        skip_heights=codec.integer(fields[11], "skip_heights", most=MAX_SKIP_HEIGHTS),
    )
    for small, large in (
        ("message_delay_ms", "message_delay_cap_ms"),
        ("timeout_ms", "timeout_cap_ms"),
        ("min_interval_ms", "heartbeat_ms"),
    ):
        if getattr(parameters, small) > getattr(parameters, large):
            raise DecodeError(f"parameters: {small} is above {large}", field=small)
    return parameters
