"""What somebody who holds only genesis can check about a chain: a header, and who its validators are.

A header is final when a quorum of the set that governs its height signed it. Genesis names the set of height 1;
a set governs until a header whose next_validators_hash differs, which the old set itself must have signed. So
the sets of any height follow from genesis through just the headers at which the set changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.certificate import Certificate, verify_certificate
from chainnode.model.errors import ProofInvalid
from chainnode.model.header import Header, block_hash_of, decode_header

if TYPE_CHECKING:
    from chainnode.model.genesis import Genesis
    from chainnode.model.validators import ValidatorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSet:
    """A validator set that is known to govern from a height on, until a decided header says otherwise."""

    genesis: Genesis
    from_height: int
    """First height that it governs."""

    validators: ValidatorSet


def trusted_genesis(genesis: Genesis) -> TrustedSet:
    """Return the set that genesis itself names."""
    return TrustedSet(genesis=genesis, from_height=1, validators=genesis.validator_set)


def verify_header(trusted: TrustedSet, header_bytes: bytes, certificate: Certificate) -> Header:
    """Return the header if a quorum of the trusted set decided it.

    Raises:
        DecodeError: not a header.
        ProofInvalid: of another chain, below the trusted heights, of another set, or not certified.
    """
    header = decode_header(header_bytes)
    domain = trusted.genesis.domain
    if header.chain_id != trusted.genesis.chain_id:
        raise ProofInvalid(
            f"the header is of chain {header.chain_id}; expected {trusted.genesis.chain_id}",
            code="other_chain",
        )
    if header.height < trusted.from_height:
        raise ProofInvalid(
            f"height {header.height} is before {trusted.from_height}, where this validator set began",
            code="other_validators",
        )
    if header.validators_hash != trusted.validators.hash(domain):
        raise ProofInvalid(
            f"height {header.height} is governed by another validator set than the trusted one",
            code="other_validators",
        )
    if (certificate.height, certificate.block_hash) != (
        header.height,
        block_hash_of(domain, header_bytes),
    ):
        raise ProofInvalid(
            f"the certificate is of height {certificate.height} or another block",
            code="other_block",
        )
    verify_certificate(certificate, domain, trusted.validators)
    return header


def follow_change(
    trusted: TrustedSet, header_bytes: bytes, certificate: Certificate, following: ValidatorSet
) -> TrustedSet:
    """Return the set that governs after a decided header in which the trusted set named its successor.

    Raises:
        DecodeError, ProofInvalid: as `verify_header`; or `following` is not the set that the header names.
    """
    header = verify_header(trusted, header_bytes, certificate)
    if following.hash(trusted.genesis.domain) != header.next_validators_hash:
        raise ProofInvalid(
            f"the validator set offered is not the one that header {header.height} names",
            code="other_validators",
        )
    return TrustedSet(genesis=trusted.genesis, from_height=header.height + 1, validators=following)
