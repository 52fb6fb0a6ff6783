"""The codec: each value has one encoding, taken from the MessagePack specification, and no other is read."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from tests.support.encodings import foreign_kinds, is_refused, longer_forms

MAX_BYTES = 1 << 20

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=20).map(tuple),
    max_leaves=30,
)

SPECIFIED = [
    (None, "c0"),
    (False, "c2"),
    (True, "c3"),
    (0, "00"),
    (127, "7f"),
    (128, "cc80"),
    (255, "ccff"),
    (256, "cd0100"),
    (65_535, "cdffff"),
    (65_536, "ce00010000"),
    (2**32 - 1, "ceffffffff"),
    (2**32, "cf0000000100000000"),
    (2**64 - 1, "cfffffffffffffffff"),
    (-1, "ff"),
    (-32, "e0"),
    (-33, "d0df"),
    (-128, "d080"),
    (-129, "d1ff7f"),
    (-32_768, "d18000"),
    (-32_769, "d2ffff7fff"),
    (-(2**31), "d280000000"),
    (-(2**31) - 1, "d3ffffffff7fffffff"),
    (-(2**63), "d38000000000000000"),
    ("", "a0"),
    ("a" * 31, "bf" + "61" * 31),
    ("a" * 32, "d920" + "61" * 32),
    ("a" * 256, "da0100" + "61" * 256),
    ("a" * 65_536, "db00010000" + "61" * 65_536),
    ("公", "a3e585ac"),
    (b"", "c400"),
    (b"a" * 255, "c4ff" + "61" * 255),
    (b"a" * 256, "c50100" + "61" * 256),
    (b"a" * 65_536, "c600010000" + "61" * 65_536),
    ((), "90"),
    ((0,) * 15, "9f" + "00" * 15),
    ((0,) * 16, "dc0010" + "00" * 16),
    ((0,) * 65_536, "dd00010000" + "00" * 65_536),
    (((), (None, ("", b""))), "929092c092a0c400"),
]


@pytest.mark.parametrize(("value", "data"), SPECIFIED, ids=lambda v: repr(v)[:20])
def test_a_value_takes_the_shortest_form_of_the_specification(
    value: codec.Value, data: str
) -> None:
    assert codec.encode(value).hex() == data
    decoded = codec.decode(bytes.fromhex(data), max_bytes=MAX_BYTES)
    assert decoded == value
    assert type(decoded) is type(value)


@given(VALUES)
def test_what_is_encoded_is_read_back(value: codec.Value) -> None:
    assert codec.decode(codec.encode(value), max_bytes=MAX_BYTES) == value


@settings(max_examples=50)
@given(VALUES)
def test_no_longer_form_and_no_foreign_kind_is_read(value: codec.Value) -> None:
    data = codec.encode(value)
    for make in (longer_forms, foreign_kinds):
        for what, other in make(data):
            assert is_refused(lambda d: codec.decode(d, max_bytes=MAX_BYTES), other), what


@given(st.binary(max_size=100))
def test_any_bytes_are_canonical_or_refused(data: bytes) -> None:
    try:
        value = codec.decode(data, max_bytes=MAX_BYTES)
    except DecodeError:
        return
    assert codec.encode(value) == data


def test_one_byte_too_many_is_refused_unread() -> None:
    data = codec.encode(b"a" * 10)
    codec.decode(data, max_bytes=len(data))
    with pytest.raises(DecodeError) as caught:
        codec.decode(data, max_bytes=len(data) - 1)
    assert caught.value.error_code == "too_large"


def test_arrays_nest_to_the_limit_and_no_further() -> None:
    deepest = b"\x91" * (codec.MAX_DEPTH - 1) + b"\x90"
    codec.decode(deepest, max_bytes=MAX_BYTES)
    for depth in (codec.MAX_DEPTH, 400, 1_000, 100_000):
        with pytest.raises(DecodeError):
            codec.decode(b"\x91" * depth + b"\x90", max_bytes=MAX_BYTES)


def test_an_array_that_claims_to_be_huge_is_refused() -> None:
    for data in (b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
        with pytest.raises(DecodeError):
            codec.decode(data, max_bytes=MAX_BYTES)


def test_a_value_that_cannot_be_encoded_leaves_nothing_behind() -> None:
    for value in (("half", object()), ("half", 2**64), ("half", "\ud800")):
        with pytest.raises((TypeError, OverflowError, ValueError)):
            codec.encode(value)  # type: ignore[arg-type]
    assert codec.encode(1) == b"\x01"


@pytest.mark.parametrize(
    ("reader", "accepted", "refused"),
    [
        (codec.array, [()], [None, "", b"", 0, False]),
        (lambda v, w: codec.array(v, w, arity=1), [(0,)], [(), (0, 0)]),
        (lambda v, w: codec.array_up_to(v, w, least=1, most=2), [(0,), (0, 0)], [(), (0,) * 3, 1]),
        (codec.integer, [0, 2**63 - 1], [-1, 2**63, True, None, "0", b"0", ()]),
        (lambda v, w: codec.integer(v, w, least=-1, most=1), [-1, 1], [-2, 2]),
        (codec.boolean, [True, False], [0, 1, None, ""]),
        (lambda v, w: codec.text(v, w, most_bytes=3), ["", "abc", "公"], ["abcd", "公a", b"a", 0]),
        (codec.binary, [b"", b"a" * 99], ["", None, 0]),
        (lambda v, w: codec.binary(v, w, size=2), [b"ab"], [b"a", b"abc"]),
        (lambda v, w: codec.binary(v, w, most=2), [b"", b"ab"], [b"abc"]),
    ],
)
def test_a_reader_takes_its_kind_in_its_range_and_names_the_field(
    reader, accepted, refused
) -> None:
    for value in accepted:
        assert reader(value, "field") == value
    for value in refused:
        with pytest.raises(DecodeError) as caught:
            reader(value, "field")
        assert caught.value.field == "field"


def test_maps_are_refused_before_many_of_them_are_made():
    count = 1 << 16
    data = b"\xdd" + count.to_bytes(4, "big") + b"\x80" * count
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="dict is not among"):
            codec.decode(data, max_bytes=MAX_BYTES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * count


def test_elements_are_bounded_over_all_arrays_together():
    half = (None,) * (codec.MAX_ELEMENTS // 2 - 1)
    assert codec.decode(codec.encode((half, half)), max_bytes=MAX_BYTES) == (half, half)
    with pytest.raises(DecodeError, match="more than 524288 elements") as refused:
        codec.decode(codec.encode((half, half, None)), max_bytes=MAX_BYTES)
    assert refused.value.error_code == "too_large"
    with pytest.raises(DecodeError, match="exceeds max_array_len"):
        codec.decode(codec.encode((None,) * (codec.MAX_ELEMENTS + 1)), max_bytes=MAX_BYTES)


def test_arrays_that_claim_more_than_they_hold_get_little_memory_for_it():
    size = 256 * 1024
    data = (b"\xdd" + (size - 2_500).to_bytes(4, "big")) * 500
    data += b"\xc0" * (size - len(data))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="incomplete"):
            codec.decode(data, max_bytes=MAX_BYTES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024
