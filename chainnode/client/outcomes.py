"""What became of a list: a node's word, held against the chain as far as it can be before anybody acts on it.

    committed   a place in the log; the proofs of its records hold there or do not, so that it is not final before
    failed      its receipt is in a block whose signed header commits to it
    expired     a signed header is as high as the list was valid; that no block up to there has it remains the node's word

Where there is no genesis nothing of this is checked, as with signatures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chainnode.client.lists import ListOutcome, ListStatus
from chainnode.model.errors import DecodeError, Refused

if TYPE_CHECKING:
    from chainnode.client.lists import DocumentList
    from chainnode.client.nodes import Nodes
    from chainnode.client.trust import Trust
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import TransactionResult

WAIT_MS: Final = 30_000
"""How long a node is asked to wait for a decision before it is asked again."""

_UNDECIDED: Final = frozenset(("unknown", "pending"))


async def settle(nodes: Nodes, trust: Trust, made: DocumentList) -> ListOutcome:
    """Hand a list in, again and again until its outcome is known, and return that.

    Raises:
        Unavailable: no node told the outcome in time, or one that the chain is not ready for; calling again goes on
            where this left off.
        ProofInvalid, DecodeError: what a node tells does not hold.
        ChainError: it was refused before it was accepted, and is in no block by this node's tip.
    """

    async def ask(node: RpcClient) -> ListOutcome:
        try:
            found = await node.tx_submit_and_wait(made.transaction.envelope, timeout_ms=WAIT_MS)
        except Refused:
            # Too late, or signed by a key that has been revoked meanwhile: in no block and in none to come, or still
            # open. Only its last valid height tells.
            found = await _look_up(node, made)
            if found["status"] in _UNDECIDED:
                raise
        return await _checked(node, trust, found, made)

    return await nodes.ask(ask)


async def hand_in(nodes: Nodes, trust: Trust, made: DocumentList) -> ListOutcome | None:
    """Return the outcome of a list, or None once a node has it; one that the node did not have is handed in.

    Raises as `settle`.
    """

    async def ask(node: RpcClient) -> ListOutcome | None:
        found = await _look_up(node, made)
        if found["status"] == "unknown":
            try:
                await node.tx_submit(made.transaction.envelope)
            except Refused:
                # It may have been decided, or have expired, between the two questions.
                found = await _look_up(node, made)
                if found["status"] in _UNDECIDED:
                    raise
        return None if found["status"] in _UNDECIDED else await _checked(node, trust, found, made)

    return await nodes.ask(ask)


async def _look_up(node: RpcClient, made: DocumentList) -> TransactionResult:
    return await node.tx_get(
        made.transaction.id.hex(), last_valid_height=made.transaction.body.last_valid_height
    )


async def _checked(
    node: RpcClient, trust: Trust, found: TransactionResult, made: DocumentList
) -> ListOutcome:
    try:
        told = _outcome_of(found, made)
    except DecodeError as error:
        raise DecodeError(f"the node's answer: {error.message}", code="bad_answer") from error
    if told.status is ListStatus.COMMITTED:
        return told
    if told.status is ListStatus.EXPIRED:
        await trust.check_reached(node, made.transaction.body.last_valid_height)
    elif found["receipt"] is not None:
        await trust.check_receipt(node, told.height, found["receipt"])
    return replace(told, is_final=True)


def _outcome_of(result: TransactionResult, made: DocumentList) -> ListOutcome:
    """Return how a list ended, by a node's word. Raises DecodeError if that cannot be about this list."""
    receipt, height = result["receipt"], result["height"]
    tx_id, count = made.transaction.id.hex(), len(made.documents)
    if result["tx_id"] != tx_id or (receipt is not None and receipt["tx_id"] != tx_id):
        raise DecodeError(f"it is about another transaction than {tx_id}")
    if result["status"] == "expired":
        return ListOutcome(status=ListStatus.EXPIRED)
    if receipt is None or height is None:
        raise DecodeError(f"{result['status']} without a receipt")
    if not receipt["succeeded"]:
        return ListOutcome(
            status=ListStatus.FAILED,
            height=height,
            code=receipt["code"],
            message=receipt["message"],
        )
    if receipt["record_count"] != count:
        raise DecodeError(f"a receipt about {receipt['record_count']} documents; expected {count}")
    return ListOutcome(
        status=ListStatus.COMMITTED, height=height, first_record=receipt["first_record"]
    )
