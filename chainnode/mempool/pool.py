"""The pool: verified transactions in order of arrival, bounded in count and bytes, with a share for everybody.

One organisation holds at most its share, so that a service that floods cannot keep the others out. What is in the
pool may be lost in a crash; only a block makes it last. Deterministic and synchronous; the caller brings the time.

Invariant: `_waiting`, `_by_id` and `_expiring` name the same transactions, and the tallies are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable
from chainnode.model.ids import organisation_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.model.ids import TransactionHash, TransactionId
    from chainnode.model.transaction import Transaction

RETRY_AFTER_MS: Final = 1_000
"""What a full pool asks a client to wait: some blocks' time, each of which takes thousands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How much may wait; each node's own choice."""

    max_transactions: int = 20_000
    """Five largest blocks by the default parameters: what is older than that had better be refused at the door."""

    max_bytes: int = 64 * 1024 * 1024
    """Of all envelopes together; decoded they take about three times that in memory."""

    organisation_percent: int = 50
    """Share of either limit that the accounts of one organisation may hold together, 1 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """What the pool holds at a moment."""

    transactions: int
    size_bytes: int
    """Of all envelopes."""

    oldest_since_ms: int | None
    """When the oldest of them arrived, by the caller's clock; None if there is none."""


@dataclass(slots=True)
class _Tally:
    count: int = 0
    size_bytes: int = 0


class Pool:
    """Transactions that wait for a block."""

    __slots__ = ("_all", "_by_id", "_expiring", "_limits", "_organisations", "_waiting")

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._waiting: dict[TransactionHash, tuple[Transaction, int]] = {}
        self._by_id: dict[TransactionId, TransactionHash] = {}
        self._expiring: dict[int, dict[TransactionId, None]] = {}
        self._all = _Tally()
        self._organisations: dict[str, _Tally] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, transaction: Transaction, now_ms: int) -> bool:
        """Take an admissible transaction whose signature was verified; return whether it is new here.

        It is not if the pool holds the same envelope, or another with the same id: the first of those stays.

        Raises:
            Unavailable: with code `pool_full`, or `share_used_up` if only this organisation's share is.
        """
        if transaction.id in self._by_id:
            return False
        organisation = organisation_of(transaction.body.sender)
        own = self._organisations.get(organisation, _Tally())
        size = len(transaction.envelope)
        self._check_room(own, size, organisation)
        self._waiting[transaction.hash] = (transaction, now_ms)
        self._by_id[transaction.id] = transaction.hash
        self._expiring.setdefault(transaction.body.last_valid_height, {})[transaction.id] = None
        self._organisations[organisation] = own
        for tally in (self._all, own):
            tally.count += 1
            tally.size_bytes += size
        return True

    def get(self, tx_hash: TransactionHash) -> Transaction | None:
        """Return the transaction with this very envelope, or None."""
        entry = self._waiting.get(tx_hash)
        return None if entry is None else entry[0]

    def has(self, tx_id: TransactionId) -> bool:
        """Whether a transaction of this id waits, in whatever envelope."""
        return tx_id in self._by_id

    def count_of(self, organisation: str) -> int:
        """Return how many transactions of an organisation wait."""
        own = self._organisations.get(organisation)
        return 0 if own is None else own.count

    def select(self, max_count: int, max_bytes: int) -> tuple[Transaction, ...]:
        """Return the longest-waiting transactions in order of arrival, as many as fit; they stay in the pool."""
        chosen: list[Transaction] = []
        size = 0
        for transaction, _ in self._waiting.values():
            size += len(transaction.envelope)
            if len(chosen) == max_count or size > max_bytes:
                break
            chosen.append(transaction)
        return tuple(chosen)

    def remove_committed(self, tx_ids: Iterable[TransactionId]) -> None:
        """Forget the transactions of a committed block, in whatever envelope they wait here."""
        for tx_id in tx_ids:
            tx_hash = self._by_id.get(tx_id)
            if tx_hash is not None:
                self._remove(tx_hash)

    def remove_expired(self, tip_height: int) -> tuple[Transaction, ...]:
        """Forget and return those that no block above `tip_height` may hold."""
        # At most MAX_VALID_HEIGHTS + 1 heights are listed, since admission refuses what lies further ahead.
        due = sorted(height for height in self._expiring if height <= tip_height)
        expired = [self._by_id[tx_id] for height in due for tx_id in self._expiring[height]]
        return tuple(self._remove(tx_hash) for tx_hash in expired)

    @property
    def oldest_since_ms(self) -> int | None:
        """When the longest-waiting transaction arrived, or None if none waits."""
        for _, since_ms in self._waiting.values():
            return since_ms
        return None

    @property
    def oldest(self) -> TransactionHash | None:
        """The longest-waiting transaction, or None if none waits."""
        return next(iter(self._waiting), None)

    def stats(self) -> PoolStats:
        """Return what the pool holds now."""
        return PoolStats(
            transactions=self._all.count,
            size_bytes=self._all.size_bytes,
            oldest_since_ms=self.oldest_since_ms,
        )

    def _check_room(self, own: _Tally, size: int, organisation: str) -> None:
        limits = self._limits
        if (
            self._all.count >= limits.max_transactions
            or self._all.size_bytes + size > limits.max_bytes
        ):
            raise Unavailable(
                f"{self._all.count} transactions of {self._all.size_bytes} bytes are waiting and "
                "no more fit; nothing was accepted; try again later",
                code="pool_full",
                retry_after_ms=RETRY_AFTER_MS,
            )
        percent = limits.organisation_percent
        if (
            own.count * 100 >= limits.max_transactions * percent
            or (own.size_bytes + size) * 100 > limits.max_bytes * percent
        ):
            raise Unavailable(
                f"{own.count} transactions of {own.size_bytes} bytes of {organisation} are waiting, "
                f"its share of {percent} %; nothing was accepted; try again later",
                code="share_used_up",
                retry_after_ms=RETRY_AFTER_MS,
            )

    def _remove(self, tx_hash: TransactionHash) -> Transaction:
        transaction, _ = self._waiting.pop(tx_hash)
        del self._by_id[transaction.id]
        height = transaction.body.last_valid_height
        expiring = self._expiring[height]
        del expiring[transaction.id]
        if not expiring:
            del self._expiring[height]
        organisation = organisation_of(transaction.body.sender)
        own = self._organisations[organisation]
        for tally in (self._all, own):
            tally.count -= 1
            tally.size_bytes -= len(transaction.envelope)
        if not own.count:
            del self._organisations[organisation]
        return transaction
