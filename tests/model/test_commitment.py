"""Commitments: what the log shows of a document, and what opens it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from chainnode.model.commitment import (
    PUBLIC_SALT,
    Digest,
    Opening,
    commitment_to,
    derive_salt,
    digests_value,
    parse_digests,
    parse_opening,
    verify_opening,
)
from chainnode.model.errors import DecodeError, ProofInvalid
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

SHA256 = ("sha256", bytes(32))
SHA512 = ("sha512", bytes(64))
SM3 = ("sm3", bytes(32))


@pytest.mark.parametrize("suite", SUITES)
def test_an_opening_opens_its_commitment_and_no_other(suite: str) -> None:
    sample = samples(suite)
    crypto, opening = sample.suite, sample.opening
    verify_opening(crypto, sample.commitment, opening)
    for wrong in (
        replace(opening, salt=PUBLIC_SALT),
        replace(opening, digests=opening.digests[:2]),
        replace(opening, digests=(Digest(algorithm="sm3", value=bytes(32)),)),
    ):
        with refuses("opening_mismatch", ProofInvalid):
            verify_opening(crypto, sample.commitment, wrong)


def test_salts_and_commitments_are_hmacs_as_described() -> None:
    crypto = samples("ed25519-sha256").suite
    seed = b"s" * 32
    salt = derive_salt(crypto, seed, 258)
    assert salt == hmac.digest(seed, b"\0\0\0\0\0\0\1\2", "sha256")
    assert derive_salt(crypto, seed, 257) != salt
    digest = hashlib.sha256(b"file").digest()
    encoded = b"\x91\x92\xa6sha256\xc4\x20" + digest
    value = digests_value((Digest(algorithm="sha256", value=digest),))
    assert commitment_to(crypto, salt, value) == hmac.digest(salt, encoded, "sha256")


@pytest.mark.parametrize(
    "value", [(SHA256,), (SHA512,), (SM3,), (SHA256, SM3), (SHA256, SHA512, SM3)]
)
def test_digest_lists_are_read_back(value) -> None:
    assert digests_value(parse_digests(value)) == value
    opening = Opening(salt=bytes(32), digests=parse_digests(value))
    assert parse_opening(opening.as_value()) == opening


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ((), "malformed"),
        ((SHA256, SHA512, SM3, SM3), "malformed"),
        ((("md5", bytes(16)),), "unknown_algorithm"),
        ((("sha256", bytes(31)),), "bad_digest"),
        ((("sha512", bytes(32)),), "bad_digest"),
        ((("sha256", "text"),), "bad_digest"),
        ((SM3, SHA256), "bad_digest_order"),
        ((SHA256, SHA256), "bad_digest_order"),
        ((("sha256",),), "malformed"),
        (None, "malformed"),
    ],
)
def test_other_digest_lists_are_refused(value, code: str) -> None:
    with refuses(code, DecodeError):
        parse_digests(value)


@pytest.mark.parametrize("salt", [bytes(31), bytes(33), None])
def test_a_salt_has_32_bytes(salt) -> None:
    with pytest.raises(DecodeError, match="salt"):
        parse_opening((salt, (SHA256,)))
