"""The hash of a record's block, shown by the log: the first record of the next block names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.errors import ProofInvalid
from chainnode.model.record import PARENT_KIND, decode_record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import parse_proof, verify
from chainnode.rpc.base64_text import from_base64
from cli.senders import WAIT_MS

if TYPE_CHECKING:
    from chainnode.model.record import Record
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient


async def proven_block_hash(node: RpcClient, record: Record, policy: Policy) -> bytes:
    """Return the hash of the block that a record stands in.

    Args:
        node: Waited for if the block is its newest one: what comes next shows the hash.
        record: As proven under the policy.
        policy: The trust anchor.

    Raises:
        ProofInvalid: `other_block`, or as `chainnode.model.tlog_proof.verify`.
        CannotTell: `policy_retired`: other validators cosign by now, of whom the policy knows nothing.
        ChainError: the node cannot be asked, or answers nonsense.
    """
    # The next block's records begin where this one's end. A node that names another place is found out.
    place = (await node.chain_header(record.height))["log_size"]
    answer = await node.log_proof(place, wait_ms=WAIT_MS)
    leaf = from_base64(answer["leaf"])
    following = decode_record(leaf)
    if following.kind != PARENT_KIND or following.body[0] != record.height:
        raise ProofInvalid(
            f"record {place} of the node's log does not name block {record.height}; the node is damaged or lies: "
            "ask another one",
            code="other_block",
        )
    verify(parse_proof(answer["proof"].encode("utf-8", "replace")), leaf, policy)
    return codec.binary(following.body[1], "parent hash", size=HASH_BYTES)
