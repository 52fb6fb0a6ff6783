"""Which validators govern a height, from genesis alone: the node supplies, this machine checks.

A node is asked for the headers at which the validator set changed, and for the header of the height itself. Each
must be signed by a quorum of the set before, so the node can withhold and delay, but not invent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.certificate import decode_certificate
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.ids import TransactionId
from chainnode.model.light_client import (
    TrustedSet,
    follow_change,
    trusted_genesis,
    verify_header,
)
from chainnode.model.merkle import leaf_hashes, root_of
from chainnode.model.receipt import Receipt
from chainnode.model.second_key import decode_second_key, second_key_of, second_key_state_key
from chainnode.model.state_tree import decode_state_proof, verify_state_proof
from chainnode.model.tlog_policy import Policy, validators_policy
from chainnode.model.validators import decode_validator_set
from chainnode.rpc.base64_text import from_base64

if TYPE_CHECKING:
    from chainnode.model.certificate import Certificate
    from chainnode.model.genesis import Genesis
    from chainnode.model.header import Header
    from chainnode.model.note import VerifierKey
    from chainnode.model.validators import ValidatorSet
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ReceiptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedHeight:
    """A decided height, checked from genesis."""

    header: Header | None
    """Its header; None for height 0, which genesis itself is."""

    validators: ValidatorSet
    """The set that decided it; of height 0, the set of genesis."""

    changes: int
    """How often the set had changed up to there."""

    def policy(self, genesis: Genesis) -> Policy:
        """Return the policy under which checkpoints of that height verify."""
        return validators_policy(
            genesis.suite,
            genesis.chain_id,
            [(v.name, v.log_key, v.cosigner_key) for v in self.validators.members],
        )


async def follow(node: RpcClient, genesis: Genesis, height: int | None) -> TrustedHeight:
    """Return a height (the node's newest if None), checked from genesis.

    Raises:
        ProofInvalid: what the node says is not signed as it must be.
        DecodeError: its answer is malformed.
        NotFound: it has no such height.
        Unavailable: it cannot be reached.
    """
    if height is None:
        height = (await node.chain_status())["tip_height"]
    trusted = trusted_genesis(genesis)
    if height == 0:
        return TrustedHeight(header=None, validators=trusted.validators, changes=0)
    changes = (await node.chain_validators(height))["change_heights"]
    for change in changes:
        if not trusted.from_height < change <= height:
            raise DecodeError(
                f"change_heights in the node's answer: {change} after {trusted.from_height}, up to {height}",
                code="bad_answer",
            )
        trusted = await _follow_to(node, trusted, change)
    header_bytes, certificate = await _header(node, height)
    header = verify_header(trusted, header_bytes, certificate)
    if header.height != height:
        raise ProofInvalid(
            f"the node answered header {header.height}; expected {height}", code="other_block"
        )
    return TrustedHeight(header=header, validators=trusted.validators, changes=len(changes))


async def receipts(node: RpcClient, genesis: Genesis, height: int) -> tuple[ReceiptResult, ...]:
    """Return the receipts of a block, 1 or higher, in order; they are those that its signed header commits to.

    Raises as `follow`; ProofInvalid as well if the header commits to others.
    """
    header = (await follow(node, genesis, height)).header
    found = (await node.chain_block(height))["receipts"]
    hashes = leaf_hashes(genesis.suite, [_receipt_bytes(receipt) for receipt in found])
    if header is None or root_of(genesis.suite, hashes) != header.receipts_root:
        raise ProofInvalid(
            f"the node answered receipts that the header of block {height} does not commit to",
            code="other_receipts",
        )
    return tuple(found)


async def second_keys(
    node: RpcClient, genesis: Genesis, trusted: TrustedHeight
) -> dict[str, VerifierKey]:
    """Return the ML-DSA-44 keys with which validators cosign too, by key name `<chain id>/<validator>`.

    Each is proven under the height's state root, and to be had by its validator.

    Raises:
        ProofInvalid: the node's proof does not hold.
        DecodeError: its answer is malformed.
        Unavailable: it cannot be reached, or no longer keeps the state of that height.
        CannotTell: this installation cannot judge such keys.
    """
    header = trusted.header
    found: dict[str, VerifierKey] = {}
    if header is None:
        return found
    for validator in trusted.validators.members:
        key = second_key_state_key(validator.name)
        answer = await node.state_get(key, prove=True, height=header.height)
        value = None if answer["value"] is None else from_base64(answer["value"])
        if answer["proof"] is None:
            raise DecodeError("the node's answer lacks the proof", code="bad_answer")
        proof = decode_state_proof(from_base64(answer["proof"]))
        verify_state_proof(genesis.suite, header.state_root, key, value, proof)
        said = None if value is None else decode_second_key(value)
        counts = second_key_of(
            genesis.domain, genesis.chain_id, validator.name, validator.cosigner_key, said
        )
        if counts is not None:
            found[counts.name] = counts
    return found


async def _follow_to(node: RpcClient, trusted: TrustedSet, change: int) -> TrustedSet:
    answer = await node.chain_validators(change)
    following = decode_validator_set(from_base64(answer["encoded"]), trusted.genesis.suite)
    header_bytes, certificate = await _header(node, change - 1)
    followed = follow_change(trusted, header_bytes, certificate, following)
    if followed.from_height != change:
        raise ProofInvalid(
            f"the set offered for height {change} governs from {followed.from_height}",
            code="other_validators",
        )
    return followed


def _receipt_bytes(told: ReceiptResult) -> bytes:
    try:
        return Receipt(
            tx_id=TransactionId(bytes.fromhex(told["tx_id"])),
            succeeded=told["succeeded"],
            code=told["code"],
            message=told["message"],
            first_record=told["first_record"],
            record_count=told["record_count"],
        ).encode()
    except (ValueError, OverflowError) as error:
        raise DecodeError(f"a receipt in the node's answer: {error}", code="bad_answer") from error


async def _header(node: RpcClient, height: int) -> tuple[bytes, Certificate]:
    answer = await node.chain_header(height)
    return from_base64(answer["header"]), decode_certificate(from_base64(answer["certificate"]))
