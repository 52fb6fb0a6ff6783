"""Adversaries that forge nothing: they withhold, they are late, their clocks lie, they lie about heights, or they flood."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import (
    BlocksMessage,
    ClockMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    StatusMessage,
    TransactionsMessage,
)
from chainnode.model.votes import COMMIT, PREPARE
from tests.support.adversaries.base import Adversary
from tests.support.chain import random_bytes
from tests.support.message_kinds import Kind, kind_of

if TYPE_CHECKING:
    from chainnode.engine.messages import Message
    from tests.support.simulated_chain import SimulatedChain


class Withholder(Adversary):
    """Keeps some kinds of message from some: votes, bodies after their headers, view changes, answers."""

    name = "withholder"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        self._withheld: set[tuple[str, int]] = set()
        self._draw()

    def act(self) -> None:
        """Now and then, keep other things from others."""
        if self.random.randrange(1_000) < 60:
            self._draw()

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Say nothing of what is withheld."""
        return () if (receiver, kind_of(data)) in self._withheld else ((0, data),)

    def _draw(self) -> None:
        kinds = (
            Kind.PROPOSE,
            Kind.PREPARE,
            Kind.COMMIT,
            Kind.VIEW_CHANGE,
            Kind.DECIDED,
            Kind.TRANSACTIONS,
            Kind.OUTLINE,
            Kind.BLOCKS,
            Kind.COSIGNATURE,
        )
        chosen = self.random.sample(kinds, self.random.randint(1, len(kinds)))
        share = self.random.choice((0.3, 0.6, 1.0))
        self._withheld = {
            (host, kind)
            for host in self.targets()
            for kind in chosen
            if self.random.random() < share
        }


class SlowLeader(Adversary):
    """Proposes just before the others' patience ends, or answers only then."""

    name = "slow leader"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        timeout_ms = world.parameters.timeout_ms
        self._delay_ms = self.random.choice((timeout_ms // 2, timeout_ms - 100, timeout_ms - 10))
        self._kinds = self.random.choice(
            ({Kind.PROPOSE}, {Kind.PROPOSE, Kind.OUTLINE, Kind.TRANSACTIONS}, {Kind.VIEW_CHANGE})
        )

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Be late."""
        return ((self._delay_ms if kind_of(data) in self._kinds else 0, data),)


class TimeLiar(Adversary):
    """Its clocks are at the edge of what correct ones may believe, beyond it, or jump."""

    name = "time liar"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        parameters = world.parameters
        precision_ms, delay_ms = parameters.precision_ms, parameters.message_delay_ms
        tolerance_ms, bound_ms = parameters.tolerance_ms, parameters.clock_bound_ms
        self._skews = self.random.choice(
            (
                (2 * precision_ms - 1,),
                (precision_ms,),
                # Believed by those whose clocks are fast, or slow, as far as right ones may be.
                (tolerance_ms + bound_ms // 2,),
                (precision_ms + bound_ms // 2,),
                (-delay_ms - tolerance_ms - bound_ms // 2,),
                (-delay_ms - precision_ms // 2,),
                (-2 * precision_ms, 2 * precision_ms),
                (-3_600_000, 0, 3_600_000),
            )
        )
        for node in world.nodes.values():
            node.dates_regardless = node.name in self.keys
        self.act()

    def act(self) -> None:
        """Set the clocks."""
        for node in self.world.nodes.values():
            if node.name in self.keys:
                node.clock.skew_ms = self.random.choice(self._skews)

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Lie to those who measure, too."""
        if kind_of(data) != Kind.CLOCK:
            return ((0, data),)
        message = decode_message(data)
        assert isinstance(message, ClockMessage)
        if message.echoed_ms == 0:
            # A question: who lies in it gets no answer that it knows, and would never vote or propose.
            return ((0, data),)
        lie = replace(message, sent_ms=message.sent_ms + self.random.randrange(10_000))
        return ((0, encode_message(lie)),)


class SyncLiar(Adversary):
    """Claims heights that are not, denies those that are, and answers those who catch up with rubbish."""

    name = "sync liar"

    def alters(self, host: str, receiver: str, data: bytes) -> list[tuple[int, bytes]]:
        """Lie in what those who are behind go by."""
        random = self.random
        kind = kind_of(data)
        if random.random() < 0.4:
            return [(0, data)]
        if kind == Kind.STATUS:
            message = decode_message(data)
            assert isinstance(message, StatusMessage)
            tip = random.choice((0, 1, message.tip_height + 1, message.tip_height + 5, 2**62))
            height = random.choice((message.height, tip + 1))
            return [(0, encode_message(replace(message, tip_height=tip, height=height)))]
        if kind == Kind.BLOCKS:
            message = decode_message(data)
            assert isinstance(message, BlocksMessage)
            return self._blocks(message)
        if kind in {Kind.DECIDED, Kind.OUTLINE}:
            return [(random.randrange(4_000), data)] if random.random() < 0.5 else []
        return [(0, data)]

    def _blocks(self, message: BlocksMessage) -> list[tuple[int, bytes]]:
        random = self.random
        blocks = list(message.blocks)
        choice = random.randrange(4)
        if choice == 0:
            blocks.reverse()
        elif choice == 1:
            spoilt = bytearray(blocks[-1])
            spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
            blocks[-1] = bytes(spoilt)
        elif choice == 2:
            # Late: whoever asked has long asked somebody else.
            return [(random.randrange(2_000, 9_000), encode_message(message))]
        else:
            blocks = blocks[:1]
        return [(0, encode_message(BlocksMessage(tuple(blocks))))]


class Spammer(Adversary):
    """Sends more of everything than anybody can want, all of it well-formed."""

    name = "spammer"

    def act(self) -> None:
        """Flood one target."""
        height = max(self.world.observer.decisions, default=0) + 1
        target = self.random.choice(self.targets())
        for name in self.faulty:
            for _ in range(self.random.choice((1, 10))):
                message = self._flood(name, height)
                if message is not None:
                    self.send(name, target, message)

    def _flood(self, name: str, height: int) -> Message | None:
        random = self.random
        choice = random.randrange(6)
        digest = random_bytes(f"spam {random.randrange(10**9)}")
        if choice == 0:
            return self.vote(
                name, random.choice((PREPARE, COMMIT)), height, random.randrange(2**31 - 1), digest
            )
        if choice == 1:
            return self.vote(name, random.choice((PREPARE, COMMIT)), height + 1, 0, digest)
        if choice == 2:
            return FetchMessage(tuple(random_bytes(f"{digest.hex()} {i}") for i in range(50)))
        if choice == 3:
            return FetchOutlineMessage(height, digest)
        if choice == 4:
            return FetchBlocksMessage(1, 64)
        return TransactionsMessage((self._forged(),))

    def _forged(self) -> bytes:
        """Return a transaction whose signature does not hold, or one that was committed long ago."""
        if self.world.submitted and self.random.random() < 0.5:
            return self.random.choice(self.world.submitted).envelope
        transaction = self.world.chain.notarization(f"spam {self.random.randrange(100)}")
        return transaction.envelope[:-1] + bytes([transaction.envelope[-1] ^ 1])
