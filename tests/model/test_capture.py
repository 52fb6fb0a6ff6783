"""Capture records: their one hash, whatever the layout, and what is none."""

from __future__ import annotations

import hashlib
import json

import pytest

from chainnode.model.capture import (
    FORMAT,
    MAX_CAPTURE_BYTES,
    MAX_LIST,
    MAX_LONG_BYTES,
    MAX_NOTES_BYTES,
    MAX_SHORT_BYTES,
    capture_of,
    parse_capture,
)
from chainnode.model.errors import DecodeError
from chainnode.model.suites import SUITE_NAMES, suite_named

LEAST = {"format": FORMAT, "nonce": "00" * 32, "captured_ms": 1_795_363_200_000}
FULL = {
    **LEAST,
    "operator": {"account": "court/clerk", "name": "张三", "organisation": "court", "user": "z3"},
    "device": {"id": "SN 7", "machine": "x86_64", "name": "desk-7", "system": "Linux"},
    "software": {"name": "capture", "version": "1.2"},
    "source": {"modified_ms": 1, "path": "/a/b", "size_bytes": 7, "url": "https://gov.example/a"},
    "time": {"is_synchronised": True, "max_error_ms": 3, "server": "ntp.example", "source": "ntp"},
    "network": {"addresses": ["192.0.2.7", "2001:db8::7"], "name": "office", "proxy": "none"},
    "cleanliness": {
        "log_hash": "ab" * 32,
        "method": "rebooted from a sealed image",
        "result": "clean",
    },
    "notes": "第一次",
    "extra": {"case": "(2026) 1"},
}


def test_the_hash_is_that_of_the_canonical_bytes_whatever_the_layout():
    suite = suite_named("ed25519-sha256")
    compact = parse_capture(json.dumps(FULL, ensure_ascii=False).encode())
    pretty = parse_capture(json.dumps(dict(reversed(FULL.items())), indent=4).encode())
    assert compact.hash(suite) == pretty.hash(suite)
    assert compact.hash(suite) == hashlib.sha256(compact.canonical).digest()
    assert parse_capture(compact.canonical) == compact
    # RFC 8785, by hand.
    assert parse_capture(json.dumps(LEAST).encode()).canonical == (
        b'{"captured_ms":1795363200000,"format":"chainnode-capture/1","nonce":"'
        + b"00" * 32
        + b'"}'
    )


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_every_letter_counts(name):
    suite = suite_named(name)
    hashes = {capture_of(FULL).hash(suite)}
    for field in FULL.keys() - LEAST.keys():
        hashes.add(capture_of({k: v for k, v in FULL.items() if k != field}).hash(suite))
    assert len(hashes) == 1 + len(FULL) - len(LEAST)


def test_what_is_longest_is_taken():
    longest = {
        **LEAST,
        "source": {"url": "u" * MAX_LONG_BYTES},
        "notes": "书" * (MAX_NOTES_BYTES // 3),
        "extra": {f"{n}": "x" * MAX_SHORT_BYTES for n in range(MAX_LIST)},
        "network": {"addresses": ["x" * MAX_SHORT_BYTES] * MAX_LIST},
    }
    assert capture_of(longest).value == longest


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "chainnode-capture/2"},
        {"nonce": "00" * 31},
        {"nonce": "AB" * 32},
        {"captured_ms": -1},
        {"captured_ms": 2**53},
        {"captured_ms": True},
        {"captured_ms": "1"},
        {"operator": {"shoe-size": "44"}},
        {"operator": "me"},
        {"operator": {"name": 7}},
        {"operator": {"name": "x" * (MAX_SHORT_BYTES + 1)}},
        {"operator": {"name": "\ud800"}},
        {"source": {"url": "u" * (MAX_LONG_BYTES + 1)}},
        {"time": {"source": "sundial"}},
        {"time": {"is_synchronised": 1}},
        {"network": {"addresses": "192.0.2.7"}},
        {"network": {"addresses": ["x"] * (MAX_LIST + 1)}},
        {"cleanliness": {"result": "spotless"}},
        {"cleanliness": {"log_hash": "ab"}},
        {"extra": {"é": "x"}},
        {"extra": {"a": {}}},
        {"extra": {str(n): "" for n in range(MAX_LIST + 1)}},
        {"weather": "fine"},
    ],
)
def test_other_shapes_are_refused(changed):
    with pytest.raises(DecodeError) as caught:
        capture_of({**LEAST, **changed})
    assert caught.value.message.startswith("capture")


@pytest.mark.parametrize("field", LEAST)
def test_what_must_be_there_must_be_there(field):
    with pytest.raises(DecodeError, match=field):
        capture_of({k: v for k, v in LEAST.items() if k != field})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 20_000,
        json.dumps(LEAST).encode()[:-1] + b',"captured_ms":1}',
        json.dumps({**LEAST, "captured_ms": 1.5}).encode(),
        json.dumps(LEAST).encode() + b" " * MAX_CAPTURE_BYTES,
    ],
)
def test_what_is_no_json_object_of_that_kind_is_refused(data):
    with pytest.raises(DecodeError):
        parse_capture(data)
