"""Transactions: what is signed, what is named, and which envelopes are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.ids import Height
from chainnode.model.limits import MAX_CALLS, MAX_TRANSACTION_BYTES
from chainnode.model.transaction import (
    Body,
    Call,
    claims_of,
    decode_body,
    decode_transaction,
    encode_envelope,
    signed_message,
)
from tests.support.chain import make_chain
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

SAMPLE = samples(SUITES[0])
DOMAIN = SAMPLE.chain.genesis.domain
TRANSACTION = SAMPLE.transaction
CALL = Call(contract="notary", method="register", args=())


def envelope(**changes: object) -> bytes:
    parts: dict[str, object] = {
        "body": TRANSACTION.body.encode(),
        "suite": DOMAIN.suite.name,
        "public_key": TRANSACTION.public_key,
        "signature": TRANSACTION.signature,
    }
    return encode_envelope(**(parts | changes))


def body(**changes: object) -> Body:
    return replace(TRANSACTION.body, **changes)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_signed_is_what_is_decoded(suite: str) -> None:
    sample = samples(suite)
    domain, signed = sample.chain.genesis.domain, sample.transaction
    decoded = decode_transaction(domain, signed.envelope)
    for name in ("body", "public_key", "signature", "envelope", "id", "hash"):
        assert getattr(decoded, name) == getattr(signed, name)
    message = signed_message(domain, decoded.id)
    assert domain.suite.is_signature(decoded.public_key, message, decoded.signature)


def test_the_id_can_be_told_before_the_body_is_read() -> None:
    claims = claims_of(DOMAIN, TRANSACTION.envelope)
    assert claims is not None
    assert claims.id == TRANSACTION.id
    assert claims.organisation() == TRANSACTION.body.sender.partition("/")[0]
    assert claims_of(DOMAIN, envelope(public_key=b"")) is None
    with refuses("malformed", DecodeError):
        claims_of(DOMAIN, envelope(body="text"))


@given(st.binary(max_size=200))
def test_whatever_a_body_is_it_claims_some_organisation_or_none(body: bytes) -> None:
    claims = claims_of(DOMAIN, envelope(body=body))
    assert claims is not None
    assert isinstance(claims.organisation(), str)


def test_the_id_is_of_the_body_and_the_hash_of_every_byte() -> None:
    other = decode_transaction(DOMAIN, envelope(signature=bytes(64)))
    assert other.id == TRANSACTION.id
    assert other.hash != TRANSACTION.hash
    changed = decode_transaction(DOMAIN, envelope(body=body(nonce=bytes(16)).encode()))
    assert changed.id != TRANSACTION.id


def test_another_chain_gives_another_id_and_another_message() -> None:
    other = make_chain(chain_id="other").genesis.domain
    elsewhere = decode_transaction(other, TRANSACTION.envelope)
    assert elsewhere.id != TRANSACTION.id
    assert elsewhere.hash != TRANSACTION.hash
    assert signed_message(other, TRANSACTION.id) != signed_message(DOMAIN, TRANSACTION.id)


def test_a_transaction_of_another_suite_is_refused_by_name() -> None:
    with refuses("wrong_suite", DecodeError):
        decode_transaction(DOMAIN, envelope(suite="sm2-sm3"))


def test_keys_and_signatures_of_any_length_up_to_128_bytes_can_be_carried() -> None:
    for size in (0, 128):
        decoded = decode_transaction(
            DOMAIN, envelope(public_key=bytes(size), signature=bytes(size))
        )
        assert len(decoded.public_key) == len(decoded.signature) == size
    for name in ("public_key", "signature"):
        with pytest.raises(DecodeError, match=name):
            decode_transaction(DOMAIN, envelope(**{name: bytes(129)}))


def test_an_envelope_may_be_as_large_as_the_limit_and_no_larger() -> None:
    def sized(filler: int) -> bytes:
        call = Call(contract="notary", method="register", args=(bytes(filler),))
        return envelope(body=body(calls=(call,)).encode())

    rest = len(sized(100_000)) - 100_000
    largest = sized(MAX_TRANSACTION_BYTES - rest)
    assert len(largest) == MAX_TRANSACTION_BYTES
    decode_transaction(DOMAIN, largest)
    with refuses("too_large", DecodeError):
        decode_transaction(DOMAIN, sized(MAX_TRANSACTION_BYTES - rest + 1))


@pytest.mark.parametrize(
    "good",
    [
        {"calls": (CALL,) * MAX_CALLS},
        {"last_valid_height": Height(0)},
        {"last_valid_height": Height(2**63 - 1)},
        {"chain_id": "another"},
    ],
)
def test_bodies_at_the_edges_are_read_back(good: dict[str, object]) -> None:
    made = body(**good)
    assert decode_body(made.encode()) == made


@pytest.mark.parametrize(
    "bad",
    [
        {"chain_id": "A"},
        {"chain_id": ""},
        {"sender": "clerk"},
        {"sender": "court/" + "a" * 130},
        {"nonce": bytes(15)},
        {"nonce": bytes(17)},
        {"last_valid_height": -1},
        {"last_valid_height": 2**63},
        {"calls": ()},
        {"calls": (CALL,) * (MAX_CALLS + 1)},
        {"calls": (replace(CALL, contract="Notary"),)},
        {"calls": (replace(CALL, contract=""),)},
        {"calls": (replace(CALL, method="a b"),)},
        {"calls": (replace(CALL, method="a" * 65),)},
    ],
)
def test_bodies_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_body(body(**bad).encode())


def test_there_is_one_version_of_a_body() -> None:
    fields = codec.decode_array(
        TRANSACTION.body.encode(), max_bytes=MAX_TRANSACTION_BYTES, arity=6, what="body"
    )
    for version in (0, 2):
        with pytest.raises(DecodeError, match="version"):
            decode_body(codec.encode((version, *fields[1:])))
