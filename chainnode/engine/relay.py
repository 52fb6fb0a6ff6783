"""Moves transactions: from clients into the pool, to all peers once, and to whoever asks for them by hash.

Each signature is verified once per node, when the transaction first arrives, by the verifier port. A client's
transaction is answered after that; a peer's goes into the pool without a word. Transactions that a proposal
names are wanted: they are kept whatever the pool says, until their height is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.messages import (
    MAX_ANSWER_BYTES,
    MAX_TRANSACTIONS_PER_MESSAGE,
    FetchMessage,
    TransactionsMessage,
    encode_message,
)
from chainnode.engine.ports import Urgency
from chainnode.mempool.admission import check_admissible
from chainnode.model.errors import ChainError, PeerFault, Refused, Unavailable
from chainnode.model.ids import TransactionHash
from chainnode.model.limits import MAX_TRANSACTION_BYTES
from chainnode.model.transaction import Transaction, decode_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chainnode.engine.ports import Clock, Network, TransactionVerifier
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.domain import Domain

MAX_UNVERIFIED: Final = 20_000
"""Transactions waiting for the verifier; about two seconds of work for one worker."""

MAX_UNVERIFIED_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes; a list of 1,000 documents takes 40 KiB and more."""

GOSSIP_BYTES: Final = 64 * 1024
"""A gossip message is sent when it has grown to this, or at the next flush."""

REPEAT_MS: Final = 2_000
"""A transaction that has waited this long is told again: a peer may have been away when it was told first, and a
leader that never heard of it cannot propose it. On a chain that keeps up none waits so long."""

OVERLOAD_RETRY_MS: Final = 500
"""What an overloaded node asks a client to wait."""


