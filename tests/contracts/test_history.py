"""Marks: who may make which, what they come to, and what the public log tells of them."""

from __future__ import annotations

import hashlib

import pytest

from chainnode.model import calls, codec, mark_calls
from chainnode.model.commitment import PUBLIC_SALT, Digest, derive_salt
from chainnode.model.errors import NotFound, ProofInvalid
from chainnode.model.limits import MAX_OWNERS
from chainnode.model.mark_calls import SaltedRecord
from chainnode.model.marks import (
    Event,
    MarkFacts,
    MarkOpening,
    RecordReference,
    decode_summary,
    mark_of,
    parse_mark,
    state_key,
    unmarked,
    verify_mark,
)
from chainnode.model.record import decode_record
from chainnode.model.roles import Role
from chainnode.model.transaction import Call
from contracts.query import history_key, mark_opening_of, mark_summary
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

CLERK, READER, ADMIN, BOSS = "justice/clerk", "archive/reader", "justice/admin", "archive/boss"
SEED = bytes(range(32))


def document(text: str) -> calls.Document:
    digest = hashlib.sha256(text.encode()).digest()
    return calls.Document(digests=(Digest(algorithm="sha256", value=digest),))


def notarized(chain: Chain, text: str = "x", seed: bytes | None = SEED, by: str = CLERK):
    """Register a document; return what names it."""
    transaction = chain.transaction(by, calls.register_documents([document(text)], seed=seed))
    assert chain.execute(transaction).receipts[0].succeeded
    salt = PUBLIC_SALT if seed is None else derive_salt(chain.genesis.suite, seed, 0)
    reference = RecordReference(account=by, tx_id=transaction.id, call=0, item=0)
    return SaltedRecord(reference=reference, salt=salt)


def summary(chain: Chain, record: SaltedRecord):
    return mark_summary(chain.state, chain.domain, record.reference, record.salt)


def last_mark(chain: Chain, transaction):
    return mark_of(chain.log[-1], mark_opening_of(transaction, len(transaction.body.calls) - 1))


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_record_without_marks_is_owned_by_who_registered_it_and_has_no_state(chain):
    record = notarized(chain)
    assert state_key(chain.genesis.suite, record.reference, record.salt) not in chain.state
    assert summary(chain, record) == unmarked(record.reference)
    assert summary(chain, record).owners == (CLERK,)


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_a_mark_opens_for_who_can_open_the_record_and_tells_nobody_else_which_it_is(suite):
    chain = Chain(example_genesis(suite))
    record = notarized(chain)
    transaction = chain.transaction(
        CLERK,
        mark_calls.annotate(record, code="typo", note_hash=b"h" * 32, note="page 3 更正"),
    )
    assert chain.execute(transaction).receipts[0].succeeded
    mark = last_mark(chain, transaction)
    verify_mark(chain.genesis.suite, mark)
    assert (mark.event, mark.code) == (Event.ANNOTATED, "typo")
    assert mark.opening.facts == MarkFacts(note_hash=b"h" * 32, note="page 3 更正")
    assert parse_mark(mark.extra()) == mark
    subject = record.reference.subject(chain.genesis.suite, record.salt)
    for hidden in (record.salt, record.reference.tx_id, subject, b"h" * 32, "更正".encode()):
        assert hidden not in chain.log[-1]
    assert chain.last.emitted[-1].lookup_keys == (
        history_key(chain.domain, record.reference, record.salt),
    )
    other = MarkOpening(salt=record.salt, reference=record.reference, facts=MarkFacts(note="more"))
    with pytest.raises(ProofInvalid) as caught:
        verify_mark(chain.genesis.suite, mark_of(mark.leaf, other))
    assert caught.value.error_code == "opening_mismatch"


def test_two_like_marks_of_one_record_look_unlike(chain):
    record = notarized(chain)
    for _ in range(2):
        assert chain.send(CLERK, mark_calls.annotate(record, note="same")) == ""
    assert decode_record(chain.log[-1]).body != decode_record(chain.log[-3]).body


def test_a_new_version_is_registered_and_linked_in_one_transaction(chain):
    old = notarized(chain)
    transaction = chain.transaction(
        CLERK,
        calls.register_documents([document("y")], seed=SEED),
        mark_calls.supersede_by_first(
            old, account=CLERK, salt=derive_salt(chain.genesis.suite, SEED, 0)
        ),
    )
    result = chain.execute(transaction)
    assert result.receipts[0].record_count == 2
    newer = RecordReference(account=CLERK, tx_id=transaction.id, call=0, item=0)
    new = SaltedRecord(reference=newer, salt=derive_salt(chain.genesis.suite, SEED, 0))
    assert summary(chain, old).successor == newer
    assert summary(chain, new).predecessor == old.reference
    mark = last_mark(chain, transaction)
    verify_mark(chain.genesis.suite, mark)
    assert mark.opening.facts.successor == newer
    assert result.emitted[-1].lookup_keys == (
        history_key(chain.domain, old.reference, old.salt),
        history_key(chain.domain, newer, new.salt),
    )


