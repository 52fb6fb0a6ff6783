"""The engine: one synchronous object that hosts the pure core and obeys its effects from top to bottom.

Input is a message, a submission or a tick; each is worked off completely before the call returns. Whatever was said
to others was durable before: votes by one synced append to the vote log, blocks by one synced batch of the
ledger. There is exactly one way by which the height advances (`_commit`), whether consensus or sync found the
decision.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Allowance
from chainnode.engine.book import SignatureBook
from chainnode.engine.candidates import Candidates
from chainnode.engine.cosigning import Cosigner
from chainnode.engine.faults import Faults
from chainnode.engine.inbox import Inbox
from chainnode.engine.inquiry import Inquiry
from chainnode.engine.misconduct import Misconduct
from chainnode.engine.neighbours import Neighbours
from chainnode.engine.open_height import OpenHeight, waiting_times
from chainnode.engine.outbox import Outbox
from chainnode.engine.presence import Presence
from chainnode.engine.recovery import VotingLicence
from chainnode.engine.relay import TransactionRelay
from chainnode.engine.status import describe
from chainnode.engine.sync import Sync
from chainnode.engine.testimony import Testimony
from chainnode.engine.timekeeping import Timekeeper
from chainnode.engine.unknown_kinds import UnknownKinds
from chainnode.engine.vote_keeping import VoteKeeper
from chainnode.model.errors import ChainError, InvariantViolation, Unavailable
from chainnode.model.ids import TransactionId
from consensus.effects import NO_EFFECTS
from consensus.errors import InvariantViolation as CoreViolation
from consensus.events import Tick, Verdict
from consensus.messages import Digest, Height, View
from consensus.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.clock_offsets import Reading
    from chainnode.engine.ports import Clock, Network, TransactionVerifier
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.errors import InvalidBlock
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.certificate import Certificate
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.evidence import Statement
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.services.ports import EngineStatus, Witness
    from chainnode.storage.vote_log import VoteLog, VoteRecord
    from consensus.effects import Effects
    from consensus.events import Event
    from consensus.messages import CommitCertificate

CATCH_UP_TRANSACTIONS: Final = 4_000
"""Fetched blocks are executed until about this many transactions are done; then others have their turn."""


class Engine:
    """Consensus, execution and catching up of one validator."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        name: str,
        ledger: Ledger,
        pool: Pool,
        vote_log: VoteLog,
        vote_records: tuple[VoteRecord, ...],
        consensus_signer: Signer,
        cosigner_signer: Signer,
        network: Network,
        clock: Clock,
        verifier: TransactionVerifier,
        witness: Witness,
        challenge: bytes,
        second_signer: Signer | None = None,
        time_sources: tuple[str, ...] = (),
        time_check: str | None = None,
    ) -> None:
        """Wire the parts.

        Args:
            genesis: The chain's.
            name: This validator's, in genesis.
            ledger: Open.
            pool: Empty.
            vote_log: Open.
            vote_records: What it held when it was opened.
            consensus_signer: For votes.
            cosigner_signer: For checkpoints.
            network: The links with other validators.
            clock: Both clocks.
            verifier: Of transactions' signatures.
            witness: Is told what happens.
            challenge: 32 fresh random bytes.
            second_signer: For checkpoints once more, of ML-DSA-44, or None.
            time_sources: Where this machine's clock has its time from, as its operator declares.
            time_check: The time source that `time_measured` will tell of, if any.
        """
        self._name = name
        self._ledger = ledger
        self._pool = pool
        self._vote_log = vote_log
        self._clock = clock
        self._witness = witness
        allowance = Allowance(clock)
        self._faults = Faults(clock=clock, witness=witness)
        self._neighbours = Neighbours()
        self._inquiry = Inquiry(ledger=ledger, neighbours=self._neighbours, clock=clock)
        self._book = SignatureBook(genesis.domain, consensus_signer)
        self._licence = VotingLicence(
            ledger=ledger,
            signer=consensus_signer,
            records=vote_records,
            log_is_new=vote_log.is_new,
            inquiry=self._inquiry,
            book=self._book,
            clock=clock,
            witness=witness,
        )
        self._relay = TransactionRelay(
            domain=genesis.domain,
            ledger=ledger,
            pool=pool,
            network=network,
            verifier=verifier,
            clock=clock,
            allowance=allowance,
            arrived=self._work_arrived,
            accuse=self._faults.accuse,
        )
        self._misconduct = Misconduct(
            ledger=ledger, book=self._book, relay=self._relay, witness=witness
        )
        self._testimony = Testimony(ledger=ledger, book=self._book, witness=witness)
        self._candidates = Candidates(
            name=name,
            ledger=ledger,
            relay=self._relay,
            network=network,
            clock=clock,
            judged=self._judged,
        )
        self._sync = Sync(
            genesis=genesis,
            ledger=ledger,
            network=network,
            clock=clock,
            allowance=allowance,
            forked=self._testimony.convict,
            accuse=self._faults.accuse,
        )
        self._cosigner = Cosigner(
            genesis=genesis,
            ledger=ledger,
            signer=cosigner_signer,
            second=second_signer,
            network=network,
            clock=clock,
            witness=witness,
        )
        self._keeper = VoteKeeper(
            ledger=ledger,
            vote_log=vote_log,
            book=self._book,
            relay=self._relay,
            candidates=self._candidates,
            licence=self._licence,
            witness=witness,
        )
        self._presence = Presence(
            domain=genesis.domain,
            name=name,
            challenge=challenge,
            ledger=ledger,
            signer=consensus_signer,
            neighbours=self._neighbours,
            network=network,
            clock=clock,
            witness=witness,
        )
        self._unknown_kinds = UnknownKinds(clock=clock, witness=witness)
        self._outbox = Outbox(
            ledger=ledger,
            book=self._book,
            candidates=self._candidates,
            cosigner=self._cosigner,
            neighbours=self._neighbours,
            allowance=allowance,
            network=network,
            clock=clock,
        )
        self._timekeeper = Timekeeper(
            ledger=ledger,
            name=name,
            offsets=self._neighbours.offsets,
            clock=clock,
            witness=witness,
            jumped=self._outbox.own_clock_jumped,
            declared=time_sources,
            source=time_check,
        )
        self._replica = Replica(waiting_times(genesis, name))
        self._events: deque[Event] = deque()
        self._open_height = OpenHeight(
            genesis=genesis,
            name=name,
            ledger=ledger,
            pool=pool,
            candidates=self._candidates,
            licence=self._licence,
            timekeeper=self._timekeeper,
            clock=clock,
            emit=self._events.append,
        )
        self._book.exposed = self._licence.exposed
        self._licence.changed = self._open_height.reconsider
        self._inbox = Inbox(
            genesis=genesis,
            ledger=ledger,
            book=self._book,
            relay=self._relay,
            candidates=self._candidates,
            sync=self._sync,
            cosigner=self._cosigner,
            neighbours=self._neighbours,
            presence=self._presence,
            unknown_kinds=self._unknown_kinds,
            inquiry=self._inquiry,
            licence=self._licence,
            faults=self._faults,
            outbox=self._outbox,
            clock=clock,
            testimony=self._testimony,
            emit=self._events.append,
            catch_up=self._catch_up,
        )
        self._is_stepping = False

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up where the disk says we were: votes of the open height first, then the cosignature of the tip.

        Raises:
            StorageFault: the vote log and the ledger do not belong together.
        """
        # Whether we vote or observe: what we voted for may be locked elsewhere, and be nowhere else.
        for executed in self._ledger.recover_candidates():
            self._candidates.add_executed(executed)
            self._relay.hold(executed.transactions)
        self._go_on()
        self._work_off()

    @property
    def deadline_ms(self) -> int:
        """When `tick` should be called next, on the monotonic clock."""
        if self._presence.is_ending:
            return self._presence.deadline_ms
        deadlines = (
            self._replica.deadline_ms,
            self._candidates.deadline_ms,
            self._relay.deadline_ms,
            self._sync.deadline_ms,
            self._outbox.deadline_ms,
            self._presence.deadline_ms,
            self._inquiry.deadline_ms,
            self._open_height.deadline_ms,
            self._cosigner.deadline_ms,
        )
        return min(d for d in deadlines if d is not None)

    def tick(self) -> None:
        """Do whatever has become due.

        Raises:
            NodeFault: this node must stop.
        """
        now_ms = self._clock.monotonic_ms()
        self._presence.repeat(now_ms)
        if self._presence.is_ending:
            return
        self._timekeeper.look()
        if self._replica.deadline_ms is not None and self._replica.deadline_ms <= now_ms:
            self._events.append(Tick())
        self._open_height.go_on()
        self._candidates.advance()
        self._work_off()
        self._catch_up()
        self._relay.repeat()
        self._outbox.repeat(now_ms)
        self._cosigner.repeat(now_ms)
        for peer, wall_ms in self._inquiry.due(now_ms):
            self._outbox.ask(peer, wall_ms)

    def flush(self) -> None:
        """Send what has been gathered for peers; to be called when the inputs of a moment are through."""
        if not self._presence.is_ending:
            self._relay.flush()

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a client's transaction; see `TransactionRelay.submit`.

        Raises:
            Unavailable: the node is about to stop; else as there.
        """
        if self._presence.is_ending:
            raise Unavailable("the node is about to stop: another process has its keys")
        self._relay.submit(envelope, done)
        self._work_off()

    def newest_checkpoint(self) -> CosignedCheckpoint | None:
        """Return the newest checkpoint with a quorum of cosignatures."""
        return self._cosigner.newest

    def testimony(self, height: int) -> tuple[Statement, ...]:
        """Return the signed statements about a height that this node still holds; see `chainnode.model.forensics`."""
        return self._testimony.of(height)

    def is_pending(self, tx_id: bytes) -> bool:
        """Whether a transaction of that id waits in the pool."""
        return self._pool.has(TransactionId(tx_id))

    def status(self) -> EngineStatus:
        """Return where consensus stands, and for whom it waits."""
        self._timekeeper.look()
        height = self._ledger.tip.height + 1
        validators = self._ledger.validators(height)
        return describe(
            name=self._name,
            ledger=self._ledger,
            snapshot=self._replica.snapshot(),
            validators=validators,
            is_voting=self._open_height.is_voting,
            quarantine=self._licence.reason(height, validators),
            neighbours=self._neighbours,
            timekeeper=self._timekeeper,
            is_syncing=self._sync.is_active or self._candidates.awaited is not None,
            cosigned=self._cosigner.newest,
            view_changes=self._keeper.view_changes,
            pool=self._pool,
            unverified=self._relay.unverified,
            unknown_messages=self._unknown_kinds.total,
            wall_minus_monotonic_ms=self._clock.now_ms() - self._clock.monotonic_ms(),
        )

    def time_measured(self, found: Reading | None, problem: str | None) -> None:
        """Take what the time source of `time_check` said, or why it said nothing."""
        self._timekeeper.source_measured(found, problem)

    # -- peers ---------------------------------------------------------------------------------------------

    def receive(self, peer: str, data: bytes, received_ms: int) -> None:
        """Take a message that left the socket when the wall clock read `received_ms`.

        Raises:
            PeerFault: the peer broke the protocol; nothing was changed by it.
            NodeFault: this node must stop.
        """
        if self._presence.is_ending:
            return
        self._inbox.receive(peer, data, received_ms)
        self._work_off()

    def link(self, peer: str, *, is_up: bool) -> None:
        """Note that a peer came or went."""
        if is_up:
            self._neighbours.came(peer)
            self._presence.greet(peer)
            if not self._presence.is_ending:
                self._outbox.greet(peer)
                self._inquiry.hurry()
        else:
            self._neighbours.went(peer, self._clock.monotonic_ms())
            self._inbox.forget(peer)
            self._faults.forget(peer)
            self._sync.forget(peer)

    # -- the core ------------------------------------------------------------------------------------------

    def _work_off(self) -> None:
        """Step the core through all pending events; effects may add more."""
        if self._is_stepping or self._presence.is_ending:
            return
        if not self._events and not self._book.is_crowded:
            return
        self._is_stepping = True
        while self._events:
            event = self._events.popleft()
            try:
                effects = self._replica.step(event, self._clock.monotonic_ms())
            except CoreViolation as error:
                raise InvariantViolation(f"consensus: {error}") from error
            if effects is not NO_EFFECTS:
                self._carry_out(effects)
        # Not in a `finally`: whatever is raised in between stops the node, and until it has stopped nothing more may
        # be said, since the core believes durable what may not be.
        self._is_stepping = False
        if self._book.is_crowded:
            # Only here: events that wait for the core stand on claims that it does not hold yet.
            self._book.keep_only(self._replica.held_claims())

    def _carry_out(self, effects: Effects) -> None:
        if effects.persist:
            self._keeper.persist(effects.persist)
            self._testimony.note(effects.persist)
        for send in effects.send:
            self._outbox.send(send)
        # A decision closes the height, and its signatures are forgotten.
        proven = self._misconduct.seal(effects.faults)
        for certificate in effects.decided:
            self._decided(certificate)
        for build in effects.build:
            self._open_height.build(build)
        for validate in effects.validate:
            self._open_height.validate(validate)
        self._misconduct.prove(proven)
        for behind in effects.behind:
            self._outbox.tell_decision(behind.peer, behind.height)
        for ahead in effects.ahead:
            known = self._neighbours.tip_height(ahead.peer)
            self._sync.hint(ahead.peer, max(ahead.height - 1, known))
        for refusal in effects.refused:
            self._faults.note(
                "message_refused", peer=refusal.peer, code=refusal.code, reason=refusal.sentence
            )

    # -- judging -------------------------------------------------------------------------------------------

    def _judged(self, digest: bytes, first_view: int, reason: InvalidBlock | None) -> None:
        height = Height(self._ledger.tip.height + 1)
        if reason is not None:
            self._witness.event(
                "block_refused", height=height, code=reason.error_code, reason=reason.message
            )
        self._events.append(
            Verdict(
                height=height,
                digest=Digest(digest),
                first_view=View(first_view),
                valid=reason is None,
            )
        )
        if self._candidates.awaited is not None and self._candidates.awaited.digest == digest:
            if reason is not None:
                raise InvariantViolation(
                    f"block {height} is decided by a quorum, and executing it here gives something "
                    f"else: {reason.message}; this node's software or data is wrong"
                )
            self._decided(self._candidates.awaited)

    def _work_arrived(self, are_wanted: bool) -> None:  # noqa: FBT001
        """New transactions are in the pool, or ones that a proposal names have come."""
        if self._presence.is_ending:
            return
        if are_wanted:
            self._candidates.advance()
        self._open_height.note_work()
        self._work_off()

    # -- decisions -------------------------------------------------------------------------------------------

    def _decided(self, certificate: CommitCertificate) -> None:
        if certificate.height != self._ledger.tip.height + 1:
            return
        executed = self._candidates.executed(certificate.digest)
        if executed is None:
            # Decided by others before it was judged here: fetch it, by whichever way is first.
            self._candidates.awaited = certificate
            members = self._ledger.validators(certificate.height).members
            holders = tuple(members[i].name for i in certificate.signers)
            self._candidates.want(certificate.digest, tuple(h for h in holders if h != self._name))
            self._sync.hurry()
            return
        self._commit(executed, self._book.seal_certificate(certificate))

    def _catch_up(self) -> None:
        """Commit what sync has fetched, and ask for more."""
        done = 0
        while done < CATCH_UP_TRANSACTIONS:
            found = self._sync.next_block()
            if found is None:
                break
            executed, certificate = found
            self._commit(executed, certificate)
            done += 1 + len(executed.transactions)
        # Blocks that were dropped, or decided here meanwhile, leave nobody else to do it.
        self._go_on()
        self._sync.advance()
        self._work_off()

    def _commit(self, executed: Executed, certificate: Certificate) -> None:
        """Make a decided block the tip. The one way by which the height advances."""
        self._testimony.decided(certificate.height)
        self._ledger.commit(executed, certificate, voted_height=self._licence.voted_height)
        # From here on a restart finds the block and all that it did.
        height = self._ledger.tip.height
        self._candidates.reset()
        self._relay.committed(executed.transactions, height)
        self._licence.committed(certificate)
        self._book.forget_below(height + 1)
        # What was voted last stays, so that the log shows how far it goes.
        self._vote_log.forget_below(min(height + 1, self._licence.voted_height))
        self._witness.block_committed(executed, certificate)
        self._go_on()

    def _go_on(self) -> None:
        """Cosign the tip and work on the height above it, unless a newer block is at hand: then both are in vain."""
        if not self._sync.is_active:
            self._cosigner.committed()
            if self._open_height.begin():
                self._inquiry.hurry()
                self._inbox.take_early()
