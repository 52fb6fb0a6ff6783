"""Outlines and certified blocks: parts that belong together, and parts that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.block import (
    MAX_CERTIFIED_BLOCK_BYTES,
    MAX_OUTLINE_BYTES,
    CertifiedBlock,
    decode_certified_block,
    decode_outline,
)
from chainnode.model.errors import DecodeError
from chainnode.model.header import NO_CERTIFICATE
from chainnode.model.limits import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    MAX_CERTIFICATE_BYTES,
    MAX_MESSAGE_BYTES,
)
from tests.support.chain import random_bytes
from tests.support.formats import SUITES, samples

SAMPLE = samples(SUITES[0])
DOMAIN = SAMPLE.chain.genesis.domain
OUTLINE, BLOCK = SAMPLE.outline, SAMPLE.block
FIRST, SECOND = SAMPLE.headers
CERTIFICATE = SAMPLE.certificate.encode()


def with_header(header, part=OUTLINE):
    return replace(part, header_bytes=header.encode())


@pytest.mark.parametrize("suite", SUITES)
def test_outlines_and_blocks_are_read_back(suite: str) -> None:
    sample = samples(suite)
    domain = sample.chain.genesis.domain
    assert decode_outline(domain, sample.outline.encode()) == sample.outline
    assert decode_certified_block(domain, sample.block.encode()) == sample.block


def test_block_1_has_no_parent_certificate() -> None:
    first = replace(with_header(FIRST), parent_certificate=b"", tx_hashes=())
    assert decode_outline(DOMAIN, first.encode()).header == FIRST
    block = CertifiedBlock(
        header_bytes=FIRST.encode(),
        header=FIRST,
        block_hash=SAMPLE.certificate.block_hash,
        parent_certificate=b"",
        envelopes=(),
        certificate=CERTIFICATE,
    )
    assert decode_certified_block(DOMAIN, block.encode()) == block


@pytest.mark.parametrize(
    "bad",
    [
        replace(OUTLINE, tx_hashes=()),
        replace(OUTLINE, tx_hashes=OUTLINE.tx_hashes * 2),
        replace(OUTLINE, tx_hashes=(bytes(31),)),
        replace(OUTLINE, parent_certificate=b""),
        replace(OUTLINE, parent_certificate=CERTIFICATE + b"x"),
        replace(OUTLINE, parent_certificate=bytes(MAX_CERTIFICATE_BYTES + 1)),
        replace(OUTLINE, header_bytes=b"\xc0"),
        with_header(replace(SECOND, parent_certificate_hash=NO_CERTIFICATE)),
        replace(with_header(FIRST), parent_certificate=CERTIFICATE, tx_hashes=()),
        replace(
            with_header(replace(FIRST, parent_certificate_hash=SECOND.parent_certificate_hash)),
            parent_certificate=CERTIFICATE,
            tx_hashes=(),
        ),
        replace(
            with_header(replace(FIRST, parent_certificate_hash=random_bytes("a hash"))),
            parent_certificate=b"",
            tx_hashes=(),
        ),
    ],
)
def test_outlines_whose_parts_do_not_agree_are_refused(bad) -> None:
    with pytest.raises(DecodeError):
        decode_outline(DOMAIN, bad.encode())


@pytest.mark.parametrize(
    "bad",
    [
        replace(BLOCK, envelopes=()),
        replace(BLOCK, envelopes=BLOCK.envelopes * 2),
        replace(BLOCK, envelopes=(bytes(256 * 1024 + 1),)),
        replace(BLOCK, parent_certificate=b""),
        replace(BLOCK, certificate=bytes(MAX_CERTIFICATE_BYTES + 1)),
        replace(BLOCK, header_bytes=BLOCK.header_bytes[:-1]),
    ],
)
def test_blocks_whose_parts_do_not_agree_are_refused(bad: CertifiedBlock) -> None:
    with pytest.raises(DecodeError):
        decode_certified_block(DOMAIN, bad.encode())


def test_the_largest_outline_and_block_fit_into_their_limits_and_a_message() -> None:
    header = replace(SECOND, tx_count=MAX_BLOCK_TRANSACTIONS)
    full = with_header(header)
    outline = replace(full, tx_hashes=OUTLINE.tx_hashes * MAX_BLOCK_TRANSACTIONS)
    assert len(outline.encode()) < MAX_OUTLINE_BYTES
    assert len(decode_outline(DOMAIN, outline.encode()).tx_hashes) == MAX_BLOCK_TRANSACTIONS
    size = MAX_BLOCK_BYTES // MAX_BLOCK_TRANSACTIONS
    block = replace(
        with_header(header, BLOCK),
        envelopes=(bytes(size),) * MAX_BLOCK_TRANSACTIONS,
        certificate=bytes(MAX_CERTIFICATE_BYTES),
    )
    assert len(block.encode()) < MAX_CERTIFIED_BLOCK_BYTES < MAX_MESSAGE_BYTES
    assert decode_certified_block(DOMAIN, block.encode()).envelopes == block.envelopes
