"""Who is told what, when the engine decides."""

from __future__ import annotations

import pytest

from chainnode.model.errors import ChainError, Refused, Unavailable
from chainnode.services import commits as commits_module
from chainnode.services.outcome import Status
from tests.support.rpc import make_node


@pytest.fixture(name="node")
def fixture_node():
    node = make_node()
    node.commits.attach(lambda: None)
    return node


def submit(node, transaction, timeout_ms=1_000):
    """Submit and wait; the list gets what is heard."""
    heard = []
    node.services.submission.submit_and_wait(
        transaction.envelope, timeout_ms=timeout_ms, done=heard.append
    )
    return heard


def test_nobody_is_told_before_publish(node):
    heard = submit(node, node.chain.notarization("a"))
    node.engine.commit()
    assert heard == []
    node.commits.publish()
    assert [h.status for h in heard] == [Status.COMMITTED]
    node.commits.publish()
    assert len(heard) == 1


def test_a_transaction_that_failed_is_told_with_its_receipt(node):
    heard = submit(node, node.chain.notarization("a", sender="court/guest"))
    node.engine.commit()
    node.commits.publish()
    assert heard[0].status is Status.FAILED
    assert heard[0].receipt.code == "missing_role"


def test_everybody_who_waits_for_one_transaction_is_told(node):
    transaction = node.chain.notarization("a")
    first, second = submit(node, transaction), submit(node, transaction)
    assert node.commits.waiting_count == 2
    node.engine.commit()
    node.commits.publish()
    assert first == second
    assert len(first) == 1
    assert node.commits.waiting_count == 0


def test_a_transaction_that_no_later_block_may_hold_has_expired(node):
    transaction = node.chain.notarization("a", last_valid_height=2)
    later = node.chain.notarization("b", last_valid_height=3)
    heard, heard_later = submit(node, transaction), submit(node, later)
    node.engine.pool.clear()
    node.engine.commit([])
    node.commits.publish()
    assert heard == []
    find = node.services.submission.find
    assert find(transaction.id).status is Status.PENDING
    node.engine.commit([])
    node.commits.publish()
    assert heard[0].status is Status.EXPIRED
    assert heard_later == []
    assert find(transaction.id).status is Status.EXPIRED
    node.engine.commit([])
    node.commits.publish()
    assert heard_later[0].status is Status.EXPIRED


def test_a_deadline_ends_the_waiting_and_not_the_transaction(node):
    transaction = node.chain.notarization("a")
    early, late = submit(node, transaction, 100), submit(node, transaction, 200)
    node.commits.tick()
    node.clock.advance(99)
    node.commits.tick()
    assert early == late == []
    node.clock.advance(1)
    node.commits.tick()
    assert early[0].error_code == "timeout"
    assert late == []
    node.clock.advance(100)
    node.commits.tick()
    assert late[0].error_code == "timeout"
    assert node.commits.waiting_count == 0
    node.engine.commit()
    node.commits.publish()
    assert len(early) == len(late) == 1
    assert node.services.submission.find(transaction.id).status is Status.COMMITTED


def test_too_many_waiting_clients_are_refused_before_acceptance(node, monkeypatch):
    monkeypatch.setattr(commits_module, "MAX_WAITING", 1)
    submit(node, node.chain.notarization("a"))
    with pytest.raises(Unavailable) as refused:
        submit(node, node.chain.notarization("b"))
    assert refused.value.error_code == "overloaded"
    assert refused.value.retry_after_ms > 0
    assert len(node.engine.pool) == 1
    # Who waits for proofs has places apart.
    node.commits.wait_for_checkpoint(lambda: False, timeout_ms=1, done=lambda _: None)


def test_whoever_hopes_for_a_record_gives_way_to_others_and_takes_no_place_of_writers(
    node, monkeypatch
):
    monkeypatch.setattr(commits_module, "MAX_WAITING_PROOFS", 2)
    monkeypatch.setattr(commits_module, "MAX_WAITING", 1)
    heard = []

    def wait(name, *, is_hopeful):
        node.commits.wait_for_checkpoint(
            lambda: False,
            timeout_ms=50,
            done=lambda _: heard.append(name),
            is_hopeful=is_hopeful,
        )

    wait("first", is_hopeful=True)
    wait("second", is_hopeful=True)
    wait("third", is_hopeful=False)
    assert heard == ["first"]
    wait("fourth", is_hopeful=False)
    assert heard == ["first", "second"]
    for is_hopeful in (True, False):
        with pytest.raises(Unavailable, match="waiting for proofs"):
            wait("fifth", is_hopeful=is_hopeful)
    submit(node, node.chain.notarization("a"))
    assert node.commits.waiting_count == 3


def test_many_who_have_waited_for_one_checkpoint_are_answered_some_at_a_time(node, monkeypatch):
    monkeypatch.setattr(commits_module, "MAX_ANSWERED_PER_TURN", 2)
    wakes, heard = [], []
    node.commits.attach(lambda: wakes.append(None))
    for number in range(5):
        node.commits.wait_for_checkpoint(
            lambda: True, timeout_ms=50, done=lambda _, number=number: heard.append(number)
        )
    node.commits.checkpoint_cosigned(1)
    for told, more in ((2, True), (4, True), (5, False)):
        wakes.clear()
        node.commits.publish()
        assert (heard, bool(wakes)) == (list(range(told)), more)


