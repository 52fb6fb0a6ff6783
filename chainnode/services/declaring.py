"""Keeps on the chain what this node has to say of itself, as its configuration has it.

Whenever that differs from what the chain has, after a start with another configuration, the node says it anew with the
account that it signs for. What gets lost is sent again; what the chain refuses, after a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.calls import declare_clock, register_second_key
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.second_key import OfferedKey, second_key_statement
from chainnode.services.outcome import Outcome, Status
from chainnode.services.own_account import NO_VALID_KEY
from contracts.query import clock_declaration, second_key_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.clock import Clock
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.transaction import Call
    from chainnode.services.own_account import OwnAccount
    from contracts.clocks import Declaration

LOOK_MS: Final = 10_000
"""How often the chain is compared with the configuration; the first time this long after the start."""

PATIENCE_MS: Final = 600_000
"""How long to wait after the chain has refused, since an administrator must act first."""

_TIMEOUT_MS: Final = 30_000


class Declaring:
    """One thing that a node says of itself."""

    def __init__(
        self,
        contract: str,
        due: Callable[[], Call | None],
        *,
        own_account: OwnAccount,
        ledger: Ledger,
        is_ready: Callable[[], bool],
        recorded: Callable[[int], None],
        refused: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Send what `due` returns, whenever it returns a call.

        Args:
            contract: that takes it; nothing is sent on a chain without.
            due: the call that makes the chain say what the configuration says, or None if it says so.
            own_account: sends it.
            ledger: the node's.
            is_ready: whether the node follows the chain.
            recorded: hears in which block the chain took it.
            refused: hears why the chain does not take it.
            clock: the node's.
        """
        self._due = due
        self._own_account = own_account
        self._is_ready = is_ready
        self._recorded, self._refused = recorded, refused
        self._clock = clock
        self._is_active = any(c.name == contract for c in ledger.genesis.contracts)
        self._next_ms = clock.monotonic_ms() + LOOK_MS
        self._is_under_way = False

    def tick(self) -> None:
        """Compare, and send if need be. Call some times a second."""
        now_ms = self._clock.monotonic_ms()
        if not self._is_active or self._is_under_way or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + LOOK_MS
        if not self._is_ready():
            return
        call = self._due()
        if call is not None:
            self._send(call)

    def _send(self, call: Call) -> None:
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
            # What was lost on the way is compared again soon.
            reason = None
            if outcome.status is Status.COMMITTED and outcome.height is not None:
                self._recorded(outcome.height)
        if reason is not None:
            self._next_ms = self._clock.monotonic_ms() + PATIENCE_MS
            self._refused(reason)


def clock_due(wanted: Declaration, ledger: Ledger, account: str) -> Call | None:
    """Return the call that declares what this node's clock stands on; None if `account` has declared just that."""
    found = clock_declaration(ledger.state, account)
    # Who never declared anything need not declare nothing.
    is_empty = not wanted.sources and wanted.check is None
    if found == wanted or (found is None and is_empty):
        return None
    return declare_clock(wanted.validator, sources=wanted.sources, check=wanted.check)


def second_key_due(
    second: Signer | None, ledger: Ledger, validator: str, cosigner: Signer
) -> Call | None:
    """Return the call that registers with which key a validator cosigns a second time; None if the chain says just that.

    Args:
        second: its ML-DSA-44 key, or None if it cosigns once only.
        ledger: the node's.
        validator: this node's.
        cosigner: its cosigner key, which vouches for the other.
    """
    wanted = None if second is None else second.public_key
    found = second_key_in(ledger.state, validator)
    if wanted == (None if found is None else found.public_key_beside(cosigner.public_key)):
        return None
    number = 1 if found is None else found.number + 1
    statement = second_key_statement(ledger.genesis.domain, validator, number, wanted)
    offered = (
        None
        if second is None
        else OfferedKey(public_key=second.public_key, possession=second.sign(statement))
    )
    return register_second_key(validator, number, offered, cosigner.sign(statement))
