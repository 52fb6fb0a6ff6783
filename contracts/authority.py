"""By whose authority a transaction acts: an account's, or that of the evidence which it carries.

The one place that decides it, asked when a transaction is admitted and again when its block is executed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import Refused
from chainnode.model.ids import Height
from contracts import evidence
from contracts.identity.sender import check_sender
from contracts.registry import registry_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.model.validators import ValidatorSet
    from contracts.overlay import StateReader


def check_authority(state: StateReader, transaction: Transaction, *, time_ms: int) -> None:
    """Refuse a transaction whose sender may not act, before its calls are executed.

    A report has no sender: its one call judges the evidence, and is nothing without it.

    Raises:
        Refused: as `check_sender`.
    """
    if not transaction.is_report:
        check_sender(state, transaction, time_ms=time_ms)


def check_may_act(
    genesis: Genesis,
    state: StateReader,
    transaction: Transaction,
    *,
    height: int,
    time_ms: int,
    validators_at: Callable[[int], ValidatorSet],
) -> None:
    """Refuse, at admission, a transaction that the next block would refuse; of a report, everything is checked.

    Args:
        genesis: The chain's.
        state: After the tip.
        transaction: As decoded; it is within its window.
        height: Of the next block.
        time_ms: Of the tip.
        validators_at: The set that governs a height, of those up to `height`.

    Raises:
        Refused: as `check_sender`; of a report as `evidence.judge`, or `unknown_contract` if the chain keeps none.
        ProofInvalid: a report whose evidence proves nothing: whoever passes it on did not look.
    """
    if not transaction.is_report:
        check_sender(state, transaction, time_ms=time_ms)
        return
    if registry_of(genesis.contracts).methods(evidence.NAME, Height(height)) is None:
        raise Refused(
            "genesis activates no contract that records evidence; what is proven stays in the nodes' logs",
            code="unknown_contract",
        )
    evidence.judge_at_tip(
        transaction.evidence(),
        state=state,
        domain=genesis.domain,
        height=height,
        validators_at=validators_at,
    )
