"""Block headers: 17 fields that commit to everything a block holds and does.

    header = [rules_version, chain_id, height, parent_hash, time_ms, first_view, params_hash, proposer,
              parent_certificate_hash, tx_root, tx_count, receipts_root, log_size, log_root, state_root,
              validators_hash, next_validators_hash]
    block_hash = hash("block", header bytes)

A header is byte-identical when it is proposed again in a later view; the view of the decision is in the
certificate. All results are of executing this very block, so a decided header proves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.ids import BlockHash, Height, View, check_chain_id, check_name
from chainnode.model.limits import (
    MAX_BLOCK_TRANSACTIONS,
    MAX_CHAIN_ID_BYTES,
    MAX_HEADER_BYTES,
    MAX_NAME_BYTES,
)
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import MAX_VIEW

if TYPE_CHECKING:
    from chainnode.model.domain import Domain

NO_CERTIFICATE: Final = bytes(HASH_BYTES)
"""parent_certificate_hash of block 1: genesis has no certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What validators vote on."""

    rules_version: int
    """Version of the rules by which the block was executed and is to be judged."""

    chain_id: str
    """Chain it belongs to."""

    height: Height
    """1 or more."""

    parent_hash: BlockHash
    """Hash of the header before; of block 1: the genesis hash."""

    time_ms: int
    """The proposer's clock at the first proposal; above the parent's."""

    first_view: View
    """View in which it was first proposed; with the parameters it gives the certified interval."""

    params_hash: bytes
    """Hash of the chain parameters in force."""

    proposer: str
    """Name of the validator that first proposed it."""

    parent_certificate_hash: bytes
    """Hash of the certificate of the parent that this block carries; zeros for block 1."""

    tx_root: bytes
    """RFC 9162 root over the transaction hashes in order."""

    tx_count: int
    """How many transactions it holds."""

    receipts_root: bytes
    """RFC 9162 root over the encoded receipts in order."""

    log_size: int
    """Leaves of the log after this block."""

    log_root: bytes
    """Root of the log after this block."""

    state_root: bytes
    """Root of the state tree after this block."""

    validators_hash: bytes
    """Set that decides this block."""

    next_validators_hash: bytes
    """Set that decides the next one."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                self.rules_version,
                self.chain_id,
                self.height,
                self.parent_hash,
                self.time_ms,
                self.first_view,
                self.params_hash,
                self.proposer,
                self.parent_certificate_hash,
                self.tx_root,
                self.tx_count,
                self.receipts_root,
                self.log_size,
                self.log_root,
                self.state_root,
                self.validators_hash,
                self.next_validators_hash,
            )
        )


def block_hash_of(domain: Domain, header_bytes: bytes) -> BlockHash:
    """Return the hash that votes, certificates and children name a block by."""
    return BlockHash(domain.hash("block", header_bytes))


def decode_header(data: bytes) -> Header:
    """Decode a header.

    Raises:
        DecodeError: not the canonical bytes of any header.
    """
    fields = codec.decode_array(data, max_bytes=MAX_HEADER_BYTES, arity=17, what="header")

    def digest(position: int, what: str) -> bytes:
        return codec.binary(fields[position], what, size=HASH_BYTES)

    header = Header(
        rules_version=codec.integer(fields[0], "rules_version", least=1, most=2**16 - 1),
        chain_id=codec.text(fields[1], "chain_id", most_bytes=MAX_CHAIN_ID_BYTES),
        height=Height(codec.integer(fields[2], "height", least=1)),
        parent_hash=BlockHash(digest(3, "parent_hash")),
        time_ms=codec.integer(fields[4], "time_ms"),
        first_view=View(codec.integer(fields[5], "first_view", most=MAX_VIEW)),
        params_hash=digest(6, "params_hash"),
        proposer=codec.text(fields[7], "proposer", most_bytes=MAX_NAME_BYTES),
        parent_certificate_hash=digest(8, "parent_certificate_hash"),
        tx_root=digest(9, "tx_root"),
        tx_count=codec.integer(fields[10], "tx_count", most=MAX_BLOCK_TRANSACTIONS),
        receipts_root=digest(11, "receipts_root"),
        log_size=codec.integer(fields[12], "log_size", least=1),
        log_root=digest(13, "log_root"),
        state_root=digest(14, "state_root"),
        validators_hash=digest(15, "validators_hash"),
        next_validators_hash=digest(16, "next_validators_hash"),
    )
    check_chain_id(header.chain_id)
    check_name(header.proposer, "proposer")
    return header
