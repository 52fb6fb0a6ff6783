"""Executes blocks: transactions in order, each with all of its calls or none.

Pure: the same genesis, state, block and transactions give the same result, byte for byte, on every validator, under
every supported version of Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, InvariantViolation, NodeFault, Refused
from chainnode.model.limits import MAX_RECEIPT_MESSAGE_BYTES
from chainnode.model.receipt import Receipt
from chainnode.model.record import parent_record
from contracts.api import BlockContext, Context, ContractError, Emitted
from contracts.authority import check_authority, check_may_act
from contracts.identity.genesis import identity_state
from contracts.overlay import Overlay, StateReader
from contracts.registry import registry_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Call, Transaction
    from contracts.api import Method
    from contracts.registry import Registry

__all__ = [
    "VALIDATORS_NEXT_KEY",
    "BlockContext",
    "BlockResult",
    "Emitted",
    "StateReader",
    "check_may_act",
    "execute_block",
    "genesis_state",
]

VALIDATORS_NEXT_KEY: Final = b"validators/next"
"""Full state key of the encoded validator set; changed in block h, it governs h+2."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a transaction failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResult:
    """What executing a block gives."""

    receipts: tuple[Receipt, ...]
    """One per executed transaction, in order."""

    emitted: tuple[Emitted, ...]
    """The block's log leaves in order; the first is the parent's."""

    changes: Mapping[bytes, bytes | None]
    """State keys whose values differ from before, in rising order; None stands for a removed key."""

    included: int
    """How many transactions were executed, from the front. Fewer than given only if the next one's
    records would not have fitted."""


def genesis_state(genesis: Genesis) -> Mapping[bytes, bytes]:
    """Return the state at height 0, in rising order of keys.

    Raises:
        Refused: genesis activates a contract that this software lacks, or grants a role that none knows.
    """
    registry_of(genesis.contracts)
    state = identity_state(genesis)
    state[VALIDATORS_NEXT_KEY] = genesis.validator_set.encode()
    return dict(sorted(state.items()))


def execute_block(
    *,
    genesis: Genesis,
    state: StateReader,
    block: BlockContext,
    transactions: Sequence[Transaction],
    first_record_index: int,
    max_records: int,
) -> BlockResult:
    """Execute transactions on `state`, which is left as it was.

    Signatures, chain id, expiry and replay are the ledger's to check before.

    Args:
        genesis: The chain's.
        state: The committed state after the parent block.
        block: The block that is being built or checked.
        transactions: In block order.
        first_record_index: Log size before the block; the index of the parent leaf.
        max_records: Leaves that the block may hold, the parent leaf included.

    Raises:
        NodeFault: the state cannot be read, or a contract failed in a way that it must not.
    """
    registry = registry_of(genesis.contracts)
    overlay = Overlay(state)
    emitted = [_parent_leaf(block)]
    receipts: list[Receipt] = []
    for transaction in transactions:
        layer = Overlay(overlay)
        records: list[Emitted] = []
        refusal = _execute(registry, block, layer, transaction, records)
        if refusal is not None:
            receipts.append(_failed(transaction, refusal))
            continue
        if len(emitted) + len(records) > max_records:
            break
        receipts.append(_succeeded(transaction, first_record_index + len(emitted), len(records)))
        emitted.extend(records)
        overlay.absorb(layer)
    return BlockResult(
        receipts=tuple(receipts),
        emitted=tuple(emitted),
        changes=overlay.net_changes(),
        included=len(receipts),
    )


def _execute(
    registry: Registry,
    block: BlockContext,
    layer: Overlay,
    transaction: Transaction,
    records: list[Emitted],
) -> _Refusal | None:
    """Execute one transaction on `layer` and into `records`; return why it failed, or None."""
    where = ""
    try:
        check_authority(layer, transaction, time_ms=block.time_ms)
        for position, call in enumerate(transaction.body.calls):
            where = f"call {position} ({call.contract}.{call.method}): "
            method = _method(registry, block, call)
            context = Context(
                block=block,
                tx_id=transaction.id,
                sender=transaction.body.sender,
                call=position,
                contract=call.contract,
                overlay=layer,
                emitted=records,
            )
            method(context, call.args)
    except (Refused, DecodeError) as error:
        return _Refusal(error.error_code, where + error.message)
    except NodeFault:
        raise
    except Exception as error:
        # Whatever this is, other validators may or may not have met it: to record it would be a guess.
        raise InvariantViolation(
            f"{where}{type(error).__name__} in transaction {transaction.id.hex()} "
            f"at height {block.height}: {error}"
        ) from error
    return None


def _method(registry: Registry, block: BlockContext, call: Call) -> Method:
    methods = registry.methods(call.contract, block.height)
    if methods is None:
        raise ContractError("there is no such contract at this height", code="unknown_contract")
    method = methods.get(call.method)
    if method is None:
        raise ContractError(
            f"the contract has no such method; it has {', '.join(methods)}", code="unknown_method"
        )
    return method


def _parent_leaf(block: BlockContext) -> Emitted:
    record = parent_record(
        height=block.height,
        time_ms=block.time_ms,
        interval_ms=block.interval_ms,
        parent_hash=block.parent_hash,
    )
    return Emitted(leaf=record.encode(), lookup_keys=())


def _succeeded(transaction: Transaction, first_record: int, record_count: int) -> Receipt:
    return Receipt(
        tx_id=transaction.id,
        succeeded=True,
        code="",
        message="",
        first_record=first_record if record_count else 0,
        record_count=record_count,
    )


def _failed(transaction: Transaction, refusal: _Refusal) -> Receipt:
    return Receipt(
        tx_id=transaction.id,
        succeeded=False,
        code=refusal.code,
        message=receipt_message(refusal.message),
        first_record=0,
        record_count=0,
    )


def receipt_message(message: str) -> str:
    r"""Return `message` as receipts carry it: ASCII, at most 512 bytes.

    Messages quote what was found with `repr`, which escapes the characters that this version of Python's Unicode
    tables call unprintable. Escaping all the others the same way makes validators on different versions agree.
    """
    return message.encode("ascii", "backslashreplace")[:MAX_RECEIPT_MESSAGE_BYTES].decode("ascii")
