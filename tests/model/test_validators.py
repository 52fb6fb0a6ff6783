"""Validator sets: one order, one purpose for each key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.validators import (
    MAX_VALIDATOR_SET_BYTES,
    Validator,
    ValidatorSet,
    decode_validator_set,
    ordered_set,
    parse_validator_set,
)
from tests.support.chain import key_pair, make_chain, random_bytes
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

GENESIS = make_chain(validators=7).genesis
SET = GENESIS.validator_set
SUITE = GENESIS.suite


def with_member(index: int, **changes: object) -> ValidatorSet:
    members = list(SET.members)
    members[index] = replace(members[index], **changes)
    return ValidatorSet(tuple(members))


@pytest.mark.parametrize("suite", SUITES)
def test_a_set_is_read_back(suite: str) -> None:
    known = samples(suite).chain.genesis.validator_set
    assert decode_validator_set(known.encode(), samples(suite).suite) == known


def test_a_set_counts_its_quorum_and_knows_its_members_by_name() -> None:
    assert (SET.size, SET.quorum, SET.faulty) == (7, 5, 2)
    assert [SET.index_of(v.name) for v in SET.members] == list(range(7))
    assert SET.index_of("nobody") is None


def test_the_order_of_a_set_does_not_depend_on_who_lists_it() -> None:
    assert ordered_set(tuple(reversed(SET.members))) == SET


def test_the_hash_covers_every_name_and_key() -> None:
    hashes = {SET.hash(GENESIS.domain)}
    names = ("name", "consensus_key", "cosigner_key", "log_key", "tls_key")
    for name in names:
        value = "other" if name == "name" else b"other"
        hashes.add(with_member(3, **{name: value}).hash(GENESIS.domain))
    assert len(hashes) == 1 + len(names)


def test_a_set_of_the_largest_size_fits() -> None:
    members = tuple(
        Validator(
            name=f"v{i}" + "a" * 60,
            consensus_key=key_pair(SUITE, f"{i} consensus").public,
            cosigner_key=key_pair(SUITE, f"{i} cosigner").public,
            log_key=key_pair(SUITE, f"{i} log").public,
            tls_key=random_bytes(f"{i} tls", 1_024),
        )
        for i in range(MAX_VALIDATORS + 1)
    )
    largest = ordered_set(members[:-1])
    assert len(largest.encode()) <= MAX_VALIDATOR_SET_BYTES
    assert decode_validator_set(largest.encode(), SUITE) == largest
    with pytest.raises(DecodeError):
        parse_validator_set(ordered_set(members).as_value(), SUITE)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (ValidatorSet(()), "malformed"),
        (ValidatorSet(SET.members[::-1]), "malformed"),
        (with_member(1, name=SET.members[0].name), "malformed"),
        (with_member(1, name="A"), "bad_name"),
        (with_member(1, consensus_key=bytes(32)), "bad_key"),
        (with_member(1, cosigner_key=b""), "bad_key"),
        (with_member(1, log_key=bytes(33)), "bad_key"),
        (with_member(1, tls_key=bytes(1_025)), "malformed"),
        (with_member(1, cosigner_key=SET.members[1].consensus_key), "key_reused"),
        (with_member(1, log_key=SET.members[0].cosigner_key), "key_reused"),
        (with_member(1, tls_key=SET.members[0].tls_key), "key_reused"),
        (with_member(1, tls_key=SET.members[0].log_key), "key_reused"),
        (with_member(1, consensus_key=SET.members[0].consensus_key), "key_reused"),
    ],
)
def test_sets_that_cannot_be_are_refused(bad: ValidatorSet, code: str) -> None:
    with refuses(code, DecodeError):
        parse_validator_set(bad.as_value(), SUITE)
