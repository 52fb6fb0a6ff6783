"""What may wait for a block, and why the rest may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.mempool.admission import check_admissible
from chainnode.model.errors import Refused
from chainnode.model.limits import MAX_TRANSACTION_BYTES, MAX_VALID_HEIGHTS
from chainnode.storage.memory import MemoryStore
from tests.support.chain import ADMIN, CLERK, GUEST, key_pair, make_chain
from tests.support.refusals import refuses

CHAIN = make_chain()


@pytest.fixture
def ledger():
    ledger = Ledger.open(MemoryStore(), CHAIN.genesis)
    CHAIN.extend(ledger, [CHAIN.notarization("old")])
    return ledger


def test_good_transaction_is_admitted(ledger):
    check_admissible(ledger, CHAIN.notarization("a"))


def test_account_without_a_role_is_admitted_and_fails_in_its_block(ledger):
    check_admissible(ledger, CHAIN.notarization("a", sender=GUEST))


def test_oversized_transaction_is_refused(ledger):
    good = CHAIN.notarization("a")
    check_admissible(ledger, replace(good, envelope=bytes(MAX_TRANSACTION_BYTES)))
    with refuses("oversized", Refused):
        check_admissible(ledger, replace(good, envelope=bytes(MAX_TRANSACTION_BYTES + 1)))


def test_transaction_of_another_chain_is_refused(ledger):
    calls = CHAIN.notarization("a").body.calls
    with refuses("wrong_chain", Refused):
        check_admissible(ledger, CHAIN.transaction(calls, chain_id="other.example/chain"))


def test_replayed_transaction_is_refused(ledger):
    with refuses("replayed", Refused):
        check_admissible(ledger, CHAIN.notarization("old"))


def test_a_committed_transaction_is_called_replayed_even_when_its_last_height_has_passed(ledger):
    transaction = CHAIN.notarization("late", last_valid_height=2)
    CHAIN.extend(ledger, [transaction])
    with refuses("replayed", Refused):
        check_admissible(ledger, transaction)


@pytest.mark.parametrize(
    ("last_valid_height", "code"),
    [
        (1, "expired"),
        (2, None),
        (2 + MAX_VALID_HEIGHTS, None),
        (3 + MAX_VALID_HEIGHTS, "too_far_ahead"),
    ],
)
def test_window_is_that_of_the_next_block(ledger, last_valid_height, code):
    """Pool and ledger are written apart; this holds them to one rule."""
    transaction = CHAIN.notarization("w", last_valid_height=last_valid_height)
    built = CHAIN.build(ledger, [transaction])
    if code is None:
        check_admissible(ledger, transaction)
        assert built.transactions == (transaction,)
    else:
        with refuses(code, Refused):
            check_admissible(ledger, transaction)
        assert built.transactions == ()


def test_unknown_sender_or_key_is_refused(ledger):
    calls = CHAIN.notarization("a").body.calls
    stranger = key_pair(CHAIN.genesis.suite, "stranger")
    with refuses("unknown_account", Refused):
        check_admissible(ledger, CHAIN.transaction(calls, sender="court/nobody", key=stranger))
    with refuses("unknown_key", Refused):
        check_admissible(ledger, CHAIN.transaction(calls, sender=CLERK, key=stranger))
    with refuses("unknown_key", Refused):
        key = CHAIN.accounts[ADMIN]
        check_admissible(ledger, CHAIN.transaction(calls, sender=CLERK, key=key))
