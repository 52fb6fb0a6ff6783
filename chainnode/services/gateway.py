"""The gateway: documents of systems without keys, gathered into lists that the node's own account signs.

What is accepted is on disk. From then on it is sent until the chain has decided it, through restarts of the node too:
the same bytes as long as they may still be in a block, and others only when they have expired and are in none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_bytes, fresh_seed
from chainnode.model import codec
from chainnode.model.calls import register_documents
from chainnode.model.errors import ChainError, NotFound, Refused, Unavailable
from chainnode.model.header import decode_header
from chainnode.model.tlog_proof import Proof
from chainnode.model.transaction import decode_transaction
from chainnode.services.gateway_journal import ID_BYTES, Ending, Entry
from chainnode.services.gateway_lists import Waiting, gathered
from chainnode.services.outcome import Outcome, Status
from contracts.query import algorithm_registry, opening_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.clock import Clock
    from chainnode.model.transaction import Transaction
    from chainnode.services.gateway_journal import GatewayJournal, GatewayList
    from chainnode.services.gateway_lists import Done, Wish
    from chainnode.services.node_services import NodeServices
    from chainnode.services.own_account import OwnAccount
    from chainnode.services.registrations import FoundPage
    from chainnode.services.untold import UntoldQueue

MAX_OPEN: Final = 20_000
"""Documents that are accepted or wait to be, and not decided: some blocks of full lists. Beyond it: HTTP 429."""

MAX_UNDER_WAY: Final = 8
"""Lists that are with the chain at once; the others wait here, on disk."""

MAX_HANDED_IN: Final = 64
"""Lists that one turn of the event loop looks at; the next one has the others. After a standstill they may be thousands,
and each that has expired takes a signature and a sync."""

TIMEOUT_MS: Final = 30_000
"""How long a list is waited for before it is handed in again."""

RETRY_MS: Final = 1_000
"""Before a list is handed in again that the chain did not take, unless it asks for more."""

RETRY_AFTER_MS: Final = 500
"""What a client is asked to wait when too much is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStatus:
    """Where a document stands."""

    id: bytes
    status: Status
    """`PENDING` once it is accepted, then `COMMITTED` or `FAILED`."""

    tx_id: bytes
    index: int | None = None
    height: int | None = None
    time_ms: int | None = None
    code: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Counts:
    """What became of what came, since start."""

    accepted: int = 0
    committed: int = 0
    failed: int = 0

    def end(self, status: Status, count: int) -> None:
        """Count so many as `COMMITTED` or `FAILED`."""
        if status is Status.COMMITTED:
            self.committed += count
        else:
            self.failed += count


