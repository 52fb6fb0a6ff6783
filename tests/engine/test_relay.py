"""Transactions on their way: each verified once, answered once, bounded, and paid for by who sends bad ones."""

from __future__ import annotations

import pytest

from chainnode.engine import allowance as allowance_module
from chainnode.engine import relay as relay_module
from chainnode.engine.messages import FetchMessage, TransactionsMessage
from chainnode.mempool.pool import PoolLimits
from chainnode.model.errors import ChainError, DecodeError, PeerFault, Refused, Unavailable
from chainnode.model.transaction import Transaction, decode_transaction, sign_transaction
from tests.support.chain import ARCHIVE, CLERK, GUEST, make_chain
from tests.support.engine_bench import CHAIN, NAMES, EngineBench, HeldVerifier, decided

PEER = NAMES[1]


def forged(transaction: Transaction) -> Transaction:
    """Return the transaction with a signature of another one."""
    other = CHAIN.notarization("other").signature
    envelope = transaction.envelope.replace(transaction.signature, other)
    return decode_transaction(CHAIN.genesis.domain, envelope)


def test_a_client_is_answered_and_all_peers_are_told_once() -> None:
    bench = EngineBench()
    transaction = CHAIN.notarization("a")
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(transaction.envelope, answers.append)
    assert [a.hash for a in answers if isinstance(a, Transaction)] == [transaction.hash]
    assert bench.engine.is_pending(transaction.id)
    bench.engine.flush()
    bench.engine.flush()
    assert bench.sent(TransactionsMessage) == [(None, TransactionsMessage((transaction.envelope,)))]
    bench.engine.submit(transaction.envelope, answers.append)
    assert len(answers) == 2
    bench.engine.flush()
    assert bench.sent(TransactionsMessage) == []


def test_gossip_leaves_when_enough_has_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "GOSSIP_BYTES", 1)
    bench = EngineBench()
    bench.engine.submit(CHAIN.notarization("a").envelope, lambda _: None)
    assert len(bench.sent(TransactionsMessage)) == 1


def test_a_client_hears_that_its_signature_does_not_hold() -> None:
    bench = EngineBench()
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(forged(CHAIN.notarization("a")).envelope, answers.append)
    (answer,) = answers
    assert isinstance(answer, Refused)
    assert answer.error_code == "bad_signature"
    assert len(bench.pool) == 0


def test_one_envelope_submitted_twice_at_once_is_verified_once_and_answered_twice() -> None:
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    envelope = CHAIN.notarization("a").envelope
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(envelope, answers.append)
    bench.engine.submit(envelope, answers.append)
    bench.receive(PEER, TransactionsMessage((envelope,)))
    assert len(verifier.waiting) == 1
    assert bench.engine.status().unverified == 1
    verifier.release()
    assert len(answers) == 2
    assert bench.engine.status().unverified == 0


def test_a_client_joins_the_verification_of_what_a_peer_sent() -> None:
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    transaction = CHAIN.notarization("a")
    bench.receive(PEER, TransactionsMessage((transaction.envelope,)))
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(transaction.envelope, answers.append)
    assert len(verifier.waiting) == 1
    verifier.release()
    assert len(answers) == 1


def test_an_overloaded_node_refuses_clients_and_drops_gossip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "MAX_UNVERIFIED", 1)
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    bench.engine.submit(CHAIN.notarization("a").envelope, lambda _: None)
    with pytest.raises(Unavailable) as refused:
        bench.engine.submit(CHAIN.notarization("b").envelope, lambda _: None)
    assert refused.value.error_code == "overloaded"
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    assert len(verifier.waiting) == 1
    verifier.release()
    bench.engine.submit(CHAIN.notarization("b").envelope, lambda _: None)


