"""The engine: one synchronous object that hosts the pure core and obeys its effects from top to bottom.

Input is a message, a submission or a tick; each is worked off completely before the call returns. Whatever was said
to others was durable before: votes by one synced append to the vote log, blocks by one synced batch of the
ledger. There is exactly one way by which the height advances (`_commit`), whether consensus or sync found the
decision.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Allowance
from chainnode.engine.book import SignatureBook
from chainnode.engine.candidates import Candidates
from chainnode.engine.clock_offsets import INTERVAL_MS, ClockOffsets
from chainnode.engine.cosigning import Cosigner
from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import (
    BlocksMessage,
    ClockMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    OutlineMessage,
    ProposeMessage,
    StatusMessage,
    TransactionsMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.engine.ports import Urgency
from chainnode.engine.recovery import VotingLicence
from chainnode.engine.relay import TransactionRelay
from chainnode.engine.status import describe
from chainnode.engine.sync import Sync
from chainnode.engine.vote_records import encode_records
from chainnode.model.block import decode_outline
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import ChainError, InvariantViolation, PeerFault
from chainnode.model.ids import TransactionId
from consensus.effects import Proposed, Voted
from consensus.errors import InvariantViolation as CoreViolation
from consensus.events import (
    Built,
    CommitReceived,
    DecidedReceived,
    PrepareReceived,
    ProposalReceived,
    Recovered,
    StartHeight,
    StatusReceived,
    Tick,
    Verdict,
    ViewChangeReceived,
    WorkDone,
    WorkPending,
)
from consensus.messages import (
    Commit,
    Digest,
    Height,
    Peer,
    Prepare,
    Proposal,
    ProvenViewChange,
    Status,
    ValidatorIndex,
    View,
)
from consensus.parameters import Parameters
from consensus.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.ports import Clock, Network, TransactionVerifier
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.errors import InvalidBlock
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.mempool.pool import Pool
    from chainnode.model.block import Outline
    from chainnode.model.certificate import Certificate
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.model.validators import ValidatorSet
    from chainnode.services.ports import EngineStatus, Witness
    from chainnode.storage.vote_log import VoteLog, VoteRecord
    from consensus.effects import Build, Effects, Record, Send, Validate
    from consensus.events import Event
    from consensus.messages import CommitCertificate
    from consensus.messages import Message as CoreMessage

DECISION_INTERVAL_MS: Final = 250
"""A peer that is behind is told a decision at most this often; sync does the rest."""

STATUS_EVERY_MS: Final = 3_000
"""How often peers hear of our heights even when the core says nothing, as when it only observes."""

STATUS_ANSWER_MS: Final = 100
"""A STATUS is answered with what its sender lacks at most this often: it is short, and what it asks for may not be."""

CATCH_UP_TRANSACTIONS: Final = 4_000
"""Fetched blocks are executed until about this many transactions are done; then others have their turn."""

MAX_NOTES_PER_S: Final = 20
"""Log lines about refused messages and proven misbehaviour; a peer could fill a disk with them otherwise."""

MAX_JITTER_PERMILLE: Final = 100
"""View timers of different validators differ by up to a tenth, so that they do not all fire at once."""


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
    ) -> None:
        """`vote_records` are what `vote_log` held when it was opened."""
        self._genesis = genesis
        self._name = name
        self._ledger = ledger
        self._pool = pool
        self._vote_log = vote_log
        self._network = network
        self._clock = clock
        self._witness = witness
        self._allowance = Allowance(clock)
        self._licence = VotingLicence(
            ledger=ledger,
            signer=consensus_signer,
            records=vote_records,
            log_is_new=vote_log.is_new,
            clock=clock,
        )
        self._book = SignatureBook(genesis.domain, consensus_signer)
        self._relay = TransactionRelay(
            domain=genesis.domain,
            ledger=ledger,
            pool=pool,
            network=network,
            verifier=verifier,
            clock=clock,
            allowance=self._allowance,
            arrived=self._work_arrived,
            accuse=self._accuse,
        )
        self._candidates = Candidates(
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
            allowance=self._allowance,
            accuse=self._accuse,
        )
        self._cosigner = Cosigner(
            genesis=genesis,
            ledger=ledger,
            signer=cosigner_signer,
            network=network,
            clock=clock,
            witness=witness,
        )
        self._offsets = ClockOffsets()
        self._replica = Replica(_waiting_times(genesis, name))
        self._events: deque[Event] = deque()
        self._is_stepping = False
        self._has_work = False
        self._decision: CommitCertificate | None = None
        self._peers: dict[str, StatusMessage | None] = {}
        self._heard_ms: dict[str, int] = {}
        self._early: dict[str, tuple[ProposeMessage, int]] = {}
        self._told_ms: dict[str, int] = {}
        self._answered_ms: dict[str, int] = {}
        self._accused: dict[str, str] = {}
        self._noted_at_s = 0
        self._noted = 0
        self._opened_height = 0
        self._next_status_ms = 0
        self._next_clock_ms = 0
        self._view_changes = 0
        self._is_voting = False

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
        deadlines = (
            self._replica.deadline_ms,
            self._candidates.deadline_ms,
            self._relay.deadline_ms,
            self._sync.deadline_ms,
            self._next_status_ms,
            self._next_clock_ms,
        )
        return min(d for d in deadlines if d is not None)

    def tick(self) -> None:
        """Do whatever has become due."""
        now_ms = self._clock.monotonic_ms()
        if self._replica.deadline_ms is not None and self._replica.deadline_ms <= now_ms:
            self._events.append(Tick())
        self._candidates.advance()
        self._work_off()
        self._catch_up()
        self._relay.repeat()
        if now_ms >= self._next_status_ms:
            self._next_status_ms = now_ms + STATUS_EVERY_MS
            self._network.broadcast(self._status_message(None), Urgency.VOTE)
        if now_ms >= self._next_clock_ms:
            self._next_clock_ms = now_ms + INTERVAL_MS
            for peer in sorted(self._peers):
                sample = self._offsets.message_to(peer, self._clock.now_ms())
                self._network.send(peer, encode_message(sample), Urgency.VOTE)

    def flush(self) -> None:
        """Send what has been gathered for peers; to be called when the inputs of a moment are through."""
        self._relay.flush()

    def link(self, peer: str, *, is_up: bool) -> None:
        """Note that a peer came or went."""
        if is_up:
            self._peers[peer] = None
            self._network.send(peer, self._status_message(None), Urgency.VOTE)
        else:
            self._peers.pop(peer, None)
            self._early.pop(peer, None)
            self._accused.pop(peer, None)
            self._sync.forget(peer)

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a client's transaction; see `TransactionRelay.submit`."""
        self._relay.submit(envelope, done)
        self._work_off()

    def newest_checkpoint(self) -> CosignedCheckpoint | None:
        """Return the newest checkpoint with a quorum of cosignatures."""
        return self._cosigner.newest

    def is_pending(self, tx_id: bytes) -> bool:
        """Whether a transaction of that id waits in the pool."""
        return self._pool.has(TransactionId(tx_id))

    def status(self) -> EngineStatus:
        """Return where consensus stands, and for whom it waits."""
        return describe(
            name=self._name,
            ledger=self._ledger,
            snapshot=self._replica.snapshot(),
            validators=self._ledger.validators(self._ledger.tip.height + 1),
            is_voting=self._is_voting,
            peers=self._peers,
            heard_ms=self._heard_ms,
            offsets=self._offsets,
            is_syncing=self._sync.is_active or self._decision is not None,
            cosigned=self._cosigner.newest,
            view_changes=self._view_changes,
            pool=self._pool,
            unverified=self._relay.unverified,
            wall_minus_monotonic_ms=self._clock.now_ms() - self._clock.monotonic_ms(),
        )

    # -- messages ------------------------------------------------------------------------------------------

    def receive(self, peer: str, data: bytes, received_ms: int) -> None:
        """Take a message that left the socket when the wall clock read `received_ms`.

        Raises:
            PeerFault: the peer broke the protocol; nothing was changed by it.
            NodeFault: this node must stop.
        """
        self._heard_ms[peer] = received_ms
        if peer in self._accused:
            raise PeerFault(self._accused.pop(peer))
        try:
            message = decode_message(data)
        except ChainError as error:
            raise PeerFault(f"{peer} sent bytes that are no message: {error}") from error
        match message:
            case ProposeMessage():
                self._receive_proposal(peer, message, received_ms)
            case Vote():
                self._receive_vote(peer, message)
            case ViewChangeMessage():
                self._receive_view_change(peer, message)
            case StatusMessage():
                self._receive_status(peer, message)
            case DecidedMessage():
                self._receive_decision(peer, message)
            case TransactionsMessage():
                self._relay.receive(peer, message.envelopes)
            case FetchMessage():
                self._relay.answer_fetch(peer, message.tx_hashes)
            case FetchOutlineMessage():
                self._answer_fetch_outline(peer, message)
            case OutlineMessage():
                self._receive_outline(peer, message)
            case FetchBlocksMessage():
                self._sync.answer(peer, message.from_height, message.count)
            case BlocksMessage():
                self._sync.receive(peer, message.blocks)
                self._catch_up()
            case CosignatureMessage():
                self._cosigner.receive(peer, message)
            case ClockMessage():
                self._offsets.receive(peer, message, received_ms)
        self._work_off()

    def _accuse(self, peer: str, reason: str) -> None:
        """Have a peer pay for something that came to light after its message was taken: its next one is refused."""
        self._accused[peer] = f"{peer}: {reason}"
        self._witness.event("peer_fault", peer=peer, reason=reason)

    def _answer_fetch_outline(self, peer: str, message: FetchOutlineMessage) -> None:
        outline = self._candidates.outline(message.digest)
        if outline is None:
            if message.height <= self._ledger.tip.height:
                # Gone with its height; the decision tells the peer where to get the whole block.
                self._tell_decision(peer, message.height)
        elif self._allowance.has(peer):
            answer = encode_message(OutlineMessage(outline.encode()))
            self._allowance.spend(peer, len(answer))
            self._network.send(peer, answer, Urgency.NORMAL)

    def _validators_for(self, peer: str, height: int) -> ValidatorSet | None:
        """Return the set of a height whose messages matter now, or None after the due hint was taken."""
        open_height = self._ledger.tip.height + 1
        if height < open_height:
            self._tell_decision(peer, height)
            return None
        if height > open_height:
            self._sync.hint(peer, max(height - 1, self._sync_tip(peer)))
            if height > open_height + 1:
                return None
        return self._ledger.validators(height)

    def _sync_tip(self, peer: str) -> int:
        status = self._peers.get(peer)
        return 0 if status is None else status.tip_height

    def _receive_proposal(self, peer: str, message: ProposeMessage, received_ms: int) -> None:
        validators = self._validators_for(peer, message.height)
        if validators is None:
            return
        if message.height > self._ledger.tip.height + 1:
            # Its parent is not decided here yet, so it cannot be judged; it is when that height opens.
            self._early[peer] = (message, received_ms)
            return
        outline = self._decode_outline(peer, message.outline)
        header = outline.header
        if header.height != message.height:
            raise PeerFault(
                f"a proposal for height {message.height} holds a block of {header.height}"
            )
        proposal = self._book.open_proposal(message, outline, validators)
        self._candidates.add_outline(outline)
        timely = self._genesis.parameters.is_timely(header.time_ms, header.first_view, received_ms)
        self._events.append(ProposalReceived(peer=Peer(peer), proposal=proposal, timely=timely))

    def _decode_outline(self, peer: str, data: bytes) -> Outline:
        try:
            return decode_outline(self._genesis.domain, data)
        except ChainError as error:
            raise PeerFault(f"{peer} sent an outline that is none: {error}") from error

    def _receive_outline(self, peer: str, message: OutlineMessage) -> None:
        outline = self._decode_outline(peer, message.outline)
        if outline.header.height == self._ledger.tip.height + 1:
            self._candidates.add_outline(outline)

    def _receive_vote(self, peer: str, message: Vote) -> None:
        validators = self._validators_for(peer, message.height)
        if validators is None:
            return
        claim = self._book.open_vote(message, validators)
        if isinstance(claim, Prepare):
            self._events.append(PrepareReceived(peer=Peer(peer), vote=claim))
        else:
            self._events.append(CommitReceived(peer=Peer(peer), vote=claim))

    def _receive_view_change(self, peer: str, message: ViewChangeMessage) -> None:
        validators = self._validators_for(peer, message.change.height)
        if validators is None:
            return
        proven = self._book.open_view_change(message, validators)
        self._events.append(ViewChangeReceived(peer=Peer(peer), message=proven))

    def _receive_status(self, peer: str, message: StatusMessage) -> None:
        self._peers[peer] = message
        self._sync.hint(peer, message.tip_height)
        open_height = self._ledger.tip.height + 1
        now_ms = self._clock.monotonic_ms()
        is_due = self._answered_ms.get(peer, -STATUS_ANSWER_MS) <= now_ms - STATUS_ANSWER_MS
        if is_due:
            self._answered_ms[peer] = now_ms
            self._cosigner.resend(peer, message)
        if message.height < open_height:
            self._tell_decision(peer, message.height)
        elif message.height == open_height and is_due:
            status = Status(
                height=Height(message.height),
                view=View(message.view),
                digest=None if message.digest is None else Digest(message.digest),
                has_proposal=message.has_proposal,
                prepares=tuple(ValidatorIndex(i) for i in message.prepares),
                commits=tuple(ValidatorIndex(i) for i in message.commits),
                view_changes=message.view_changes,
            )
            self._events.append(StatusReceived(peer=Peer(peer), status=status))
        self._catch_up()

    def _receive_decision(self, peer: str, message: DecidedMessage) -> None:
        try:
            certificate = decode_certificate(message.certificate)
        except ChainError as error:
            raise PeerFault(f"{peer} sent a certificate that is none: {error}") from error
        if certificate.height != self._ledger.tip.height + 1:
            self._sync.hint(peer, max(certificate.height, self._sync_tip(peer)))
            return
        if self._decision is not None:
            # Known already; only the block is missing.
            return
        try:
            validators = self._ledger.validators(certificate.height)
            verify_certificate(certificate, self._genesis.domain, validators)
        except ChainError as error:
            raise PeerFault(f"{peer} sent a certificate that does not hold: {error}") from error
        opened = self._book.open_certificate(certificate)
        self._events.append(DecidedReceived(peer=Peer(peer), certificate=opened))

    def _tell_decision(self, peer: str, height: int) -> None:
        """Help a peer that works on a decided height, at most once in a while."""
        now_ms = self._clock.monotonic_ms()
        if (
            height < 1
            or self._told_ms.get(peer, -DECISION_INTERVAL_MS) > now_ms - DECISION_INTERVAL_MS
        ):
            return
        self._told_ms[peer] = now_ms
        if height <= self._ledger.tip.height:
            _, certificate = self._ledger.header(height)
        elif self._decision is not None:
            # Decided by others, and its block is still on its way to us: what proves it is here already.
            certificate = self._book.seal_certificate(self._decision)
        else:
            return
        message = encode_message(DecidedMessage(certificate.encode()))
        self._network.send(peer, message, Urgency.VOTE)
        self._network.send(peer, self._status_message(None), Urgency.VOTE)

    # -- the core ------------------------------------------------------------------------------------------

    def _work_off(self) -> None:
        """Step the core through all pending events; effects may add more."""
        if self._is_stepping:
            return
        self._is_stepping = True
        while self._events:
            event = self._events.popleft()
            try:
                effects = self._replica.step(event, self._clock.monotonic_ms())
            except CoreViolation as error:
                raise InvariantViolation(f"consensus: {error}") from error
            self._carry_out(effects)
        # Not in a `finally`: whatever is raised in between stops the node, and until it has stopped nothing more may
        # be said, since the core believes durable what may not be.
        self._is_stepping = False
        if self._book.is_crowded:
            # Only here: events that wait for the core stand on claims that it does not hold yet.
            self._book.keep_only(self._replica.held_claims())

    def _carry_out(self, effects: Effects) -> None:
        if effects.persist:
            self._persist(effects.persist)
        for send in effects.send:
            self._send(send)
        for certificate in effects.decided:
            self._decided(certificate)
        for build in effects.build:
            self._build_block(build)
        for validate in effects.validate:
            self._validate(validate)
        for fault in effects.faults:
            self._note("misbehaviour_proven", evidence=str(fault))
        for behind in effects.behind:
            self._tell_decision(behind.peer, behind.height)
        for ahead in effects.ahead:
            self._sync.hint(ahead.peer, max(ahead.height - 1, self._sync_tip(ahead.peer)))
        for refusal in effects.refused:
            self._note(
                "message_refused", peer=refusal.peer, code=refusal.code, reason=refusal.sentence
            )

    def _note(self, name: str, **fields: int | str) -> None:
        """Tell the witness what a peer can bring about at will; beyond a rate, not at all."""
        second = self._clock.monotonic_ms() // 1_000
        if second != self._noted_at_s:
            self._noted_at_s, self._noted = second, 0
        self._noted += 1
        if self._noted <= MAX_NOTES_PER_S:
            self._witness.event(name, **fields)

    def _persist(self, records: tuple[Record, ...]) -> None:
        validators = self._ledger.validators(self._ledger.tip.height + 1)
        for record in records:
            # The block of an own PREPARE or proposal is on disk before the vote: after a crash of everybody,
            # a block that may be locked somewhere can still be had from those that voted for it.
            if isinstance(record, Proposed):
                self._keep(record.proposal.digest)
            elif isinstance(record, Voted) and isinstance(record.vote, Prepare):
                self._keep(record.vote.digest)
            if isinstance(record, Voted) and not isinstance(record.vote, Prepare | Commit):
                self._view_changes += 1
                self._witness.event("view_change", height=record.vote.height, view=record.vote.view)
        encoded = encode_records(records, self._book, validators.size)
        if encoded:
            self._vote_log.append(encoded)
            self._licence.voted()

    def _keep(self, digest: Digest) -> None:
        executed = self._candidates.executed(digest)
        if executed is None:
            raise InvariantViolation("the core votes for a block that was never executed here")
        self._ledger.keep_candidate(executed)
        self._relay.hold(executed.transactions)

    def _send(self, send: Send) -> None:
        data = self._encode(send.message)
        if data is None:
            # Forgotten between two steps under a flood of outlines; whoever wants it asks again.
            return
        if isinstance(send.message, Status):
            self._next_status_ms = self._clock.monotonic_ms() + STATUS_EVERY_MS
        if send.to is None:
            self._network.broadcast(data, Urgency.VOTE)
        else:
            self._network.send(send.to, data, Urgency.VOTE)

    def _encode(self, message: CoreMessage) -> bytes | None:
        n = self._ledger.validators(self._ledger.tip.height + 1).size
        match message:
            case Proposal():
                outline = self._candidates.outline(message.digest)
                if outline is None:
                    return None
                return encode_message(self._book.seal_proposal(message, outline, n))
            case Prepare() | Commit():
                return encode_message(self._book.seal_vote(message))
            case ProvenViewChange():
                return encode_message(self._book.seal_view_change(message, n))
            case Status():
                return self._status_message(message)

    def _status_message(self, status: Status | None) -> bytes:
        """Return a STATUS with what the core says, or with our heights alone."""
        newest = self._cosigner.newest
        tip_height = self._ledger.tip.height
        n = self._ledger.validators(tip_height + 1).size
        return encode_message(
            StatusMessage(
                height=tip_height + 1 if status is None else status.height,
                view=0 if status is None else status.view,
                digest=None if status is None else status.digest,
                has_proposal=False if status is None else status.has_proposal,
                prepares=() if status is None else status.prepares,
                commits=() if status is None else status.commits,
                view_changes=(-1,) * n if status is None else status.view_changes,
                tip_height=tip_height,
                cosigned_height=0 if newest is None else newest.height,
                tip_cosigners=self._cosigner.tip_cosigners(),
            )
        )

    # -- building and judging --------------------------------------------------------------------------------

    def _build_block(self, build: Build) -> None:
        tip = self._ledger.tip
        if build.height != tip.height + 1:
            return
        parameters = self._genesis.parameters
        executed = self._ledger.build(
            transactions=self._pool.select(
                parameters.max_block_transactions, parameters.max_block_bytes
            ),
            # A clock behind the parent's time costs the block at most one view: peers judge the stamp.
            time_ms=max(self._clock.now_ms(), tip.time_ms + 1),
            first_view=build.view,
            proposer=self._name,
        )
        self._candidates.add_executed(executed)
        digest = Digest(executed.outline.block_hash)
        self._events.append(Built(height=build.height, view=build.view, digest=digest))

    def _validate(self, validate: Validate) -> None:
        if validate.height != self._ledger.tip.height + 1:
            return
        members = self._ledger.validators(validate.height).members
        holders = tuple(members[i].name for i in validate.holders if members[i].name != self._name)
        self._candidates.want(validate.digest, holders)

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
        if self._decision is not None and self._decision.digest == digest:
            if reason is not None:
                raise InvariantViolation(
                    f"block {height} is decided by a quorum, and executing it here gives something "
                    f"else: {reason.message}; this node's software or data is wrong"
                )
            self._decided(self._decision)

    def _work_arrived(self) -> None:
        """New transactions are in the pool, or ones that a proposal names have come."""
        self._candidates.advance()
        since_ms = self._pool.oldest_since_ms
        if since_ms is not None and not self._has_work:
            self._has_work = True
            self._events.append(WorkPending(since_ms=since_ms))
        self._work_off()

    # -- decisions -------------------------------------------------------------------------------------------

    def _decided(self, certificate: CommitCertificate) -> None:
        if certificate.height != self._ledger.tip.height + 1:
            return
        executed = self._candidates.executed(certificate.digest)
        if executed is None:
            # Decided by others before it was judged here: fetch it, by whichever way is first.
            self._decision = certificate
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
        self._ledger.commit(executed, certificate)
        # From here on a restart finds the block and all that it did.
        height = self._ledger.tip.height
        self._decision = None
        self._candidates.reset()
        self._relay.committed(executed.transactions, height)
        self._book.forget_below(height + 1)
        self._licence.committed(certificate)
        self._vote_log.forget_below(height + 1)
        self._witness.block_committed(executed, certificate)
        self._go_on()

    def _go_on(self) -> None:
        """Cosign the tip and work on the height above it, unless a newer block is at hand: then both are in vain."""
        if not self._sync.is_active:
            self._cosigner.committed()
            self._open_height()

    def _open_height(self) -> None:
        """Have the core work on the height above the tip, unless it does already."""
        tip = self._ledger.tip
        height = tip.height + 1
        if self._opened_height == height:
            return
        self._opened_height = height
        validators = self._ledger.validators(height)
        now_ms = self._clock.monotonic_ms()
        age_ms = max(0, self._clock.now_ms() - tip.time_ms)
        me = self._licence.index_at(height, validators)
        self._is_voting = me is not None
        start = StartHeight(
            height=Height(height),
            n=validators.size,
            quorum=validators.quorum,
            me=None if me is None else ValidatorIndex(me),
            parent_ms=now_ms - age_ms,
        )
        self._has_work = self._pool.oldest_since_ms is not None
        if self._pool.oldest_since_ms is None:
            self._events.append(WorkDone())
        else:
            self._events.append(WorkPending(since_ms=self._pool.oldest_since_ms))
        records = () if me is None else self._licence.take_records(height, self._book, validators)
        if records:
            self._events.append(Recovered(start=start, records=records))
        else:
            self._events.append(start)
        early, self._early = self._early, {}
        for peer, (message, received_ms) in early.items():
            if message.height >= height:
                try:
                    self._receive_proposal(peer, message, received_ms)
                except PeerFault as fault:
                    self._witness.event("peer_fault", peer=peer, reason=fault.message)


def _waiting_times(genesis: Genesis, name: str) -> Parameters:
    """Return the core's waiting times: those of the chain, a little longer for some validators than for others."""
    parameters = genesis.parameters
    return Parameters(
        timeout_ms=parameters.timeout_ms,
        timeout_cap_ms=parameters.timeout_cap_ms,
        min_interval_ms=parameters.min_interval_ms,
        heartbeat_ms=parameters.heartbeat_ms,
        jitter_permille=zlib.crc32(name.encode()) % MAX_JITTER_PERMILLE,
    )
