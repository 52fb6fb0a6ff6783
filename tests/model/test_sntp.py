"""SNTP: what is asked, what is taken for an answer, and what a stamp means."""

from __future__ import annotations

import pytest

from chainnode.model.errors import DecodeError
from chainnode.model.sntp import decode_answer, encode_question

COOKIE = b"8 random"
NEW_YEAR_2026_MS = 1_767_225_600_000
SECONDS_1900 = 2_208_988_800 + 1_767_225_600
"""The same since 1900; 3,976,214,400."""


def answer(*, first=0x24, stratum=2, cookie=COOKIE, received=None, sent=None, ref=bytes(4)):
    half = SECONDS_1900.to_bytes(4, "big") + b"\x80\0\0\0"
    head = bytes([first, stratum]) + bytes(10) + ref + bytes(8)
    return (
        head + cookie + (half if received is None else received) + (half if sent is None else sent)
    )


def test_a_question_is_a_client_packet_that_tells_nothing_but_its_number():
    asked = encode_question(COOKIE)
    assert (len(asked), asked[0] >> 3 & 7, asked[0] & 7) == (48, 4, 3)
    assert asked[1:40] == bytes(39)
    assert asked[40:] == COOKIE


def test_an_answer_gives_the_servers_stamps_in_milliseconds():
    found = decode_answer(answer(), COOKIE)
    assert (found.received_ms, found.sent_ms) == (NEW_YEAR_2026_MS + 500,) * 2
    assert (found.stratum, found.leap) == (2, 0)
    assert decode_answer(answer(first=0x64), COOKIE).leap == 1
    # What follows the packet may be an extension or a checksum; nobody needs it.
    assert decode_answer(answer() + bytes(20), COOKIE) == found


def test_stamps_go_on_in_2036():
    first = (1).to_bytes(4, "big") + bytes(4)
    assert decode_answer(answer(sent=first), COOKIE).sent_ms == (2**32 + 1 - 2_208_988_800) * 1_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (answer()[:47], "47 bytes"),
        (answer(cookie=b"another!"), "another question"),
        (answer(first=0x23), "mode 3"),
        (answer(first=0xE4), "not synchronised"),
        (answer(stratum=16), "not synchronised"),
        (answer(stratum=0, ref=b"RATE"), "refuses to answer: RATE"),
        (answer(sent=bytes(8)), "without a time"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_reason(data, reason):
    with pytest.raises(DecodeError, match=reason):
        decode_answer(data, COOKIE)
