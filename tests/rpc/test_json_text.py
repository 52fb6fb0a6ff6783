"""What the text of a request may be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from chainnode.rpc import json_text
from chainnode.rpc.json_text import encode_json, parse_request
from chainnode.rpc.limits import MAX_JSON_DEPTH

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "{'a':1}",
        '{"a":1,"a":2}',
        '[{"b":{"a":1,"a":1}}]',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "[-1e999]",
        '"\\ud800"',
        '{"\\udfff":1}',
        "[" * 100_000,
        "[" * 50_000 + "]" * 50_000,
        "\ufeff{}",
        "1" * 5_000,
        "[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1),
        '{"a":' * (MAX_JSON_DEPTH + 1) + "1" + "}" * (MAX_JSON_DEPTH + 1),
    ],
)
def test_text_that_is_not_strict_json_is_refused(text):
    with pytest.raises(DecodeError) as refused:
        parse_request(text)
    assert refused.value.error_code == "parse_error"


def test_a_double_name_among_very_many_is_found_by_looking_at_each_name_once():
    class Counted(str):
        compared = 0
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            Counted.compared += 1
            return str.__eq__(self, other)

    pairs = [(Counted(f"{i}"), 0) for i in range(2_000)] + [(Counted("1999"), 1)]
    with pytest.raises(ValueError, match="'1999' is there twice"):
        json_text._object(pairs)
    assert Counted.compared < 4 * len(pairs)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH,
        "[" + "{}," * 50 + "[]]",
        '"\\ud83d\\ude00"',
        '{"a":{"a":1}}',
        "-0.5e3",
    ],
)
def test_text_within_the_bounds_is_read_as_json_says(text):
    assert parse_request(text) == json.loads(text)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_is_read_or_refused(text):
    try:
        parse_request(text)
    except DecodeError:
        return


@given(JSON)
@settings(max_examples=100)
def test_what_is_written_is_read_back(value):
    assert parse_request(encode_json(value)) == value
