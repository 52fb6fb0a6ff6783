"""Who waits for what the engine decides: clients for their transactions, proofs for checkpoints, subscribers.

The engine's word is only noted at once, so that answering a thousand clients never delays it; `publish`, which the
RPC server runs in the next turn of the event loop, tells everybody. Every waiting client has a deadline.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable
from chainnode.services.outcome import CommittedBlock, Outcome, Status, outcome_in_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock
    from chainnode.ledger.execution import Executed
    from chainnode.model.certificate import Certificate
    from chainnode.model.errors import ChainError
    from chainnode.model.transaction import Transaction

    Done = Callable[[Outcome | ChainError], None]
    """Hears once what became of a transaction."""

MAX_WAITING: Final = 20_000
"""Clients that wait for a transaction; some 10 MiB. Beyond it a request is refused as overloaded."""

MAX_WAITING_PROOFS: Final = 4_000
"""Clients that wait for a checkpoint, apart from those: reading needs no account, and must not keep writers out."""

MAX_ANSWERED_PER_TURN: Final = 100
"""Proofs that one turn of the event loop makes for those who waited: some 20 ms."""

MAX_REMEMBERED: Final = 100_000
"""Accepted transactions whose last valid height is remembered, so that lost ones read `expired`; some 15 MiB.
The oldest are forgotten first, and then read `unknown` once they leave the pool."""

RETRY_AFTER_MS: Final = 500
"""What a refused client is asked to wait: some blocks."""

_NEVER: Final = 2**63


@dataclass(slots=True, kw_only=True)
class _Waiter:
    """Somebody who waits for one transaction."""

    done: Done
    deadline_ms: int
    """On the monotonic clock."""

    last_valid_height: int


@dataclass(slots=True, kw_only=True)
class _CheckpointWaiter:
    """Somebody who waits for a cosigned checkpoint."""

    done: Callable[[ChainError | None], None]
    deadline_ms: int
    is_covered: Callable[[], bool]
    """Whether the newest one will do."""

    is_hopeful: bool
    """Whether it waits for a record that is not there and may never come; such ones give way to others."""


class Commits:
    """A `ports.Witness` that tells clients. Everything happens on the event loop's thread."""

    def __init__(self, *, clock: Clock, log_size: int) -> None:
        """Begin behind a tip whose log has `log_size` records."""
        self._clock = clock
        self._log_size = log_size
        self._wake: Callable[[], None] | None = None
        self._blocks: list[CommittedBlock] = []
        self._is_cosigned_news = False
        self._accepted: dict[bytes, int] = {}
        self._waiting: dict[bytes, list[_Waiter]] = {}
        self._waiting_count = 0
        self._next_expiry = _NEVER
        self._next_deadline_ms = _NEVER
        self._checkpoint_waiters: list[_CheckpointWaiter] = []
        self._covered: deque[_CheckpointWaiter] = deque()
        """Those whose checkpoint is there, and who are still to be told."""
        self._listeners: list[Callable[[CommittedBlock], None]] = []

    # -- the engine's word ---------------------------------------------------------------------------------

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        """Note a block that is decided and synced to disk."""
        header = executed.outline.header
        block = CommittedBlock(
            header=header,
            block_hash=executed.outline.block_hash,
            transactions=executed.transactions,
            receipts=executed.receipts,
            first_record=self._log_size,
        )
        self._log_size = header.log_size
        if self._wake is not None:
            self._blocks.append(block)
            self._wake()

    def checkpoint_cosigned(self, height: int) -> None:
        """Note that a quorum has cosigned the log as of `height`."""
        if self._wake is not None:
            self._is_cosigned_news = True
            self._wake()

    def event(self, name: str, **fields: int | str) -> None:
        """Other events are not for clients."""

    # -- the server's turn ---------------------------------------------------------------------------------

    def attach(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever there is something to publish; without it nothing is kept."""
        self._wake = wake

    def publish(self) -> None:
        """Tell clients of everything noted since the last call."""
        blocks, self._blocks = self._blocks, []
        for block in blocks:
            self._publish_block(block)
        if self._is_cosigned_news:
            self._is_cosigned_news = False
            self._publish_checkpoint()
        for _ in range(min(MAX_ANSWERED_PER_TURN, len(self._covered))):
            self._covered.popleft().done(None)
        if self._covered and self._wake is not None:
            self._wake()

    def tick(self) -> None:
        """Answer those whose deadline has passed. Call some times a second."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_deadline_ms:
            return
        # One pass over everybody: they are many, and may all be late at once.
        late: list[tuple[bytes, _Waiter]] = []
        for tx_id, waiters in tuple(self._waiting.items()):
            overdue = [(tx_id, w) for w in waiters if w.deadline_ms <= now_ms]
            if overdue:
                late += overdue
                self._keep(tx_id, [w for w in waiters if w.deadline_ms > now_ms])
        late_proofs = [w for w in self._checkpoint_waiters if w.deadline_ms <= now_ms]
        self._checkpoint_waiters = [w for w in self._checkpoint_waiters if w.deadline_ms > now_ms]
        deadlines = [w.deadline_ms for waiters in self._waiting.values() for w in waiters]
        deadlines += [w.deadline_ms for w in self._checkpoint_waiters]
        self._next_deadline_ms = min(deadlines, default=_NEVER)
        for tx_id, waiter in late:
            waiter.done(
                Unavailable(
                    f"transaction {tx_id.hex()} is still pending; ask tx_get what became of it",
                    code="timeout",
                )
            )
        for checkpoint_waiter in late_proofs:
            checkpoint_waiter.done(None)

    def _publish_block(self, block: CommittedBlock) -> None:
        header = block.header
        for position, receipt in enumerate(block.receipts):
            self._accepted.pop(receipt.tx_id, None)
            waiters = self._waiting.pop(receipt.tx_id, None)
            if waiters is None:
                continue
            self._waiting_count -= len(waiters)
            outcome = outcome_in_block(
                receipt, height=header.height, position=position, time_ms=header.time_ms
            )
            for waiter in waiters:
                waiter.done(outcome)
        if header.height >= self._next_expiry:
            self._expire(header.height)
        for listener in tuple(self._listeners):
            listener(block)

    def _expire(self, height: int) -> None:
        expired = [
            tx_id
            for tx_id, waiters in self._waiting.items()
            if waiters[0].last_valid_height <= height
        ]
        gone = [(tx_id, self._waiting.pop(tx_id)) for tx_id in expired]
        self._next_expiry = min(
            (waiters[0].last_valid_height for waiters in self._waiting.values()), default=_NEVER
        )
        for tx_id, waiters in gone:
            self._waiting_count -= len(waiters)
            for waiter in waiters:
                waiter.done(Outcome(tx_id=tx_id, status=Status.EXPIRED))

    def _publish_checkpoint(self) -> None:
        waiters, self._checkpoint_waiters = self._checkpoint_waiters, []
        for waiter in waiters:
            (self._covered if waiter.is_covered() else self._checkpoint_waiters).append(waiter)

    # -- clients -------------------------------------------------------------------------------------------

    @property
    def waiting_count(self) -> int:
        """Clients that wait for a transaction or a checkpoint."""
        return self._waiting_count + self._waiting_proofs

    @property
    def _waiting_proofs(self) -> int:
        return len(self._checkpoint_waiters) + len(self._covered)

    def check_room(self) -> None:
        """Refuse another waiting client if there are too many.

        Raises:
            Unavailable: with code `overloaded`.
        """
        if self._waiting_count >= MAX_WAITING:
            raise Unavailable(
                f"{self._waiting_count} clients are waiting for decisions; nothing was accepted; "
                "try again later",
                code="overloaded",
                retry_after_ms=RETRY_AFTER_MS,
            )

    def remember(self, transaction: Transaction) -> None:
        """Remember an accepted transaction until it is committed."""
        self._accepted[transaction.id] = transaction.body.last_valid_height
        if len(self._accepted) > MAX_REMEMBERED:
            del self._accepted[next(iter(self._accepted))]

    def remembered(self, tx_id: bytes) -> int | None:
        """Return the last valid height of an accepted transaction that no block holds yet, if still known."""
        return self._accepted.get(tx_id)

    def wait(self, transaction: Transaction, *, timeout_ms: int, done: Done) -> None:
        """Tell `done` what becomes of an accepted transaction, or after `timeout_ms` that it is still pending."""
        last_valid_height = transaction.body.last_valid_height
        waiter = _Waiter(
            done=done,
            deadline_ms=self._clock.monotonic_ms() + timeout_ms,
            last_valid_height=last_valid_height,
        )
        self._waiting.setdefault(transaction.id, []).append(waiter)
        self._waiting_count += 1
        self._next_expiry = min(self._next_expiry, last_valid_height)
        self._next_deadline_ms = min(self._next_deadline_ms, waiter.deadline_ms)

    def wait_for_checkpoint(
        self,
        is_covered: Callable[[], bool],
        *,
        timeout_ms: int,
        done: Callable[[ChainError | None], None],
        is_hopeful: bool = False,
    ) -> None:
        """Call `done` once a checkpoint is cosigned for which `is_covered` is true, or after `timeout_ms` anyway.

        Args:
            is_covered: of the newest checkpoint.
            timeout_ms: how long to wait at most.
            done: hears once.
            is_hopeful: whether it is for a record that this node does not hold; told earlier if others need the place.

        Raises:
            Unavailable: with code `overloaded`.
        """
        if self._waiting_proofs >= MAX_WAITING_PROOFS:
            self._give_way()
        if self._waiting_proofs >= MAX_WAITING_PROOFS:
            raise Unavailable(
                f"{self._waiting_proofs} clients are waiting for proofs; ask again later, or without `wait_ms`",
                code="overloaded",
                retry_after_ms=RETRY_AFTER_MS,
            )
        waiter = _CheckpointWaiter(
            done=done,
            deadline_ms=self._clock.monotonic_ms() + timeout_ms,
            is_covered=is_covered,
            is_hopeful=is_hopeful,
        )
        self._checkpoint_waiters.append(waiter)
        self._next_deadline_ms = min(self._next_deadline_ms, waiter.deadline_ms)

    def _give_way(self) -> None:
        """End the waiting of whoever has hoped longest."""
        for place, waiter in enumerate(self._checkpoint_waiters):
            if waiter.is_hopeful:
                del self._checkpoint_waiters[place]
                waiter.done(None)
                return

    def listen(self, listener: Callable[[CommittedBlock], None]) -> Callable[[], None]:
        """Have every published block given to `listener`; the function returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _keep(self, tx_id: bytes, waiters: list[_Waiter]) -> None:
        """Let only these go on waiting for a transaction."""
        self._waiting_count -= len(self._waiting[tx_id]) - len(waiters)
        if waiters:
            self._waiting[tx_id] = waiters
        else:
            del self._waiting[tx_id]