def test_clients_are_refused_before_peers_where_signatures_wait_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "UNVERIFIED_TRANSACTIONS", 2)
    bench = EngineBench(verifier=(verifier := HeldVerifier()))
    first = CHAIN.notarization("a")
    bench.receive(PEER, TransactionsMessage((first.envelope,)))
    bench.pass_ms(relay_module.UNVERIFIED_MS + 1)
    # Long, and few.
    bench.engine.submit(CHAIN.notarization("b").envelope, lambda _: None)
    with pytest.raises(Unavailable, match="wait too long for their signatures") as refused:
        bench.engine.submit(CHAIN.notarization("c").envelope, lambda _: None)
    assert refused.value.error_code == "overloaded"
    assert refused.value.retry_after_ms == relay_module.OVERLOAD_RETRY_MS
    # What a peer has accepted is taken, and a client's wait for what is being verified already.
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("c").envelope,)))
    bench.engine.submit(first.envelope, lambda _: None)
    assert len(verifier.waiting) == 3
    # Of those that are left none has waited long.
    verifier.release()
    for name in ("d", "e", "f"):
        bench.engine.submit(CHAIN.notarization(name).envelope, lambda _: None)


def test_what_is_no_transaction_is_called_so_under_overload_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "MAX_UNVERIFIED", 0)
    bench = EngineBench()
    for envelope in (b"", b"\x94\x01\x02\x03\x04", b"\xc0"):
        with pytest.raises(DecodeError):
            bench.engine.submit(envelope, lambda _: None)


def test_clients_are_refused_while_the_queue_for_blocks_is_long_and_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "QUEUE_TRANSACTIONS", 2)
    bench = EngineBench(me=3)
    first = CHAIN.notarization("a")
    bench.engine.submit(first.envelope, lambda _: None)
    bench.pass_ms(relay_module.QUEUE_MS + 1)
    # Slow, and not long.
    bench.engine.submit(CHAIN.notarization("b").envelope, lambda _: None)
    with pytest.raises(Unavailable, match="wait too long for a block") as refused:
        bench.engine.submit(CHAIN.notarization("c").envelope, lambda _: None)
    assert refused.value.error_code == "overloaded"
    assert refused.value.retry_after_ms == relay_module.OVERLOAD_RETRY_MS
    # Whoever asks again for what is in the queue hears so.
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(first.envelope, answers.append)
    assert [answer.id for answer in answers if isinstance(answer, Transaction)] == [first.id]
    bench.commit_here(bench.block([first]))
    bench.engine.submit(CHAIN.notarization("c").envelope, lambda _: None)
    # And of what is committed, though the queue is long and slow again.
    bench.pass_ms(relay_module.QUEUE_MS + 1)
    with pytest.raises(Unavailable):
        bench.engine.submit(CHAIN.notarization("d").envelope, lambda _: None)
    with pytest.raises(Refused) as replayed:
        bench.engine.submit(first.envelope, lambda _: None)
    assert replayed.value.error_code == "replayed"


def test_bytes_under_verification_return_to_nothing_however_often_one_envelope_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    envelope = CHAIN.notarization("a").envelope
    monkeypatch.setattr(relay_module, "MAX_UNVERIFIED_BYTES", len(envelope) + 1)
    bench = EngineBench(verifier=(verifier := HeldVerifier()), pool_limits=PoolLimits(max_bytes=1))
    answers: list[Transaction | ChainError] = []
    for _ in range(5):
        # Refused as overloaded if anything were left of the round before.
        bench.engine.submit(envelope, answers.append)
        bench.engine.submit(envelope, answers.append)
        verifier.release()
    assert len(answers) == 10


def test_what_was_committed_while_it_was_verified_does_not_wait_for_a_block() -> None:
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    transaction = CHAIN.notarization("a")
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(transaction.envelope, answers.append)
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    CHAIN.extend(bench.ledger, [transaction, CHAIN.notarization("b")])
    verifier.release()
    (answer,) = answers
    assert isinstance(answer, Refused)
    assert answer.error_code == "replayed"
    assert len(bench.pool) == 0


