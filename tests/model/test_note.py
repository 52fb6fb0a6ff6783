"""Signed notes and verifier keys, checkpoints and cosignatures."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.cosignature import (
    cosign,
    cosignature_message,
    cosignature_time_s,
    verify_cosignature,
)
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.note import (
    MAX_NOTE_BYTES,
    MAX_NOTE_TEXT_BYTES,
    Note,
    Signature,
    check_key_name,
    cosigner_key,
    decode_base64,
    log_key,
    parse_decimal,
    parse_note,
    parse_verifier_key,
    sign_note,
    verify_note_signature,
)
from chainnode.model.suites import SUITE_NAMES, suite_named
from tests.support.alliance import ORIGIN, TIME_S, Key

TEXT = f"{ORIGIN}\n11\n{base64.b64encode(bytes(32)).decode()}\n"
LINE = "— a.example " + base64.b64encode(b"\0\0\0\1x").decode() + "\n"


@pytest.fixture(params=SUITE_NAMES)
def key(request):
    return Key.of(suite_named(request.param), "note")


def test_a_published_note_of_another_implementation_verifies():
    # The example of golang.org/x/mod/sumdb/note.
    vkey = parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = parse_note(
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n".encode()
    )
    verify_note_signature(vkey, note.text, note.signatures[0])
    with pytest.raises(ProofInvalid):
        verify_note_signature(vkey, note.text + "\n", note.signatures[0])


@pytest.mark.parametrize("make", [log_key, cosigner_key])
def test_a_vkey_reads_back_and_binds_name_type_and_key(key, make):
    vkey = make(key.suite, ORIGIN, key.public)
    assert parse_verifier_key(vkey.vkey()) == vkey
    name, key_id, material = vkey.vkey().split("+", 2)
    expected = key.suite.hash(name.encode() + b"\n" + base64.b64decode(material))[:4].hex()
    assert key_id == expected
    for bad in (
        f"{name}x+{key_id}+{material}",
        f"{name}+{'0' * 8}+{material}",
        f"{name}+{key_id.upper()}g+{material}",
        f"{name}+{key_id}+{material}=",
        f"{name}+{key_id}",
        f"+{key_id}+{material}",
        name,
        "",
    ):
        with pytest.raises(DecodeError):
            parse_verifier_key(bad)


def test_a_log_key_and_a_cosigner_key_of_the_same_bytes_have_two_ids(key):
    assert (
        log_key(key.suite, "n", key.public).key_id
        != cosigner_key(key.suite, "n", key.public).key_id
    )


@pytest.mark.parametrize(
    "material", [b"", b"\x01", b"\x02" + bytes(32), b"\xffother/note/v1", b"\x01" + bytes(32)]
)
def test_keys_of_other_types_and_unusable_keys_are_refused(material):
    key_id = hashlib.sha256(b"n\n" + material).digest()[:4].hex()
    with pytest.raises(DecodeError):
        parse_verifier_key(f"n+{key_id}+{base64.b64encode(material).decode()}")


def test_a_note_reads_back_and_its_signature_verifies(key):
    vkey = log_key(key.suite, ORIGIN, key.public)
    note = Note(text=TEXT, signatures=(sign_note(TEXT, vkey, key.sign),))
    assert parse_note(note.encode()) == note
    verify_note_signature(vkey, TEXT, note.signatures[0])
    with pytest.raises(ProofInvalid):
        verify_note_signature(vkey, TEXT + "x\n", note.signatures[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        f"text\n\n{LINE}"[:-1].encode(),
        f"text\n{LINE}".encode(),
        f"text\n\n{LINE}\n".encode(),
        f"text\r\n\n{LINE}".encode(),
        f"text\n\n{LINE}{LINE}".encode(),
        f"text\n\n{LINE}".replace("—", "-").encode(),
        f"text\n\n{LINE}".replace("a.example", "a+example").encode(),
        f"text\n\n{LINE}".replace("a.example", "a\u3000b").encode(),
        f"text\n\n{LINE}".replace("a.example ", "a.example  ").encode(),
        f"text\n\n{LINE[:-2]}\n".encode(),
        b"text\n\n\xe2\x80\x94 a.example AAAAAQ==\n",
        b"\xfftext\n\n" + LINE.encode(),
        b"x" * MAX_NOTE_TEXT_BYTES + b"\n\n" + LINE.encode(),
        b"x" * (MAX_NOTE_BYTES + 1),
        ("text\n\n" + "".join(LINE.replace("a.", f"a{n}.") for n in range(101))).encode(),
    ],
)
def test_what_is_not_the_one_encoding_of_a_note_is_refused(data):
    with pytest.raises(DecodeError):
        parse_note(data)


def test_a_hundred_signatures_are_read():
    data = ("text\n\n" + "".join(LINE.replace("a.", f"a{n}.") for n in range(100))).encode()
    assert len(parse_note(data).signatures) == 100


@given(st.binary(max_size=60) | st.text(alphabet="a\n— +A=", max_size=60).map(str.encode))
def test_any_bytes_are_a_note_or_refused(data):
    try:
        note = parse_note(data)
    except DecodeError:
        return
    assert note.encode() == data


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\tb", "a\u00a0b", "a\ud800", "x" * 257, "a\0"]
)
def test_bad_key_names_are_refused(name):
    with pytest.raises(DecodeError):
        check_key_name(name)


@pytest.mark.parametrize("text", ["A", "AB==", "AA= =", "AAA", "_-__", "AAAA\n", "é"])
def test_base64_has_one_form(text):
    with pytest.raises(DecodeError):
        decode_base64(text, "x")


@pytest.mark.parametrize("text", ["", "01", "-1", "+1", "1 ", "٣", "101", "1" * 30, "1_0", "²"])
def test_decimals_have_one_form(text):
    with pytest.raises(DecodeError):
        parse_decimal(text, "x", 100)
    assert parse_decimal("100", "x", 100) == 100


def test_a_checkpoint_reads_back():
    checkpoint = Checkpoint(origin=ORIGIN, size=11, root=bytes(32))
    assert checkpoint.text() == TEXT
    assert parse_checkpoint(TEXT) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "extension\n",
        TEXT + "\n",
        TEXT.replace("\n11\n", "\n011\n"),
        TEXT.replace("\n11\n", f"\n{2**63}\n"),
        TEXT.replace(ORIGIN, ""),
        TEXT.replace(ORIGIN, "a b"),
        f"{ORIGIN}\n11\nAAAA\n",
    ],
)
def test_any_other_checkpoint_is_refused(text):
    with pytest.raises(DecodeError):
        parse_checkpoint(text)


@given(st.text(alphabet="a/.0129A=\n", max_size=80))
def test_any_text_is_a_checkpoint_or_refused(text):
    try:
        checkpoint = parse_checkpoint(text)
    except DecodeError:
        return
    assert checkpoint.text() == text


@given(size=st.integers(0, 2**63 - 1), root=st.binary(min_size=32, max_size=32))
def test_every_checkpoint_reads_back(size, root):
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
    assert parse_checkpoint(checkpoint.text()) == checkpoint


def test_a_cosignature_covers_time_and_checkpoint(key):
    vkey = cosigner_key(key.suite, f"{ORIGIN}/a1", key.public)
    line = cosign(TEXT, TIME_S, vkey, key.sign)
    assert cosignature_time_s(line) == TIME_S
    assert cosignature_message(vkey, "x\n", 7) == b"cosignature/v1\ntime 7\nx\n"
    verify_cosignature(vkey, TEXT, line)
    later = (TIME_S + 1).to_bytes(8, "big") + line.value[8:]
    for text, value in (
        (TEXT.replace("11", "12"), line.value),
        (TEXT, later),
        (TEXT, line.value[:-1]),
    ):
        with pytest.raises(ProofInvalid):
            verify_cosignature(
                vkey, text, Signature(name=line.name, key_id=line.key_id, value=value)
            )


@pytest.mark.parametrize("value", [b"", b"\0" * 8, b"\xff" * 72])
def test_a_cosignature_without_a_usable_time_is_refused(value):
    with pytest.raises(DecodeError):
        cosignature_time_s(Signature(name="n", key_id=b"1234", value=value))