def test_versions_form_a_line_without_forks_joins_or_circles(chain):
    a, b, c = (notarized(chain, text) for text in "abc")
    assert chain.send(CLERK, mark_calls.supersede(a, a)) == "same_record"
    assert chain.send(CLERK, mark_calls.supersede(a, b)) == ""
    assert chain.send(CLERK, mark_calls.supersede(a, c)) == "record_superseded"
    assert chain.send(CLERK, mark_calls.supersede(c, b)) == "already_succeeds"
    assert chain.send(CLERK, mark_calls.supersede(b, a)) == "record_superseded"
    assert chain.send(CLERK, mark_calls.supersede(b, c)) == ""
    assert chain.send(CLERK, mark_calls.supersede(c, a)) == "record_superseded"


def test_a_public_record_is_not_linked_with_a_blinded_one(chain):
    blinded, public = notarized(chain), notarized(chain, seed=None)
    assert chain.send(CLERK, mark_calls.supersede(blinded, public)) == "other_blinding"
    assert chain.send(CLERK, mark_calls.supersede(public, blinded)) == "other_blinding"


def test_ownership_passes_with_the_consent_of_who_gets_it(chain):
    record = notarized(chain)
    assert chain.send(READER, mark_calls.accept(record)) == "not_offered"
    assert chain.send(CLERK, mark_calls.offer(record, READER)) == ""
    assert (summary(chain, record).owners, summary(chain, record).offered) == ((CLERK,), (READER,))
    assert chain.send(READER, mark_calls.annotate(record, note="mine?")) == "not_owner"
    assert chain.send(BOSS, mark_calls.accept(record)) == "not_offered"
    assert chain.send(READER, mark_calls.accept(record)) == ""
    assert (summary(chain, record).owners, summary(chain, record).offered) == ((READER, CLERK), ())
    assert chain.send(READER, mark_calls.annotate(record, note="ours")) == ""
    assert chain.send(CLERK, mark_calls.renounce(record)) == ""
    assert summary(chain, record).owners == (READER,)
    assert chain.send(CLERK, mark_calls.withdraw(record, "erroneous")) == "not_owner"
    assert chain.send(READER, mark_calls.renounce(record)) == "last_owner"
    assert chain.send(READER, mark_calls.withdraw(record, "erroneous")) == ""


def test_offers_are_declined_and_retracted(chain):
    record = notarized(chain)
    assert chain.send(CLERK, mark_calls.offer(record, "archive/nobody")) == "unknown_account"
    assert chain.send(CLERK, mark_calls.offer(record, CLERK)) == "already_owner"
    assert chain.send(CLERK, mark_calls.offer(record, READER)) == ""
    assert chain.send(CLERK, mark_calls.offer(record, READER)) == "already_offered"
    assert chain.send(READER, mark_calls.decline(record)) == ""
    assert chain.send(READER, mark_calls.accept(record)) == "not_offered"
    assert chain.send(CLERK, mark_calls.offer(record, READER)) == ""
    assert chain.send(CLERK, mark_calls.retract(record, READER)) == ""
    assert chain.send(CLERK, mark_calls.retract(record, READER)) == "not_offered"
    assert chain.send(READER, mark_calls.accept(record)) == "not_offered"


def test_owners_are_bounded(chain):
    names = [f"archive/n{i}" for i in range(MAX_OWNERS)]
    for name in names:
        register = calls.register_account(name, roles=[], keys=[chain.offer(name, name)])
        assert chain.send(ADMIN, register) == ""
    record = notarized(chain)
    for name in names[:-1]:
        assert chain.send(CLERK, mark_calls.offer(record, name)) == ""
    assert chain.send(CLERK, mark_calls.offer(record, names[-1])) == "too_many_owners"


def test_a_newer_version_has_the_owners_of_both(chain):
    old, new = notarized(chain), notarized(chain, "y")
    assert chain.send(CLERK, mark_calls.offer(old, READER)) == ""
    assert chain.send(READER, mark_calls.accept(old)) == ""
    assert chain.send(CLERK, mark_calls.supersede(old, new)) == ""
    assert summary(chain, new).owners == (READER, CLERK)


def test_a_withdrawn_record_is_annotated_and_nothing_else(chain):
    record, other = notarized(chain), notarized(chain, "y")
    assert chain.send(CLERK, mark_calls.offer(record, READER)) == ""
    assert chain.send(CLERK, mark_calls.withdraw(record, "duplicate")) == ""
    gone = summary(chain, record).withdrawn
    assert (gone.code, gone.height, gone.account) == ("duplicate", chain.height, CLERK)
    for sender, call in (
        (CLERK, mark_calls.withdraw(record, "other")),
        (CLERK, mark_calls.supersede(record, other)),
        (CLERK, mark_calls.supersede(other, record)),
        (CLERK, mark_calls.offer(record, BOSS)),
        (READER, mark_calls.accept(record)),
    ):
        assert chain.send(sender, call) == "record_withdrawn"
    assert chain.send(CLERK, mark_calls.annotate(record, note="see the other")) == ""
    assert chain.send(READER, mark_calls.decline(record)) == ""