class TransactionRelay:
    """The transactions that this node knows of and has not yet committed."""

    def __init__(
        self,
        *,
        domain: Domain,
        ledger: Ledger,
        pool: Pool,
        network: Network,
        verifier: TransactionVerifier,
        clock: Clock,
        arrived: Callable[[], None],
    ) -> None:
        """`arrived` is called when wanted transactions, or new work, have come in."""
        self._domain = domain
        self._ledger = ledger
        self._pool = pool
        self._network = network
        self._verifier = verifier
        self._clock = clock
        self._arrived = arrived
        self._unverified: dict[TransactionHash, int] = {}
        self._unverified_bytes = 0
        self._wanted: set[TransactionHash] = set()
        self._kept: dict[TransactionHash, Transaction] = {}
        self._refused: set[TransactionHash] = set()
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._repeated_ms: int | None = None

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a client's transaction; `done` hears once whether it was accepted into the pool.

        Raises:
            ChainError: refused at once: malformed, not admissible, or the node is overloaded.
        """
        transaction = decode_transaction(self._domain, envelope)
        if self._pool.get(transaction.hash) is not None:
            done(transaction)
            return
        check_admissible(self._ledger, transaction)
        if self._is_overloaded():
            raise Unavailable(
                f"{len(self._unverified)} transactions are waiting for their signatures to be "
                "checked; nothing was accepted; try again later",
                code="overloaded",
                retry_after_ms=OVERLOAD_RETRY_MS,
            )

        def judged(verdicts: Sequence[bool]) -> None:
            self._forget_unverified((transaction,))
            done(self._accept(transaction, is_valid=verdicts[0]))

        self._remember_unverified(transaction)
        self._verifier.verify((transaction,), judged)

    def _accept(self, transaction: Transaction, *, is_valid: bool) -> Transaction | ChainError:
        if not is_valid:
            return Refused(
                "signature: it does not hold for this body and public key; "
                "sign the transaction id with the account's key",
                code="bad_signature",
                field="signature",
            )
        try:
            self._pool.add(transaction, self._clock.monotonic_ms())
        except ChainError as error:
            return error
        self._outbox.append(transaction.envelope)
        self._outbox_bytes += len(transaction.envelope)
        if self._outbox_bytes >= GOSSIP_BYTES:
            self.flush()
        self._arrived()
        return transaction

    def flush(self) -> None:
        """Send what was accepted since the last flush to every peer."""
        for first in range(0, len(self._outbox), MAX_TRANSACTIONS_PER_MESSAGE):
            envelopes = tuple(self._outbox[first : first + MAX_TRANSACTIONS_PER_MESSAGE])
            message = encode_message(TransactionsMessage(envelopes))
            self._network.broadcast(message, Urgency.BULK)
        self._outbox.clear()
        self._outbox_bytes = 0

    @property
    def deadline_ms(self) -> int | None:
        """When `repeat` should be called next, on the monotonic clock; None while nothing waits."""
        since_ms = self._pool.oldest_since_ms
        if since_ms is None:
            return None
        if self._repeated_ms is not None:
            since_ms = max(since_ms, self._repeated_ms)
        return since_ms + REPEAT_MS

    def repeat(self) -> None:
        """Tell every peer the longest-waiting transactions once more, when they have waited too long."""
        now_ms = self._clock.monotonic_ms()
        deadline_ms = self.deadline_ms
        if deadline_ms is None or now_ms < deadline_ms:
            return
        self._repeated_ms = now_ms
        waiting = self._pool.select(MAX_TRANSACTIONS_PER_MESSAGE, MAX_TRANSACTION_BYTES)
        message = encode_message(TransactionsMessage(tuple(t.envelope for t in waiting)))
        self._network.broadcast(message, Urgency.BULK)

    # -- peers ---------------------------------------------------------------------------------------------

    def receive(self, peer: str, envelopes: Iterable[bytes]) -> None:
        """Take a peer's transactions: those that are new are verified, then pooled or kept.

        Raises:
            PeerFault: one of them is not a transaction of this chain at all.
        """
        fresh: list[Transaction] = []
        for envelope in envelopes:
            tx_hash = TransactionHash(
                self._domain.suite.hash(self._domain.transaction_hash + envelope)
            )
            if self.get(tx_hash) is not None or tx_hash in self._unverified:
                continue
            try:
                transaction = decode_transaction(self._domain, envelope)
            except ChainError as error:
                raise PeerFault(f"{peer} sent a transaction that is none: {error}") from error
            if tx_hash not in self._wanted and not self._is_admissible(transaction):
                continue
            self._remember_unverified(transaction)
            fresh.append(transaction)
        if fresh:
            self._verifier.verify(fresh, lambda verdicts: self._judged(fresh, verdicts))

    def _is_admissible(self, transaction: Transaction) -> bool:
        if self._is_overloaded():
            return False
        try:
            check_admissible(self._ledger, transaction)
        except ChainError:
            # Committed meanwhile, expired, or of an account that this node does not know yet. If a
            # proposal names it all the same, it will be wanted.
            return False
        return True

    def _judged(self, transactions: Sequence[Transaction], verdicts: Sequence[bool]) -> None:
        self._forget_unverified(transactions)
        for transaction, is_valid in zip(transactions, verdicts, strict=True):
            wanted = transaction.hash in self._wanted
            if not is_valid:
                if wanted:
                    self._refused.add(transaction.hash)
                continue
            if wanted:
                self._kept[transaction.hash] = transaction
            elif not self._ledger.is_replayed(transaction.id):
                try:
                    self._pool.add(transaction, self._clock.monotonic_ms())
                except ChainError:
                    # A full pool drops gossip; a proposal that names it fetches it.
                    continue
        self._arrived()

    def answer_fetch(self, peer: str, tx_hashes: Iterable[bytes]) -> None:
        """Send a peer those of the transactions that are known here."""
        envelopes: list[bytes] = []
        size = 0
        for tx_hash in tx_hashes:
            transaction = self.get(TransactionHash(tx_hash))
            if transaction is None:
                continue
            if envelopes and (
                size + len(transaction.envelope) > MAX_ANSWER_BYTES
                or len(envelopes) == MAX_TRANSACTIONS_PER_MESSAGE
            ):
                self._network.send(
                    peer, encode_message(TransactionsMessage(tuple(envelopes))), Urgency.NORMAL
                )
                envelopes, size = [], 0
            envelopes.append(transaction.envelope)
            size += len(transaction.envelope)
        if envelopes:
            self._network.send(
                peer, encode_message(TransactionsMessage(tuple(envelopes))), Urgency.NORMAL
            )

    # -- proposals -----------------------------------------------------------------------------------------

    def get(self, tx_hash: TransactionHash) -> Transaction | None:
        """Return a transaction whose signature was verified, or None."""
        return self._pool.get(tx_hash) or self._kept.get(tx_hash)

    def missing(self, tx_hashes: Iterable[TransactionHash]) -> tuple[TransactionHash, ...]:
        """Return those that are not known here, verified."""
        return tuple(h for h in tx_hashes if self.get(h) is None)

    def has_refused(self, tx_hashes: Iterable[TransactionHash]) -> bool:
        """Whether the signature of one of them is known not to hold."""
        return not self._refused.isdisjoint(tx_hashes)

    def want(self, tx_hashes: Iterable[TransactionHash]) -> None:
        """Keep these whenever they come, until the height is decided."""
        self._wanted.update(tx_hashes)

    def fetch(self, peer: str, tx_hashes: Iterable[TransactionHash]) -> None:
        """Ask a peer for those of the wanted transactions that are not being verified already."""
        missing = tuple(h for h in tx_hashes if h not in self._unverified)
        if missing:
            self._network.send(peer, encode_message(FetchMessage(missing)), Urgency.NORMAL)

    def committed(self, transactions: Sequence[Transaction], height: int) -> None:
        """Forget what a decided block made history, and everything that was wanted for its height."""
        kept = [t for t in self._kept.values() if not self._ledger.is_replayed(t.id)]
        self._wanted.clear()
        self._kept.clear()
        self._refused.clear()
        self._pool.remove_committed(t.id for t in transactions)
        self._pool.remove_expired(height)
        for transaction in kept:
            try:
                self._pool.add(transaction, self._clock.monotonic_ms())
            except ChainError:
                # It can be fetched again from whoever proposes it.
                continue

    # -- bounds --------------------------------------------------------------------------------------------

    @property
    def unverified(self) -> int:
        """How many transactions wait for the verifier."""
        return len(self._unverified)

    def _is_overloaded(self) -> bool:
        return (
            len(self._unverified) >= MAX_UNVERIFIED
            or self._unverified_bytes >= MAX_UNVERIFIED_BYTES
        )

    def _remember_unverified(self, transaction: Transaction) -> None:
        size = len(transaction.envelope)
        self._unverified[transaction.hash] = size
        self._unverified_bytes += size

    def _forget_unverified(self, transactions: Iterable[Transaction]) -> None:
        for transaction in transactions:
            self._unverified_bytes -= self._unverified.pop(transaction.hash, 0)
