"""Order, bounds and shares of the pool; and that its books agree whatever happens to it."""

from __future__ import annotations

import functools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chainnode.mempool.pool import RETRY_AFTER_MS, Pool, PoolLimits
from chainnode.model.errors import Unavailable
from tests.support.chain import ARCHIVE, CLERK, GUEST, key_pair, make_chain
from tests.support.refusals import refuses

CHAIN = make_chain()


@functools.cache
def tx(label, sender=CLERK, last_valid_height=1_000, count=1):
    return CHAIN.notarization(
        label, sender=sender, last_valid_height=last_valid_height, count=count
    )


def pool_of(*transactions, **limits):
    pool = Pool(PoolLimits(**limits))
    for arrival, transaction in enumerate(transactions):
        assert pool.add(transaction, arrival)
    return pool


def test_transactions_leave_in_order_of_arrival():
    pool = pool_of(tx("b"), tx("a", ARCHIVE), tx("c"))
    assert pool.select(10, 10**6) == (tx("b"), tx("a", ARCHIVE), tx("c"))
    assert len(pool) == 3


def test_selection_stops_at_the_first_that_does_not_fit():
    pool = pool_of(tx("a"), tx("list", count=100), tx("c"))
    size = len(tx("a").envelope)
    assert pool.select(2, 10**6) == (tx("a"), tx("list", count=100))
    assert pool.select(10, size) == (tx("a"),)
    assert pool.select(10, size - 1) == ()
    assert pool.select(10, size * 2) == (tx("a"),)
    assert pool.select(0, 10**6) == ()


def test_same_envelope_is_taken_once():
    pool = pool_of(tx("a"))
    assert not pool.add(tx("a"), 7)
    assert len(pool) == 1
    assert pool.oldest_since_ms == 0


def test_first_of_two_envelopes_with_one_id_stays():
    first = tx("a")
    second = CHAIN.transaction(
        first.body.calls, nonce="a", key=key_pair(CHAIN.genesis.suite, "another")
    )
    assert (second.id, second.hash) != (first.id, first.hash)
    assert second.id == first.id
    pool = pool_of(first)
    assert not pool.add(second, 1)
    assert pool.get(first.hash) is first
    assert pool.get(second.hash) is None
    assert pool.has(second.id)
    pool.remove_committed([second.id])
    assert len(pool) == 0


def test_unknown_transaction_is_not_there():
    pool = pool_of(tx("a"))
    assert pool.get(tx("b").hash) is None
    assert not pool.has(tx("b").id)
    pool.remove_committed([tx("b").id])
    assert len(pool) == 1


def test_full_pool_refuses_with_a_hint_and_takes_nothing():
    pool = pool_of(tx("a"), tx("b"), max_transactions=2, organisation_percent=100)
    before = pool.stats()
    with pytest.raises(Unavailable) as caught:
        pool.add(tx("c"), 3)
    assert caught.value.error_code == "pool_full"
    assert caught.value.retry_after_ms == RETRY_AFTER_MS
    assert pool.stats() == before
    pool.remove_committed([tx("a").id])
    assert pool.add(tx("c"), 4)


def test_pool_is_bounded_in_bytes():
    size = len(tx("a").envelope)
    limits = PoolLimits(max_bytes=2 * size, organisation_percent=100)
    pool = Pool(limits)
    assert pool.add(tx("a"), 0)
    assert pool.add(tx("b"), 0)
    with refuses("pool_full", Unavailable):
        pool.add(tx("c"), 0)


def test_organisation_holds_at_most_its_share_of_the_count():
    pool = Pool(PoolLimits(max_transactions=4, organisation_percent=50))
    assert pool.add(tx("a"), 0)
    assert pool.add(tx("b", GUEST), 0)
    for sender in (CLERK, GUEST):
        with refuses("share_used_up", Unavailable):
            pool.add(tx("c", sender), 0)
    assert pool.add(tx("c", ARCHIVE), 0)
    pool.remove_committed([tx("a").id])
    assert pool.add(tx("c"), 0)


