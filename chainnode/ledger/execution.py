"""From transactions to everything a block does, without doing any of it.

Proposer and validators run the same `run`; only what they compare it with differs. Nothing here writes, so a result
that is dropped costs nothing but its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.ledger.checks import transaction_root
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.header import NO_CERTIFICATE, Header
from chainnode.model.ids import Height, View
from chainnode.model.merkle import leaf_hashes, root_of
from chainnode.model.validators import ValidatorSet, decode_validator_set
from contracts.runtime import VALIDATORS_NEXT_KEY, BlockContext, execute_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainnode.ledger.log_store import LogStore, StagedLog
    from chainnode.ledger.state_store import StagedState, StateStore
    from chainnode.ledger.tip import Tip
    from chainnode.model.block import Outline
    from chainnode.model.genesis import Genesis
    from chainnode.model.merkle import Frontier
    from chainnode.model.receipt import Receipt
    from chainnode.model.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What executing transactions on the tip gives."""

    included: int
    """How many of the transactions were executed, from the front."""

    receipts: tuple[Receipt, ...]
    """One per included transaction."""

    encoded_receipts: tuple[bytes, ...]
    """Their bytes."""

    receipts_root: bytes
    """RFC 9162 root over those bytes."""

    log: StagedLog
    """The log with the block's records."""

    state: StagedState
    """The state after the block."""

    new_validators: ValidatorSet | None
    """The set that the block put into the state, to govern from its height + 2 on; None if it put none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A block, executed and fit to be voted for; `Ledger.commit` makes it the tip."""

    outline: Outline
    """The block as it is proposed."""

    transactions: tuple[Transaction, ...]
    """Its transactions, in order."""

    results: Results
    """What commit writes."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What became of each transaction."""
        return self.results.receipts


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a block is executed on: the tip and its trees."""

    genesis: Genesis
    tip: Tip
    state: StateStore
    log: LogStore
    frontier: Frontier
    """Of the log at the tip."""

    current: ValidatorSet
    """Decides the block after the tip."""

    following: ValidatorSet
    """Decides the one after that."""

    validators_at: Callable[[int], ValidatorSet]
    """Decided, or decides, a height: 1 to two above the tip."""

    def run(self, transactions: Sequence[Transaction], *, time_ms: int, first_view: int) -> Results:
        """Execute transactions as the block after the tip.

        Raises:
            NodeFault: the store fails, or a contract did what it must not.
        """
        genesis, tip = self.genesis, self.tip
        height = Height(tip.height + 1)
        result = execute_block(
            genesis=genesis,
            state=self.state,
            block=BlockContext(
                domain=genesis.domain,
                chain_id=genesis.chain_id,
                height=height,
                time_ms=time_ms,
                interval_ms=genesis.parameters.interval_ms(time_ms, first_view),
                parent_hash=tip.block_hash,
                validators_at=self.validators_at,
            ),
            transactions=transactions,
            first_record_index=tip.log_size,
            max_records=genesis.parameters.max_block_records,
        )
        encoded = tuple(receipt.encode() for receipt in result.receipts)
        return Results(
            included=result.included,
            receipts=result.receipts,
            encoded_receipts=encoded,
            receipts_root=root_of(genesis.suite, leaf_hashes(genesis.suite, encoded)),
            log=self.log.stage(self.frontier, result.emitted),
            state=self.state.stage(result.changes, height),
            new_validators=validators_in(genesis, result.changes),
        )

    def header(
        self,
        results: Results,
        *,
        tx_hashes: tuple[bytes, ...],
        parent_certificate: bytes,
        time_ms: int,
        first_view: int,
        proposer: str,
    ) -> Header:
        """Return the header of the block after the tip that has these results."""
        genesis, tip = self.genesis, self.tip
        domain = genesis.domain
        return Header(
            rules_version=genesis.rules_version,
            chain_id=genesis.chain_id,
            height=Height(tip.height + 1),
            parent_hash=tip.block_hash,
            time_ms=time_ms,
            first_view=View(first_view),
            params_hash=genesis.parameters.hash(domain),
            proposer=proposer,
            parent_certificate_hash=(
                domain.hash("certificate", parent_certificate)
                if parent_certificate
                else NO_CERTIFICATE
            ),
            tx_root=transaction_root(genesis.suite, tx_hashes),
            tx_count=len(tx_hashes),
            receipts_root=results.receipts_root,
            log_size=results.log.size,
            log_root=results.log.root,
            state_root=results.state.root,
            validators_hash=self.current.hash(domain),
            next_validators_hash=self.following.hash(domain),
        )


def validators_in(genesis: Genesis, state: Mapping[bytes, bytes | None]) -> ValidatorSet | None:
    """Return the validator set among `state` or changes to it, or None if it is not among them."""
    if VALIDATORS_NEXT_KEY not in state:
        return None
    encoded = state[VALIDATORS_NEXT_KEY]
    if encoded is None:
        raise InvariantViolation("a contract deleted the validator set")
    try:
        return decode_validator_set(encoded, genesis.suite)
    except DecodeError as error:
        raise InvariantViolation(f"a contract made an impossible validator set: {error}") from error