class Gateway:
    """One node's gateway. Everything happens on the event loop's thread; wherever the disk fails, StorageFault is raised."""

    def __init__(
        self,
        *,
        services: NodeServices,
        own_account: OwnAccount,
        journal: GatewayJournal,
        clock: Clock,
        defer: Callable[[Callable[[], None]], object],
    ) -> None:
        """Go on with what the journal has; nothing is sent before the first `tick`.

        Args:
            services: The node's.
            own_account: Signs the lists; holds the role `notary`.
            journal: What is accepted.
            clock: The node's.
            defer: Calls a function in a few milliseconds, so that what comes together goes into one list.
        """
        self._services = services
        self._own_account = own_account
        self._journal = journal
        self._clock = clock
        self._defer = defer
        self._queue: list[Waiting] = []
        self._queued_keys: dict[tuple[str, str], list[Waiting]] = {}
        self._is_flushing = False
        self._backlog: deque[tuple[int, GatewayList]] = deque(
            (0, one) for one in journal.open_lists
        )
        """Lists that wait to be handed in, with the time on the monotonic clock before which they are not."""

        self._under_way = 0
        self._is_handing_in = False
        self._open = sum(len(one.entries) for one in journal.open_lists)
        self.counts: Final = Counts()
        """Documents."""

        self._watchers: dict[int, dict[object, Callable[[], None]]] = {}
        """By list; empty for none."""

        self._read: tuple[bytes, Transaction] | None = None

    @property
    def open_count(self) -> int:
        """Documents that are accepted or wait to be, and not decided."""
        return self._open + len(self._queue)

    @property
    def open_list_count(self) -> int:
        """Lists that are accepted and not decided."""
        return len(self._journal.open_lists)

    @property
    def waiting_count(self) -> int:
        """Clients that wait for a decision."""
        return sum(map(len, self._watchers.values()))

    # -- taking in -----------------------------------------------------------------------------------------

    def submit(self, wish: Wish, done: Done) -> None:
        """Take a document; `done` hears its id once it is on disk, or why it cannot be accepted.

        Raises:
            Refused: `key_conflict`: the idempotency key stands for something else; `algorithm_closed`.
            Unavailable: `overloaded`.
        """
        if wish.key is not None:
            known = self._journal.by_key(wish.token, wish.key)
            if known is not None:
                _check_same(known.request_hash, wish)
                done(known.id)
                return
            same = self._queued_keys.get((wish.token, wish.key))
            if same is not None:
                _check_same(same[0].wish.request_hash, wish)
                same.append(Waiting(wish, done))
                return
        self._check_algorithms(wish)
        if self.open_count >= MAX_OPEN:
            raise Unavailable(
                f"{self.open_count} documents are accepted and not decided; nothing was accepted; try again later",
                code="overloaded",
                retry_after_ms=RETRY_AFTER_MS,
            )
        waiting = Waiting(wish, done)
        self._queue.append(waiting)
        if wish.key is not None:
            self._queued_keys[wish.token, wish.key] = [waiting]
        if not self._is_flushing:
            self._is_flushing = True
            self._defer(self._flush)

    def _check_algorithms(self, wish: Wish) -> None:
        """Refuse what the next block would: it would take along all that is gathered into one list with it."""
        ledger = self._services.ledger
        closed = algorithm_registry(ledger.state).closed_at(ledger.tip.height + 1)
        for digest in wish.document.digests:
            if digest.algorithm in closed:
                raise Refused(
                    f"digests: {digest.algorithm} is closed to new records; use another algorithm",
                    code="algorithm_closed",
                    field="digests",
                )

    def _flush(self) -> None:
        self._is_flushing = False
        queue, self._queue = self._queue, []
        keys, self._queued_keys = self._queued_keys, {}
        closing = algorithm_registry(self._services.ledger.state).with_closure()
        for parts in gathered(queue, closing):
            self._accept(parts, keys)
        self._hand_in()

    def _accept(self, parts: Sequence[Waiting], keys: dict[tuple[str, str], list[Waiting]]) -> None:
        wishes = [waiting.wish for waiting in parts]
        seed = None if wishes[0].is_public else fresh_seed()
        try:
            call = register_documents([wish.document for wish in wishes], seed=seed)
            transaction = self._own_account.sign([call])
        except ChainError as error:
            for waiting in parts:
                _tell(waiting, keys, error)
            return
        entries = [
            Entry(
                id=fresh_bytes(ID_BYTES),
                token=wish.token,
                key=wish.key,
                request_hash=wish.request_hash,
                webhook=wish.webhook,
            )
            for wish in wishes
        ]
        one = self._journal.accept(entries, transaction.envelope, transaction.id)
        # It is on disk: from here on a crash loses nothing, and clients may be told.
        self._open += len(entries)
        self.counts.accepted += len(entries)
        self._backlog.append((0, one))
        for waiting, entry in zip(parts, entries, strict=True):
            _tell(waiting, keys, entry.id)

    # -- with the chain ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Hand in what waits for its time. Call some times a second."""
        if self._backlog:
            self._hand_in()

    def _hand_in(self) -> None:
        self._is_handing_in = False
        now_ms = self._clock.monotonic_ms()
        for _ in range(min(len(self._backlog), MAX_HANDED_IN)):
            if self._under_way >= MAX_UNDER_WAY:
                return
            due_ms, one = self._backlog.popleft()
            if due_ms > now_ms:
                self._backlog.append((due_ms, one))
                continue
            self._under_way += 1
            self._send(one)

    def _send(self, one: GatewayList) -> None:
        genesis = self._services.ledger.genesis
        transaction = decode_transaction(genesis.domain, one.envelope)
        try:
            self._own_account.send(
                transaction,
                timeout_ms=TIMEOUT_MS,
                done=lambda outcome: self._decided(one, transaction, outcome),
            )
        except ChainError as error:
            self._decided(one, transaction, error)

    def _decided(
        self, one: GatewayList, transaction: Transaction, outcome: Outcome | ChainError
    ) -> None:
        self._under_way -= 1
        wait_ms = RETRY_MS
        if isinstance(outcome, ChainError):
            if isinstance(outcome, Unavailable):
                wait_ms = max(wait_ms, outcome.retry_after_ms or 0)
            # Whatever it was refused for, only its last valid height says that it is in no block and never will be.
            outcome = self._look_up(transaction)
        receipt = outcome.receipt
        if receipt is not None and outcome.height is not None:
            ending = Ending(
                status=Status.COMMITTED if receipt.succeeded else Status.FAILED,
                height=outcome.height,
                first_record=receipt.first_record,
                code=receipt.code,
                message=receipt.message,
            )
            self._journal.end(one, ending)
            self._open -= len(one.entries)
            self.counts.end(ending.status, len(one.entries))
            for watcher in self._watchers.pop(one.number, {}).values():
                watcher()
        else:
            if outcome.status is Status.EXPIRED:
                self._sign_anew(one, transaction)
            self._backlog.append((self._clock.monotonic_ms() + wait_ms, one))
        if self._backlog and not self._is_handing_in:
            self._is_handing_in = True
            self._defer(self._hand_in)

    def _look_up(self, transaction: Transaction) -> Outcome:
        last = transaction.body.last_valid_height
        try:
            return self._services.submission.find(transaction.id, last_valid_height=last)
        except Unavailable:
            # The node is just starting.
            return Outcome(tx_id=transaction.id, status=Status.UNKNOWN)

    def _sign_anew(self, one: GatewayList, expired: Transaction) -> None:
        try:
            fresh = self._own_account.sign(expired.body.calls)
        except ChainError:
            # No valid key just now; the next round finds it expired again.
            return
        self._journal.sign_anew(one, fresh.envelope, fresh.id)

    # -- asking --------------------------------------------------------------------------------------------

    def known(self, token: str, key: str) -> bytes | None:
        """Return the id of what was accepted under an idempotency key; None if it is not, or forgotten."""
        entry = self._journal.by_key(token, key)
        return None if entry is None else entry.id

    def find(self, token: str, id_: bytes) -> RecordStatus:
        """Return where a document stands.

        Raises:
            NotFound: `unknown_record`: nothing of that id came under this token, or it was forgotten.
        """
        one, item = self._place(token, id_)
        ending = one.ending
        if ending is None:
            return RecordStatus(id=id_, status=Status.PENDING, tx_id=one.tx_id)
        header = decode_header(self._services.ledger.header(ending.height)[0])
        is_committed = ending.status is Status.COMMITTED
        return RecordStatus(
            id=id_,
            status=ending.status,
            tx_id=one.tx_id,
            index=ending.first_record + item if is_committed else None,
            height=ending.height,
            time_ms=header.time_ms,
            code=ending.code or None,
            message=ending.message or None,
        )

    def watch(self, token: str, id_: bytes, decided: Callable[[], None]) -> Callable[[], None]:
        """Call `decided` once the document's list has ended: at once if it has.

        Returns:
            What ends the watch. Whoever no longer waits calls it, at any time: a list may be open for as long as the chain
            stands still.

        Raises:
            NotFound: as `find`.
        """
        one, _ = self._place(token, id_)
        watch = object()
        if one.ending is not None:
            decided()
        else:
            self._watchers.setdefault(one.number, {})[watch] = decided

        def unwatch() -> None:
            watchers = self._watchers.get(one.number, {})
            if watchers.pop(watch, None) is not None and not watchers:
                del self._watchers[one.number]

        return unwatch

    @property
    def untold_webhooks(self) -> tuple[str, ...]:
        """Names of the webhooks that are still to be told of something."""
        return self._journal.untold_webhooks

    def untold(self, webhook: str) -> UntoldQueue:
        """Return the documents that have ended and of which a webhook is still to be told."""
        return self._journal.untold(webhook)

    def told(self, *ids: bytes) -> None:
        """Tell the webhooks of so many documents no more, at most `MAX_TOLD`; durable on return, in one sync."""
        self._journal.told(*ids)

    def is_provable(self, found: RecordStatus) -> bool:
        """Whether a cosigned checkpoint covers a document's record."""
        return found.index is not None and self._services.log.is_cosigned(found.index)

    def prove(self, token: str, id_: bytes) -> bytes:
        """Return the bytes of a document's `.tlog-proof`.

        Raises:
            NotFound: as `find`.
            Unavailable: `not_yet_committed`, or `not_yet_cosigned`.
            Refused: the list failed, with the chain's code.
        """
        found = self.find(token, id_)
        if found.status is Status.FAILED:
            raise Refused(found.message or "it failed", code=found.code)
        if found.index is None:
            raise Unavailable(
                "it is accepted and not decided yet",
                code="not_yet_committed",
                retry_after_ms=RETRY_AFTER_MS,
            )
        services = self._services
        one, item = self._place(token, id_)
        proven = services.log.prove(found.index)
        opening = opening_of(
            self._transaction(one.tx_id), 0, item, services.ledger.genesis.domain
        ).opening
        bare = proven.proof
        return Proof(
            extra=codec.encode((proven.leaf, opening.as_value())),
            index=bare.index,
            hashes=bare.hashes,
            note=bare.note,
            checkpoint=bare.checkpoint,
        ).encode()

    def lookup(self, algorithm: str, digest: bytes, *, limit: int, after: int | None) -> FoundPage:
        """Return registrations of a digest: public ones, and those that this node's account has made.

        Arguments and bounds are those of `NotaryService.lookup`.
        """
        own = self._own_account.name
        return self._services.notary.search(
            algorithm,
            digest,
            lambda one: one.is_public or one.record.account == own,
            limit=limit,
            after=after,
        )

    def _place(self, token: str, id_: bytes) -> tuple[GatewayList, int]:
        found = self._journal.place(id_)
        if found is None or found[0].entries[found[1]].token != token:
            raise NotFound(
                f"nothing of the id {id_.hex()} came under this token, or it is no longer remembered",
                code="unknown_record",
                field="id",
            )
        return found

    def _transaction(self, tx_id: bytes) -> Transaction:
        """Return a committed transaction; proofs of one list are often asked for together, so the last is kept."""
        if self._read is None or self._read[0] != tx_id:
            ledger = self._services.ledger
            place = ledger.find_transaction(tx_id)
            if place is None:
                raise NotFound("no block holds it", code="unknown_transaction")
            envelope = ledger.transaction(*place)
            self._read = (tx_id, decode_transaction(ledger.genesis.domain, envelope))
        return self._read[1]


def _check_same(request_hash: bytes, wish: Wish) -> None:
    if request_hash != wish.request_hash:
        raise Refused(
            f"the idempotency key {wish.key!r} stands for another request; a key names one wish for ever",
            code="key_conflict",
            field="Idempotency-Key",
        )


def _tell(
    waiting: Waiting,
    keys: dict[tuple[str, str], list[Waiting]],
    answer: bytes | ChainError,
) -> None:
    """Tell whoever waits for a document, and all who asked for the same under its key."""
    key = waiting.wish.key
    for one in (waiting,) if key is None else keys[waiting.wish.token, key]:
        one.done(answer)