def test_organisation_holds_at_most_its_share_of_the_bytes():
    size = len(tx("a").envelope)
    pool = Pool(PoolLimits(max_bytes=4 * size, organisation_percent=50))
    assert pool.add(tx("a"), 0)
    assert pool.add(tx("b"), 0)
    with refuses("share_used_up", Unavailable):
        pool.add(tx("c"), 0)


def test_expired_transactions_are_given_back():
    early, late = tx("early", last_valid_height=5), tx("late", last_valid_height=6)
    earliest = tx("earliest", last_valid_height=3)
    pool = pool_of(early, late, earliest)
    assert pool.remove_expired(2) == ()
    assert pool.remove_expired(5) == (earliest, early)
    assert pool.select(10, 10**6) == (late,)
    assert pool.remove_expired(10) == (late,)
    assert pool.stats().size_bytes == 0


def test_age_is_that_of_the_longest_waiting():
    pool = Pool(PoolLimits())
    assert pool.oldest_since_ms is None
    pool.add(tx("a"), 100)
    pool.add(tx("b"), 90)
    assert pool.oldest_since_ms == 100
    pool.remove_committed([tx("a").id])
    assert pool.oldest_since_ms == 90
    stats = pool.stats()
    assert (stats.transactions, stats.oldest_since_ms) == (1, 90)
    assert stats.size_bytes == len(tx("b").envelope)


labels = st.sampled_from([f"t{i}" for i in range(12)])
senders = st.sampled_from([CLERK, GUEST, ARCHIVE])
heights = st.integers(min_value=1, max_value=6)


class PoolAgainstAList(RuleBasedStateMachine):
    """The pool does what a list of (transaction, arrival) would, and its tallies are right."""

    def __init__(self):
        super().__init__()
        self.limits = PoolLimits(max_transactions=8, max_bytes=3_000, organisation_percent=50)
        self.pool = Pool(self.limits)
        self.model = []
        self.now_ms = 0

    @rule(label=labels, sender=senders, height=heights, count=st.sampled_from([1, 8]))
    def add(self, label, sender, height, count):
        self.now_ms += 1
        transaction = tx(label, sender, height, count)
        organisation = sender.partition("/")[0]
        held = [t for t, _ in self.model]
        own = [t for t in held if t.body.sender.startswith(organisation + "/")]
        size = len(transaction.envelope)
        if transaction.id in {t.id for t in held}:
            assert not self.pool.add(transaction, self.now_ms)
            return
        if len(held) >= 8 or sum(len(t.envelope) for t in held) + size > 3_000:
            expected = "pool_full"
        elif len(own) >= 4 or sum(len(t.envelope) for t in own) + size > 1_500:
            expected = "share_used_up"
        else:
            assert self.pool.add(transaction, self.now_ms)
            self.model.append((transaction, self.now_ms))
            return
        with refuses(expected, Unavailable):
            self.pool.add(transaction, self.now_ms)

    @rule(label=labels, sender=senders, height=heights)
    def commit(self, label, sender, height):
        transaction = tx(label, sender, height)
        self.pool.remove_committed([transaction.id])
        self.model = [(t, a) for t, a in self.model if t.id != transaction.id]

    @rule(height=heights)
    def expire(self, height):
        expired = {t.id for t in self.pool.remove_expired(height)}
        assert expired == {t.id for t, _ in self.model if t.body.last_valid_height <= height}
        self.model = [(t, a) for t, a in self.model if t.id not in expired]

    @invariant()
    def agrees_with_the_list(self):
        assert self.pool.select(100, 10**6) == tuple(t for t, _ in self.model)
        stats = self.pool.stats()
        assert stats.transactions == len(self.pool) == len(self.model)
        assert stats.size_bytes == sum(len(t.envelope) for t, _ in self.model)
        assert stats.oldest_since_ms == (self.model[0][1] if self.model else None)
        assert all(self.pool.get(t.hash) is t and self.pool.has(t.id) for t, _ in self.model)


PoolAgainstAList.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPoolAgainstAList = PoolAgainstAList.TestCase
