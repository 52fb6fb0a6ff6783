"""Second cosigner keys: only the validator's cosigner key speaks for it, once for each number, and all stands on the log."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.note import VerifierKey
from chainnode.model.record import decode_record
from chainnode.model.second_key import OfferedKey, second_key_of, second_key_statement
from chainnode.model.suites import ML_DSA_44, key_suite_named
from chainnode.model.transaction import Call
from contracts.query import second_key_in
from tests.support.alliance import Key
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

# Whoever sends it: the statement has its own signature.
SENDER = "archive/reader"
SUITE = key_suite_named(ML_DSA_44)
FIRST, SECOND = (Key.of(SUITE, label) for label in ("first", "second"))


def said(chain, number, key, *, validator="v1", by="v1 cosigner", about=None, had_by=None):
    """The call that says a validator's second key is `key`; `had_by` is the key that shows possession."""
    public_key = None if key is None else key.public
    statement = second_key_statement(chain.domain, about or validator, number, public_key)
    offered = None
    if key is not None:
        possession = (had_by or key).sign(statement)
        offered = OfferedKey(public_key=key.public, possession=possession)
    return calls.register_second_key(validator, number, offered, chain.key(by).sign(statement))


def counting(chain, validator="v1"):
    """The public key that counts as the validator's second one, or None."""
    cosigner = chain.key(f"{validator} cosigner").public
    found = second_key_in(chain.state, validator)
    key = second_key_of(chain.domain, chain.genesis.chain_id, validator, cosigner, found)
    return None if key is None else key.public_key


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_a_key_is_registered_replaced_and_taken_back(suite):
    chain = Chain(example_genesis(suite))
    for number, key in enumerate((FIRST, SECOND, None, FIRST), start=1):
        assert chain.send(SENDER, said(chain, number, key)) == ""
        assert second_key_in(chain.state, "v1").number == number
        assert counting(chain) == (None if key is None else key.public)
    assert second_key_in(chain.state, "v2") is None
    assert counting(chain, "v2") is None
    bodies = [r.body for r in map(decode_record, chain.log) if r.kind == "cosigner-key"]
    assert bodies == [
        ("v1", 1, FIRST.public),
        ("v1", 2, SECOND.public),
        ("v1", 3, None),
        ("v1", 4, FIRST.public),
    ]


def test_it_counts_only_beside_the_cosigner_key_that_vouched_for_it():
    chain = Chain()
    chain.send(SENDER, said(chain, 1, FIRST))
    found, other = second_key_in(chain.state, "v1"), chain.key("v2 cosigner").public
    assert second_key_of(chain.domain, chain.genesis.chain_id, "v1", other, found) is None


def test_a_key_that_its_validator_does_not_have_counts_as_none():
    """Else whoever copies another's key makes two of one key, which no policy may hold."""
    chain = Chain()
    assert chain.send(SENDER, said(chain, 1, FIRST)) == ""
    copied = said(chain, 1, FIRST, validator="v2", by="v2 cosigner", had_by=SECOND)
    assert chain.send(SENDER, copied) == ""
    theirs = second_key_in(chain.state, "v1").offered
    statement = second_key_statement(chain.domain, "v2", 2, FIRST.public)
    replayed = calls.register_second_key("v2", 2, theirs, chain.key("v2 cosigner").sign(statement))
    assert counting(chain, "v2") is None
    assert chain.send(SENDER, replayed) == ""
    assert counting(chain, "v2") is None
    assert counting(chain, "v1") == FIRST.public


def test_a_key_that_cannot_be_told_from_the_cosigner_key_counts_as_none(monkeypatch):
    """Key ids have four bytes; two of one name would spoil every note that both have signed."""
    chain = Chain()
    assert chain.send(SENDER, said(chain, 1, FIRST)) == ""
    monkeypatch.setattr(VerifierKey, "key_id", property(lambda _: b"same"))
    assert counting(chain) is None


def test_what_was_said_once_cannot_be_brought_again():
    chain = Chain()
    old = said(chain, 1, FIRST)
    assert chain.send(SENDER, old) == ""
    assert chain.send(SENDER, old) == "other_number"
    assert chain.send(SENDER, said(chain, 2, None)) == ""
    assert chain.send(SENDER, old) == "other_number"
    assert chain.send(SENDER, said(chain, 4, FIRST)) == "other_number"


@pytest.mark.parametrize("by", ["v1 consensus", "v1 log", "v2 cosigner", SENDER])
def test_nobody_else_speaks_for_a_validator(by):
    chain = Chain()
    assert chain.send(SENDER, said(chain, 1, FIRST, by=by)) == "bad_signature"
    assert second_key_in(chain.state, "v1") is None


def test_a_statement_is_about_one_validator_on_one_chain():
    chain = Chain()
    assert chain.send(SENDER, said(chain, 1, FIRST, about="v2")) == "bad_signature"
    assert chain.send(SENDER, said(chain, 1, FIRST, validator="v9")) == "unknown_validator"
    other = Chain(example_genesis(accounts=((SENDER, ()), ("justice/admin", ("admin",)))))
    assert other.send(SENDER, said(chain, 1, FIRST)) == "bad_signature"


@pytest.mark.parametrize(
    "args",
    [
        ("v1", 1, (bytes(1_311), bytes(2_420)), b"s"),
        ("v1", 1, (bytes(1_312), bytes(2_419)), b"s"),
        ("v1", 1, bytes(1_312), b"s"),
        ("v1", 1, "key", b"s"),
        ("v1", 0, None, b"s"),
        ("v1", 1, None, b"s" * 129),
        ("v1", 1, None),
        (1, 1, None, b"s"),
    ],
)
def test_other_shapes_are_refused(args):
    chain = Chain()
    call = Call(contract="cosigners", method="register", args=args)
    assert chain.send(SENDER, call) == "malformed"
