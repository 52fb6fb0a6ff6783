"""Headers: what a block hash covers."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from chainnode.model.errors import DecodeError
from chainnode.model.header import Header, block_hash_of, decode_header
from chainnode.model.limits import MAX_HEADER_BYTES
from tests.support.chain import random_bytes
from tests.support.formats import SUITES, samples

SAMPLE = samples(SUITES[0])
DOMAIN = SAMPLE.chain.genesis.domain
HEADER = SAMPLE.headers[1]


def changed(value: object) -> object:
    match value:
        case bytes():
            return random_bytes("changed")
        case str():
            return value + "x"
        case int():
            return value + 1


def test_the_block_hash_covers_every_field() -> None:
    hashes = {block_hash_of(DOMAIN, HEADER.encode())}
    for field in fields(Header):
        other = replace(HEADER, **{field.name: changed(getattr(HEADER, field.name))})
        assert decode_header(other.encode()) == other
        hashes.add(block_hash_of(DOMAIN, other.encode()))
    assert len(hashes) == 1 + 17


def test_the_largest_header_fits() -> None:
    largest = replace(
        HEADER,
        rules_version=2**16 - 1,
        chain_id="a" * 128,
        height=2**63 - 1,
        time_ms=2**63 - 1,
        first_view=2**31 - 1,
        proposer="a" * 64,
        tx_count=10_000,
        log_size=2**63 - 1,
    )
    assert len(largest.encode()) < 700 <= MAX_HEADER_BYTES
    assert decode_header(largest.encode()) == largest


@pytest.mark.parametrize(
    "bad",
    [
        {"rules_version": 0},
        {"rules_version": 2**16},
        {"chain_id": "A"},
        {"chain_id": "a" * 129},
        {"height": 0},
        {"time_ms": -1},
        {"first_view": -1},
        {"first_view": 2**31},
        {"proposer": ""},
        {"proposer": "a" * 65},
        {"tx_count": -1},
        {"tx_count": 10_001},
        {"log_size": 0},
        *({f.name: bytes(31)} for f in fields(Header) if f.name.endswith(("_root", "_hash"))),
    ],
)
def test_headers_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_header(replace(HEADER, **bad).encode())
