"""Moves transactions: from clients into the pool, to all peers once, and to whoever asks for them by hash.

Each signature is verified once per node, when the transaction first arrives, by the verifier port. A client's
transaction is answered after that; a peer's goes into the pool without a word, and one whose signature does not
hold is a fault of the peer, since a correct one passes on nothing unverified. Transactions that a proposal names are
wanted: they are kept whatever the pool says, until their height is decided.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    MAX_ANSWER_BYTES,
    MAX_TRANSACTIONS_PER_MESSAGE,
    FetchMessage,
    TransactionsMessage,
)
from chainnode.engine.ports import Urgency
from chainnode.engine.reports import Reports
from chainnode.mempool.admission import check_admissible, check_new
from chainnode.model.errors import ChainError, PeerFault, ProofInvalid, Refused, Unavailable
from chainnode.model.ids import TransactionHash
from chainnode.model.limits import MAX_BLOCK_BYTES, MAX_TRANSACTION_BYTES
from chainnode.model.transaction import (
    Transaction,
    claims_of,
    decode_transaction,
    transaction_hash,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chainnode.engine.allowance import Allowance
    from chainnode.engine.ports import Clock, Network, TransactionVerifier
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.domain import Domain

    Done = Callable[[Transaction | ChainError], None]
    """Hears once what became of a client's transaction."""

MAX_UNVERIFIED: Final = 20_000
"""Transactions waiting for the verifier; about a second of work for one worker that has a core to itself."""

MAX_UNVERIFIED_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes; a list of 1,000 documents takes 40 KiB and more."""

MAX_KEPT_BYTES: Final = 4 * MAX_BLOCK_BYTES
"""Wanted transactions held outside the pool; what the proposals of a few views name. The oldest go first, and are
fetched again if they are still wanted."""

GOSSIP_BYTES: Final = 64 * 1024
"""A gossip message is sent when it has grown to this, or at the next flush."""

REPEATS_PER_TIMEOUT: Final = 2
"""A transaction that waits while no block comes, and none is under way, is told again so often in the time in which a view
without progress is given up: a peer may have been away when it was told first, and a leader that never heard of it cannot
propose it. Told only once in a timeout, it would cost whoever has it a view change."""

PASSED_OVER_BLOCKS: Final = 3
"""What waited longest after so many blocks in a row is told again too, for their leaders had others and not this one."""

PASSED_OVER_REPEATS: Final = 4
"""So many times as long it waits before that. On a busy chain what waits is mostly known to all, and whoever leads next takes it;
to tell it again and again cost more than half of what was decoded, and with sixteen validators most of the wire."""

LEAST_REPEAT_MS: Final = 250
"""On chains with shorter timeouts: telling 256 KiB to everybody more often would cost more than a view."""

UNVERIFIED_TRANSACTIONS: Final = 1_000
"""So many, peers' included, may wait for the verifier however long that takes."""

UNVERIFIED_MS: Final = 500
"""Where more wait than that, and the first of them for longer than this, no client's is taken: what a peer has accepted
goes first, or a block that names it would have to be waited for."""

QUEUE_TRANSACTIONS: Final = 4_000
"""So many may wait for a block, however long that takes: a burst, or what comes while there is no quorum."""

