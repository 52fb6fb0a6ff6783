from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, PeerFault
from chainnode.p2p.hello import MAX_HELLO_BYTES, Hello, check_hello, decode_hello

OURS = Hello(
    version=1,
    chain_id="registry.example/1",
    genesis_hash=bytes(32),
    sender="ash",
    receiver="birch",
    dialled=True,
)
THEIRS = dataclasses.replace(OURS, sender="birch", receiver="ash", dialled=False)

hellos = st.builds(
    Hello,
    version=st.integers(1, 65_535),
    chain_id=st.text(max_size=32),
    genesis_hash=st.binary(min_size=32, max_size=32),
    sender=st.text(max_size=16),
    receiver=st.text(max_size=16),
    dialled=st.booleans(),
)


@given(hellos)
def test_a_hello_comes_back_as_it_was(hello):
    assert decode_hello(hello.encode()) == hello


@given(st.one_of(st.binary(max_size=100), hellos.map(lambda h: h.encode()[:-1])))
def test_any_other_bytes_are_a_decode_error(data):
    with pytest.raises(DecodeError):
        decode_hello(data)


@given(hellos, st.data())
def test_one_changed_byte_is_another_hello_or_a_decode_error(hello, data):
    encoded = bytearray(hello.encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_hello(bytes(encoded))
    except DecodeError:
        return
    assert changed != hello


def test_the_longest_names_fit():
    longest = dataclasses.replace(OURS, chain_id="c" * 128, sender="s" * 64, receiver="r" * 64)
    assert len(longest.encode()) <= MAX_HELLO_BYTES


def test_the_bytes_are_as_documented():
    expected = (
        "96" "01" "b2" + b"registry.example/1".hex() + "c420" + "00" * 32
        + "a3" + b"ash".hex() + "a5" + b"birch".hex() + "c3"
    )  # fmt: skip
    assert OURS.encode().hex() == expected


def test_the_two_ends_of_one_connection_agree():
    check_hello(THEIRS, OURS)
    check_hello(OURS, THEIRS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", "registry.example/2"),
        ("genesis_hash", bytes([1]) * 32),
        ("sender", "cedar"),
        ("receiver", "cedar"),
        ("dialled", True),
    ],
)
def test_a_difference_is_named_with_what_was_expected(field, value):
    with pytest.raises(PeerFault, match=f"hello: {field} is .*, expected ") as caught:
        check_hello(dataclasses.replace(THEIRS, **{field: value}), OURS)
    assert caught.value.error_code == "hello_mismatch"
    assert caught.value.field == field


@pytest.mark.parametrize(("ours", "theirs"), [(4, 4), (4, 3), (3, 4), (4, 65_535)])
def test_neighbouring_versions_talk_and_the_older_leaves_it_to_the_newer_to_hang_up(ours, theirs):
    mine = dataclasses.replace(OURS, version=ours)
    check_hello(dataclasses.replace(THEIRS, version=theirs), mine, oldest=3)


def test_a_version_that_is_spoken_no_more_is_told_to_upgrade():
    old, new = dataclasses.replace(THEIRS, version=2), dataclasses.replace(OURS, version=4)
    with pytest.raises(PeerFault, match="version is 2, expected 3 or newer") as caught:
        check_hello(old, new, oldest=3)
    assert (caught.value.error_code, caught.value.field) == ("hello_mismatch", "version")


def test_a_foreign_name_cannot_forge_a_log_line():
    with pytest.raises(PeerFault) as caught:
        check_hello(dataclasses.replace(THEIRS, chain_id="x\nblock_committed"), OURS)
    assert "\n" not in caught.value.message
