from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from chainnode.p2p.frame import FRAME_BYTES, LENGTH_BYTES, MAX_FRAME_BYTES, join_frame, split_frame

messages = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20)


@given(messages)
def test_a_frame_gives_back_its_messages_in_order(them):
    assert split_frame(join_frame(them)) == them


@given(st.binary(max_size=64))
def test_any_bytes_are_one_frame_exactly_or_a_decode_error(data):
    try:
        them = split_frame(data)
    except DecodeError:
        return
    assert join_frame(them) == data


@given(messages, st.data())
def test_no_part_of_a_frame_passes_for_more_than_its_whole_messages(them, data):
    frame = join_frame(them)
    cut = data.draw(st.integers(0, len(frame) - 1))
    ends = {0}
    for message in them:
        ends.add(max(ends) + LENGTH_BYTES + len(message))
    if cut in ends and cut:
        assert join_frame(split_frame(frame[:cut])) == frame[:cut]
    else:
        with pytest.raises(DecodeError):
            split_frame(frame[:cut])


def test_the_bytes_are_as_documented():
    assert join_frame([b"a", b"bc"]).hex() == "0000000161000000026263"


def test_several_messages_share_at_most_a_frame_and_one_may_be_larger():
    half = FRAME_BYTES // 2 - LENGTH_BYTES
    assert len(split_frame(join_frame([bytes(half), bytes(half)]))) == 2
    with pytest.raises(DecodeError, match="2 messages in 65537 bytes"):
        split_frame(join_frame([bytes(half), bytes(half + 1)]))
    assert len(split_frame(join_frame([bytes(FRAME_BYTES)]))) == 1


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "0 bytes; expected 1 to"),
        (bytes(MAX_FRAME_BYTES + 1), "expected 1 to"),
        (b"\0\0\0", "3 bytes are left over at byte 0"),
        (b"\0\0\0\1a\0\0", "2 bytes are left over at byte 5"),
        (b"\0\0\0\0", "a message of 0 bytes"),
        (b"\xff\xff\xff\xffa", "a message of 4294967295 bytes; expected 1 to 1"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(frame, why):
    with pytest.raises(DecodeError, match=why):
        split_frame(frame)
