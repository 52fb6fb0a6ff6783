"""How parameters are read."""

from __future__ import annotations

import base64

import pytest

from chainnode.model.errors import DecodeError
from chainnode.rpc.shapes import (
    AccountName,
    Anything,
    Auth,
    Base64,
    Choice,
    Flag,
    Hex,
    Integer,
    Name,
    Parameter,
    parse_parameters,
)

AUTH = {"account": "court/clerk", "public_key": "AAAA", "time_ms": 5, "signature": "AAAA"}
SHAPES = (
    Integer(),
    Flag(),
    Choice(("a", "b")),
    Hex(least_bytes=1, most_bytes=2),
    Base64(most_bytes=4),
    Name(),
    AccountName(),
    Anything(),
    Auth(),
)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (Integer(), True),
        (Integer(), "1"),
        (Integer(), 1.0),
        (Integer(), -1),
        (Integer(least=1, most=5), 6),
        (Integer(), 2**53),
        (Flag(), 1),
        (Flag(), "true"),
        (Choice(("a", "b")), "c"),
        (Choice(("a", "b")), 1),
        (Hex(least_bytes=1, most_bytes=2), ""),
        (Hex(least_bytes=1, most_bytes=2), "0"),
        (Hex(least_bytes=1, most_bytes=2), "AB"),
        (Hex(least_bytes=1, most_bytes=2), "0x"),
        (Hex(least_bytes=2, most_bytes=2), "000000"),
        (Hex(least_bytes=1, most_bytes=2), 7),
        (Base64(most_bytes=4), "AA"),
        (Base64(most_bytes=4), "AA==\n"),
        (Base64(most_bytes=4), "AB=="),
        (Base64(most_bytes=4), "AA-_"),
        (Base64(most_bytes=4), "é==="),
        (Base64(most_bytes=4), "A" * 12),
        (Base64(most_bytes=4), None),
        (Name(), "Upper"),
        (Name(), 1),
        (AccountName(), "court"),
        (AccountName(), []),
        (Anything(), []),
        (Auth(), []),
        (Auth(), {**AUTH, "more": 1}),
        (Auth(), {k: v for k, v in AUTH.items() if k != "time_ms"}),
        (Auth(), {**AUTH, "public_key": 1}),
    ],
)
def test_another_shape_is_refused_by_name(shape, value):
    with pytest.raises(DecodeError) as refused:
        shape.parse(value, "it")
    assert refused.value.field.startswith(("it", "auth"))


@pytest.mark.parametrize(
    ("shape", "value", "meaning"),
    [
        (Integer(least=1, most=5), 5, 5),
        (Flag(), False, False),
        (Choice(("a", "b")), "b", "b"),
        (Hex(least_bytes=1, most_bytes=2), "00ff", b"\x00\xff"),
        (Base64(most_bytes=4), base64.b64encode(b"four").decode(), b"four"),
        (Base64(most_bytes=4), "", b""),
        (Name(), "notary", "notary"),
        (AccountName(), "court/clerk", "court/clerk"),
        (Anything(), {"a": 1}, {"a": 1}),
    ],
)
def test_the_right_shape_is_read(shape, value, meaning):
    assert shape.parse(value, "it") == meaning


def test_an_authorization_is_read_field_by_field():
    authorization = Auth().parse(AUTH, "auth")
    assert (authorization.account, authorization.time_ms) == ("court/clerk", 5)
    assert authorization.public_key == authorization.signature == bytes(3)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_every_shape_describes_itself(shape):
    assert shape.schema().keys() & {"type", "enum"}


def test_parameters_are_declared_required_or_have_a_default():
    declared = {
        "height": Parameter(name="height", shape=Integer(), about="which"),
        "limit": Parameter(
            name="limit", shape=Integer(), about="how many", required=False, default=9
        ),
    }
    assert parse_parameters(declared, {"height": 4}) == {"height": 4, "limit": 9}
    assert parse_parameters(declared, {"height": 4, "limit": 1}) == {"height": 4, "limit": 1}
    for given, code in (({}, "missing_parameter"), ({"height": 1, "x": 2}, "unknown_parameter")):
        with pytest.raises(DecodeError) as refused:
            parse_parameters(declared, given)
        assert refused.value.error_code == code