def test_administrators_annotate_by_order_and_do_nothing_else(chain):
    record = notarized(chain)
    order = mark_calls.annotate_by_order(record, "(2026) 京01民初1号", code="frozen")
    assert chain.send(CLERK, order) == "missing_role"
    transaction = chain.transaction(ADMIN, order)
    assert chain.execute(transaction).receipts[0].succeeded
    mark = last_mark(chain, transaction)
    assert (mark.event, mark.code) == (Event.ANNOTATED_BY_ORDER, "frozen")
    assert mark.opening.facts.order == "(2026) 京01民初1号"
    found = summary(chain, record)
    assert (found.owners, found.annotations, found.orders) == ((CLERK,), 0, 1)
    assert chain.send(ADMIN, mark_calls.withdraw(record, "other")) == "not_owner"
    assert chain.send(ADMIN, mark_calls.annotate(record, note="x")) == "not_owner"


def test_the_first_mark_takes_the_role_that_registering_takes(chain):
    record = notarized(chain)
    assert chain.send(ADMIN, calls.revoke_role(CLERK, Role.NOTARY)) == ""
    assert chain.send(CLERK, mark_calls.withdraw(record, "other")) == "missing_role"
    invented = SaltedRecord(
        reference=RecordReference(account=READER, tx_id=bytes(32), call=0, item=0), salt=SEED
    )
    assert chain.send(READER, mark_calls.annotate(invented, note="x")) == "missing_role"


def test_who_claims_anothers_record_touches_nothing_of_it(chain):
    assert chain.send(ADMIN, calls.grant_role(READER, Role.NOTARY)) == ""
    record = notarized(chain)
    mine = RecordReference(account=READER, tx_id=record.reference.tx_id, call=0, item=0)
    claimed = SaltedRecord(reference=mine, salt=record.salt)
    assert chain.send(READER, mark_calls.withdraw(record, "other")) == "not_owner"
    assert chain.send(READER, mark_calls.withdraw(claimed, "other")) == ""
    assert summary(chain, record) == unmarked(record.reference)


def test_annotations_are_bounded(chain, monkeypatch):
    monkeypatch.setattr("contracts.history.MAX_ANNOTATIONS", 2)
    record = notarized(chain)
    for code in ("", "", "too_many_annotations"):
        assert chain.send(CLERK, mark_calls.annotate(record, note="x")) == code
    for code in ("", "", "too_many_annotations"):
        assert chain.send(ADMIN, mark_calls.annotate_by_order(record, "o")) == code


RECORD = (SEED, CLERK, bytes(32), 0, 0)


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("withdraw", (RECORD,), "malformed"),
        ("withdraw", (RECORD, "because"), "bad_reason"),
        ("withdraw", (RECORD[:4], "other"), "malformed"),
        ("withdraw", ((SEED[:31], *RECORD[1:]), "other"), "malformed"),
        ("withdraw", ((SEED, "clerk", *RECORD[2:]), "other"), "bad_name"),
        ("withdraw", ((*RECORD[:3], 100, 0), "other"), "malformed"),
        ("withdraw", ((*RECORD[:3], 0, 10_000), "other"), "malformed"),
        ("annotate", (RECORD, None, None, None), "empty_annotation"),
        ("annotate", (RECORD, "No", None, None), "bad_name"),
        ("annotate", (RECORD, None, bytes(31), None), "malformed"),
        ("annotate", (RECORD, None, None, "书" * 86), "malformed"),
        ("offer", (RECORD, "x"), "bad_name"),
        ("supersede", (RECORD, 1), "malformed"),
        ("accept", (), "malformed"),
        ("erase", (RECORD,), "unknown_method"),
    ],
)
def test_other_arguments_are_refused(chain, method, args, code):
    assert chain.send(CLERK, Call(contract="history", method=method, args=args)) == code


@pytest.mark.parametrize("order", [None, ""])
def test_an_order_is_named(chain, order):
    args = (RECORD, order, None, None, None)
    call = Call(contract="history", method="annotate_by_order", args=args)
    assert chain.send(ADMIN, call) == "malformed"


def test_the_state_of_a_record_is_read_back_as_written(chain):
    record = notarized(chain)
    chain.send(CLERK, mark_calls.offer(record, READER))
    chain.send(CLERK, mark_calls.withdraw(record, "expired"))
    data = chain.state[state_key(chain.genesis.suite, record.reference, record.salt)]
    assert decode_summary(data).encode() == data
    assert codec.decode(data, max_bytes=1_000)[0] == 1


def test_openings_are_told_for_marks_only(chain):
    record = notarized(chain)
    broken = Call(contract="history", method="accept", args=(1,))
    transaction = chain.transaction(
        CLERK, mark_calls.annotate(record, note="x"), calls.suspend_account(CLERK), broken
    )
    mark_opening_of(transaction, 0)
    for call in (1, 2, 3):
        with pytest.raises(NotFound) as caught:
            mark_opening_of(transaction, call)
        assert caught.value.error_code == "not_a_mark"
