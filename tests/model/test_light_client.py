"""The light client: from genesis to any header, each check negated once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.header import block_hash_of
from chainnode.model.light_client import TrustedSet, follow_change, trusted_genesis, verify_header
from chainnode.model.validators import ValidatorSet, ordered_set
from tests.support.chain import make_chain
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

SAMPLE = samples(SUITES[0])
CHAIN = SAMPLE.chain
GENESIS = CHAIN.genesis
DOMAIN = GENESIS.domain
TRUSTED = trusted_genesis(GENESIS)
NEXT = ordered_set(make_chain(validators=5).genesis.validator_set.members[1:])
FIRST = SAMPLE.headers[0]
CHANGING = replace(FIRST, next_validators_hash=NEXT.hash(DOMAIN))


def certified(header, **options):
    data = header.encode()
    return data, CHAIN.certificate(header.height, block_hash_of(DOMAIN, data), **options)


def test_genesis_is_trusted_from_height_1() -> None:
    expected = TrustedSet(genesis=GENESIS, from_height=1, validators=GENESIS.validator_set)
    assert trusted_genesis(GENESIS) == expected


def test_a_header_that_a_quorum_decided_is_believed_at_any_height_of_the_set() -> None:
    for header in (FIRST, replace(SAMPLE.headers[1], height=1_000)):
        assert verify_header(TRUSTED, *certified(header)) == header


@pytest.mark.parametrize(
    ("header", "trusted", "code"),
    [
        (replace(FIRST, chain_id="other"), TRUSTED, "other_chain"),
        (FIRST, replace(TRUSTED, from_height=2), "other_validators"),
        (replace(FIRST, validators_hash=bytes(32)), TRUSTED, "other_validators"),
        (FIRST, replace(TRUSTED, validators=NEXT), "other_validators"),
    ],
)
def test_a_header_that_the_trusted_set_does_not_govern_is_refused(header, trusted, code) -> None:
    with refuses(code, ProofInvalid):
        verify_header(trusted, *certified(header))


def test_the_certificate_must_be_of_this_very_header() -> None:
    data, certificate = certified(FIRST)
    for other in (
        certified(replace(FIRST, time_ms=FIRST.time_ms + 1))[1],
        replace(certificate, height=2),
    ):
        with refuses("other_block", ProofInvalid):
            verify_header(TRUSTED, data, other)


def test_the_certificate_must_hold() -> None:
    with refuses("too_few_signatures", ProofInvalid):
        verify_header(TRUSTED, *certified(FIRST, signers=(0, 1)))
    data, certificate = certified(FIRST)
    forged = replace(certificate, signatures=tuple((i, bytes(64)) for i in range(3)))
    with refuses("bad_signature", ProofInvalid):
        verify_header(TRUSTED, data, forged)


def test_bytes_that_are_no_header_are_refused() -> None:
    with pytest.raises(DecodeError):
        verify_header(TRUSTED, b"\xc0", certified(FIRST)[1])


def test_a_change_is_followed_to_the_set_that_the_old_one_named() -> None:
    followed = follow_change(TRUSTED, *certified(CHANGING), NEXT)
    assert followed == TrustedSet(genesis=GENESIS, from_height=2, validators=NEXT)
    with refuses("other_validators", ProofInvalid):
        verify_header(followed, *certified(FIRST))


@pytest.mark.parametrize(
    "offered", [GENESIS.validator_set, ValidatorSet(NEXT.members[:2]), ValidatorSet(())]
)
def test_a_set_that_the_header_does_not_name_is_refused(offered: ValidatorSet) -> None:
    with refuses("other_validators", ProofInvalid):
        follow_change(TRUSTED, *certified(CHANGING), offered)


def test_a_change_that_was_not_decided_is_not_followed() -> None:
    with refuses("too_few_signatures", ProofInvalid):
        follow_change(TRUSTED, *certified(CHANGING, signers=(0,)), NEXT)