def test_a_full_pool_refuses_the_client_and_drops_gossip() -> None:
    bench = EngineBench(pool_limits=PoolLimits(max_transactions=1, organisation_percent=100))
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("a").envelope,)))
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    assert len(bench.pool) == 1
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(CHAIN.notarization("c").envelope, answers.append)
    assert isinstance(answers[0], Unavailable)


def test_a_peer_that_passes_on_a_bad_signature_pays_with_its_link() -> None:
    bench = EngineBench()
    bench.receive(PEER, TransactionsMessage((forged(CHAIN.notarization("a")).envelope,)))
    assert "peer_fault" in bench.witness.names()
    with pytest.raises(PeerFault, match="signature"):
        bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    assert len(bench.pool) == 1


def test_an_accusation_ends_with_the_link() -> None:
    bench = EngineBench()
    bench.engine.link(PEER, is_up=True)
    bench.receive(PEER, TransactionsMessage((forged(CHAIN.notarization("a")).envelope,)))
    bench.engine.link(PEER, is_up=False)
    bench.engine.link(PEER, is_up=True)
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("b").envelope,)))
    assert len(bench.pool) == 1


def test_good_transactions_beside_one_that_is_none_are_not_lost_for_ever() -> None:
    bench = EngineBench()
    good = CHAIN.notarization("a").envelope
    with pytest.raises(PeerFault):
        bench.receive(PEER, TransactionsMessage((good, b"\x00")))
    assert bench.engine.status().unverified == 0
    bench.receive(NAMES[2], TransactionsMessage((good, good)))
    assert len(bench.pool) == 1


def test_gossip_of_unknown_accounts_is_dropped_unless_a_proposal_names_it() -> None:
    bench = EngineBench()
    stranger = make_chain().transaction(
        CHAIN.notarization("a").body.calls, sender="court/nobody", key=CHAIN.accounts[GUEST]
    )
    bench.receive(PEER, TransactionsMessage((stranger.envelope,)))
    assert len(bench.pool) == 0
    executed = bench.block([stranger])
    bench.receive(PEER, bench.proposal(executed))
    ((to, fetch),) = bench.sent(FetchMessage)
    assert (to, fetch.tx_hashes) == (PEER, (stranger.hash,))
    bench.receive(PEER, TransactionsMessage((stranger.envelope,)))
    bench.receive(PEER, decided(CHAIN.certify(executed)))
    assert bench.ledger.tip.height == 1


def test_what_was_kept_for_a_proposal_that_lost_returns_to_the_pool_if_admissible() -> None:
    bench = EngineBench()
    wanted = CHAIN.notarization("a")
    stranger = CHAIN.transaction(
        wanted.body.calls, sender="court/nobody", key=CHAIN.accounts[GUEST]
    )
    loser, winner = bench.block([wanted, stranger]), bench.block()
    bench.receive(PEER, bench.proposal(loser))
    bench.receive(PEER, TransactionsMessage((wanted.envelope, stranger.envelope)))
    assert len(bench.pool) == 0
    bench.receive(NAMES[2], bench.proposal(winner, sender=1))
    bench.receive(NAMES[2], decided(CHAIN.certify(winner)))
    assert bench.ledger.tip.height == 1
    # The leader proposed twice, which is reported.
    waiting = [t for t in bench.pool.select(10, 10**6) if not t.is_report]
    assert [t.hash for t in waiting] == [wanted.hash]


def test_kept_transactions_are_bounded_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transactions = [CHAIN.notarization(label) for label in "abc"]
    size = len(transactions[0].envelope)
    monkeypatch.setattr(relay_module, "MAX_KEPT_BYTES", 2 * size + 10)
    bench = EngineBench()
    missing = CHAIN.notarization("missing")
    bench.receive(PEER, bench.proposal(bench.block([*transactions, missing])))
    bench.sent(FetchMessage)
    bench.receive(PEER, TransactionsMessage(tuple(t.envelope for t in transactions)))
    bench.pass_ms(250)
    ((_, fetch),) = bench.sent(FetchMessage)
    assert fetch.tx_hashes == (transactions[0].hash, missing.hash)


