"""What is to be measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

ONE_DEAD: Final = "one-dead"

RESTART: Final = "restart"
CATCH_UP: Final = "catch-up"

OVERLOAD: Final = "overload"
GROWTH: Final = "growth"

PROOF: Final = "proof"
QUERY: Final = "query"

NOTARIZE: Final = "notarize"
NOTARIZE_BATCH: Final = "notarize-batch"
TIMESTAMP: Final = "timestamp"
GATEWAY: Final = "gateway"

WORKLOADS: Final = (
    NOTARIZE,
    NOTARIZE_BATCH,
    TIMESTAMP,
    GATEWAY,
    PROOF,
    QUERY,
    ONE_DEAD,
    OVERLOAD,
    RESTART,
    CATCH_UP,
    GROWTH,
)
"""One document a transaction; a list of documents a transaction; timestamps over HTTP from one validator (`timestamp.py`);
digests to the gateway of one validator (`gateway.py`);
one document a transaction, with all validators alive and with one of them dead (`one_dead.py`); twice what the network can take (`overload.py`); a validator that comes back,
or is new, to a long chain (`long_chain.py`); proofs and lookups while others write (`reading.py`); all of it
as one chain grows (`growth.py`)."""

HTTP: Final = "http"
STREAM: Final = "stream"
TILES: Final = "tiles"

PATHS: Final = (HTTP, STREAM, TILES)
"""How proofs are got: one by one over HTTP or over a WebSocket; lists of them from tiles (`ways.py`)."""

MAX_RECORDS: Final = 20_000_000
"""Of a chain that is made beforehand."""

DEFAULT_RECORDS: Final = 1_000_000
"""Of the chain of `proof`, `query`, `restart` and `catch-up`, and of that of `growth` in the end."""

MOST_SIGNED_RECORDS: Final = 1_000_000
"""Documents of a chain to be made that are signed at once. Clients hold them in memory, at 130 bytes each; and lists of
1,000 are 1,000 transactions, which fit the 5,000 blocks that they are valid for even in a block each."""

LEAST_FILLING_S: Final = 60
"""Allowed for the shortest chain."""

MAX_DELAY_MS: Final = 1_000
"""Between validators, one way."""

LEAST_FILLED_PER_S: Final = 2_000
"""Documents a second at which a chain must grow while it is made; slower is given up."""

MAX_BATCH: Final = MAX_DOCUMENTS_PER_CALL

MAX_DURATION_S: Final = 120
"""Transactions are signed beforehand and valid for 5,000 blocks, of which a busy chain makes 25 a second."""

WARM_UP_S: Final = 3
"""Load before anything counts: caches, connections and the proposers' rhythm settle in about one."""

DRAIN_S: Final = 60
"""How long to wait for the last answers after sending has ended."""

MOST_DOCUMENTS_PER_S: Final = 60_000
"""How many documents a second are prepared for saturation at most; bounds the memory of the clients. Clients that run
out end the measurement with an error."""

LEAST_TRANSACTIONS_PER_S: Final = 4_000
"""How many transactions a second are prepared for saturation at least: a machine that was busy while its ceiling was
measured may do more than that ceiling."""

IN_FLIGHT_TRANSACTIONS: Final = 3_000
"""Unanswered transactions of one document at saturation, of all clients together: about a second's worth."""

IN_FLIGHT_LISTS: Final = 48
"""Unanswered lists at saturation, of all clients together: a few blocks' worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One measurement."""

    validators: int
    suite: str
    workload: str
    """One of `WORKLOADS`."""

    batch_size: int
    """Documents in a transaction; 1 for `notarize`."""

    duration_s: int
    """What counts, after the warm-up."""

    rate: int | None
    """Transactions a second, sent at their time whatever comes back; None keeps a bounded number in flight."""

    clients: int
    """Processes that send."""

    digests: int = 1
    """Of each document: 1, or 2 as `chainnode notarize` makes them; each is found by a lookup of its own."""

    records: int = 0
    """Documents of the chain that is made first, at least."""

    delay_ms: int | None = None
    """By how much later, one way, validators hear each other under load. None: they are joined directly; with 0 they are
    not, but by the relay that delays."""

    path: str = HTTP
    """Of `proof`: one of `PATHS`."""

    dead: int = 0
    """Validators, the last ones, that are killed before the load begins and started again after it."""

    parameters: Mapping[str, int] = field(default_factory=dict)
    """Chain parameters, by name, that are other than their defaults."""

    @property
    def sending_s(self) -> int:
        """How long clients send."""
        return WARM_UP_S + self.duration_s

    def filling(self) -> Self:
        """Return the plan by which the chain of `records` documents is made: long lists, at saturation."""
        return replace(
            self,
            batch_size=MAX_BATCH,
            rate=None,
            duration_s=LEAST_FILLING_S + self.records // LEAST_FILLED_PER_S,
        )

    def transactions_per_client(self, ceiling_tps: float) -> int:
        """Return how many transactions each client must have ready."""
        rate = self.rate
        if rate is None:
            most = max(ceiling_tps, LEAST_TRANSACTIONS_PER_S)
            rate = round(min(most, MOST_DOCUMENTS_PER_S / self.batch_size)) + 1
        return rate * self.sending_s // self.clients + 1

    def in_flight_per_client(self) -> int:
        """Return how many transactions a client leaves unanswered at saturation."""
        most = IN_FLIGHT_TRANSACTIONS if self.batch_size == 1 else IN_FLIGHT_LISTS
        return max(1, most // self.clients)
