"""Several nodes of one chain as one: whoever gives no answer is passed over, whoever is overloaded is given time.

Everything that is asked through here may be asked twice: reading, and handing in a transaction whose bytes are fixed,
which a chain takes once however often it comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self, TypeVar

from chainnode.clock import Clock, SystemClock
from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.errors import DecodeError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from chainnode.rpc.client import RpcClient

Result = TypeVar("Result")

FIRST_PAUSE_MS: Final = 100
"""Before the nodes are asked for the second time; each further pause is twice as long ..."""

MOST_PAUSE_MS: Final = 5_000
"""... up to this, so that a node that is back is found within seconds."""

PATIENCE_MS: Final = 60_000
"""How long one question is repeated before its asker is told: a restart of a node takes less."""


class Nodes:
    """Asks one of its nodes until that one fails, then the next. An async context manager; questions may overlap."""

    def __init__(
        self,
        clients: Sequence[RpcClient],
        *,
        patience_ms: int = PATIENCE_MS,
        clock: Clock | None = None,
    ) -> None:
        """Ask these nodes, the first one first.

        Args:
            clients: 1 or more, not opened yet.
            patience_ms: How long a question is repeated; 0 asks every node once.
            clock: For the patience.

        Raises:
            DecodeError: there is none.
        """
        if not clients:
            raise DecodeError("no node is named; expected one URL or more", field="urls")
        self._clients = tuple(clients)
        self._patience_ms = patience_ms
        self._clock = SystemClock() if clock is None else clock
        self._current = 0

    async def __aenter__(self) -> Self:
        for client in self._clients:
            await client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            await client.__aexit__(kind, error, traceback)

    async def ask(self, work: Callable[[RpcClient], Awaitable[Result]]) -> Result:
        """Return what `work` gets from a node.

        Raises:
            Unavailable: no node had an answer for as long as the patience lasts; the last one's reason.
            ChainError: a node's answer is an error that another try would not change.
        """
        until_ms = self._clock.monotonic_ms() + self._patience_ms
        pause_ms = FIRST_PAUSE_MS
        failures = 0
        while True:
            asked = self._current
            try:
                return await work(self._clients[asked])
            except Unavailable as error:
                failures += 1
                is_round = failures % len(self._clients) == 0
                if is_round and self._clock.monotonic_ms() >= until_ms:
                    raise
                # Another question may have moved on already.
                if self._current == asked:
                    self._current = (asked + 1) % len(self._clients)
                if is_round or error.retry_after_ms is not None:
                    await _sleep(max(pause_ms, error.retry_after_ms or 0))
                    pause_ms = min(2 * pause_ms, MOST_PAUSE_MS)


async def _sleep(pause_ms: int) -> None:
    """Sleep so long and up to a quarter longer: clients that failed together do not all come back together."""
    jitter = fresh_bytes(1)[0]
    await asyncio.sleep(pause_ms * (1_024 + jitter) / 1_024_000)
