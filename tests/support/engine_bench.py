"""One engine on a bench: its ports are held by the test, its peers are whatever the test says they are.

bench = EngineBench(me=0)
bench.receive("birch", message)        as if it came from that peer now
bench.sent(Vote)                       what went out of that kind, as (to, message); to is None for all
bench.pass_ms(500)                     time passes, and the engine ticks whenever it wants to
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from chainnode.engine.engine import Engine
from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import (
    BlocksMessage,
    ClockMessage,
    CosignatureMessage,
    DecidedMessage,
    Message,
    OutlineMessage,
    ProposeMessage,
    SecondCosignatureMessage,
    StatusMessage,
    UnknownMessage,
    Vote,
)
from chainnode.keystore.signer import local_signer
from chainnode.ledger.ledger import Ledger
from chainnode.mempool.pool import Pool, PoolLimits
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosign
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import cosigner_key
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, vote_message
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.memory import MemoryStore
from chainnode.storage.vote_log import VoteLog
from chainnode.verification.in_process import InProcessVerifier
from tests.support.chain import GENESIS_MS, Chain, KeyPair, make_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.engine.ports import Urgency
    from chainnode.ledger.execution import Executed
    from chainnode.model.certificate import Certificate
    from chainnode.model.transaction import Transaction

M = TypeVar("M")
CHAIN = make_chain()
NAMES = tuple(v.name for v in CHAIN.validators)
"""In the order of the set: the leader of (height, view) is NAMES[(height + view) % 4]."""


class BenchClock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.wall_ms = GENESIS_MS + 1_000
        self.mono_ms = 50_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.mono_ms

    def advance(self, ms: int) -> None:
        self.wall_ms += ms
        self.mono_ms += ms


def _known(data: bytes) -> Message:
    message = decode_message(data)
    assert not isinstance(message, UnknownMessage)
    return message


class BenchNetwork:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[tuple[str | None, Message, Urgency]] = []

    def send(self, peer: str, message: bytes, urgency: Urgency) -> None:
        self.said.append((peer, _known(message), urgency))

    def broadcast(self, message: bytes, urgency: Urgency) -> None:
        self.said.append((None, _known(message), urgency))

    def take(self, kind: type[M]) -> list[tuple[str | None, M]]:
        """Return what of that kind was said since this was last asked, and forget it."""
        found: list[tuple[str | None, M]] = [
            (to, m) for to, m, _ in self.said if isinstance(m, kind)
        ]
        self.said = [s for s in self.said if not isinstance(s[1], kind)]
        return found


class HeldVerifier:
    """Keeps back its verdicts until `release`."""

    def __init__(self, chain: Chain = CHAIN) -> None:
        self._inner = InProcessVerifier(chain.genesis.domain)
        self.waiting: list[tuple[Sequence[Transaction], Callable[[Sequence[bool]], None]]] = []

    def verify(
        self, transactions: Sequence[Transaction], done: Callable[[Sequence[bool]], None]
    ) -> None:
        self.waiting.append((transactions, done))

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for transactions, done in waiting:
            self._inner.verify(transactions, done)


class BenchWitness:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.cosigned: list[int] = []
        self.events: list[tuple[str, dict[str, int | str]]] = []

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        self.blocks.append(certificate.height)

    def checkpoint_cosigned(self, height: int) -> None:
        self.cosigned.append(height)

    def event(self, name: str, **fields: int | str) -> None:
        self.events.append((name, fields))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


class EngineBench:
    """One validator's engine, started."""

    def __init__(
        self,
        me: int | None = 0,
        *,
        chain: Chain = CHAIN,
        store: MemoryStore | None = None,
        file: MemoryFile | None = None,
        verifier: HeldVerifier | None = None,
        clock: BenchClock | None = None,
        pool_limits: PoolLimits | None = None,
        start: bool = True,
        challenge: bytes = bytes(32),
        answers: bool = True,
        second: KeyPair | None = None,
    ) -> None:
        """`answers`: two peers say at once that they have heard nothing of this validator, and go.

        `second` is the key with which it is to cosign a second time.
        """
        self.chain = chain
        self.clock = BenchClock() if clock is None else clock
        self.network = BenchNetwork()
        self.witness = BenchWitness()
        self.store = MemoryStore() if store is None else store
        self.file = MemoryFile() if file is None else file
        self.ledger = Ledger.open(self.store, chain.genesis)
        self.pool = Pool(PoolLimits() if pool_limits is None else pool_limits)
        self.vote_log, records = VoteLog.open(self.file, chain.genesis.domain.genesis_hash)
        keys = make_chain(validators=10).validators[0] if me is None else chain.validators[me]
        self.name = "stranger" if me is None else keys.name
        self.engine = Engine(
            genesis=chain.genesis,
            name=self.name,
            ledger=self.ledger,
            pool=self.pool,
            vote_log=self.vote_log,
            vote_records=records,
            consensus_signer=local_signer(
                name="consensus",
                suite=keys.consensus.suite,
                purpose=KeyPurpose.CONSENSUS,
                private_key=keys.consensus.private if me is not None else bytes(31) + b"\1",
            ),
            cosigner_signer=local_signer(
                name="cosigner",
                suite=keys.cosigner.suite,
                purpose=KeyPurpose.COSIGNER,
                private_key=keys.cosigner.private if me is not None else bytes(31) + b"\2",
            ),
            network=self.network,
            clock=self.clock,
            verifier=InProcessVerifier(chain.genesis.domain) if verifier is None else verifier,
            witness=self.witness,
            challenge=challenge,
            second_signer=None
            if second is None
            else local_signer(
                name="second",
                suite=second.suite,
                purpose=KeyPurpose.COSIGNER,
                private_key=second.private,
            ),
        )
        if start:
            self.engine.start()
        if start and answers and me is not None and len(chain.validators) > 1:
            self.answer(*[v.name for v in chain.validators if v.name != self.name][:2])

    # -- inputs --------------------------------------------------------------------------------------------

    def receive(self, peer: str, message: Message) -> None:
        self.engine.receive(peer, encode_message(message), self.clock.now_ms())

    def answer(self, *peers: str) -> None:
        """Have these peers come, answer what a node asks after its start, and go."""
        for peer in peers:
            self.engine.link(peer, is_up=True)
            self.engine.tick()
        questions = {to: m for to, m in self.sent(ClockMessage) if m.echoed_ms == 0}
        tip_height, size = self.ledger.tip.height, len(self.chain.validators)
        for peer in peers:
            self.receive(peer, status(tip_height + 1, tip=tip_height, n=size))
            if peer in questions:
                self.receive(peer, self.echo(questions[peer]))
        for peer in peers:
            self.engine.link(peer, is_up=False)
        # What was said to all is what the node says now that it may vote.
        self.network.said = [said for said in self.network.said if said[0] not in peers]
        self.sent(ClockMessage)
        self.sent(StatusMessage)

    def echo(self, question: ClockMessage) -> ClockMessage:
        """Return the answer of a peer whose clock is ours."""
        now_ms = self.clock.now_ms()
        return ClockMessage(sent_ms=now_ms, echoed_ms=question.sent_ms, received_ms=now_ms)

    def pass_ms(self, ms: int) -> int:
        """Let time pass; return how often the engine wanted to be woken."""
        until_ms, ticks = self.clock.mono_ms + ms, 0
        while True:
            due_ms = max(self.engine.deadline_ms, self.clock.mono_ms)
            if due_ms > until_ms:
                self.clock.advance(until_ms - self.clock.mono_ms)
                return ticks
            self.clock.advance(due_ms - self.clock.mono_ms)
            self.engine.tick()
            self.engine.flush()
            ticks += 1
            assert ticks < 2 * ms + 100, "a busy loop"

    def sent(self, kind: type[M]) -> list[tuple[str | None, M]]:
        return self.network.take(kind)

    def commit_here(self, executed: Executed) -> None:
        """Have the block decided by word of a peer, its proposal first."""
        header = executed.outline.header
        if header.proposer == self.name:
            # A proposal that we did not make would be one that we have forgotten.
            self.receive(NAMES[1], OutlineMessage(executed.outline.encode()))
        else:
            self.receive(NAMES[1], self.proposal(executed))
        self.receive(NAMES[1], self.decided_by_others(executed))

    def decided_by_others(self, executed: Executed) -> DecidedMessage:
        """Return the decision by all but this validator: it knows what it has signed itself."""
        names = [v.name for v in self.chain.validators]
        others = [i for i, name in enumerate(names) if name != self.name]
        return decided(self.chain.certify(executed, signers=others))

    # -- messages ------------------------------------------------------------------------------------------

    def block(self, transactions: Sequence[Transaction] = (), *, view: int = 0) -> Executed:
        """Return the next block as its leader builds it now."""
        height = self.ledger.tip.height + 1
        size = len(self.chain.validators)
        return self.ledger.build(
            transactions=transactions,
            time_ms=max(self.clock.now_ms(), self.ledger.tip.time_ms + 1),
            first_view=view,
            proposer=self.chain.validators[(height + view) % size].name,
        )

    def proposal(self, executed: Executed, *, sender: int | None = None) -> ProposeMessage:
        """Return the leader's proposal of a block in view 0, or one that `sender` signs."""
        outline = executed.outline
        height = outline.header.height
        index = height % len(self.chain.validators) if sender is None else sender
        message = vote_message(self.chain.genesis.domain, PROPOSE, height, 0, outline.block_hash)
        return ProposeMessage(
            height=height,
            view=0,
            sender=index,
            signature=self.chain.validators[index].consensus.sign(message),
            outline=outline.encode(),
            changes=(),
            proof=None,
        )

    def vote(self, kind: int, sender: int, height: int, digest: bytes, view: int = 0) -> Vote:
        message = vote_message(self.chain.genesis.domain, kind, height, view, digest)
        return Vote(
            kind=kind,
            height=height,
            view=view,
            sender=sender,
            digest=digest,
            signature=self.chain.validators[sender].consensus.sign(message),
        )

    def prepare(self, sender: int, executed: Executed) -> Vote:
        outline = executed.outline
        return self.vote(PREPARE, sender, outline.header.height, outline.block_hash)

    def commit(self, sender: int, executed: Executed) -> Vote:
        outline = executed.outline
        return self.vote(COMMIT, sender, outline.header.height, outline.block_hash)

    def cosignature(
        self,
        sender: int,
        executed: Executed,
        *,
        time_s: int | None = None,
    ) -> CosignatureMessage:
        """Return a validator's cosignature of the log as of a block, made now."""
        header, genesis = executed.outline.header, self.chain.genesis
        keys = self.chain.validators[sender]
        checkpoint = Checkpoint(origin=genesis.chain_id, size=header.log_size, root=header.log_root)
        key = cosigner_key(genesis.suite, f"{genesis.chain_id}/{keys.name}", keys.cosigner.public)
        when_s = self.clock.now_ms() // 1_000 if time_s is None else time_s
        signature = cosign(checkpoint.text(), when_s, key, keys.cosigner.sign)
        return CosignatureMessage(
            height=header.height,
            sender=sender,
            timestamp=int.from_bytes(signature.value[:TIME_BYTES], "big"),
            signature=signature.value[TIME_BYTES:],
        )

    def second_cosignature(
        self, sender: int, executed: Executed, second: KeyPair
    ) -> SecondCosignatureMessage:
        """Return the same by its ML-DSA-44 key."""
        header, genesis = executed.outline.header, self.chain.genesis
        checkpoint = Checkpoint(origin=genesis.chain_id, size=header.log_size, root=header.log_root)
        name = f"{genesis.chain_id}/{self.chain.validators[sender].name}"
        key, when_s = (
            cosigner_key(second.suite, name, second.public),
            self.clock.now_ms() // 1_000,
        )
        signature = cosign(checkpoint.text(), when_s, key, second.sign)
        return SecondCosignatureMessage(
            height=header.height,
            sender=sender,
            timestamp=when_s,
            signature=signature.value[TIME_BYTES:],
        )


def decided(certificate: Certificate) -> DecidedMessage:
    return DecidedMessage(certificate.encode())


def status(height: int, *, tip: int | None = None, n: int = 4, **fields: object) -> StatusMessage:
    """Return the STATUS of a validator that holds nothing of `height`."""
    values: dict[str, object] = {
        "height": height,
        "view": 0,
        "digest": None,
        "has_proposal": False,
        "prepares": (),
        "commits": (),
        "view_changes": (-1,) * n,
        "tip_height": height - 1 if tip is None else tip,
        "cosigned_height": 0,
        "tip_cosigners": (),
    }
    return StatusMessage(**(values | fields))  # type: ignore[arg-type]


def other_chain(blocks: int, chain: Chain = CHAIN, *, size: int = 0) -> Ledger:
    """Return a ledger with decided blocks, as a peer has it; `size` transactions in each."""
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    for height in range(1, blocks + 1):
        chain.extend(ledger, [chain.notarization(f"{height} {number}") for number in range(size)])
    return ledger


def blocks_of(ledger: Ledger, first: int, last: int) -> BlocksMessage:
    """Return certified blocks as a peer sends them."""
    return BlocksMessage(tuple(ledger.certified_block(h).encode() for h in range(first, last + 1)))