def test_one_organisations_queue_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "QUEUE_TRANSACTIONS", 6)
    bench = EngineBench(me=3)
    flood = [CHAIN.notarization(f"{number}") for number in range(6)]
    bench.receive(PEER, TransactionsMessage(tuple(t.envelope for t in flood)))
    bench.pass_ms(relay_module.QUEUE_MS + 100)
    with pytest.raises(Unavailable, match="wait too long for a block"):
        bench.engine.submit(CHAIN.notarization("of the same").envelope, lambda _: None)
    answers: list[Transaction | ChainError] = []
    for number in range(3):
        other = CHAIN.notarization(f"other {number}", sender=ARCHIVE)
        bench.engine.submit(other.envelope, answers.append)
    assert [type(answer) for answer in answers] == [Transaction] * 3
    with pytest.raises(Unavailable, match="wait too long for a block"):
        bench.engine.submit(CHAIN.notarization("too many", sender=ARCHIVE).envelope, lambda _: None)


def test_who_signs_anew_what_waits_hears_that_it_waits_however_long_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # SM2 signatures differ each time, so that the id is the same and the envelope is not.
    chain = make_chain(suite="sm2-sm3")
    bench = EngineBench(me=3, chain=chain)
    waits = chain.notarization("a")
    bench.engine.submit(waits.envelope, lambda _: None)
    monkeypatch.setattr(relay_module, "QUEUE_TRANSACTIONS", 1)
    bench.pass_ms(relay_module.QUEUE_MS + 100)
    key = chain.accounts[CLERK]
    again = sign_transaction(chain.genesis.domain, waits.body, public_key=key.public, sign=key.sign)
    assert (again.id, again.hash) != (waits.id, waits.hash)
    assert again.id == waits.id
    answers: list[Transaction | ChainError] = []
    bench.engine.submit(again.envelope, answers.append)
    assert isinstance(answers[0], Transaction)


def test_what_is_kept_for_a_proposal_counts_once_however_often_a_client_hands_it_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted, missing = CHAIN.notarization("a"), CHAIN.notarization("missing")
    monkeypatch.setattr(relay_module, "MAX_KEPT_BYTES", 3 * len(wanted.envelope))
    bench = EngineBench(pool_limits=PoolLimits(max_bytes=1))
    bench.receive(PEER, bench.proposal(bench.block([wanted, missing])))
    for _ in range(5):
        bench.engine.submit(wanted.envelope, lambda _: None)
    bench.sent(FetchMessage)
    bench.pass_ms(1_000)
    assert {fetch.tx_hashes for _, fetch in bench.sent(FetchMessage)} == {(missing.hash,)}


def test_even_wanted_transactions_wait_when_far_too_much_is_unverified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifier = HeldVerifier()
    bench = EngineBench(verifier=verifier)
    wanted = [CHAIN.notarization("a"), CHAIN.notarization("b")]
    bench.receive(PEER, bench.proposal(bench.block(wanted)))
    monkeypatch.setattr(relay_module, "MAX_UNVERIFIED_BYTES", 10)
    bench.receive(PEER, TransactionsMessage((wanted[0].envelope,)))
    bench.receive(PEER, TransactionsMessage((wanted[1].envelope,)))
    assert len(verifier.waiting) == 1


def test_a_fetch_is_answered_with_what_is_known_and_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    known = [CHAIN.notarization(label) for label in "abc"]
    bench.receive(PEER, TransactionsMessage(tuple(t.envelope for t in known)))
    monkeypatch.setattr(relay_module, "MAX_TRANSACTIONS_PER_MESSAGE", 2)
    asked = (*(t.hash for t in known), known[0].hash, bytes(32))
    bench.receive(NAMES[2], FetchMessage(asked))
    answers = bench.sent(TransactionsMessage)
    assert {to for to, _ in answers} == {NAMES[2]}
    assert [len(m.envelopes) for _, m in answers] == [2, 1]
    bench.receive(NAMES[2], FetchMessage((bytes(32),)))
    assert bench.sent(TransactionsMessage) == []


