"""Certificates: what makes a block final, each condition broken once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model import codec
from chainnode.model.certificate import Certificate, decode_certificate, verify_certificate
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.limits import MAX_CERTIFICATE_BYTES, MAX_VALIDATORS
from chainnode.model.votes import PREPARE, vote_message
from tests.support.chain import make_chain, random_bytes
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

CHAIN = make_chain()
DOMAIN = CHAIN.genesis.domain
SET = CHAIN.genesis.validator_set
BLOCK = random_bytes("a block")
GOOD = CHAIN.certificate(5, BLOCK, view=1)


def encoded(signers: object, signatures: object, **changes: object) -> bytes:
    parts = {"version": 1, "height": 5, "view": 1, "block_hash": BLOCK} | changes
    return codec.encode((*parts.values(), signers, signatures))


@pytest.mark.parametrize("signers", [(0, 1, 2), (0, 1, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_any_quorum_decides(signers: tuple[int, ...]) -> None:
    certificate = CHAIN.certificate(5, BLOCK, signers=signers)
    assert decode_certificate(certificate.encode()) == certificate
    verify_certificate(certificate, DOMAIN, SET)


@pytest.mark.parametrize("suite", SUITES)
def test_certificates_of_both_suites_hold(suite: str) -> None:
    sample = samples(suite)
    genesis = sample.chain.genesis
    decoded = decode_certificate(sample.certificate.encode())
    verify_certificate(decoded, genesis.domain, genesis.validator_set)


def test_fewer_than_a_quorum_do_not_decide() -> None:
    for signers in ((), (0,), (0, 3)):
        with refuses("too_few_signatures", ProofInvalid):
            verify_certificate(CHAIN.certificate(5, BLOCK, signers=signers), DOMAIN, SET)


def _foreign() -> Certificate:
    other = make_chain(chain_id="other")
    return other.certificate(5, BLOCK, view=1)


def _prepared() -> Certificate:
    message = vote_message(DOMAIN, PREPARE, 5, 1, BLOCK)
    signatures = tuple((i, CHAIN.validators[i].consensus.sign(message)) for i in range(3))
    return replace(GOOD, signatures=signatures)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, height=6),
        replace(GOOD, view=0),
        replace(GOOD, block_hash=random_bytes("another block")),
        replace(GOOD, signatures=(*GOOD.signatures[:2], (3, GOOD.signatures[2][1]))),
        replace(GOOD, signatures=(*GOOD.signatures[:2], (4, GOOD.signatures[2][1]))),
        replace(GOOD, signatures=(*GOOD.signatures, (3, bytes(64)))),
        replace(GOOD, signatures=(*GOOD.signatures[:2], (2, b""))),
        replace(GOOD, signatures=(*GOOD.signatures[:2], GOOD.signatures[1])),
        _foreign(),
        _prepared(),
    ],
    ids=[
        "height",
        "view",
        "block",
        "signer",
        "no such signer",
        "one bad among enough",
        "empty signature",
        "one signer twice",
        "chain",
        "kind of vote",
    ],
)
def test_signatures_of_anything_else_do_not_hold(bad: Certificate) -> None:
    with refuses("bad_signature", ProofInvalid):
        verify_certificate(bad, DOMAIN, SET)


def test_the_bitmap_has_the_first_validator_in_its_lowest_bit() -> None:
    certificate = replace(GOOD, signatures=((0, b"a"), (9, b"b")))
    assert certificate.encode() == encoded(b"\x01\x02", (b"a", b"b"))
    assert decode_certificate(certificate.encode()) == certificate


def test_a_certificate_of_the_largest_set_fits() -> None:
    largest = replace(GOOD, signatures=tuple((i, bytes(64)) for i in range(MAX_VALIDATORS)))
    assert len(largest.encode()) <= MAX_CERTIFICATE_BYTES
    assert decode_certificate(largest.encode()) == largest


@pytest.mark.parametrize(
    "bad",
    [
        encoded(b"\x01\x00", (b"a",)),
        encoded(b"\x00", ()),
        encoded(b"\x03", (b"a",)),
        encoded(b"\x01", (b"a", b"b")),
        encoded(bytes(13) + b"\x01", (b"a",)),
        encoded(b"\x01", (bytes(129),)),
        encoded(b"\x01", ("a",)),
        encoded(b"\x01", (b"a",), version=2),
        encoded(b"\x01", (b"a",), height=0),
        encoded(b"\x01", (b"a",), view=-1),
        encoded(b"\x01", (b"a",), view=2**31),
        encoded(b"\x01", (b"a",), block_hash=bytes(31)),
    ],
)
def test_bytes_that_are_no_certificate_are_refused(bad: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_certificate(bad)


def test_the_hash_tells_certificates_of_one_block_apart() -> None:
    other = CHAIN.certificate(5, BLOCK, view=1, signers=(0, 1, 3))
    assert GOOD.hash(DOMAIN) == DOMAIN.hash("certificate", GOOD.encode())
    assert GOOD.hash(DOMAIN) != other.hash(DOMAIN)