def test_memory_of_accepted_transactions_is_bounded_and_drops_the_oldest(node, monkeypatch):
    monkeypatch.setattr(commits_module, "MAX_REMEMBERED", 2)
    transactions = [node.chain.notarization(label) for label in "abc"]
    for transaction in transactions:
        node.services.submission.submit(transaction.envelope, lambda _: None)
    assert [node.commits.remembered(t.id) for t in transactions] == [None, 1_000, 1_000]


def test_what_was_refused_after_its_signature_was_checked_is_told(node):
    node.engine.verdict = Refused("no", code="bad_signature")
    transaction = node.chain.notarization("a")
    assert submit(node, transaction) == [node.engine.verdict]
    heard = []
    node.services.submission.submit(transaction.envelope, heard.append)
    assert heard == [node.engine.verdict]
    assert node.services.submission.find(transaction.id).status is Status.UNKNOWN


def test_a_transaction_committed_while_its_signature_was_checked_is_told_at_once(node):
    transaction = node.chain.notarization("a")
    heard = []

    class Slow:
        def submit(self, envelope, done):
            node.engine.commit([transaction])
            done(transaction)

    node.services.submission._engine = Slow()
    node.services.submission.submit_and_wait(transaction.envelope, timeout_ms=1, done=heard.append)
    assert heard[0].status is Status.COMMITTED
    assert node.commits.waiting_count == 0


def test_a_replayed_transaction_is_refused_to_whoever_does_not_wait_for_its_outcome(node):
    transaction = node.chain.notarization("a")
    node.engine.commit([transaction])
    with pytest.raises(ChainError) as refused:
        node.services.submission.submit(transaction.envelope, lambda _: None)
    assert refused.value.error_code == "replayed"


def test_whoever_hands_in_a_committed_transaction_again_and_waits_hears_its_outcome(node):
    good, bad = node.chain.notarization("a"), node.chain.notarization("b", sender="court/guest")
    node.engine.commit([good, bad])
    assert [h.status for h in submit(node, good)] == [Status.COMMITTED]
    assert [h.status for h in submit(node, bad)] == [Status.FAILED]
    assert node.commits.waiting_count == 0


def test_a_transaction_found_committed_after_its_signature_was_checked_is_told_with_its_outcome(
    node,
):
    transaction = node.chain.notarization("a")
    heard = []

    class Slow:
        def submit(self, envelope, done):
            node.engine.commit([transaction])
            done(Refused("it was committed before", code="replayed"))

    node.services.submission._engine = Slow()
    node.services.submission.submit_and_wait(transaction.envelope, timeout_ms=1, done=heard.append)
    assert [h.status for h in heard] == [Status.COMMITTED]


def test_a_lost_transaction_reads_expired_to_whoever_knows_its_last_valid_height(node):
    find, tx_id = node.services.submission.find, b"x" * 32
    assert find(tx_id).status is Status.UNKNOWN
    assert find(tx_id, last_valid_height=1).status is Status.UNKNOWN
    node.engine.commit([])
    assert find(tx_id, last_valid_height=1).status is Status.EXPIRED
    assert find(tx_id, last_valid_height=2).status is Status.UNKNOWN


def test_checkpoint_waiters_are_told_of_the_first_that_covers_what_they_wait_for(node):
    heard, covered = [], []
    node.commits.wait_for_checkpoint(lambda: bool(covered), timeout_ms=50, done=heard.append)
    node.commits.checkpoint_cosigned(1)
    node.commits.publish()
    assert heard == []
    covered.append(True)
    node.commits.checkpoint_cosigned(3)
    node.commits.publish()
    assert heard == [None]
    node.commits.wait_for_checkpoint(lambda: False, timeout_ms=50, done=heard.append)
    node.clock.advance(50)
    node.commits.tick()
    assert heard == [None, None]


def test_without_a_server_nothing_is_kept():
    node = make_node()
    node.engine.commit([])
    node.engine.commit([])
    woken, heard = [], []
    node.commits.attach(lambda: woken.append(1))
    stop = node.commits.listen(heard.append)
    node.commits.event("view_change", view=1)
    node.commits.publish()
    assert heard == []
    node.engine.commit([node.chain.notarization("a", count=2)])
    node.commits.publish()
    assert [(b.header.height, b.first_record, b.record_count) for b in heard] == [(3, 2, 3)]
    assert woken
    stop()
    node.engine.commit([])
    node.commits.publish()
    assert len(heard) == 1


def test_those_whose_time_is_up_are_told_in_one_pass_however_many_wait_for_one_transaction(node):
    transaction = node.chain.notarization("a")
    patient = [submit(node, transaction, timeout_ms=1_000) for _ in range(100)]
    hasty = [submit(node, transaction, timeout_ms=10) for _ in range(100)]
    (waiters,) = node.commits._waiting.values()

    class Counted(list):
        removed = 0

        def remove(self, waiter):
            Counted.removed += 1
            super().remove(waiter)

    node.commits._waiting[transaction.id] = Counted(waiters)
    node.clock.advance(10)
    node.commits.tick()
    assert [len(h) for h in patient] == [0] * 100
    assert [h[0].error_code for h in hasty] == ["timeout"] * 100
    assert (node.commits.waiting_count, Counted.removed) == (100, 0)
    node.engine.commit()
    node.commits.publish()
    assert {h[0].status for h in patient} == {Status.COMMITTED}