def test_a_peer_that_asks_for_the_same_again_and_again_is_served_its_allowance_and_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = EngineBench()
    known = CHAIN.notarization("a")
    bench.receive(PEER, TransactionsMessage((known.envelope,)))
    monkeypatch.setattr(allowance_module, "ALLOWED_BYTES", 3 * len(known.envelope))
    fetch = FetchMessage((known.hash,))
    for _ in range(10):
        bench.receive(PEER, fetch)
    assert len(bench.sent(TransactionsMessage)) == 3
    bench.receive(NAMES[2], fetch)
    assert len(bench.sent(TransactionsMessage)) == 1
    bench.clock.advance(allowance_module.PERIOD_MS)
    bench.receive(PEER, fetch)
    assert len(bench.sent(TransactionsMessage)) == 1


def test_what_waits_too_long_is_told_again() -> None:
    bench = EngineBench(me=3)
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("a").envelope,)))
    repeat_ms = CHAIN.genesis.parameters.timeout_ms // relay_module.REPEATS_PER_TIMEOUT
    bench.pass_ms(repeat_ms - 10)
    assert bench.sent(TransactionsMessage) == []
    bench.pass_ms(20)
    assert len(bench.sent(TransactionsMessage)) == 1
    bench.pass_ms(repeat_ms)
    assert len(bench.sent(TransactionsMessage)) == 1


def test_what_waits_is_not_told_again_while_a_proposal_is_under_way() -> None:
    bench = EngineBench(me=3)
    proposed, waits = CHAIN.notarization("proposed"), CHAIN.notarization("waits")
    bench.receive(PEER, TransactionsMessage((proposed.envelope, waits.envelope)))
    bench.receive(NAMES[1], bench.proposal(bench.block([proposed])))
    timeout_ms = CHAIN.genesis.parameters.timeout_ms
    repeat_ms = timeout_ms // relay_module.REPEATS_PER_TIMEOUT
    bench.pass_ms(timeout_ms + repeat_ms - 20)
    assert bench.sent(TransactionsMessage) == []
    # Its view has come to nothing, and the next leader may have heard of neither.
    bench.pass_ms(40)
    ((_, told),) = bench.sent(TransactionsMessage)
    assert told.envelopes == (proposed.envelope, waits.envelope)


def test_a_queue_that_blocks_work_off_is_not_told_again() -> None:
    bench = EngineBench(me=3)
    queue = [CHAIN.notarization(f"{number}") for number in range(12)]
    bench.receive(PEER, TransactionsMessage(tuple(t.envelope for t in queue)))
    repeat_ms = CHAIN.genesis.parameters.timeout_ms // relay_module.REPEATS_PER_TIMEOUT
    for transaction in queue:
        bench.pass_ms(repeat_ms - 10)
        bench.commit_here(bench.block([transaction]))
    assert bench.sent(TransactionsMessage) == []


def test_what_waits_on_a_busy_chain_is_told_again_more_seldom() -> None:
    bench = EngineBench(me=3)
    bench.receive(PEER, TransactionsMessage((CHAIN.notarization("waits").envelope,)))
    repeat_ms = CHAIN.genesis.parameters.timeout_ms // relay_module.REPEATS_PER_TIMEOUT
    times_told = 0
    # Leaders that do not know of it make blocks, each a little before it would be told again on an idle chain.
    for _ in range(2 * relay_module.PASSED_OVER_REPEATS + 1):
        bench.commit_here(bench.block())
        bench.pass_ms(repeat_ms - 10)
        times_told += len(bench.sent(TransactionsMessage))
    assert times_told == 2
