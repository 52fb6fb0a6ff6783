"""Proofs that are gone, of files that are registered: fetched again, by what the manifest says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.client.proving import ProvenDocument
from chainnode.model.errors import NotFound
from cli.proofs import check_proof, complete_proof
from cli.registrations import check_is_about, checked_registration, find_by_digest
from cli.senders import WAIT_MS

if TYPE_CHECKING:
    from chainnode.client.nodes import Nodes
    from chainnode.client.sender import Sender
    from chainnode.client.trust import Trust
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import NotaryRecordResult, ProofResult
    from cli.folder.manifest import Entry


async def fetch_again(nodes: Nodes, sender: Sender, trust: Trust, entry: Entry) -> ProvenDocument:
    """Return a new proof of the record that a manifest names.

    Args:
        nodes: ask as a member, to whom they show blinded registrations.
        sender: of the chain.
        trust: by what the proof is checked.
        entry: of the file.

    Raises:
        NotFound: the node shows us no such registration of these digests.
        DecodeError, ProofInvalid, CannotTell: what the node answers does not hold.
        Unavailable: no node answered for long.
    """

    async def ask(node: RpcClient) -> tuple[NotaryRecordResult, ProofResult]:
        found = (await find_by_digest(node, entry.digests)).records.get(entry.index)
        if found is None:
            raise NotFound(
                f"the node knows no registration of it as record {entry.index}",
                code="unknown_record",
            )
        return found, await node.log_proof(entry.index, wait_ms=WAIT_MS)

    found, answer = await nodes.ask(ask)
    notarization = checked_registration(found, sender.domain.suite)
    check_is_about(found, notarization, entry.digests)
    proof = complete_proof(answer, notarization)
    check_proof(proof, notarization, None, sender.domain.suite)
    await trust.check(nodes, proof, notarization.leaf)
    return ProvenDocument(proof=proof, notarization=notarization)
