"""Distinguished names: from text, to text, to bytes, and what is refused."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.names import Attribute, decode_name, name_of, parse_name

NAME = "C=CN, ST=广东省, L=深圳市, O=某市政务服务数据管理局, organizationIdentifier=11440300MB2C12345X, CN=一"


def test_a_name_keeps_its_order_and_comes_back_as_text() -> None:
    name = parse_name(NAME)
    assert name.text() == NAME
    assert decode_name(name.encoded) == name
    assert [part[0].value for part in name.parts][:2] == ["CN", "广东省"]


def test_the_country_is_a_printable_string_and_the_rest_is_utf8() -> None:
    assert parse_name("C=CN, O=é").encoded.hex() == (
        "301a" "310b3009" "0603550406" "1302434e" "310b3009" "060355040a" "0c02c3a9"
    )  # fmt: skip


def test_cryptography_reads_the_same_names_in_the_same_order() -> None:
    certificate_name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "乙"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "甲"),
        ]
    )
    assert parse_name("C=CN, CN=乙, O=甲").encoded == certificate_name.public_bytes()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("c=CN,o=a", "C=CN, O=a"),
        ("  C=CN ,\tO = a  b ", "C=CN, O=a  b"),
        (r"O=a\, b\+c\=d\\", r"O=a\, b\+c\=d\\"),
        ("CN=a=b", r"CN=a\=b"),
        (r"CN=\#1", r"CN=\#1"),
    ],
)
def test_ways_to_write_a_name(text: str, same: str) -> None:
    assert parse_name(text).text() == same
    assert parse_name(same) == parse_name(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "found 0 characters"),
        ("x" * 1025, "found 1025 characters"),
        ("某市", "expected KEY=value"),
        ("C=CN,", "found ''; expected KEY=value"),
        ("C=CN,,O=a", "expected KEY=value"),
        ("C=CN, X=1", "found the key 'X'; known are C, ST, L"),
        ("C=cn", "two capital letters"),
        ("C=CHN", "two capital letters"),
        ("O=", "expected 1 to 64 characters"),
        ("CN=" + "x" * 65, "expected 1 to 64 characters"),
        ("O=a+CN=b", "found '\\+' after 'O=a'"),
        ("O=a\\", "expected a comma, or"),
        (r"O=\x", r"expected \\ only before"),
        ("O=a\N{ZERO WIDTH SPACE}b", "what has no shape"),
        ("O=a\tb", "what has no shape"),
        ("O=e\N{COMBINING ACUTE ACCENT}", "expected NFC"),
        ("serialNumber=一", "of the form"),
        (", ".join(["OU=a"] * 17), "found 17 parts"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        parse_name(text)
    assert (caught.value.error_code, caught.value.field) == ("bad_name", "name")


values = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40
)


@given(
    st.lists(st.tuples(st.sampled_from(["2.5.4.10", "2.5.4.3", "2.5.4.11"]), values), max_size=8)
)
def test_a_name_of_any_values_survives_text_and_bytes(pairs: list[tuple[str, str]]) -> None:
    try:
        name = name_of(tuple(Attribute(*pair) for pair in pairs))
    except Refused as error:
        assert "NFC" in error.message  # noqa: PT017
        return
    assert decode_name(name.encoded) == name
    if pairs:
        assert parse_name(name.text()) == name


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = parse_name(text)
    except Refused:
        return
    assert parse_name(name.text()) == name


def test_a_name_that_others_wrote_shows_and_hides_nothing() -> None:
    relative = "3112301006035504030c09" + b"a\x1b[2Jb,+\n".hex()
    unknown = "310c300a06035504600c03" + b"abc".hex()
    both = bytes.fromhex(relative + unknown)
    name = decode_name(b"\x30" + bytes([len(both)]) + both)
    assert name.text() == r"CN=a\1B[2Jb\,\+\0A, 2.5.4.96=abc"


@pytest.mark.parametrize(
    ("tag", "text"), [("1e", "4e00"), ("14", "e9"), ("16", "61"), ("1c", "00004e00")]
)
def test_old_string_types_are_read(tag: str, text: str) -> None:
    value = bytes.fromhex(tag) + bytes([len(text) // 2]) + bytes.fromhex(text)
    pair = bytes.fromhex("0603550403") + value
    relative = bytes([0x31, len(pair) + 2, 0x30, len(pair)]) + pair
    assert len(decode_name(bytes([0x30, len(relative)]) + relative).parts[0][0].value) == 1


def test_an_empty_part_and_a_number_are_no_names() -> None:
    for encoded in ("30023100", "300c310a3008060355040302 0101"):
        with pytest.raises(DecodeError):
            decode_name(bytes.fromhex(encoded))
