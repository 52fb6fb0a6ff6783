"""What nodes' clocks stand on: declared by who holds a node's account, replaced, and kept on the log."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.record import decode_record
from chainnode.model.transaction import Call
from contracts.query import clock_declaration
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

NODE = "justice/node"


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_the_newest_declaration_holds_and_all_of_them_stand_on_the_log(suite):
    chain = Chain(example_genesis(suite))
    first = calls.declare_clock(
        "v1", sources=["北斗 receiver", "ntp.example"], check="ntp2.example:123"
    )
    second = calls.declare_clock("v1", sources=[], check=None)
    assert chain.send(NODE, first) == ""
    found = clock_declaration(chain.state, NODE)
    assert (found.validator, found.sources) == ("v1", ("北斗 receiver", "ntp.example"))
    assert found.check == "ntp2.example:123"
    assert chain.send(NODE, second) == ""
    assert clock_declaration(chain.state, NODE).as_value() == ("v1", (), None)
    bodies = [r.body for r in map(decode_record, chain.log) if r.kind == "clocks"]
    assert bodies == [
        ("declared", "v1", ("北斗 receiver", "ntp.example"), "ntp2.example:123"),
        ("declared", "v1", (), None),
    ]


@pytest.mark.parametrize(
    ("sender", "args", "code"),
    [
        ("justice/clerk", ("v1", (), None), "missing_role"),
        (NODE, ("v9", (), None), "unknown_validator"),
        (NODE, ("v1", ("x",) * 9, None), "malformed"),
        (NODE, ("v1", ("x" * 263,), None), "malformed"),
        (NODE, ("v1", (), "x" * 263), "malformed"),
        (NODE, ("v1", (b"x",), None), "malformed"),
        (NODE, ("v1", ()), "malformed"),
    ],
)
def test_refusals(sender, args, code):
    chain = Chain()
    assert chain.send(sender, Call(contract="clocks", method="declare", args=args)) == code
    assert clock_declaration(chain.state, sender) is None
