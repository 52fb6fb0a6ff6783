"""Second cosigner keys: only the validator's cosigner key speaks for it, once for each number, and all stands on the log."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.record import decode_record
from chainnode.model.second_key import second_key_statement
from chainnode.model.transaction import Call
from contracts.query import second_key_in
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

# Whoever sends it: the statement has its own signature.
SENDER = "archive/reader"
FIRST, SECOND = bytes(1_312), b"\1" * 1_312


def said(chain, number, public_key, *, validator="v1", by="v1 cosigner", about=None):
    statement = second_key_statement(chain.domain, about or validator, number, public_key)
    return calls.register_second_key(validator, number, public_key, chain.key(by).sign(statement))


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_a_key_is_registered_replaced_and_taken_back(suite):
    chain = Chain(example_genesis(suite))
    own = chain.key("v1 cosigner").public
    for number, key in enumerate((FIRST, SECOND, None, FIRST), start=1):
        assert chain.send(SENDER, said(chain, number, key)) == ""
        found = second_key_in(chain.state, "v1")
        assert (found.number, found.key_for(own)) == (number, key)
    assert second_key_in(chain.state, "v2") is None
    bodies = [r.body for r in map(decode_record, chain.log) if r.kind == "cosigner-key"]
    assert bodies == [("v1", 1, FIRST), ("v1", 2, SECOND), ("v1", 3, None), ("v1", 4, FIRST)]


def test_it_counts_only_beside_the_cosigner_key_that_vouched_for_it():
    chain = Chain()
    chain.send(SENDER, said(chain, 1, FIRST))
    found = second_key_in(chain.state, "v1")
    assert found.key_for(chain.key("v2 cosigner").public) is None


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
        ("v1", 1, bytes(1_311), b"s"),
        ("v1", 1, "key", b"s"),
        ("v1", 0, FIRST, b"s"),
        ("v1", 1, FIRST, b"s" * 129),
        ("v1", 1, FIRST),
        (1, 1, FIRST, b"s"),
    ],
)
def test_other_shapes_are_refused(args):
    chain = Chain()
    call = Call(contract="cosigners", method="register", args=args)
    assert chain.send(SENDER, call) == "malformed"
