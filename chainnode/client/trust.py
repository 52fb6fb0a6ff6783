"""What a client holds a node's word against: signatures, by genesis or by a policy that the user keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from chainnode.client.trusted_chain import follow, receipts
from chainnode.model import codec
from chainnode.model.errors import CannotTell, DecodeError, NotFound, ProofInvalid, Unavailable
from chainnode.model.tlog_proof import Verifier

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from chainnode.client.nodes import Nodes
    from chainnode.model.genesis import Genesis
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ReceiptResult

Result = TypeVar("Result")

TRUSTED_HEIGHTS: Final = 100
"""By how many blocks a node's word about its tip may be above the last one that it has shown: a fifth of how long a list is valid,
and some seconds of a busy chain, so that not every list costs a header."""


class Trust:
    """By whose signatures proofs are judged: today's validators by genesis, else a policy that the user keeps."""

    def __init__(self, genesis: Genesis | None, kept: Policy | None) -> None:
        self._genesis = genesis
        self._shown_height = 0
        self._verifier = None if kept is None or genesis is not None else Verifier(kept)

    @property
    def is_blind(self) -> bool:
        """Whether there is nothing to judge signatures by."""
        return self._genesis is None and self._verifier is None

    async def verifier(self, nodes: Nodes) -> Verifier | None:
        """Return what judges signatures, or None if there is nothing to judge them by. Raises as `check`."""
        if self._verifier is None and self._genesis is not None:
            await self._follow(nodes, self._genesis)
        return self._verifier

    async def check(self, nodes: Nodes, proof: Proof, leaf: bytes) -> None:
        """Check a proof's signatures and place; where there is nothing to judge signatures by, nothing.

        Raises:
            ProofInvalid, CannotTell, DecodeError: as `verify`; and what following the chain from genesis raises.
        """
        if self._verifier is not None:
            try:
                self._verifier.verify(proof, leaf)
            except CannotTell:
                # Validators may have changed since the policy was made.
                if self._genesis is None:
                    raise
            else:
                return
        if self._genesis is not None:
            (await self._follow(nodes, self._genesis)).verify(proof, leaf)

    async def tip_height(self, node: RpcClient) -> int:
        """Return the height of a node's tip, up to which it has shown a signed header where there is a genesis.

        What is signed for a height that is far away stays open until the chain is there: for ever, if a node made it up.

        Raises:
            Unavailable: the node cannot be reached, or has no block of the height that it tells.
            ProofInvalid, DecodeError: its header is not signed as it must be, or is none.
        """
        told = told_number((await node.chain_status())["tip_height"], "tip_height")
        if self._genesis is not None and told > self._shown_height + TRUSTED_HEIGHTS:
            await self._show(node, self._genesis, told)
        return told

    async def check_reached(self, node: RpcClient, height: int) -> None:
        """Check that the chain has come to a height, by a signed header; where there is no genesis, nothing.

        Raises:
            Unavailable: the node cannot be reached, or has no block that high.
            ProofInvalid, DecodeError: its header is not signed as it must be, or is none.
        """
        if self._genesis is None or self._shown_height >= height:
            return
        told = told_number((await node.chain_status())["tip_height"], "tip_height")
        if told < height:
            raise Unavailable(
                f"{node.url} says that block {height} is decided, and that its tip is block {told}",
                code="bad_answer",
            )
        await self._show(node, self._genesis, told)

    async def check_receipt(self, node: RpcClient, height: int, receipt: ReceiptResult) -> None:
        """Check that a signed header commits to a receipt; where there is no genesis, nothing.

        Raises:
            Unavailable: the node cannot be reached, or does not have the block.
            ProofInvalid, DecodeError: the block does not have it, or what the node answers does not hold.
        """
        if self._genesis is None:
            return
        if receipt not in await _shown(node, height, receipts(node, self._genesis, height)):
            raise ProofInvalid(
                f"{node.url} tells of a receipt that block {height} does not have",
                code="other_receipt",
            )

    async def _show(self, node: RpcClient, genesis: Genesis, height: int) -> None:
        await _shown(node, height, follow(node, genesis, height))
        self._shown_height = height

    async def _follow(self, nodes: Nodes, genesis: Genesis) -> Verifier:
        trusted = await nodes.ask(lambda node: follow(node, genesis, None))
        self._verifier = Verifier(trusted.policy(genesis))
        return self._verifier


async def _shown(node: RpcClient, height: int, answer: Awaitable[Result]) -> Result:
    """Return what a node has of a block that it told of; without it the node is lying, or has lost it."""
    try:
        return await answer
    except NotFound as error:
        raise Unavailable(
            f"{node.url} tells of block {height}, and has none: {error.message}", code="bad_answer"
        ) from error


def told_number(value: int, name: str) -> int:
    """Return a number of a node's answer. Raises DecodeError, with code `bad_answer`, if no chain could have come to it."""
    try:
        return codec.integer(value, name)
    except DecodeError as error:
        raise DecodeError(f"the node's answer: {error.message}", code="bad_answer") from error
