"""The notary: what enters the log, what never does, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from chainnode.model import calls, codec
from chainnode.model.commitment import PUBLIC_SALT, Digest, metadata_commitment_to, verify_opening
from chainnode.model.errors import NotFound
from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL
from chainnode.model.record import decode_record
from chainnode.model.transaction import Call
from contracts.query import opening_of
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

SEED = bytes(range(32))
CLERK = "justice/clerk"


def document(text: str, **more) -> calls.Document:
    data = text.encode()
    digests = (
        Digest(algorithm="sha256", value=hashlib.sha256(data).digest()),
        Digest(algorithm="sha512", value=hashlib.sha512(data).digest()),
    )
    return calls.Document(digests=digests, **more)


def register(*args) -> Call:
    return Call(contract="notary", method="register", args=args)


@pytest.mark.parametrize("suite_name", [ED25519, SM2])
def test_every_document_of_a_list_leaves_one_record_that_its_opening_opens(suite_name):
    chain = Chain(example_genesis(suite_name))
    documents = [document("a", title="A", metadata_hash=bytes(32)), document("b")]
    transaction = chain.transaction(CLERK, calls.register_documents(documents, seed=SEED))
    result = chain.execute(transaction)
    (receipt,) = result.receipts
    assert (receipt.succeeded, receipt.first_record, receipt.record_count) == (True, 1, 2)
    assert result.changes == {}
    for item, wanted in enumerate(documents):
        record = decode_record(result.emitted[receipt.first_record + item].leaf)
        assert (record.kind, record.contract, record.account) == ("notary", "notary", CLERK)
        assert (record.tx_id, record.call, record.item) == (transaction.id, 0, item)
        commitment, *metadata = record.body
        entry = opening_of(transaction, 0, item, chain.domain)
        suite, salt = chain.genesis.suite, entry.opening.salt
        verify_opening(suite, commitment, entry.opening)
        expected = wanted.metadata_hash
        assert metadata == (
            [] if expected is None else [metadata_commitment_to(suite, salt, expected)]
        )
        assert entry.opening.digests == wanted.digests
        assert (entry.title, entry.metadata_hash) == (wanted.title, wanted.metadata_hash)


def test_salts_of_a_list_differ_and_follow_from_the_seed():
    chain = Chain()
    same = [document("x"), document("x")]
    transaction = chain.transaction(CLERK, calls.register_documents(same, seed=SEED))
    leaves = chain.execute(transaction).emitted[1:]
    assert decode_record(leaves[0].leaf).body != decode_record(leaves[1].leaf).body
    salts = {opening_of(transaction, 0, item, chain.domain).opening.salt for item in (0, 1)}
    suite = chain.genesis.suite
    assert salts == {suite.hmac(SEED, item.to_bytes(8, "big")) for item in (0, 1)}


def test_a_leaf_holds_neither_digest_nor_title_nor_salt():
    chain = Chain()
    secret = document("secret", title="a title", metadata_hash=b"m" * 32)
    transaction = chain.transaction(CLERK, calls.register_documents([secret], seed=SEED))
    leaf = chain.execute(transaction).emitted[1].leaf
    salt = opening_of(transaction, 0, 0, chain.domain).opening.salt
    for hidden in (
        secret.digests[0].value,
        secret.digests[1].value,
        b"a title",
        b"m" * 32,
        SEED,
        salt,
    ):
        assert hidden not in leaf


def test_a_public_registration_can_be_found_by_whoever_has_the_document():
    chain = Chain()
    transaction = chain.transaction(
        CLERK, calls.register_documents([document("x"), document("x")], seed=None)
    )
    leaves = chain.execute(transaction).emitted[1:]
    bodies = [decode_record(emitted.leaf).body for emitted in leaves]
    assert bodies[0] == bodies[1]
    assert opening_of(transaction, 0, 1, chain.domain).opening.salt == PUBLIC_SALT


def test_each_digest_is_a_key_of_the_local_index():
    chain = Chain()
    wanted = document("x")
    result = chain.execute(chain.transaction(CLERK, calls.register_documents([wanted], seed=SEED)))
    assert result.emitted[0].lookup_keys == ()
    assert result.emitted[1].lookup_keys == (
        b"digest/sha256/" + wanted.digests[0].value,
        b"digest/sha512/" + wanted.digests[1].value,
    )


def test_the_same_digest_may_be_registered_again():
    chain = Chain()
    call = calls.register_documents([document("x")], seed=SEED)
    assert chain.send(CLERK, call) == ""
    assert chain.send(CLERK, call) == ""


def test_a_thousand_documents_fit_one_call_and_one_more_does_not():
    chain = Chain()
    most = [document(str(i)) for i in range(MAX_DOCUMENTS_PER_CALL)]
    assert chain.send(CLERK, calls.register_documents(most, seed=SEED)) == ""
    assert len(chain.last.emitted) == MAX_DOCUMENTS_PER_CALL + 1
    more = [*most, document("one more")]
    assert chain.send(CLERK, calls.register_documents(more, seed=SEED)) == "malformed"


@pytest.mark.parametrize("sender", ["archive/reader", "justice/admin"])
def test_only_notaries_may_write(sender):
    chain = Chain()
    assert (
        chain.send(sender, calls.register_documents([document("x")], seed=SEED)) == "missing_role"
    )


SHA256 = ("sha256", bytes(32))


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), "malformed"),
        ((SEED,), "malformed"),
        ((SEED, (), None), "malformed"),
        ((SEED, ()), "malformed"),
        ((SEED[:31], (((SHA256,), None, None),)), "malformed"),
        (("seed", (((SHA256,), None, None),)), "malformed"),
        ((SEED, (((SHA256,), None),)), "malformed"),
        ((SEED, (((), None, None),)), "malformed"),
        ((SEED, (((SHA256,), "t" * 257, None),)), "malformed"),
        ((SEED, (((SHA256,), "书" * 86, None),)), "malformed"),
        ((SEED, (((SHA256,), 7, None),)), "malformed"),
        ((SEED, (((SHA256,), None, bytes(31)),)), "malformed"),
        ((SEED, (((SHA256,) * 4, None, None),)), "malformed"),
        ((SEED, (((("sha256", bytes(31)),), None, None),)), "bad_digest"),
        ((SEED, (((("sha256", bytes(64)),), None, None),)), "bad_digest"),
        ((SEED, (((("sha384", bytes(32)),), None, None),)), "bad_digest"),
        ((SEED, (((("sha512", bytes(32)),), None, None),)), "bad_digest"),
        ((SEED, (((("sm3", "text"),), None, None),)), "bad_digest"),
        ((SEED, (((("md5", bytes(16)),), None, None),)), "unknown_algorithm"),
        ((SEED, ((((SHA256, SHA256)), None, None),)), "bad_digest_order"),
        ((SEED, (((("sm3", bytes(32)), SHA256), None, None),)), "bad_digest_order"),
    ],
)
def test_what_is_not_a_list_of_documents_is_refused(args, code):
    assert Chain().send(CLERK, register(*args)) == code


def test_one_bad_document_keeps_the_whole_transaction_out():
    chain = Chain()
    good = calls.register_documents([document("x")], seed=SEED)
    bad = register(SEED, (document("y").as_value(), ((("md5", b""),), None, None)))
    assert chain.send(CLERK, good, bad) == "unknown_algorithm"
    assert chain.last.receipts[0].message.startswith(
        "call 1 (notary.register): algorithm: found 'md5'"
    )


def test_openings_are_told_for_registered_documents_only():
    chain = Chain()
    good = calls.register_documents([document("x")], seed=SEED)
    other = calls.suspend_account(CLERK)
    broken = register(SEED, (1,))
    transaction = chain.transaction(CLERK, good, other, broken)
    opening_of(transaction, 0, 0, chain.domain)
    for call, item in [(0, 1), (1, 0), (2, 0), (3, 0), (-3, 0), (0, -1)]:
        with pytest.raises(NotFound) as caught:
            opening_of(transaction, call, item, chain.domain)
        assert caught.value.error_code == "not_a_registration"


def test_documents_survive_the_way_into_a_call_and_back():
    wanted = document("x", title="标题", metadata_hash=bytes(32))
    data = codec.encode(wanted.as_value())
    assert calls.parse_document(codec.decode(data, max_bytes=1_000)) == wanted
