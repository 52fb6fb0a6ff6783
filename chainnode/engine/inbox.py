"""What comes in: from the bytes of a peer to verified events for the core, and to whichever part else they concern.

The core hears only of claims whose signatures hold (`SignatureBook`), of the open height and the one after it. What
a peer says of other heights is a hint: it is behind and is told the decision, or it is ahead and sync may ask it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Turns
from chainnode.engine.leaders import leaders_at
from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import (
    BlocksMessage,
    ClockMessage,
    CloneMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    HeardMessage,
    OutlineMessage,
    PresenceMessage,
    ProposeMessage,
    SecondCosignatureMessage,
    StatusMessage,
    TransactionsMessage,
    UnknownMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.ledger.checks import check_transaction_root
from chainnode.model.block import decode_outline
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import ChainError, PeerFault
from consensus.events import (
    CommitReceived,
    DecidedReceived,
    PrepareReceived,
    ProposalReceived,
    StatusReceived,
    ViewChangeReceived,
)
from consensus.messages import Digest, Height, Peer, Prepare, Status, ValidatorIndex, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.book import SignatureBook
    from chainnode.engine.candidates import Candidates
    from chainnode.engine.cosigning import Cosigner
    from chainnode.engine.faults import Faults
    from chainnode.engine.inquiry import Inquiry
    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.outbox import Outbox
    from chainnode.engine.ports import Clock
    from chainnode.engine.presence import Presence
    from chainnode.engine.recovery import VotingLicence
    from chainnode.engine.relay import TransactionRelay
    from chainnode.engine.sync import Sync
    from chainnode.engine.testimony import Testimony
    from chainnode.engine.unknown_kinds import UnknownKinds
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.block import Outline
    from chainnode.model.certificate import Certificate
    from chainnode.model.genesis import Genesis
    from chainnode.model.validators import ValidatorSet
    from consensus.events import Event

STATUS_ANSWER_MS: Final = 100
"""A STATUS is answered with what its sender lacks at most this often: it is short, and what it asks for may not be."""


class Inbox:
    """Reads what peers send, and passes it on."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        ledger: Ledger,
        book: SignatureBook,
        relay: TransactionRelay,
        candidates: Candidates,
        sync: Sync,
        cosigner: Cosigner,
        neighbours: Neighbours,
        presence: Presence,
        unknown_kinds: UnknownKinds,
        inquiry: Inquiry,
        licence: VotingLicence,
        faults: Faults,
        outbox: Outbox,
        clock: Clock,
        testimony: Testimony,
        emit: Callable[[Event], None],
        catch_up: Callable[[], None],
    ) -> None:
        """`emit` queues an event for the core; `catch_up` is called when there may be more for sync to do."""
        self._genesis = genesis
        self._ledger = ledger
        self._book = book
        self._relay = relay
        self._candidates = candidates
        self._sync = sync
        self._cosigner = cosigner
        self._neighbours = neighbours
        self._presence = presence
        self._unknown_kinds = unknown_kinds
        self._inquiry = inquiry
        self._licence = licence
        self._faults = faults
        self._outbox = outbox
        self._testimony = testimony
        self._emit = emit
        self._catch_up = catch_up
        self._clock = clock
        self._turns_height = 0
        self._status_turns = Turns(clock, STATUS_ANSWER_MS)
        self._resend_turns = Turns(clock, STATUS_ANSWER_MS)
        self._told: set[str] = set()
        """Peers that were pushed what they lack of the height in `_turns_height`."""

        self._doubted: set[str] = set()
        """Peers that have sent a cosignature which does not hold, since their links came up."""

        self._early: dict[str, tuple[ProposeMessage, int]] = {}

    def receive(self, peer: str, data: bytes, received_ms: int) -> None:
        """Take a message that left the socket when the wall clock read `received_ms`.

        Raises:
            PeerFault: the peer broke the protocol; nothing was changed by it.
            NodeFault: this node must stop.
        """
        self._neighbours.heard(peer, received_ms)
        self._faults.check_not_accused(peer)
        try:
            message = decode_message(data)
        except ChainError as error:
            raise PeerFault(f"{peer} sent bytes that are no message: {error}") from error
        match message:  # the most frequent kinds first
            case Vote():
                self._receive_vote(peer, message)
            case TransactionsMessage():
                self._relay.receive(peer, message.envelopes)
            case CosignatureMessage() | SecondCosignatureMessage():
                self._receive_cosignature(peer, message)
            case StatusMessage():
                self._receive_status(peer, message)
            case ProposeMessage():
                self._receive_proposal(peer, message, received_ms)
            case ViewChangeMessage():
                self._receive_view_change(peer, message)
            case DecidedMessage():
                self._receive_decision(peer, message)
            case FetchMessage():
                self._relay.answer_fetch(peer, message.tx_hashes)
            case FetchOutlineMessage():
                self._outbox.answer_fetch_outline(peer, message)
            case OutlineMessage():
                self._receive_outline(peer, message)
            case FetchBlocksMessage():
                self._sync.answer(peer, message.from_height, message.count)
            case BlocksMessage():
                self._sync.receive(peer, message.blocks)
                self._catch_up()
            case ClockMessage():
                self._receive_clock(peer, message, received_ms)
            case PresenceMessage():
                self._presence.receive(peer, message)
            case CloneMessage():
                self._presence.receive_clone(peer, message)
            case HeardMessage():
                self._presence.receive_report(peer, message)
            case UnknownMessage():
                self._unknown_kinds.ignore(peer, message)

    def forget(self, peer: str) -> None:
        """Drop what a peer that went has said ahead of time."""
        self._early.pop(peer, None)
        self._doubted.discard(peer)
        self._turns_height = 0

    def take_early(self) -> None:
        """Take up the proposals for the open height that came before it was open."""
        height = self._ledger.tip.height + 1
        early, self._early = self._early, {}
        for peer, (message, received_ms) in early.items():
            if message.height >= height:
                try:
                    self._receive_proposal(peer, message, received_ms)
                except PeerFault as fault:
                    self._faults.report(peer, fault.message)

    def _validators_for(self, peer: str, height: int) -> ValidatorSet | None:
        """Return the set of a height whose messages matter now, or None after the due hint was taken."""
        open_height = self._ledger.tip.height + 1
        if height < open_height:
            self._outbox.tell_decision(peer, height)
            return None
        if height > open_height:
            self._sync.hint(peer, max(height - 1, self._neighbours.tip_height(peer)))
            if height > open_height + 1:
                return None
        return self._ledger.validators(height)

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
        proposal = self._book.open_proposal(
            message, outline, validators, leaders_at(self._ledger, message.height)
        )
        self._candidates.add_outline(outline)
        timely = self._genesis.parameters.is_timely(header.time_ms, header.first_view, received_ms)
        self._emit(ProposalReceived(peer=Peer(peer), proposal=proposal, timely=timely))

    def _decode_outline(self, peer: str, data: bytes) -> Outline:
        """Read an outline whose every part its header names, so that a block hash stands for one block.

        Its hash alone is signed, and a verdict is about the hash. Other transactions under a genuine header would have
        a valid block found invalid for good, and a decided one stop this node.

        Raises:
            PeerFault: it is no outline, or not that of its header.
        """
        try:
            outline = decode_outline(self._genesis.domain, data)
            known = self._candidates.outline(outline.block_hash)
            if known is None or known.tx_hashes != outline.tx_hashes:
                check_transaction_root(outline, self._genesis.suite)
        except ChainError as error:
            raise PeerFault(f"{peer} sent an outline that is none: {error}") from error
        return outline

    def _receive_outline(self, peer: str, message: OutlineMessage) -> None:
        outline = self._decode_outline(peer, message.outline)
        if outline.header.height == self._ledger.tip.height + 1:
            self._candidates.add_outline(outline)

    def _receive_vote(self, peer: str, message: Vote) -> None:
        validators = self._validators_for(peer, message.height)
        if validators is None:
            return
        claim = self._book.open_vote(message, validators)
        self._candidates.note_holder(claim.digest, validators.members[claim.sender].name)
        if isinstance(claim, Prepare):
            self._emit(PrepareReceived(peer=Peer(peer), vote=claim))
        else:
            self._emit(CommitReceived(peer=Peer(peer), vote=claim))

    def _receive_view_change(self, peer: str, message: ViewChangeMessage) -> None:
        validators = self._validators_for(peer, message.change.height)
        if validators is None:
            return
        proven = self._book.open_view_change(
            message, validators, leaders_at(self._ledger, message.change.height)
        )
        self._emit(ViewChangeReceived(peer=Peer(peer), message=proven))

    def _receive_status(self, peer: str, message: StatusMessage) -> None:
        self._neighbours.stands_at(peer, message)
        self._sync.hint(peer, message.tip_height)
        open_height = self._ledger.tip.height + 1
        if open_height != self._turns_height:
            # What was asked about the height before says nothing of this one.
            self._turns_height = open_height
            self._status_turns = Turns(self._clock, STATUS_ANSWER_MS)
            self._resend_turns = Turns(self._clock, STATUS_ANSWER_MS)
            self._told.clear()
        if self._resend_turns.take(peer):
            self._cosigner.resend(peer, message)
        if message.height < open_height:
            self._outbox.tell_decision(peer, message.height)
        elif message.height == open_height and self._status_turns.take(peer):
            self._told.add(peer)
            status = Status(
                height=Height(message.height),
                view=View(message.view),
                digest=None if message.digest is None else Digest(message.digest),
                has_proposal=message.has_proposal,
                prepares=tuple(ValidatorIndex(i) for i in message.prepares),
                commits=tuple(ValidatorIndex(i) for i in message.commits),
                view_changes=message.view_changes,
            )
            index = self._ledger.validators(open_height).index_of(peer)
            self._emit(
                StatusReceived(
                    peer=Peer(peer),
                    status=status,
                    sender=None if index is None else ValidatorIndex(index),
                )
            )
        if not self._sync.is_idle:
            self._catch_up()

    def _receive_clock(self, peer: str, message: ClockMessage, received_ms: int) -> None:
        if message.echoed_ms == 0:
            if not self._owes(peer):
                self._outbox.answer(peer, message, received_ms)
            return
        # When the message left the socket, on the monotonic clock.
        waited_ms = max(0, self._clock.now_ms() - received_ms)
        self._neighbours.offsets.receive(
            peer, message, received_ms, self._clock.monotonic_ms() - waited_ms
        )
        self._inquiry.heard(peer, message)
        self._licence.answered()

    def _owes(self, peer: str) -> bool:
        """Whether a peer that asks what was heard of it has not been pushed that yet: an answer would say that it was.

        It asks again. It may have stood at another height when its STATUS came, or we did; and of a height that is decided
        we push the decision alone.
        """
        open_height = self._ledger.tip.height + 1
        if self._candidates.awaited is not None:
            return True
        is_level = self._neighbours.view_at(peer, open_height) is not None
        return is_level and not (self._turns_height == open_height and peer in self._told)

    def _receive_decision(self, peer: str, message: DecidedMessage) -> None:
        try:
            certificate = decode_certificate(message.certificate)
        except ChainError as error:
            raise PeerFault(f"{peer} sent a certificate that is none: {error}") from error
        if 1 <= certificate.height <= self._ledger.tip.height:
            self._compare_decision(peer, certificate)
        if certificate.height != self._ledger.tip.height + 1:
            self._sync.hint(peer, max(certificate.height, self._neighbours.tip_height(peer)))
            return
        if self._candidates.awaited is not None:
            # Known already; only the block is missing.
            return
        try:
            validators = self._ledger.validators(certificate.height)
            verify_certificate(certificate, self._genesis.domain, validators)
        except ChainError as error:
            raise PeerFault(f"{peer} sent a certificate that does not hold: {error}") from error
        opened = self._book.open_certificate(certificate, validators)
        self._emit(DecidedReceived(peer=Peer(peer), certificate=opened))

    def _receive_cosignature(
        self, peer: str, message: CosignatureMessage | SecondCosignatureMessage
    ) -> None:
        """Take a cosignature; one that does not hold is a fault, but the first time it may be more.

        Whoever is honest and cosigns another log than ours has decided another block: two halves of a fork, which may
        be level and have no other reason to compare. So the peer is told what is decided here, and will do the same.

        Raises:
            PeerFault: it does not hold, and the peer has been told already.
        """
        try:
            self._cosigner.receive(peer, message)
        except PeerFault as fault:
            if peer in self._doubted or message.height > self._ledger.tip.height:
                raise
            self._doubted.add(peer)
            self._faults.note("cosignature_doubted", peer=peer, reason=fault.message)
            self._outbox.tell_decision(peer, message.height)

    def _compare_decision(self, peer: str, certificate: Certificate) -> None:
        """Look at a decision of a height that is decided here: it must be the same block.

        Raises:
            PeerFault: it is another block, and its certificate does not hold.
            ForkProven: it is another block, and its certificate does hold.
        """
        height, tip = certificate.height, self._ledger.tip
        ours = tip.block_hash if height == tip.height else self._ledger.header(height)[1].block_hash
        if certificate.block_hash == ours:
            return
        try:
            verify_certificate(certificate, self._genesis.domain, self._ledger.validators(height))
        except ChainError as error:
            raise PeerFault(f"{peer} sent a certificate that does not hold: {error}") from error
        self._testimony.convict(certificate)
