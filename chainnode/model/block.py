"""Blocks in the two forms in which they travel and rest.

    outline         = [header (bin), parent_certificate (bin), [tx_hash, ...]]          what a leader proposes
    certified block = [header (bin), parent_certificate (bin), [envelope, ...], certificate (bin)]

An outline names transactions by hash, since every validator has most of them already. A certified block holds all that a node
that was away needs: it is checked from the certificate inwards. parent_certificate is empty in block 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.header import NO_CERTIFICATE, Header, block_hash_of, decode_header
from chainnode.model.ids import BlockHash, TransactionHash
from chainnode.model.limits import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    MAX_CERTIFICATE_BYTES,
    MAX_HEADER_BYTES,
    MAX_TRANSACTION_BYTES,
)
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain

MAX_OUTLINE_BYTES: Final = (
    MAX_HEADER_BYTES + MAX_CERTIFICATE_BYTES + MAX_BLOCK_TRANSACTIONS * (HASH_BYTES + 2) + 16
)
MAX_CERTIFIED_BLOCK_BYTES: Final = (
    MAX_BLOCK_BYTES + MAX_BLOCK_TRANSACTIONS * 5 + MAX_HEADER_BYTES + 2 * MAX_CERTIFICATE_BYTES + 32
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a leader proposes: a header and the names of the transactions."""

    header_bytes: bytes
    """The header as proposed; its hash is the block's."""

    header: Header
    """The same, decoded."""

    block_hash: BlockHash
    """Hash of the header bytes."""

    parent_certificate: bytes
    """The certificate whose hash the header names; empty for block 1."""

    tx_hashes: tuple[TransactionHash, ...]
    """As many as the header counts, in order."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode((self.header_bytes, self.parent_certificate, self.tx_hashes))


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedBlock:
    """A decided block with everything that it takes to check it."""

    header_bytes: bytes
    """The header as decided."""

    header: Header
    """The same, decoded."""

    block_hash: BlockHash
    """Hash of the header bytes."""

    parent_certificate: bytes
    """The certificate whose hash the header names; empty for block 1."""

    envelopes: tuple[bytes, ...]
    """The transactions, as many as the header counts, in order."""

    certificate: bytes
    """A certificate of this block."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (self.header_bytes, self.parent_certificate, self.envelopes, self.certificate)
        )


def make_outline(
    domain: Domain,
    *,
    header: Header,
    parent_certificate: bytes,
    tx_hashes: tuple[TransactionHash, ...],
) -> Outline:
    """Return the outline of a block that was just built."""
    header_bytes = header.encode()
    return Outline(
        header_bytes=header_bytes,
        header=header,
        block_hash=block_hash_of(domain, header_bytes),
        parent_certificate=parent_certificate,
        tx_hashes=tx_hashes,
    )


def decode_outline(domain: Domain, data: bytes) -> Outline:
    """Decode an outline and check that its parts agree in number.

    Raises:
        DecodeError: not the canonical bytes of any outline.
    """
    header_value, certificate, hashes = codec.decode_array(
        data, max_bytes=MAX_OUTLINE_BYTES, arity=3, what="outline"
    )
    header_bytes = codec.binary(header_value, "header", most=MAX_HEADER_BYTES)
    header = decode_header(header_bytes)
    outline = Outline(
        header_bytes=header_bytes,
        header=header,
        block_hash=block_hash_of(domain, header_bytes),
        parent_certificate=_parent_certificate(domain, header, certificate),
        tx_hashes=tuple(
            TransactionHash(codec.binary(h, "tx_hash", size=HASH_BYTES))
            for h in codec.array_up_to(hashes, "tx_hashes", most=MAX_BLOCK_TRANSACTIONS)
        ),
    )
    if len(outline.tx_hashes) != header.tx_count:
        raise DecodeError(
            f"outline: {len(outline.tx_hashes)} transactions; its header counts {header.tx_count}"
        )
    return outline


def decode_certified_block(domain: Domain, data: bytes) -> CertifiedBlock:
    """Decode a certified block. Neither its certificate nor its roots are verified here.

    Raises:
        DecodeError: not the canonical bytes of any certified block.
    """
    header_value, parent, envelopes, certificate = codec.decode_array(
        data, max_bytes=MAX_CERTIFIED_BLOCK_BYTES, arity=4, what="certified block"
    )
    header_bytes = codec.binary(header_value, "header", most=MAX_HEADER_BYTES)
    header = decode_header(header_bytes)
    block = CertifiedBlock(
        header_bytes=header_bytes,
        header=header,
        block_hash=block_hash_of(domain, header_bytes),
        parent_certificate=_parent_certificate(domain, header, parent),
        envelopes=tuple(
            codec.binary(e, "envelope", most=MAX_TRANSACTION_BYTES)
            for e in codec.array_up_to(envelopes, "envelopes", most=MAX_BLOCK_TRANSACTIONS)
        ),
        certificate=codec.binary(certificate, "certificate", most=MAX_CERTIFICATE_BYTES),
    )
    if len(block.envelopes) != header.tx_count:
        raise DecodeError(
            f"block: {len(block.envelopes)} transactions; its header counts {header.tx_count}"
        )
    return block


def _parent_certificate(domain: Domain, header: Header, value: Value) -> bytes:
    certificate = codec.binary(value, "parent_certificate", most=MAX_CERTIFICATE_BYTES)
    if header.height == 1:
        found = NO_CERTIFICATE if certificate == b"" else b""
    else:
        found = domain.hash("certificate", certificate)
    if found != header.parent_certificate_hash:
        raise DecodeError("parent_certificate: not the one that the header names")
    return certificate
