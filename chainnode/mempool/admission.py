"""Whether a transaction may wait for a block: what can be told at the tip, before its signature is verified.

Each reason for refusal is one that a block of the next height would meet as well, except that an account or key may
change meanwhile: a transaction that is admitted can still end in a failed receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from chainnode.model.errors import Refused
from chainnode.model.limits import MAX_TRANSACTION_BYTES, MAX_VALID_HEIGHTS
from contracts.runtime import StateReader, check_may_act

if TYPE_CHECKING:
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.model.validators import ValidatorSet


REPLAYED: Final = "replayed"
"""Code of the refusal of a transaction that a block holds already."""


class TipView(Protocol):
    """The part of a tip that admission looks at."""

    @property
    def height(self) -> int:
        """Height of the newest block."""

    @property
    def time_ms(self) -> int:
        """Its time."""


class LedgerView(Protocol):
    """The part of the ledger that admission looks at."""

    @property
    def genesis(self) -> Genesis:
        """The chain's."""

    @property
    def tip(self) -> TipView:
        """The newest block."""

    @property
    def state(self) -> StateReader:
        """The state after it."""

    def is_replayed(self, tx_id: bytes) -> bool:
        """Whether a committed block holds the transaction, if it is within its window."""

    def find_transaction(self, tx_id: bytes) -> tuple[int, int] | None:
        """Where a committed block holds the transaction; None if none does."""

    def validators(self, height: int) -> ValidatorSet:
        """The set that governs a height, up to the next block's at least."""


def check_admissible(ledger: LedgerView, transaction: Transaction) -> None:
    """Refuse what the next block could not hold, or would only turn into a failed receipt.

    Of a report this is all there is to check: it has no signature, and its evidence is verified here.

    Raises:
        Refused: with code oversized, wrong_chain, replayed, expired, too_far_ahead, or one of `check_may_act`'s.
        ProofInvalid: a report that proves nothing.
    """
    check_size(transaction)
    check_chain(transaction, ledger.genesis.chain_id)
    check_new(transaction, ledger)
    if transaction.body.last_valid_height <= ledger.tip.height and ledger.find_transaction(
        transaction.id
    ):
        # Whoever asks late must hear that it was committed, rather than to sign it again and have it done twice.
        raise _replayed(transaction)
    check_window(transaction, ledger.tip.height)
    check_may_act(
        ledger.genesis,
        ledger.state,
        transaction,
        height=ledger.tip.height + 1,
        time_ms=ledger.tip.time_ms,
        validators_at=ledger.validators,
    )


def check_size(transaction: Transaction) -> None:
    """Refuse an envelope that is too large for any block."""
    size = len(transaction.envelope)
    if size > MAX_TRANSACTION_BYTES:
        raise Refused(
            f"transaction: found {size} bytes; expected at most {MAX_TRANSACTION_BYTES}; "
            "divide it into several",
            code="oversized",
        )


def check_chain(transaction: Transaction, chain_id: str) -> None:
    """Refuse a transaction that is meant for another chain."""
    if transaction.body.chain_id != chain_id:
        raise Refused(
            f"chain_id: found {transaction.body.chain_id}; expected {chain_id}; "
            "this node serves another chain",
            code="wrong_chain",
            field="chain_id",
        )


def check_window(transaction: Transaction, tip_height: int) -> None:
    """Refuse a transaction that is not valid at the next height, or valid for too long."""
    last, following = transaction.body.last_valid_height, tip_height + 1
    if last < following:
        raise Refused(
            f"last_valid_height: found {last}; the next block is {following}; "
            "sign it again with a later height",
            code="expired",
            field="last_valid_height",
        )
    if last > following + MAX_VALID_HEIGHTS:
        raise Refused(
            f"last_valid_height: found {last}; expected at most {following + MAX_VALID_HEIGHTS}; "
            "sign it again with an earlier height",
            code="too_far_ahead",
            field="last_valid_height",
        )


def check_new(transaction: Transaction, ledger: LedgerView) -> None:
    """Refuse a transaction that a block holds already."""
    if ledger.is_replayed(transaction.id):
        raise _replayed(transaction)


def _replayed(transaction: Transaction) -> Refused:
    return Refused(
        f"transaction {transaction.id.hex()} was committed before; ask for its receipt, or sign "
        "a new one with another nonce",
        code=REPLAYED,
    )
