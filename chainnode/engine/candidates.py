"""Candidates: the blocks of the open height that have been proposed, from outline to verdict.

An outline names transactions, and those that are not here are fetched. First those validators are asked that should have
the block; then all others, because the only one that should, its leader, may have gone. When all are here and their
signatures hold, the block is executed, once, and judged. The verdict is about the block alone; whether to vote for it is the
core's business.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import FetchOutlineMessage
from chainnode.engine.ports import Urgency
from chainnode.ledger.errors import InvalidBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.ports import Clock, Network
    from chainnode.engine.relay import TransactionRelay
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.block import Outline
    from chainnode.model.ids import TransactionHash
    from consensus.messages import CommitCertificate

MAX_OUTLINES: Final = 32
"""Outlines kept for one height; a correct leader makes one. The oldest unneeded one goes first."""

RETRY_MS: Final = 200
"""How long a fetch waits before it asks the next peer; doubles each time that as many have been asked as should have it."""

MAX_RETRY_MS: Final = 3_200
"""Where that ends: an answer of the size of a block may take seconds, and asking again makes it no faster."""

_MAX_DOUBLINGS: Final = 4


@dataclass(slots=True)
class _Wish:
    """A block that the core wants judged."""

    holders: list[str]
    """Whom to ask first, in turn."""

    asked: Counter[str] = field(default_factory=Counter)
    """Who was asked how often, for the outline or for its transactions."""

    next_ask_ms: int = 0

    is_begun: bool = False
    """Whether its transactions have been looked for: not before its outline is here."""

    missing: tuple[TransactionHash, ...] = ()
    """Those that were not here when last looked for. Only they are looked for again, each time that some arrive: a
    block names thousands, and they may come a few at a time."""

    known_bytes: int = 0
    """Of those that were here."""


@dataclass(frozen=True, slots=True)
class _MissingOutline:
    """The outline of this block is wanted."""

    digest: bytes
    height: int


class Candidates:
    """The proposed blocks of the open height."""

    def __init__(
        self,
        *,
        name: str,
        ledger: Ledger,
        relay: TransactionRelay,
        network: Network,
        clock: Clock,
        judged: Callable[[bytes, int, InvalidBlock | None], None],
    ) -> None:
        """`name` is this node's; `judged` hears (digest, first_view, reason) when a wanted block is valid (None) or not."""
        self._name = name
        self._ledger = ledger
        self._relay = relay
        self._network = network
        self._clock = clock
        self._judged = judged
        self._max_block_bytes = ledger.genesis.parameters.max_block_bytes
        self._outlines: dict[bytes, Outline] = {}
        self._executed: dict[bytes, Executed] = {}
        self._wishes: dict[bytes, _Wish] = {}
        self.awaited: CommitCertificate | None = None
        """The decision of the open height, while the decided block is not here."""

    def reset(self) -> None:
        """Forget everything: another height is open."""
        self._outlines.clear()
        self._executed.clear()
        self._wishes.clear()
        self.awaited = None

    def outline(self, digest: bytes) -> Outline | None:
        """Return the outline of a block, or None."""
        return self._outlines.get(digest)

    def executed(self, digest: bytes) -> Executed | None:
        """Return a block that was executed and found valid, or None."""
        return self._executed.get(digest)

    def add_outline(self, outline: Outline) -> None:
        """Keep an outline of the open height; a wanted one is worked on at once."""
        if outline.block_hash not in self._outlines:
            self._outlines[outline.block_hash] = outline
            if len(self._outlines) > MAX_OUTLINES:
                unneeded = (
                    d for d in self._outlines if d not in self._wishes and d not in self._executed
                )
                victim = next(unneeded, None)
                if victim is not None:
                    del self._outlines[victim]
        self.advance()

    def add_executed(self, executed: Executed) -> None:
        """Keep a block that this node built or recovered itself, so that it need not be judged again."""
        self._outlines[executed.outline.block_hash] = executed.outline
        self._executed[executed.outline.block_hash] = executed

    def want(self, digest: bytes, holders: tuple[str, ...]) -> None:
        """Have a block judged; `holders` are the validators that should have it."""
        if digest in self._executed:
            self._judged(digest, self._executed[digest].outline.header.first_view, None)
            return
        wish = self._wishes.setdefault(digest, _Wish(holders=[]))
        wish.holders.extend(h for h in holders if h not in wish.holders)
        self.advance()

    def note_holder(self, digest: bytes, name: str) -> None:
        """Note that a validator has voted for a block, and so has all of it: it is asked before those that may not."""
        wish = self._wishes.get(digest)
        if wish is not None and name != self._name and name not in wish.holders:
            wish.holders.append(name)

    @property
    def deadline_ms(self) -> int | None:
        """When `advance` should be called next, on the monotonic clock; None if nothing is wanted."""
        if not self._wishes:
            return None
        return min((w.next_ask_ms for w in self._wishes.values() if w.holders), default=None)

    def advance(self) -> None:
        """Execute what has become complete, and ask again for what is missing."""
        for digest, wish in list(self._wishes.items()):
            if self._wishes.get(digest) is not wish:
                # A verdict before this one decided the height, and with it went all that was wanted.
                continue
            outline = self._outlines.get(digest)
            if outline is None:
                self._ask(wish, _MissingOutline(digest, self._ledger.tip.height + 1))
                continue
            self._look_for_missing(wish, outline)
            if self._relay.has_refused(outline.tx_hashes):
                self._finish(
                    outline,
                    InvalidBlock(
                        "bad_signature",
                        "transactions",
                        found="a signature that does not hold",
                        expected="valid signatures",
                    ),
                )
                continue
            if wish.missing and self._is_too_large(wish, outline):
                # Nobody could vote for it, so the rest need not be fetched.
                self._finish(
                    outline,
                    InvalidBlock(
                        "block_too_large",
                        "envelopes",
                        found="more with some still missing",
                        expected=f"at most {self._max_block_bytes} bytes",
                    ),
                )
            elif wish.missing:
                self._ask(wish, wish.missing)
            else:
                self._execute(outline)

    def _look_for_missing(self, wish: _Wish, outline: Outline) -> None:
        """Note which of the block's transactions are not here."""
        if not wish.is_begun:
            wish.is_begun = True
            # Who was long in giving the outline, or did not have it, may have these.
            wish.asked.clear()
            wish.next_ask_ms = 0
            wish.missing = outline.tx_hashes
            self._relay.want(outline.tx_hashes)
        missing = self._relay.missing(wish.missing)
        if len(missing) < len(wish.missing):
            still = set(missing)
            wish.known_bytes += self._relay.known_bytes(h for h in wish.missing if h not in still)
        # Some that were here before may have been dropped to make room.
        wish.missing = missing or self._relay.missing(outline.tx_hashes)

    def _is_too_large(self, wish: _Wish, outline: Outline) -> bool:
        # What was dropped and came again is counted twice at first.
        return (
            wish.known_bytes > self._max_block_bytes
            and self._relay.known_bytes(outline.tx_hashes) > self._max_block_bytes
        )

    def _execute(self, outline: Outline) -> None:
        transactions = tuple(
            t for t in (self._relay.get(h) for h in outline.tx_hashes) if t is not None
        )
        try:
            executed = self._ledger.execute(outline, transactions)
        except InvalidBlock as error:
            self._finish(outline, error)
            return
        self._executed[outline.block_hash] = executed
        self._finish(outline, None)

    def _finish(self, outline: Outline, reason: InvalidBlock | None) -> None:
        del self._wishes[outline.block_hash]
        self._judged(outline.block_hash, outline.header.first_view, reason)

    def _others(self) -> list[str]:
        """Return all other validators, in an order that begins with another one for each of them."""
        members = self._ledger.validators(self._ledger.tip.height + 1).members
        names = [member.name for member in members]
        mine = names.index(self._name) if self._name in names else 0
        return [name for name in names[mine:] + names[:mine] if name != self._name]

    def _ask(self, wish: _Wish, what: _MissingOutline | tuple[TransactionHash, ...]) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms < wish.next_ask_ms or not wish.holders:
            return
        peers = [*wish.holders, *(name for name in self._others() if name not in wish.holders)]
        # A validator that has voted meanwhile is asked before others are asked again.
        peer = min(peers, key=lambda name: wish.asked[name])
        rounds = wish.asked.total() // len(wish.holders)
        wish.asked[peer] += 1
        wish.next_ask_ms = now_ms + min(RETRY_MS << min(rounds, _MAX_DOUBLINGS), MAX_RETRY_MS)
        if isinstance(what, _MissingOutline):
            message = FetchOutlineMessage(what.height, what.digest)
            self._network.send(peer, encode_message(message), Urgency.NORMAL)
        else:
            self._relay.fetch(peer, what)
