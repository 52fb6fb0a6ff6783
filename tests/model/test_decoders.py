"""Every decoder accepts one encoding of a value and answers all other bytes with DecodeError."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from tests.support.encodings import foreign_kinds, is_refused, longer_forms, other_kinds
from tests.support.formats import SUITES, Format, samples

FORMATS = samples(SUITES[0]).formats()
EVERY = pytest.mark.parametrize("name", FORMATS)


def read(known: Format, data: bytes) -> None:
    """Decode; whatever is accepted must be the one encoding of what was read."""
    try:
        value = known.decode(data)
    except DecodeError:
        return
    assert known.encode(value) == data


@EVERY
def test_a_value_in_a_longer_form_is_refused(name: str) -> None:
    known = FORMATS[name]
    for what, data in longer_forms(known.encoded):
        assert is_refused(known.decode, data), what


@EVERY
def test_a_kind_of_value_that_the_chain_does_not_use_is_refused(name: str) -> None:
    known = FORMATS[name]
    for what, data in foreign_kinds(known.encoded):
        assert is_refused(known.decode, data), what


@EVERY
def test_bytes_that_end_early_or_late_are_refused(name: str) -> None:
    known = FORMATS[name]
    for length in range(len(known.encoded)):
        with pytest.raises(DecodeError):
            known.decode(known.encoded[:length])
    for tail in (b"\0", b"\xc0", known.encoded):
        with pytest.raises(DecodeError):
            known.decode(known.encoded + tail)


@EVERY
def test_another_kind_in_any_place_is_refused_or_is_another_value(name: str) -> None:
    known = FORMATS[name]
    for data in other_kinds(known.encoded):
        read(known, data)


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_changed_bytes_are_refused_or_are_another_value(name: str, data: st.DataObject) -> None:
    known = FORMATS[name]
    changed = bytearray(known.encoded)
    for at, byte in data.draw(
        st.lists(
            st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), min_size=1, max_size=4
        )
    ):
        changed[at] = byte
    read(known, bytes(changed))


@functools.cache
def _any_bytes() -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=3).map(lambda tail: b"\x9f" + tail),
        st.integers(1, 3_000).map(lambda depth: b"\x91" * depth),
        st.integers(1, 3_000).map(lambda depth: b"\x91" * depth + b"\xc0"),
        st.integers(1, 3_000).map(lambda depth: b"\x81" * depth),
    )


@EVERY
@settings(max_examples=60)
@given(data=_any_bytes())
def test_any_bytes_give_a_value_or_a_decode_error(name: str, data: bytes) -> None:
    read(FORMATS[name], data)
