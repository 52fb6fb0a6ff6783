"""The record of a timestamp token on the log, as commands get it from a node and check it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.errors import (
    CannotTell,
    DecodeError,
    NotFound,
    ProofInvalid,
    Unavailable,
)
from chainnode.model.merkle import leaf_hash, verify_inclusion
from chainnode.model.note import parse_note
from chainnode.model.signatories import verify_checkpoint
from chainnode.model.timestamp import parse_serial
from chainnode.model.tlog_proof import Proof, parse_proof
from chainnode.rpc.base64_text import from_base64
from chainnode.tsp.recorded import (
    Recorded,
    check_record,
    decode_leaf,
    record_extra,
    verify_recorded,
)
from cli.proofs import fetch_policy, read_proof
from cli.senders import WAIT_MS

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.genesis import Genesis
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.pki.certificate import X509Certificate
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ProofResult
    from chainnode.tsp.reading import Token
    from cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a node says of a token's record."""

    proof: Proof
    leaf: bytes
    policy: Policy | None


class Fetch:
    """Asks a node for the record that a token names."""

    def __init__(self, token: Token, genesis: Genesis | None, policy: Policy | None) -> None:
        self._token, self._genesis, self._policy = token, genesis, policy

    async def run(self, node: RpcClient) -> Fetched:
        """Return the record with its proof; nothing of it is checked.

        Raises:
            ProofInvalid: `not_on_the_log`: a quorum vouches for a log that ends before it; `other_authority`.
            CannotTell: `unknown_record`: this node has none, which proves nothing.
            Unavailable: the node cannot be reached, or no cosigned checkpoint covers the record yet.
        """
        index = parse_serial(self._token.serial_number).index
        answer = await self._answer(node, index)
        leaf = from_base64(answer["leaf"])
        bare = parse_proof(answer["proof"].encode("utf-8", "replace"))
        return Fetched(
            proof=Proof(
                extra=record_extra(leaf, self._token),
                index=bare.index,
                hashes=bare.hashes,
                note=bare.note,
                checkpoint=bare.checkpoint,
            ),
            leaf=leaf,
            policy=await fetch_policy(node, self._genesis, self._policy),
        )

    async def _answer(self, node: RpcClient, index: int) -> ProofResult:
        """Return the record's proof; what may come within some blocks is waited for, and what is proven not to be there is not."""
        try:
            return await node.log_proof(index)
        except Unavailable as error:
            if error.error_code != "not_yet_cosigned":
                raise
        except NotFound as error:
            absence = await self._absence(node, index)
            if isinstance(absence, ProofInvalid):
                raise absence from error
        try:
            return await node.log_proof(index, wait_ms=WAIT_MS)
        except NotFound as error:
            raise await self._absence(node, index) from error

    async def _absence(self, node: RpcClient, index: int) -> ProofInvalid | CannotTell:
        """Say whether the log is proven to have no such record: a quorum saw it end before that, after the token's time."""
        unknown = CannotTell(
            f"the node has no record {index}, which the token names; it may be behind: ask another node",
            code="unknown_record",
        )
        policy = await fetch_policy(node, self._genesis, self._policy)
        if policy is None:
            return unknown
        answer = await node.log_checkpoint()
        signed = parse_note(answer["checkpoint"].encode("utf-8", "replace"))
        seen = verify_checkpoint(signed, policy)
        late_ms = self._token.time_ms + (self._token.accuracy_ms or 0)
        if seen.checkpoint.size > index or seen.quorum_s * 1_000 <= late_ms:
            return unknown
        return ProofInvalid(
            f"the token names record {index}; a quorum saw the log end with {seen.checkpoint.size} records "
            "after the token's time: the chain did not issue it",
            code="not_on_the_log",
        )


def check_fetched(
    token: Token, certificate: X509Certificate, fetched: Fetched, suite: Suite
) -> Recorded | None:
    """Check what a node said of a token's record: against the policy if there is one, else its arithmetic only."""
    if fetched.policy is not None:
        return verify_recorded(token, certificate, fetched.proof, fetched.leaf, fetched.policy)
    proof = fetched.proof
    check_record(token, certificate, proof.index, fetched.leaf, suite)
    hashed, checkpoint = leaf_hash(suite, fetched.leaf), proof.checkpoint
    verify_inclusion(suite, hashed, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return None


def ask_and_verify(
    session: Session,
    token: Token,
    certificate: X509Certificate,
    proof_path: Path | None,
    policy_file: Path | None,
    kept: Policy | None,
) -> Recorded:
    """Ask a node for what is not at hand, proof or policy, and check it all.

    Args:
        session: Which node and home.
        token: As read; its signature holds.
        certificate: That of the unit.
        proof_path: Proof of the record, if there is one.
        policy_file: The policy that the user named; then genesis does not count.
        kept: That policy, or the home's.

    Raises:
        DecodeError: `no_policy`: nothing to trust.
        ChainError: as `verify_recorded` and `Fetch`.
    """
    genesis = session.genesis_if_any() if policy_file is None else None
    if genesis is None and kept is None:
        raise DecodeError(
            "the home has neither genesis nor policy; name a trust anchor with --policy",
            code="no_policy",
            field="policy",
        )
    if proof_path is None:
        fetched = session.ask(Fetch(token, genesis, kept).run)
        proof, leaf, policy = fetched.proof, fetched.leaf, fetched.policy
    else:
        proof = read_proof(proof_path)
        leaf = decode_leaf(proof.extra)
        policy = session.ask(lambda node: fetch_policy(node, genesis, kept))
    if policy is None:
        raise CannotTell("there is no policy to judge the record by", code="no_policy")
    return verify_recorded(token, certificate, proof, leaf, policy)
