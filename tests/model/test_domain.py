"""Domain separation: no two kinds of statement and no two chains share bytes."""

from __future__ import annotations

import itertools

import pytest

from chainnode.model.domain import Domain, genesis_hash_of
from chainnode.model.suites import SUITE_NAMES, suite_named

KINDS = (
    "transaction-id",
    "transaction-hash",
    "transaction-signature",
    "vote",
    "block",
    "certificate",
    "parameters",
    "validators",
)


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_contexts_are_those_of_the_description(suite: str) -> None:
    domain = Domain(suite_named(suite), b"\x07" * 32)
    assert domain.context("vote") == b"chainnode/1 vote\0" + b"\x07" * 32
    assert domain.transaction_id == domain.context("transaction-id")
    assert domain.transaction_hash == domain.context("transaction-hash")
    assert domain.transaction_signature == domain.context("transaction-signature")
    assert domain.hash("block", b"x") == domain.suite.hash(domain.context("block") + b"x")


def test_no_context_is_the_beginning_of_another() -> None:
    suite = suite_named("ed25519-sha256")
    domains = [Domain(suite, bytes([i]) * 32) for i in range(2)]
    contexts = [d.context(kind) for d in domains for kind in KINDS]
    for one, other in itertools.permutations(contexts, 2):
        assert not one.startswith(other)


def test_a_kind_is_ascii() -> None:
    with pytest.raises(UnicodeEncodeError):
        Domain(suite_named("ed25519-sha256"), bytes(32)).context("块")


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_a_chain_is_named_by_the_exact_bytes_of_its_genesis(suite: str) -> None:
    crypto = suite_named(suite)
    assert genesis_hash_of(crypto, b"doc") == crypto.hash(b"chainnode/1 genesis\0doc")
