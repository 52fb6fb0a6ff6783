"""Keeps on the chain what this node's clock stands on, as its configuration says.

Whenever that differs from what the chain has, after a start with another configuration, the node declares it anew with
the account that it signs for. What gets lost is sent again; what the chain refuses, after a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.calls import declare_clock
from chainnode.model.errors import ChainError, Unavailable
from chainnode.services.outcome import Outcome, Status
from chainnode.services.own_account import NO_VALID_KEY
from contracts.clocks import NAME, Declaration
from contracts.query import clock_declaration

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock
    from chainnode.ledger.ledger import Ledger
    from chainnode.services.own_account import OwnAccount

LOOK_MS: Final = 10_000
"""How often the chain is compared with the configuration; the first time this long after the start."""

PATIENCE_MS: Final = 600_000
"""How long to wait after the chain has refused, since an administrator must act first."""

_TIMEOUT_MS: Final = 30_000


class ClockDeclaration:
    """One node's declaration."""

    def __init__(
        self,
        declaration: Declaration,
        *,
        own_account: OwnAccount,
        ledger: Ledger,
        is_ready: Callable[[], bool],
        refused: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Declare `declaration`; `refused` hears why the chain does not take it."""
        self._declaration = declaration
        self._own_account = own_account
        self._ledger = ledger
        self._is_ready = is_ready
        self._refused = refused
        self._clock = clock
        self._is_active = any(c.name == NAME for c in ledger.genesis.contracts)
        self._next_ms = clock.monotonic_ms() + LOOK_MS
        self._is_under_way = False

    def tick(self) -> None:
        """Compare, and declare if need be. Call some times a second."""
        now_ms = self._clock.monotonic_ms()
        if not self._is_active or self._is_under_way or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + LOOK_MS
        found = clock_declaration(self._ledger.state, self._own_account.name)
        if found == self._declaration or (found is None and self._is_empty) or not self._is_ready():
            return
        self._declare()

    @property
    def _is_empty(self) -> bool:
        """Whether there is nothing to say: a node that never declared anything need not declare nothing."""
        return not self._declaration.sources and self._declaration.check is None

    def _declare(self) -> None:
        wanted = self._declaration
        call = declare_clock(wanted.validator, sources=wanted.sources, check=wanted.check)
        self._is_under_way = True
        try:
            transaction = self._own_account.sign([call])
            self._own_account.send(transaction, timeout_ms=_TIMEOUT_MS, done=self._done)
        except ChainError as error:
            self._done(error)

    def _done(self, outcome: Outcome | ChainError) -> None:
        self._is_under_way = False
        if isinstance(outcome, Unavailable) and outcome.error_code != NO_VALID_KEY:
            # Overload and standstills pass; nobody has refused anything.
            return
        if isinstance(outcome, ChainError):
            reason: str | None = outcome.message
        elif outcome.status is Status.FAILED and outcome.receipt is not None:
            reason = outcome.receipt.message
        else:
            # Committed, or lost on the way and compared again soon.
            reason = None
        if reason is not None:
            self._next_ms = self._clock.monotonic_ms() + PATIENCE_MS
            self._refused(reason)
