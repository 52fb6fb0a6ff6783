"""Strictness of DER and of times: what one reader forgives and another does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.der import GENERALIZED_TIME, MAX_DEPTH, UTC_TIME, check_der
from chainnode.pki.times import MAX_TIME_MS, as_time, check_time, time_of, time_text
from tests.support.certificates import KEY_SUITES, authority


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("0500", id="null"),
        pytest.param("0101ff", id="true"),
        pytest.param("020100", id="zero"),
        pytest.param("02020080", id="128"),
        pytest.param("0201 80", id="-128"),
        pytest.param("0303 07 00 80", id="one bit"),
        pytest.param("0301 00", id="no bits"),
        pytest.param("3006 020101 020102", id="sequence"),
        pytest.param("3106 020101 020102", id="set in order"),
        pytest.param("a003 020102", id="explicit tag"),
        pytest.param("8002 ffff", id="implicit tag"),
        pytest.param("0481 80" + "00" * 128, id="length of two octets"),
    ],
)
def test_der_is_accepted(encoded: str) -> None:
    check_der(bytes.fromhex(encoded), "value", most_bytes=1000)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="nothing"),
        pytest.param("05", id="no length"),
        pytest.param("0500 00", id="a byte behind"),
        pytest.param("0500 0500", id="another element behind"),
        pytest.param("0501 00", id="null with content"),
        pytest.param("0101 01", id="true as 1"),
        pytest.param("0102 ffff", id="long boolean"),
        pytest.param("0200", id="integer of nothing"),
        pytest.param("0202 0001", id="integer with a zero too many"),
        pytest.param("0202 ff80", id="negative integer with an octet too many"),
        pytest.param("0a02 0001", id="enumerated with a zero too many"),
        pytest.param("0300", id="bit string of nothing"),
        pytest.param("0302 08 00", id="eight unused bits"),
        pytest.param("0301 01", id="an unused bit of nothing"),
        pytest.param("0302 01 01", id="unused bit set"),
        pytest.param("0603 80 01 01", id="identifier with a zero in front"),
        pytest.param("0602 2a 81", id="identifier that does not end"),
        pytest.param("0600", id="identifier of nothing"),
        pytest.param("0641" + "01" * 65, id="identifier too long"),
        pytest.param("0c01 ff", id="no utf-8"),
        pytest.param("2403 0401 00", id="string in parts"),
        pytest.param("3080 0000", id="indefinite length"),
        pytest.param("0481 01 00", id="long form of a short length"),
        pytest.param("0482 0080" + "00" * 128, id="length with a zero too many"),
        pytest.param("0485 0000000001 00", id="length of five octets"),
        pytest.param("0482 00", id="length cut off"),
        pytest.param("0402 00", id="content cut off"),
        pytest.param("3003 0402 00", id="content beyond its parent"),
        pytest.param("1f8101 00", id="tag of several octets"),
        pytest.param("1000", id="sequence as a primitive"),
        pytest.param("1100", id="set as a primitive"),
        pytest.param("0000", id="end of contents"),
        pytest.param("3106 020102 020101", id="set out of order"),
        pytest.param("a002 0200", id="wrong within an explicit tag"),
    ],
)
def test_everything_else_is_refused(encoded: str) -> None:
    with pytest.raises(DecodeError):
        check_der(bytes.fromhex(encoded), "value", most_bytes=1000)


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(DecodeError, match="found 11 bytes; expected at most 10"):
        check_der(bytes(11), "value", most_bytes=10)
    nested = b""
    for _ in range(MAX_DEPTH):
        nested = bytes([0x30, len(nested)]) + nested
    check_der(nested, "value", most_bytes=1000)
    with pytest.raises(DecodeError, match=f"more than {MAX_DEPTH} levels"):
        check_der(bytes([0x30, len(nested)]) + nested, "value", most_bytes=1000)


@given(st.binary(max_size=40))
def test_any_bytes_are_der_or_the_named_error(data: bytes) -> None:
    try:
        check_der(data, "value", most_bytes=100)
    except DecodeError:
        return
    assert data


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_what_we_make_is_der(suite_name: str) -> None:
    made = authority(suite_name)
    for encoded in (made.root.encoded, made.leaf.encoded, made.crl().encoded):
        check_der(encoded, "ours", most_bytes=4096)


# -- times ---------------------------------------------------------------------------------------------------


@given(st.integers(0, MAX_TIME_MS // 1000))
def test_a_time_comes_back(seconds: int) -> None:
    value = as_time(seconds * 1000)
    assert time_of(value.chosen.tag, value.chosen.contents) == seconds * 1000


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("491231235959Z", UTC_TIME, "2049-12-31T23:59:59Z"),
        ("500101000000Z", UTC_TIME, "1950-01-01T00:00:00Z"),
        ("20500101000000Z", GENERALIZED_TIME, "2050-01-01T00:00:00Z"),
        ("99991231235959Z", GENERALIZED_TIME, "9999-12-31T23:59:59Z"),
        ("240229000000Z", UTC_TIME, "2024-02-29T00:00:00Z"),
    ],
)
def test_times_at_the_edges(text: str, kind: int, shown: str) -> None:
    assert time_text(time_of(kind, text.encode())) == shown
    value = as_time(time_of(kind, text.encode())) if shown >= "1970" else None
    assert value is None or (value.chosen.tag, value.chosen.contents) == (kind, text.encode())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("20261127000000Z", GENERALIZED_TIME),
        ("2611270000Z", UTC_TIME),
        ("261127000000+0800", UTC_TIME),
        ("261127000000", UTC_TIME),
        ("20500101000000.5Z", GENERALIZED_TIME),
        ("261327000000Z", UTC_TIME),
        ("230229000000Z", UTC_TIME),
        ("261127000060Z", UTC_TIME),
        ("²61127000000Z", UTC_TIME),
        ("261127000000Z", 0x13),
        ("00000101000000Z", GENERALIZED_TIME),
    ],
)
def test_other_forms_of_times_are_refused(text: str, kind: int) -> None:
    with pytest.raises(DecodeError):
        time_of(kind, text.encode())


@pytest.mark.parametrize("time_ms", [-1000, 1, 999, MAX_TIME_MS + 1000])
def test_a_certificate_says_whole_seconds_from_1970_through_9999(time_ms: int) -> None:
    with pytest.raises(Refused) as caught:
        check_time(time_ms, "not_after_ms")
    assert caught.value.error_code == "bad_time"
