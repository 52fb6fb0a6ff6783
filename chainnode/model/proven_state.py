"""Values of the state, proven offline under the same policy as records are.

A file of this kind is a `.tlog-proof` of the first record of a block, which names the header before it by its hash; its
`extra` brings that header and what hangs below it:

    extra   = [leaf, opening]
    opening = [genesis_hash, header, [[key, value | nil, state proof], ...]]      1 to 8 keys; nil: there is no such key

So the chain of trust is: state proof, state root in the header, the record that names the header, the log, the cosigned
checkpoint, the policy. `genesis_hash` is needed to hash the header; a wrong one gives another hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.domain import Domain
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.header import Header, block_hash_of, decode_header
from chainnode.model.limits import MAX_HEADER_BYTES, MAX_RECORD_BYTES
from chainnode.model.record import PARENT_KIND, decode_record
from chainnode.model.state_tree import (
    MAX_STATE_KEY_BYTES,
    MAX_STATE_PROOF_BYTES,
    StateProof,
    decode_state_proof,
    verify_state_proof,
)
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES, Verdict, verify

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.record import Record
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof

MAX_KEYS: Final = 8
"""Keys of one file; their proofs must fit into `extra`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenKey:
    """One key, and what the state held under it."""

    key: bytes
    """Full state key."""

    value: bytes | None
    """None if there was no such key."""

    proof: StateProof


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenState:
    """Keys of the state after a block. Decoded; nothing is verified."""

    leaf: bytes
    """The first record of the block after that one."""

    record: Record
    genesis_hash: bytes
    header_bytes: bytes
    header: Header
    """Of the block whose state it is."""

    keys: tuple[ProvenKey, ...]

    def has(self, key: bytes) -> bool:
        """Whether it says anything of `key`."""
        return any(proven.key == key for proven in self.keys)

    def value(self, key: bytes) -> bytes | None:
        """Return what the state held under `key`, or None if there was no such key.

        Raises:
            DecodeError: with code `other_record`: it says nothing of that key.
        """
        for proven in self.keys:
            if proven.key == key:
                return proven.value
        raise DecodeError(
            "the proof of state is about another record; make one of this record",
            code="other_record",
        )

    def extra(self) -> bytes:
        """Return what the proof carries as `extra`."""
        keys = tuple((k.key, k.value, k.proof.encode()) for k in self.keys)
        return codec.encode((self.leaf, (self.genesis_hash, self.header_bytes, keys)))


def parse_proven_state(extra: bytes | None) -> ProvenState:
    """Read the `extra` of a proof.

    Raises:
        DecodeError: there is none, or it is of another shape.
    """
    if extra is None:
        raise DecodeError("proof: no `extra` line, so no state that it could prove", field="extra")
    leaf_value, opening = codec.decode_array(
        extra, max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra"
    )
    leaf = codec.binary(leaf_value, "leaf", most=MAX_RECORD_BYTES)
    record = decode_record(leaf)
    if record.kind != PARENT_KIND:
        raise DecodeError(
            f"proof: its record is of kind {record.kind}; expected {PARENT_KIND}, which vouches for a header",
            code="other_kind",
            field="extra",
        )
    genesis_hash, header_bytes, keys = codec.array(opening, "opening", arity=3)
    header_data = codec.binary(header_bytes, "header", most=MAX_HEADER_BYTES)
    return ProvenState(
        leaf=leaf,
        record=record,
        genesis_hash=codec.binary(genesis_hash, "genesis_hash", size=HASH_BYTES),
        header_bytes=header_data,
        header=decode_header(header_data),
        keys=tuple(
            _proven_key(key) for key in codec.array_up_to(keys, "keys", least=1, most=MAX_KEYS)
        ),
    )


def verify_proven_state(proof: Proof, policy: Policy, proven: ProvenState) -> Verdict:
    """Check that a chain's validators vouch for what `proven` says of the state.

    Raises:
        DecodeError: the policy names no log.
        ProofInvalid: it is proven not to hold: `other_block`, `bad_state_proof`, or as `tlog_proof.verify`.
        CannotTell: with code `policy_retired`.
    """
    if not policy.logs:
        raise DecodeError("policy: it names no log, so it can vouch for nothing", field="policy")
    suite = policy.logs[0].key.type.suite
    block_hash = block_hash_of(Domain(suite, proven.genesis_hash), proven.header_bytes)
    if proven.record.body != (proven.header.height, block_hash):
        raise ProofInvalid(
            f"the header in the proof of state is not the one that block {proven.record.height} names",
            code="other_block",
        )
    for key in proven.keys:
        try:
            verify_state_proof(suite, proven.header.state_root, key.key, key.value, key.proof)
        except ProofInvalid as error:
            raise ProofInvalid(error.message, code="bad_state_proof") from error
    return verify(proof, proven.leaf, policy)


def _proven_key(value: Value) -> ProvenKey:
    key, held, proof = codec.array(value, "key", arity=3)
    return ProvenKey(
        key=codec.binary(key, "key", most=MAX_STATE_KEY_BYTES),
        value=None if held is None else codec.binary(held, "value"),
        proof=decode_state_proof(codec.binary(proof, "proof", most=MAX_STATE_PROOF_BYTES)),
    )
