"""Three honest validators, real engines all, and a fourth that says whatever it likes with its own real keys.

    world = Besieged(random.Random(7))
    world.attack(50)           hostile messages, links and pauses, in any order
    world.recover()            the honest three go on alone

What must hold whatever is said: a hostile message raises PeerFault or nothing; no honest validator ever finds fault with
another; nobody keeps more than its bounds; and the three decide the same blocks afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chainnode.engine import candidates, cosigning, sync
from chainnode.engine.book import MAX_CLAIMS_PER_SENDER
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    MAX_CHALLENGES,
    BlocksMessage,
    ClockMessage,
    CloneMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    Message,
    OutlineMessage,
    PreparedProof,
    PresenceMessage,
    ProposeMessage,
    SecondCosignatureMessage,
    SignedChange,
    StatusMessage,
    TransactionsMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model import codec
from chainnode.model.block import decode_outline, make_outline
from chainnode.model.errors import ChainError, PeerFault
from chainnode.model.limits import MAX_BLOCK_TRANSACTIONS, MAX_VALIDATORS
from chainnode.model.presence import presence_message
from chainnode.model.transaction import decode_transaction
from chainnode.model.votes import (
    COMMIT,
    MAX_VIEW,
    PREPARE,
    PROPOSE,
    view_change_message,
    vote_message,
)
from tests.support.engine_bench import CHAIN, NAMES, BenchClock, EngineBench
from tests.support.leaders import rotation
from tests.support.mutations import mutated

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

LIAR = 3
"""Index of the hostile validator: f is 1 of 4."""

HONEST = (0, 1, 2)
MAX_INT = 2**63 - 1
MAX_REMEMBERED = 200
"""What the liar keeps of what it heard, to say it again at the wrong time."""

PATIENCE_MS = 30_000
"""Virtual time within which the honest three must decide: every fourth view is the liar's, and views grow."""