QUEUE_MS: Final = 1_000
"""Where more wait than that, none may have waited longer than this: a queue that grows only makes everybody late."""

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
        allowance: Allowance,
        arrived: Callable[[bool], None],
        accuse: Callable[[str, str], None],
    ) -> None:
        """Make a relay that knows of nothing.

        `arrived` is called when transactions have come in, and hears whether a wanted one was among them, or was found not
        to be genuine; `accuse` hears (peer, reason).
        """
        self._domain = domain
        timeout_ms = ledger.genesis.parameters.timeout_ms
        self._timeout_ms = timeout_ms
        self._repeat_ms = max(LEAST_REPEAT_MS, timeout_ms // REPEATS_PER_TIMEOUT)
        self._ledger = ledger
        self._pool = pool
        self._network = network
        self._verifier = verifier
        self._clock = clock
        self._allowance = allowance
        self._arrived = arrived
        self._accuse = accuse
        self._clients: dict[TransactionHash, list[Done]] = {}
        self._unverified: dict[TransactionHash, tuple[int, int]] = {}
        """Size, and since when it waits, in the order in which they came."""

        self._unverified_bytes = 0
        self._wanted: set[TransactionHash] = set()
        self._kept: dict[TransactionHash, Transaction] = {}
        self._kept_bytes = 0
        self._held: dict[TransactionHash, Transaction] = {}
        self._refused: set[TransactionHash] = set()
        self._reports = Reports()
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._repeated_ms: int | None = None
        self._quiet_since_ms = clock.monotonic_ms()
        """From then on there has been no block; or will have been none, if the view of the last proposal comes to nothing."""

        self._oldest: TransactionHash | None = None
        self._passed_over = 0
        """How many blocks have left `_oldest` the longest-waiting."""

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a client's transaction; `done` hears once whether it was accepted into the pool.

        Raises:
            ChainError: refused at once: malformed, not admissible, or the node is overloaded.
        """
        tx_hash = transaction_hash(self._domain, envelope)
        pooled = self._pool.get(tx_hash)
        if pooled is not None:
            done(pooled)
            return
        if tx_hash not in self._unverified:
            self._check_capacity(envelope)
        transaction = decode_transaction(self._domain, envelope, tx_hash)
        check_admissible(self._ledger, transaction)
        if tx_hash in self._unverified:
            self._clients.setdefault(tx_hash, []).append(done)
            return
        if transaction.is_report:
            # Its evidence was verified just now; there is nothing else to check.
            done(self._accept(transaction))
            self._arrived(False)  # noqa: FBT003
            return
        self._clients[tx_hash] = [done]
        self._verify(None, (transaction,))

    def report(self, transaction: Transaction) -> None:
        """Take this node's own report of misbehaviour; it is told and repeated as any transaction is.

        Raises:
            ChainError: the chain does not record it, or not again.
        """
        check_admissible(self._ledger, transaction)
        refusal = self._accept(transaction)
        if isinstance(refusal, ChainError):
            raise refusal
        self._arrived(False)  # noqa: FBT003

    def _accept(self, transaction: Transaction) -> Transaction | ChainError:
        """Pool a client's transaction whose signature holds, and have it told to the peers."""
        if transaction.is_report and not self._reports.has_room(transaction):
            return Refused(
                "a report of this offence waits for a block already, or too many reports do",
                code="already_reported",
            )
        try:
            # It may have come into a block by another way while it was being verified.
            check_new(transaction, self._ledger)
            self._add_to_pool(transaction)
        except ChainError as error:
            return error
        self._outbox.append(transaction.envelope)
        self._outbox_bytes += len(transaction.envelope)
        if self._outbox_bytes >= GOSSIP_BYTES:
            self.flush()
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
        quiet_ms = max(since_ms, self._quiet_since_ms) + self._repeat_ms
        if self._passed_over < PASSED_OVER_BLOCKS:
            return quiet_ms
        return min(quiet_ms, since_ms + PASSED_OVER_REPEATS * self._repeat_ms)

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
        # All are read before any is remembered: a fault among them must leave nothing half begun.
        fresh: dict[TransactionHash, Transaction] = {}
        reports: list[Transaction] = []
        for envelope in envelopes:
            tx_hash = transaction_hash(self._domain, envelope)
            if self.get(tx_hash) is not None or tx_hash in self._unverified:
                continue
            try:
                transaction = decode_transaction(self._domain, envelope, tx_hash)
            except ChainError as error:
                raise PeerFault(f"{peer} sent a transaction that is none: {error}") from error
            if transaction.is_report:
                if self._is_welcome_report(peer, transaction):
                    reports.append(transaction)
            elif self._is_welcome(transaction):
                fresh[tx_hash] = transaction
        for report in reports:
            self._take(report, is_asked_for=False)
        if fresh:
            self._verify(peer, tuple(fresh.values()))
        if reports:
            self._arrived(any(report.hash in self._wanted for report in reports))

    def _is_welcome(self, transaction: Transaction) -> bool:
        if transaction.hash in self._wanted:
            # Beyond twice the bound even a proposal waits: it asks again.
            return self._unverified_bytes < 2 * MAX_UNVERIFIED_BYTES
        return not self._is_overloaded() and self._is_admissible(transaction)

    def _is_welcome_report(self, peer: str, report: Transaction) -> bool:
        """Whether a peer's report is one to keep; its evidence is verified at once.

        Raises:
            PeerFault: it proves nothing: a correct peer has verified what it passes on.
        """
        is_wanted = report.hash in self._wanted
        if not is_wanted and not self._reports.has_room(report):
            return False
        try:
            check_admissible(self._ledger, report)
        except ProofInvalid as error:
            raise PeerFault(f"{peer} sent a report that proves nothing: {error}") from error
        except ChainError:
            # Recorded meanwhile, or too late. A block that holds it all the same is refused when it is executed.
            return is_wanted
        return True

    def _is_admissible(self, transaction: Transaction) -> bool:
        try:
            check_admissible(self._ledger, transaction)
        except ChainError:
            # Committed meanwhile, expired, or of an account that this node does not know yet. If a
            # proposal names it all the same, it will be wanted.
            return False
        return True

    # -- verdicts ------------------------------------------------------------------------------------------

    def _verify(self, peer: str | None, transactions: tuple[Transaction, ...]) -> None:
        """Have signatures checked that no verdict is awaited for yet; `peer` answers for them, if one sent them."""
        now_ms = self._clock.monotonic_ms()
        for transaction in transactions:
            size = len(transaction.envelope)
            self._unverified[transaction.hash] = (size, now_ms)
            self._unverified_bytes += size
        self._verifier.verify(
            transactions, lambda verdicts: self._judged(peer, transactions, verdicts)
        )

    def _judged(
        self, peer: str | None, transactions: Sequence[Transaction], verdicts: Sequence[bool]
    ) -> None:
        answers: list[tuple[Done, Transaction | ChainError]] = []
        for transaction, is_valid in zip(transactions, verdicts, strict=True):
            size, _ = self._unverified.pop(transaction.hash)
            self._unverified_bytes -= size
            clients = self._clients.pop(transaction.hash, ())
            if is_valid:
                answer = self._take(transaction, is_asked_for=bool(clients))
            else:
                answer = _bad_signature()
                if transaction.hash in self._wanted:
                    self._refused.add(transaction.hash)
                if peer is not None:
                    self._accuse(peer, f"transaction {transaction.id.hex()}: {answer.message}")
            answers.extend((done, answer) for done in clients)
        for done, answer in answers:
            done(answer)
        self._arrived(not self._wanted.isdisjoint(t.hash for t in transactions))

    def _take(self, transaction: Transaction, *, is_asked_for: bool) -> Transaction | ChainError:
        """Put a genuine transaction where it belongs; return what a client that waits for it hears."""
        if transaction.hash in self._wanted:
            self._keep(transaction)
        if is_asked_for:
            return self._accept(transaction)
        if transaction.hash not in self._kept and not self._ledger.is_replayed(transaction.id):
            # A full pool drops gossip; a proposal that names it fetches it.
            with contextlib.suppress(ChainError):
                self._add_to_pool(transaction)
        return transaction

    def _add_to_pool(self, transaction: Transaction) -> None:
        """Pool what was verified. Raises Unavailable if there is no room."""
        if transaction.is_report and not self._reports.has_room(transaction):
            return
        if self._pool.add(transaction, self._clock.monotonic_ms()) and transaction.is_report:
            self._reports.add(transaction)

    def _keep(self, transaction: Transaction) -> None:
        # A client may hand in what is kept as often as it likes; counted twice, it would drive the rest out.
        if transaction.hash in self._kept:
            return
        self._kept[transaction.hash] = transaction
        self._kept_bytes += len(transaction.envelope)
        while self._kept_bytes > MAX_KEPT_BYTES:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._kept_bytes -= len(oldest.envelope)

    # -- fetching ------------------------------------------------------------------------------------------

    def answer_fetch(self, peer: str, tx_hashes: Iterable[bytes]) -> None:
        """Send a peer those of the transactions that are known here."""
        envelopes: list[bytes] = []
        size = 0
        for tx_hash in dict.fromkeys(tx_hashes):
            transaction = self.get(TransactionHash(tx_hash))
            if transaction is None:
                continue
            if envelopes and (
                size + len(transaction.envelope) > MAX_ANSWER_BYTES
                or len(envelopes) == MAX_TRANSACTIONS_PER_MESSAGE
            ):
                self._answer(peer, envelopes, size)
                envelopes, size = [], 0
            if not self._allowance.has(peer):
                return
            envelopes.append(transaction.envelope)
            size += len(transaction.envelope)
        if envelopes:
            self._answer(peer, envelopes, size)

    def _answer(self, peer: str, envelopes: list[bytes], size: int) -> None:
        self._allowance.spend(peer, size)
        message = encode_message(TransactionsMessage(tuple(envelopes)))
        self._network.send(peer, message, Urgency.NORMAL)

    # -- proposals -----------------------------------------------------------------------------------------

    def get(self, tx_hash: TransactionHash) -> Transaction | None:
        """Return a transaction whose signature was verified, or None."""
        return self._pool.get(tx_hash) or self._kept.get(tx_hash) or self._held.get(tx_hash)

    def missing(self, tx_hashes: Iterable[TransactionHash]) -> tuple[TransactionHash, ...]:
        """Return those that are not known here, verified."""
        return tuple(h for h in tx_hashes if self.get(h) is None)

    def known_bytes(self, tx_hashes: Iterable[TransactionHash]) -> int:
        """Return the size of those that are known here, verified."""
        known = (self.get(h) for h in tx_hashes)
        return sum(len(transaction.envelope) for transaction in known if transaction is not None)

    def has_refused(self, tx_hashes: Iterable[TransactionHash]) -> bool:
        """Whether the signature of one of them is known not to hold."""
        return bool(self._refused) and not self._refused.isdisjoint(tx_hashes)

    def want(self, tx_hashes: Iterable[TransactionHash]) -> None:
        """Keep these whenever they come, until the height is decided."""
        self._wanted.update(tx_hashes)
        self._note_progress()

    def hold(self, transactions: Iterable[Transaction]) -> None:
        """Serve the transactions of a block that this node votes for, or has voted for, until its height is decided.

        A validator that is locked on the block asks those that prepared it, and nobody else may have them any more.
        """
        self._held.update((t.hash, t) for t in transactions)
        self._note_progress()

    def _note_progress(self) -> None:
        """A leader has something to propose: for as long as a first view lasts there is no need to tell it more."""
        self._quiet_since_ms = self._clock.monotonic_ms() + self._timeout_ms

    def fetch(self, peer: str, tx_hashes: Iterable[TransactionHash]) -> None:
        """Ask a peer for those of the wanted transactions that are not being verified already."""
        missing = tuple(dict.fromkeys(h for h in tx_hashes if h not in self._unverified))
        if missing:
            self._network.send(peer, encode_message(FetchMessage(missing)), Urgency.NORMAL)

    def committed(self, transactions: Sequence[Transaction], height: int) -> None:
        """Forget what a decided block made history, and everything that was wanted for its height."""
        self._quiet_since_ms = self._clock.monotonic_ms()
        done = {t.id for t in transactions}
        # What was kept for a proposal that lost has never been admitted.
        kept = [
            t
            for t in (self._held | self._kept).values()
            if t.id not in done and self._is_admissible(t)
        ]
        self._wanted.clear()
        self._held.clear()
        self._kept.clear()
        self._kept_bytes = 0
        self._refused.clear()
        self._pool.remove_committed(done)
        self._pool.remove_expired(height)
        # Another report of the same offence may be in the block.
        stale = [r for r in self._reports.waiting() if not self._is_admissible(r)]
        self._pool.remove_committed(r.id for r in stale)
        self._reports.forget(stale)
        for transaction in kept:
            # If there is no room, it can be fetched again from whoever proposes it.
            with contextlib.suppress(ChainError):
                self._add_to_pool(transaction)
        oldest = self._pool.oldest
        is_same = oldest is not None and oldest == self._oldest
        self._passed_over = self._passed_over + 1 if is_same else 0
        self._oldest = oldest

    # -- bounds --------------------------------------------------------------------------------------------

    @property
    def unverified(self) -> int:
        """How many transactions wait for the verifier."""
        return len(self._unverified)

    def _check_capacity(self, envelope: bytes) -> None:
        """Refuse a client's new transaction while more has come than blocks take away; its body is not read for that.

        Raises:
            Unavailable: with code `overloaded`.
            DecodeError: it is no transaction at all.
        """
        is_behind, is_slow = self._is_verifier_behind(), self._is_queue_slow()
        if not is_behind and not is_slow:
            return
        claims = claims_of(self._domain, envelope)
        # Whoever asks again must hear that it waits or was committed, rather than to sign it once more; and a report, which
        # has no signature that would have to wait for its verdict, is bounded by what there can be to report.
        if claims is None or self._ledger.is_replayed(claims.id) or self._pool.has(claims.id):
            return
        if is_behind:
            raise _overloaded("transactions wait too long for their signatures to be checked")
        # One organisation's queue keeps no other out.
        if 2 * self._pool.count_of(claims.organisation()) >= QUEUE_TRANSACTIONS:
            raise _overloaded("transactions wait too long for a block")

    def _is_verifier_behind(self) -> bool:
        if self._is_overloaded():
            return True
        if len(self._unverified) < UNVERIFIED_TRANSACTIONS:
            return False
        _, since_ms = next(iter(self._unverified.values()))
        return self._clock.monotonic_ms() - since_ms > UNVERIFIED_MS

    def _is_queue_slow(self) -> bool:
        if len(self._pool) < QUEUE_TRANSACTIONS:
            return False
        oldest_ms = self._pool.oldest_since_ms
        return oldest_ms is not None and self._clock.monotonic_ms() - oldest_ms > QUEUE_MS

    def _is_overloaded(self) -> bool:
        return (
            len(self._unverified) >= MAX_UNVERIFIED
            or self._unverified_bytes >= MAX_UNVERIFIED_BYTES
        )


def _overloaded(why: str) -> Unavailable:
    return Unavailable(
        f"{why}; nothing was accepted; try again later",
        code="overloaded",
        retry_after_ms=OVERLOAD_RETRY_MS,
    )


def _bad_signature() -> Refused:
    return Refused(
        "signature: it does not hold for this body and public key; "
        "sign the transaction id with the account's key",
        code="bad_signature",
        field="signature",
    )
