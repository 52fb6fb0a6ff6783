"""Whatever the arguments: a receipt, and never a fault of the node."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model import calls, codec
from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_RECEIPT_MESSAGE_BYTES
from chainnode.model.receipt import decode_receipt
from chainnode.model.transaction import Call, decode_transaction
from contracts.algorithms import METHODS as ALGORITHMS
from contracts.authorities.contract import METHODS as AUTHORITIES
from contracts.clocks import METHODS as CLOCKS
from contracts.cosigners import METHODS as COSIGNERS
from contracts.history import METHODS as HISTORY
from contracts.identity.contract import METHODS as IDENTITY
from contracts.notary import METHODS as NOTARY
from contracts.timestamps import METHODS as TIMESTAMPS
from tests.support.contracts import Chain

CHAIN = Chain()
METHODS = [
    (contract, name)
    for contract, methods in (
        ("algorithms", ALGORITHMS),
        ("authorities", AUTHORITIES),
        ("clocks", CLOCKS),
        ("cosigners", COSIGNERS),
        ("history", HISTORY),
        ("identity", IDENTITY),
        ("notary", NOTARY),
        ("timestamps", TIMESTAMPS),
    )
    for name in methods
]
KEY = CHAIN.offer("archive/new", "any").as_value()

# Besides noise: values that get far into a method before something about them is wrong.
plausible = st.sampled_from(
    [
        "archive/reader",
        "justice/admin",
        "archive/new",
        "health",
        "admin",
        "notary",
        "timestamper",
        "timestamp",
        "internal",
        "compromised",
        "city",
        "account",
        "sha256",
        "sm3",
        bytes(32),
        bytes(64),
        CHAIN.key("justice/clerk").public,
        KEY,
        (KEY,),
        (),
        None,
        ((("sha256", bytes(32)),), None, None),
        (bytes(32), "justice/clerk", None, 0, 0),
        (bytes(32), "justice/clerk", bytes(32), 0, 1),
        "erroneous",
        (((("sha256", bytes(32)),), "t", bytes(32)),),
        0,
        1,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -1,
        -(2**63),
        True,
    ]
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
scalars = st.one_of(
    plausible,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    texts,
    st.binary(max_size=140),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5).map(tuple), max_leaves=12)


@pytest.mark.parametrize(("contract", "method"), METHODS)
@settings(max_examples=60, deadline=None)
@given(
    args=st.lists(values, max_size=5).map(tuple),
    sender=st.sampled_from(
        ["justice/admin", "justice/clerk", "justice/node", "archive/boss", "archive/reader"]
    ),
)
def test_any_arguments_give_a_receipt(contract, method, args, sender):
    chain = Chain(CHAIN.genesis)
    transaction = chain.transaction(sender, Call(contract=contract, method=method, args=args))
    transaction = decode_transaction(chain.domain, transaction.envelope)
    result = chain.execute(transaction)
    (receipt,) = result.receipts
    assert decode_receipt(receipt.encode()) == receipt
    assert len(receipt.message) <= MAX_RECEIPT_MESSAGE_BYTES
    assert receipt.message.isascii()
    assert receipt.succeeded or (len(result.emitted), result.changes) == (1, {})


@settings(max_examples=200, deadline=None)
@given(value=values)
def test_readers_of_arguments_accept_what_builders_make_and_raise_nothing_else(value):
    for parse in (calls.parse_document, calls.parse_key_offer):
        try:
            parsed = parse(value)
        except DecodeError:
            continue
        assert codec.encode(parsed.as_value()) == codec.encode(value)