class Besieged:
    """The world; everything in it follows from `rng`."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.clock = BenchClock()
        self.benches = {
            NAMES[i]: EngineBench(me=i, clock=self.clock, challenge=bytes([i]) * 32) for i in HONEST
        }
        self.heard: list[Message] = []
        self.faults = 0
        """How often the liar was found out at once."""

        self.taken = 0
        """How often it was not."""

        self._labels = 0
        self._is_linked = False
        for name, bench in self.benches.items():
            for other in self.benches:
                if other != name:
                    bench.engine.link(other, is_up=True)
        self._link(is_up=True)
        self.settle()

    # -- the three -----------------------------------------------------------------------------------------

    @property
    def liar(self) -> str:
        """Its name."""
        return NAMES[LIAR]

    @property
    def height(self) -> int:
        """The lowest tip of the three."""
        return min(bench.ledger.tip.height for bench in self.benches.values())

    def settle(self) -> None:
        """Deliver what was said until nobody has anything left to say."""
        for _ in range(1_000):
            said = [
                (name, to, message)
                for name, bench in self.benches.items()
                for to, message, _ in self._taken(bench)
            ]
            if not said:
                return
            for sender, to, message in said:
                self._deliver(sender, to, message)
        raise AssertionError("the three never stop talking to each other")

    def _taken(self, bench: EngineBench) -> list[Any]:
        bench.engine.flush()
        said, bench.network.said = bench.network.said, []
        return said

    def _deliver(self, sender: str, to: str | None, message: Message) -> None:
        if to in {None, self.liar} and self._is_linked:
            self.heard.append(message)
            if len(self.heard) > MAX_REMEMBERED:
                del self.heard[self.rng.randrange(MAX_REMEMBERED)]
        for name, bench in self.benches.items():
            if name != sender and to in {None, name}:
                # Of an honest peer nothing is ever a fault, whatever the liar made it say.
                bench.receive(sender, message)

    def pass_ms(self, ms: int) -> None:
        """Let time pass for all three."""
        until_ms = self.clock.mono_ms + ms
        while True:
            due_ms = min(bench.engine.deadline_ms for bench in self.benches.values())
            if due_ms > until_ms:
                self.clock.advance(until_ms - self.clock.mono_ms)
                return
            self.clock.advance(max(1, due_ms - self.clock.mono_ms))
            for bench in self.benches.values():
                bench.engine.tick()
            self.settle()

    def submit(self) -> None:
        """Hand one of the three a transaction."""
        self._labels += 1
        bench = self.benches[NAMES[self._labels % len(HONEST)]]
        transaction = CHAIN.notarization(f"honest {self._labels}", last_valid_height=4_000)
        bench.engine.submit(transaction.envelope, lambda _: None)
        self.settle()

    def recover(self) -> None:
        """Let the liar fall silent; the three must decide three more blocks, the same ones."""
        self._link(is_up=False)
        goal = max(bench.ledger.tip.height for bench in self.benches.values()) + 3
        waited_ms = 0
        while self.height < goal:
            assert waited_ms < PATIENCE_MS, "the honest three decide no more"
            self.submit()
            self.pass_ms(250)
            waited_ms += 250
        for height in range(1, self.height + 1):
            hashes = {b.ledger.certified_block(height).block_hash for b in self.benches.values()}
            assert len(hashes) == 1, f"a fork at height {height}"
        self.check_bounds()

    def check_bounds(self) -> None:
        """Nobody keeps more than it may, nor anything of peers that do not exist."""
        for bench in self.benches.values():
            engine, n = bench.engine, len(NAMES)
            height = bench.ledger.tip.height
            claims = engine._book._signatures
            assert len(claims) <= 2 * n
            assert all(height < h <= height + 2 and 0 <= i < n for h, i in claims), (
                height,
                list(claims),
            )
            assert all(len(of) <= MAX_CLAIMS_PER_SENDER + 1 for of in claims.values())
            # One more than the bound each: what is wanted or executed is never pushed out.
            needed = len(engine._candidates._wishes) + len(engine._candidates._executed)
            assert len(engine._candidates._outlines) <= candidates.MAX_OUTLINES + needed
            assert len(engine._sync._queue) <= sync.MAX_QUEUED
            assert set(engine._sync._tips) <= set(NAMES)
            assert set(engine._inbox._early) <= set(NAMES)
            assert len(engine._cosigner._open) <= cosigning.MAX_OPEN_HEIGHTS
            assert all(
                0 <= h - height <= cosigning.MAX_EARLY and 0 <= i < n
                for h, _, i in engine._cosigner._early
            )
            assert set(engine._neighbours._heard_ms) <= set(NAMES)
            assert len(engine._replica._early) <= 4 * n
            presence = engine._presence
            assert set(presence._heard) | set(presence._clones) <= set(NAMES)
            assert all(len(of) <= MAX_CHALLENGES for of in presence._heard.values())
            assert all(len(of) <= MAX_CHALLENGES for of in presence._clones.values())
            assert not presence.is_ending, (
                "an honest validator was made to believe that it runs twice"
            )

    # -- the liar ------------------------------------------------------------------------------------------

    def attack(self, steps: int) -> None:
        """Do hostile things, with the honest life going on in between."""
        for _ in range(steps):
            self.step()
            self.check_bounds()

    def step(self) -> None:
        """Do one thing."""
        chance = self.rng.random()
        if chance < 0.06:
            self.submit()
        elif chance < 0.16:
            self.pass_ms(self.rng.choice((1, 40, 250, 1_000, 3_500)))
        elif chance < 0.18:
            self._link(is_up=not self._is_linked)
        else:
            self.say(self.hostile_bytes())
        self.settle()

    def say(self, data: bytes) -> None:
        """Say one thing to one of the three, or the same to all; a broken link is taken up again, as dialling does."""
        if not self._is_linked:
            self._link(is_up=True)
        victims = self.rng.choice((list(self.benches), [self.rng.choice(list(self.benches))]))
        for _ in range(self.rng.choice((1, 1, 1, 2, 5))):
            for victim in victims:
                bench = self.benches[victim]
                try:
                    bench.engine.receive(self.liar, data, self.clock.now_ms())
                    self.taken += 1
                except PeerFault:
                    self.faults += 1

    def _link(self, *, is_up: bool) -> None:
        if is_up != self._is_linked:
            self._is_linked = is_up
            for bench in self.benches.values():
                bench.engine.link(self.liar, is_up=is_up)

    def hostile_bytes(self) -> bytes:
        """Return something that no honest validator would say now."""
        chance = self.rng.random()
        if chance < 0.03:
            return self.rng.randbytes(self.rng.randrange(80))
        made = self._made() if chance < 0.75 or not self.heard else self.rng.choice(self.heard)
        data = encode_message(made)
        return mutated("canonical", data, self.rng) if self.rng.random() < 0.2 else data

    def _made(self) -> Message:
        makers: tuple[Callable[[], Message], ...] = (
            *(self._vote, self._vote, self._vote, self._change, self._change),
            *(self._proposal, self._proposal, self._proposal, self._status, self._status),
            *(self._decision, self._transactions, self._fetch, self._fetch_outline),
            *(self._outline, self._fetch_blocks, self._blocks, self._cosignature, self._clock_sample),
            *(self._presence, self._clone),
        )  # fmt: skip
        return self.rng.choice(makers)()

    # -- parts ---------------------------------------------------------------------------------------------

    def _victim(self) -> EngineBench:
        return self.rng.choice(list(self.benches.values()))

    def _height(self) -> int:
        tip = self.height
        if self.rng.random() < 0.7:
            return tip + 1
        return max(0, self.rng.choice((tip, tip + 2, tip + 2, tip + 3, 0, 1, tip - 1, MAX_INT)))

    def _view(self) -> int:
        if self.rng.random() < 0.5:
            snapshot = self._victim().engine._replica.snapshot()
            return 0 if snapshot is None else snapshot.view
        return self.rng.choice((0, 0, 1, 1, 2, 3, 4, 7, 200, MAX_VIEW - 1, MAX_VIEW))

    def _own_view(self, height: int) -> int:
        """A view that the liar leads, often."""
        ledger = self._victim().ledger
        above = height - ledger.tip.height
        leaders = ledger.leaders(height) if above in {1, 2} else rotation(height, len(NAMES))
        led = leaders.index(LIAR) if LIAR in leaders else 0
        return self.rng.choice((led, led, led, led, led + 4, self._view()))

    def _digest(self) -> bytes:
        known = [bytes(32), self.rng.randbytes(32), self._victim().ledger.tip.block_hash]
        for bench in self.benches.values():
            known += bench.engine._candidates._outlines
        return self.rng.choice(known)

    def _sender(self) -> int:
        return self.rng.choice((*(LIAR,) * 20, 0, 1, 2, 4, MAX_VALIDATORS - 1))

    def _signed(self, message: bytes) -> bytes:
        chance = self.rng.random()
        if chance < 0.96:
            return CHAIN.validators[LIAR].consensus.sign(message)
        return self.rng.choice((b"", bytes(64), bytes(128), self.rng.randbytes(64)))

    def _indices(self) -> tuple[int, ...]:
        return self.rng.choice(((), (0,), (0, 1, 2, 3), (4, 99), tuple(range(MAX_VALIDATORS))))

    def _vote(self) -> Message:
        kind, height, view = self.rng.choice((PREPARE, COMMIT)), self._height(), self._view()
        digest = self._digest()
        return Vote(
            kind=kind,
            height=height,
            view=view,
            sender=self._sender(),
            digest=digest,
            signature=self._signed(vote_message(CHAIN.genesis.domain, kind, height, view, digest)),
        )

    def _own_change(self) -> SignedChange:
        height, view = self._height(), self._view()
        prepared = self.rng.choice((None, None, (self._view(), self._digest())))
        return SignedChange(
            height=height,
            view=view,
            sender=self._sender(),
            prepared=prepared,
            signature=self._signed(
                view_change_message(CHAIN.genesis.domain, height, view, prepared)
            ),
        )

    def _changes(self) -> tuple[SignedChange, ...]:
        """Own and overheard ones, some twice, more than there are validators."""
        overheard = [m.change for m in self.heard if isinstance(m, ViewChangeMessage)]
        pool = [self._own_change(), self._own_change(), *overheard[-6:]]
        count = self.rng.choice((0, 1, 3, 3, 4, 5, MAX_VALIDATORS))
        return tuple(self.rng.choice(pool) for _ in range(count))

    def _proof(self) -> PreparedProof | None:
        """Nothing, what was overheard, or votes by number with a signature of our own."""
        chance = self.rng.random()
        if chance < 0.3:
            return None
        overheard = [
            m.proof
            for m in self.heard
            if isinstance(m, ProposeMessage | ViewChangeMessage) and m.proof is not None
        ]
        if overheard and chance < 0.6:
            return self.rng.choice(overheard)
        votes = [m for m in self.heard if isinstance(m, Vote) and m.kind == PREPARE]
        if votes:
            one = self.rng.choice(votes)
            same = {v.sender: v.signature for v in votes if v.digest == one.digest}
            return PreparedProof(
                view=one.view, digest=one.digest, signatures=tuple(sorted(same.items()))
            )
        senders = self._indices() or (LIAR,)
        return PreparedProof(
            view=self._view(),
            digest=self._digest(),
            signatures=tuple((sender, bytes(64)) for sender in senders),
        )

    def _change(self) -> Message:
        return ViewChangeMessage(change=self._own_change(), proof=self._proof())

    def _outline_bytes(self, view: int | None = None) -> bytes:
        """A block that the liar made: right, stamped wrongly, of a stranger, or of transactions that nobody has."""
        bench = self._victim()
        self._labels += 1
        label = f"hostile {self._labels}"
        good = CHAIN.notarization(label, last_valid_height=4_000)
        forged = replace_signature(good)
        wanted = self.rng.choice(((), (good,), (good, forged), (forged,)))
        now_ms = self.clock.now_ms()
        stamps = (now_ms, now_ms, now_ms, now_ms + 3_600_000, bench.ledger.tip.time_ms + 1)
        height = bench.ledger.tip.height + 1
        try:
            built = bench.ledger.build(
                transactions=wanted,
                time_ms=max(self.rng.choice(stamps), bench.ledger.tip.time_ms + 1),
                first_view=self._own_view(height) if view is None else view,
                proposer=self.rng.choice((*(self.liar,) * 5, NAMES[0])),
            )
        except ChainError:
            return self.rng.randbytes(40)
        outline = built.outline
        if self.rng.random() < 0.4:
            header = outline.header
            change: dict[str, Any] = self.rng.choice(
                (
                    {"tx_root": bytes(32), "tx_count": 3},
                    {"height": self._height()},
                    {"time_ms": self.rng.choice((0, 1, MAX_INT))},
                    {"first_view": self._view()},
                    {"proposer": self.rng.choice(("stranger", NAMES[1]))},
                    {"log_size": MAX_INT},
                    {"state_root": bytes(32)},
                    {"parent_hash": bytes(32)},
                    {"chain_id": "another.example/1"},
                    {"rules_version": 2},
                )
            )
            hashes = self.rng.choice(
                (
                    outline.tx_hashes,
                    tuple(self.rng.randbytes(32) for _ in range(40)),
                    outline.tx_hashes * 2,
                )
            )
            try:
                outline = make_outline(
                    CHAIN.genesis.domain,
                    header=replace(header, **change),
                    parent_certificate=outline.parent_certificate,
                    tx_hashes=hashes,
                )
            except (ChainError, ValueError, TypeError, OverflowError):
                return self.rng.randbytes(40)
        return outline.encode()

    def _proposal(self) -> Message:
        height = self._height()
        view = self._own_view(height)
        data = self._outline_bytes(self.rng.choice((view, view, view, None)))
        digest = self._digest_of(data)
        return ProposeMessage(
            height=height,
            view=view,
            sender=self._sender(),
            signature=self._signed(
                vote_message(CHAIN.genesis.domain, PROPOSE, height, view, digest)
            ),
            outline=data,
            changes=self._changes() if view or self.rng.random() < 0.2 else (),
            proof=self._proof() if view or self.rng.random() < 0.2 else None,
        )

    def _digest_of(self, outline: bytes) -> bytes:
        try:
            return decode_outline(CHAIN.genesis.domain, outline).block_hash
        except ChainError:
            return bytes(32)

    def _status(self) -> Message:
        n = self.rng.choice((0, len(NAMES), len(NAMES), MAX_VALIDATORS))
        return StatusMessage(
            height=self._height(),
            view=self._view(),
            digest=self.rng.choice((None, self._digest())),
            has_proposal=self.rng.random() < 0.5,
            prepares=self._indices(),
            commits=self._indices(),
            view_changes=tuple(self.rng.choice((-1, 0, 1, MAX_VIEW)) for _ in range(n)),
            tip_height=self._height(),
            cosigned_height=self._height(),
            tip_cosigners=self._indices(),
        )

    def _decision(self) -> Message:
        bench = self._victim()
        tip = bench.ledger.tip.height
        if tip and self.rng.random() < 0.5:
            _, certificate = bench.ledger.header(self.rng.randrange(1, tip + 1))
        else:
            # Our own signature, once or under the numbers of others.
            certificate = CHAIN.certificate(
                self._height() or 1,
                self._digest(),
                view=self._view(),
                signers=self.rng.choice(((LIAR,), (0, 1, LIAR), (LIAR, LIAR, LIAR))),
            )
            signature = certificate.signatures[-1][1]
            signers = sorted({i for i, _ in certificate.signatures})
            certificate = replace(certificate, signatures=tuple((i, signature) for i in signers))
        return DecidedMessage(certificate.encode())

    def _transactions(self) -> Message:
        self._labels += 1
        label = f"hostile {self._labels}"
        good = CHAIN.notarization(label, last_valid_height=self.rng.choice((1, 4_000, 5_000)))
        envelopes = (
            *(good.envelope, replace_signature(good).envelope, b"", b"junk"),
            CHAIN.transaction([], nonce=label, chain_id="another.example/1").envelope,
            CHAIN.transaction([], nonce=label).envelope,
        )
        return TransactionsMessage(
            tuple(self.rng.choice(envelopes) for _ in range(self.rng.choice((1, 1, 2, 200))))
        )

    def _fetch(self) -> Message:
        known = [t.hash for b in self.benches.values() for t in b.pool.select(50, 1_000_000)]
        if self.rng.random() < 0.1:
            return FetchMessage((bytes(32),) * MAX_BLOCK_TRANSACTIONS)
        hashes = self.rng.choice((known, [self.rng.randbytes(32)]))
        return FetchMessage(tuple(hashes) * self.rng.choice((1, 30)) or (bytes(32),))

    def _fetch_outline(self) -> Message:
        return FetchOutlineMessage(self._height(), self._digest())

    def _outline(self) -> Message:
        return OutlineMessage(self._outline_bytes())

    def _fetch_blocks(self) -> Message:
        return FetchBlocksMessage(self._height() or 1, self.rng.choice((1, 2, 64)))

    def _blocks(self) -> Message:
        ledger = self._victim().ledger
        blocks = [ledger.certified_block(h) for h in range(1, ledger.tip.height + 1)]
        encoded = [b.encode() for b in blocks]
        for block in blocks[-2:]:
            other = CHAIN.certificate(
                block.header.height, block.block_hash, signers=(LIAR,)
            ).encode()
            encoded.append(replace(block, certificate=other).encode())
            encoded.append(replace(block, envelopes=(*block.envelopes, b"junk")).encode())
            encoded.append(replace(block, envelopes=block.envelopes[:-1]).encode())
        # The next height: the liar's block with a certificate that nobody else signed.
        built = CHAIN.build(ledger)
        forged = CHAIN.certify(built, signers=(LIAR,))
        encoded.append(
            codec.encode(
                (
                    built.outline.header_bytes,
                    built.outline.parent_certificate,
                    (),
                    forged.encode(),
                )
            )
        )
        return BlocksMessage(
            tuple(self.rng.choice(encoded) for _ in range(self.rng.choice((1, 2, 64))))
        )

    def _cosignature(self) -> Message:
        bench = self._victim()
        tip = bench.ledger.tip
        now_s = self.clock.now_ms() // 1_000
        made = CosignatureMessage(
            height=self._height(),
            sender=self._sender(),
            timestamp=self.rng.choice((0, now_s, now_s + 301, MAX_INT)),
            signature=self.rng.choice((b"", bytes(64), bytes(128))),
        )
        if tip.height == 0 or self.rng.random() < 0.4:
            return made
        if self.rng.random() < 0.2:
            return SecondCosignatureMessage(
                height=made.height,
                sender=made.sender,
                timestamp=made.timestamp,
                signature=bytes(2_420),
            )
        executed = _TipOf(bench)
        genuine = bench.cosignature(LIAR, executed, time_s=self.rng.choice((now_s, 0, 2**63 - 1)))
        return self.rng.choice(
            (genuine, replace(genuine, sender=0), replace(genuine, height=made.height))
        )

    def _clock_sample(self) -> Message:
        now_ms = self.clock.now_ms()
        moments = (0, 1, now_ms, now_ms - 100, MAX_INT)
        return ClockMessage(
            sent_ms=self.rng.choice(moments),
            echoed_ms=self.rng.choice(moments),
            received_ms=self.rng.choice(moments),
        )

    def _challenges(self) -> tuple[bytes, ...]:
        known = [bytes([i]) * 32 for i in HONEST]
        shown = {self.rng.choice((*known, self.rng.randbytes(32))) for _ in range(4)}
        return tuple(sorted(shown)[: self.rng.randrange(5)])

    def _presence(self) -> Message:
        return PresenceMessage(
            self.rng.choice((bytes(32), bytes([1]) * 32, self.rng.randbytes(32))),
            self._challenges(),
        )

    def _clone(self) -> Message:
        """That somebody runs twice: the liar itself, or another one with a signature that is not its own."""
        challenge = self.rng.randbytes(32)
        shown = self._challenges() or (bytes(32),)
        return CloneMessage(
            validator=self.rng.choice((*NAMES, self.liar, "stranger")),
            challenge=challenge,
            shown=shown,
            signature=self._signed(presence_message(CHAIN.genesis.domain, challenge, shown)),
        )


class _TipOf:
    """What `EngineBench.cosignature` looks at, of a block that is decided."""

    def __init__(self, bench: EngineBench) -> None:
        self.outline = self
        self.header = bench.ledger.certified_block(bench.ledger.tip.height).header


def replace_signature(transaction: Any) -> Any:
    """Return the transaction with a signature that does not hold."""
    body, suite, key, _ = codec.decode(transaction.envelope, max_bytes=1_000_000)  # type: ignore[misc]
    return decode_transaction(CHAIN.genesis.domain, codec.encode((body, suite, key, bytes(64))))
