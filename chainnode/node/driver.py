"""Gives the synchronous engine its turns on the event loop.

Every input is worked off completely when it comes; when the inputs of a turn of the loop are through, what was
gathered for peers is flushed and one timer is set for what is due next. After a fault the engine gets no further
turn, though the loop takes some to wind up: it may believe durable what is not, and must not speak.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chainnode.model.errors import ChainError, PeerFault, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock
    from chainnode.engine.clock_offsets import Reading
    from chainnode.engine.engine import Engine
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.transaction import Transaction
    from chainnode.services.ports import EngineStatus


class EngineDriver:
    """Gives the engine its turns on the event loop, and is the port that services see."""

    def __init__(self, clock: Clock, fail: Callable[[BaseException], None]) -> None:
        """`fail` hears of whatever must stop the node, outside of any call that could raise it."""
        self._fail = fail
        self._clock = clock
        self._engine: Engine | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._settling = False

    def drive(self, engine: Engine) -> None:
        """Start the engine; needs the running event loop."""
        self._engine = engine
        engine.start()
        self.settle()

    def stop(self) -> None:
        """Give no more turns."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._engine = None

    @property
    def engine(self) -> Engine:
        """The engine that is being driven."""
        if self._engine is None:
            raise Unavailable(
                "the node is starting or stopping; try again later", code="not_running"
            )
        return self._engine

    def receive(self, peer: str, message: bytes, received_ms: int) -> None:
        """Take a peer's message.

        Raises:
            PeerFault: the peer broke the protocol.
        """
        if self._engine is None:
            return
        try:
            self._engine.receive(peer, message, received_ms)
        except PeerFault:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the node must stop and say so
            self._stop_by(error)
            return
        self._settle_soon()

    def link(self, peer: str, up: bool) -> None:  # noqa: FBT001  # the signature of p2p's callback
        """Note that a peer came or went."""
        if self._engine is None:
            return
        try:
            self._engine.link(peer, is_up=up)
        except Exception as error:  # noqa: BLE001  # as above
            self._stop_by(error)
            return
        self._settle_soon()

    def time_measured(self, found: Reading | None, problem: str | None) -> None:
        """Take what the time source said, or why it said nothing."""
        if self._engine is None:
            return
        try:
            self._engine.time_measured(found, problem)
        except Exception as error:  # noqa: BLE001  # as above
            self._stop_by(error)
            return
        self._settle_soon()

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        """Take a client's transaction.

        Raises:
            ChainError: it is refused at once.
        """
        engine = self.engine
        try:
            engine.submit(envelope, done)
        except ChainError:
            raise
        except Exception as error:
            self._stop_by(error)
            raise
        self._settle_soon()

    def status(self) -> EngineStatus:
        """Return where consensus stands now."""
        return self.engine.status()

    def newest_checkpoint(self) -> CosignedCheckpoint | None:
        """Return the newest checkpoint with a quorum of cosignatures."""
        return self.engine.newest_checkpoint()

    def is_pending(self, tx_id: bytes) -> bool:
        """Whether a transaction of that id waits in the pool."""
        return self.engine.is_pending(tx_id)

    def settle(self) -> None:
        """Flush what was gathered, and set the timer for what is due next."""
        self._settling = False
        if self._engine is None:
            return
        try:
            self._engine.flush()
            deadline_ms = self._engine.deadline_ms
        except Exception as error:  # noqa: BLE001  # whatever it is, the node must stop and say so
            self._stop_by(error)
            return
        if self._timer is not None:
            if self._timer_ms <= deadline_ms and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer_ms = deadline_ms
        delay_ms = max(0, deadline_ms - self._clock.monotonic_ms())
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, self._tick)

    def _stop_by(self, error: BaseException) -> None:
        self.stop()
        self._fail(error)

    def _settle_soon(self) -> None:
        """Settle once, when the inputs of this turn of the loop are through."""
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_soon(self.settle)

    def _tick(self) -> None:
        self._timer = None
        if self._engine is None:
            return
        try:
            self._engine.tick()
        except Exception as error:  # noqa: BLE001  # whatever it is, the node must stop and say so
            self._stop_by(error)
            return
        self.settle()
