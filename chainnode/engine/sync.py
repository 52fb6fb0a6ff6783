"""Catching up: decided blocks are fetched from peers and judged from the certificate inwards.

What peers say of their height is only a hint about whom to ask. A block counts when a quorum of the set that governs
its height signed it and executing it here gives the very roots that were signed. One request is open at a time; a
peer that is silent or sends something else is passed over for a while.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    MAX_ANSWER_BYTES,
    MAX_BLOCKS_PER_ANSWER,
    BlocksMessage,
    FetchBlocksMessage,
)
from chainnode.engine.ports import Urgency
from chainnode.ledger.errors import InvalidBlock
from chainnode.ledger.rebuild import execute_certified
from chainnode.model.block import decode_certified_block
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import ChainError, InvariantViolation, PeerFault
from chainnode.model.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.engine.allowance import Allowance
    from chainnode.engine.ports import Clock, Network
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.block import CertifiedBlock
    from chainnode.model.certificate import Certificate
    from chainnode.model.domain import Domain
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction

REQUEST_BLOCKS: Final = 32
"""Blocks asked for at once."""

ANSWER_MS: Final = 3_000
"""How long a peer may take to answer before another is asked."""

PATIENCE_MS: Final = 500
"""Being one height behind is normal for a moment: its votes are probably on their way."""

MAX_QUEUED: Final = 2 * MAX_BLOCKS_PER_ANSWER
"""Certified blocks waiting to be executed ..."""

MAX_QUEUED_BYTES: Final = 2 * MAX_BLOCK_BYTES
"""... and their bytes, above which no further one is taken."""

LIAR_MS: Final = 60_000
"""How long a peer whose block did not hold is neither asked nor listened to."""

LEAST_COST_BYTES: Final = 16 * 1024
"""What a served block counts for at least: reading a small one costs as much as sending this. So 2,000 a second and peer."""


def _already_verified(domain: Domain, transactions: Sequence[Transaction]) -> None:
    """Verify no signature again: at least f+1 correct validators did before they voted for the block."""


class Sync:
    """Fetches decided blocks while this node is behind."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        ledger: Ledger,
        network: Network,
        clock: Clock,
        allowance: Allowance,
        accuse: Callable[[str, str], None],
        forked: Callable[[Certificate], None],
    ) -> None:
        """`forked` hears of a verified certificate for another block than our tip; `accuse` hears (peer, reason) of a block that turned out not to hold after it was taken."""
        self._genesis = genesis
        self._ledger = ledger
        self._network = network
        self._clock = clock
        self._allowance = allowance
        self._accuse = accuse
        self._forked = forked
        self._tips: dict[str, int] = {}
        self._behind_since_ms: int | None = None
        self._asked: tuple[str, int] | None = None
        self._excluded_until_ms: dict[str, int] = {}
        self._liar_until_ms: dict[str, int] = {}
        self._queue: deque[tuple[str, CertifiedBlock, int]] = deque()
        self._queued_bytes = 0
        self._urgent_height = 0

    # -- hints ---------------------------------------------------------------------------------------------

    def hint(self, peer: str, tip_height: int) -> None:
        """Note that a peer says it has decided up to `tip_height`."""
        self._tips[peer] = tip_height
        if tip_height > self._ledger.tip.height and self._behind_since_ms is None:
            self._behind_since_ms = self._clock.monotonic_ms()

    def forget(self, peer: str) -> None:
        """Note that a peer is gone."""
        self._tips.pop(peer, None)
        if self._asked is not None and self._asked[0] == peer:
            self._asked = None

    def hurry(self) -> None:
        """Note that the next height is known to be decided: its block is wanted at once."""
        self._urgent_height = self._ledger.tip.height + 1

    @property
    def is_active(self) -> bool:
        """Whether certified blocks are waiting to be executed, so that voting would be in vain."""
        return bool(self._queue) and self._queue[-1][1].header.height > self._ledger.tip.height

    @property
    def is_idle(self) -> bool:
        """Whether `advance` has nothing to do: nothing is queued, awaited or known to be missing."""
        return (
            self._behind_since_ms is None
            and self._asked is None
            and not self._queue
            and self._urgent_height <= self._ledger.tip.height
        )

    @property
    def deadline_ms(self) -> int | None:
        """When `advance` should be called next, on the monotonic clock; None while level."""
        now_ms = self._clock.monotonic_ms()
        if self._queue:
            return now_ms
        if self._asked is not None:
            return self._asked[1]
        if self._behind_since_ms is not None:
            return max(now_ms + 50, self._behind_since_ms + PATIENCE_MS)
        return None

    # -- asking ----------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Ask for blocks if this node is behind and nobody has been asked."""
        now_ms = self._clock.monotonic_ms()
        self._drop_decided()
        wanted = self._ledger.tip.height + len(self._queue) + 1
        is_urgent = wanted == self._urgent_height
        highest = max(self._tips.values(), default=0)
        if highest < wanted and not is_urgent:
            # Level: whatever was asked for came by another way, and an answer would be as welcome later.
            self._behind_since_ms = self._asked = None
            return
        if self._behind_since_ms is None:
            self._behind_since_ms = now_ms
        if self._asked is not None:
            if now_ms < self._asked[1]:
                return
            self._exclude(self._asked[0])
            self._asked = None
        is_impatient = is_urgent or highest > wanted
        if not is_impatient and now_ms < self._behind_since_ms + PATIENCE_MS:
            return
        if len(self._queue) >= REQUEST_BLOCKS or self._queued_bytes >= MAX_QUEUED_BYTES:
            return
        peer = self._choose(wanted, now_ms)
        if peer is None:
            return
        self._asked = (peer, now_ms + ANSWER_MS)
        message = encode_message(FetchBlocksMessage(wanted, REQUEST_BLOCKS))
        self._network.send(peer, message, Urgency.NORMAL)

    def _choose(self, wanted: int, now_ms: int) -> str | None:
        able = [p for p, tip in sorted(self._tips.items()) if tip >= wanted]
        ready = [p for p in able if self._excluded_until_ms.get(p, 0) <= now_ms]
        # Spread over the peers by height, so that one slow peer is not asked each time.
        return ready[wanted // REQUEST_BLOCKS % len(ready)] if ready else None

    def _exclude(self, peer: str) -> None:
        self._excluded_until_ms[peer] = self._clock.monotonic_ms() + ANSWER_MS

    # -- answers ---------------------------------------------------------------------------------------------

    def receive(self, peer: str, blocks: tuple[bytes, ...]) -> None:
        """Take an answer. Late answers are welcome, unasked ones are not wrong.

        Raises:
            PeerFault: what came is not a run of certified blocks of this chain.
        """
        if self._clock.monotonic_ms() < self._liar_until_ms.get(peer, 0):
            return
        was_asked = self._asked is not None and self._asked[0] == peer
        if was_asked:
            self._asked = None
        self._drop_decided()
        count = len(self._queue)
        for data in blocks:
            if len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES:
                return
            try:
                block = decode_certified_block(self._genesis.domain, data)
            except ChainError as error:
                self._distrust(peer)
                raise PeerFault(f"{peer} sent a block that is none: {error}") from error
            if block.header.height == self._ledger.tip.height + len(self._queue) + 1:
                self._queue.append((peer, block, len(data)))
                self._queued_bytes += len(data)
        if was_asked and len(self._queue) == count:
            # Other blocks than those asked for; another peer is asked before this one is again.
            self._exclude(peer)

    def next_block(self) -> tuple[Executed, Certificate] | None:
        """Verify and execute the next fetched block, for the engine to commit; None if there is none.

        One that is not certified is dropped with everything behind it, and its sender accused.

        Raises:
            InvariantViolation: a quorum certified what executing here does not give.
        """
        self._drop_decided()
        if not self._queue:
            return None
        peer, block, size_bytes = self._queue.popleft()
        self._queued_bytes -= size_bytes
        try:
            return execute_certified(self._ledger, block, verify=_already_verified)
        except InvalidBlock as error:
            if error.error_code == "wrong_parent":
                self._compare_parents(block)
            if error.error_code != "wrong_transactions":
                raise InvariantViolation(
                    f"block {block.header.height} is certified by a quorum, and executing it here "
                    f"gives something else: {error}; this node's software or data is wrong"
                ) from error
            self._blame(peer, block, error)
        except ChainError as error:
            self._blame(peer, block, error)
        return None

    def _compare_parents(self, block: CertifiedBlock) -> None:
        """A certified block of the next height has another parent than ours: what certifies that parent?"""
        try:
            certificate = decode_certificate(block.parent_certificate)
            validators = self._ledger.validators(certificate.height)
            verify_certificate(certificate, self._genesis.domain, validators)
        except ChainError:
            return
        tip = self._ledger.tip
        if certificate.height == tip.height and certificate.block_hash != tip.block_hash:
            self._forked(certificate)

    def _drop_decided(self) -> None:
        """Forget blocks that were decided here meanwhile, so that the queue goes on from the tip without a gap."""
        while self._queue and self._queue[0][1].header.height <= self._ledger.tip.height:
            self._queued_bytes -= self._queue.popleft()[2]

    def _blame(self, peer: str, block: CertifiedBlock, error: ChainError) -> None:
        """Drop what came with a bad block, and listen to its sender no more for a while."""
        self._queue.clear()
        self._queued_bytes = 0
        self._distrust(peer)
        self._accuse(peer, f"block {block.header.height} does not hold: {error}")

    def _distrust(self, peer: str) -> None:
        self._liar_until_ms[peer] = self._clock.monotonic_ms() + LIAR_MS
        self._excluded_until_ms[peer] = self._liar_until_ms[peer]

    # -- serving -----------------------------------------------------------------------------------------------

    def answer(self, peer: str, from_height: int, count: int) -> None:
        """Send a peer decided blocks, as many as there are and a message may hold."""
        if not self._allowance.has(peer):
            return
        blocks: list[bytes] = []
        size = 0
        last = min(self._ledger.tip.height, from_height + min(count, MAX_BLOCKS_PER_ANSWER) - 1)
        for height in range(from_height, last + 1):
            block = self._ledger.certified_block(height).encode()
            if blocks and size + len(block) > MAX_ANSWER_BYTES:
                break
            blocks.append(block)
            size += len(block)
        if blocks:
            self._allowance.spend(peer, max(size, len(blocks) * LEAST_COST_BYTES))
            self._network.send(peer, encode_message(BlocksMessage(tuple(blocks))), Urgency.BULK)
