"""The state tree's bytes: golden vectors, the naive twin, and every way of bending a proof."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.state_tree import (
    EMPTY,
    MAX_STATE_PROOF_BYTES,
    OtherLeaf,
    StateProof,
    decode_state_proof,
    leaf_hash,
    path_bit,
    verify_state_proof,
)
from chainnode.model.suites import suite_named
from tests.support.state_twin import ShallowSuite, twin_proof, twin_root

SUITE = suite_named("ed25519-sha256")
CROWDED = ShallowSuite()
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "state_tree.json").read_text())
ENTRIES = {b"key %d" % i: b"value %d" % i for i in range(12)}
ABSENT = [b"absent %d" % i for i in range(12)]
DEEPEST = b"@" + b"0" * 63 + b"1"
ZERO = b"@0"

crowded_keys = st.sampled_from(
    [b"@%02x" % i for i in range(7, 256, 7)] + [ZERO, DEEPEST, b"a", b"b"]
)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['suite']}, {case['name']}")
def test_roots_and_proofs_are_those_of_the_golden_vectors(case):
    suite = suite_named(case["suite"])
    entries = {bytes.fromhex(key): bytes.fromhex(value) for key, value in case["entries"]}
    root = bytes.fromhex(case["root"])
    assert twin_root(suite, entries) == root
    for asked in case["proofs"]:
        key, data = bytes.fromhex(asked["key"]), bytes.fromhex(asked["proof"])
        value = None if asked["value"] is None else bytes.fromhex(asked["value"])
        assert entries.get(key) == value
        proof = decode_state_proof(data)
        assert proof.encode() == data
        verify_state_proof(suite, root, key, value, proof)


@given(
    entries=st.dictionaries(crowded_keys, st.sampled_from([b"", b"x", b"yy"]), max_size=12),
    key=crowded_keys,
)
@settings(max_examples=150)
def test_a_proof_by_definition_verifies_and_shows_only_what_is_so(entries, key):
    root, value = twin_root(CROWDED, entries), entries.get(key)
    proof = decode_state_proof(twin_proof(CROWDED, entries, key))
    verify_state_proof(CROWDED, root, key, value, proof)
    for other_value in {None, b"", b"forged"} - {value}:
        with pytest.raises(ProofInvalid):
            verify_state_proof(CROWDED, root, key, other_value, proof)


@pytest.mark.parametrize("key", [b"key 3", b"absent 0", b"absent 1", b"absent 2"])
def test_every_flipped_bit_of_a_proof_is_refused(key):
    root, data = twin_root(SUITE, ENTRIES), twin_proof(SUITE, ENTRIES, key)
    for place in range(8 * len(data)):
        bent = bytearray(data)
        bent[place >> 3] ^= 1 << (place & 7)
        with pytest.raises((DecodeError, ProofInvalid)):
            verify_state_proof(SUITE, root, key, ENTRIES.get(key), decode_state_proof(bytes(bent)))


def test_the_absent_keys_above_end_in_nothing_as_well_as_in_other_leaves():
    ends = {decode_state_proof(twin_proof(SUITE, ENTRIES, key)).other is None for key in ABSENT}
    assert ends == {False, True}


def test_a_proof_is_of_no_other_root_or_key():
    root = twin_root(SUITE, ENTRIES)
    proof = decode_state_proof(twin_proof(SUITE, ENTRIES, b"key 1"))
    verify_state_proof(SUITE, root, b"key 1", b"value 1", proof)
    with pytest.raises(ProofInvalid, match="expected 0000"):
        verify_state_proof(SUITE, EMPTY, b"key 1", b"value 1", proof)
    with pytest.raises(ProofInvalid):
        verify_state_proof(SUITE, root, b"key 2", b"value 1", proof)


def test_the_deepest_leaves_are_proven_by_256_siblings():
    entries = {ZERO: b"zero", DEEPEST: b"one"}
    proof = decode_state_proof(twin_proof(CROWDED, entries, DEEPEST))
    assert len(proof.siblings) == 256
    assert proof.siblings[:-1] == (EMPTY,) * 255
    verify_state_proof(CROWDED, twin_root(CROWDED, entries), DEEPEST, b"one", proof)


def test_nothing_is_absent_for_being_empty_at_depth_256():
    proof = StateProof(siblings=(EMPTY,) * 255 + (bytes([1]) * 32,), other=None)
    with pytest.raises(ProofInvalid, match="depth 256"):
        verify_state_proof(SUITE, EMPTY, b"key", None, proof)


def test_the_keys_own_leaf_does_not_show_its_absence():
    leaf = OtherLeaf(path=SUITE.hash(b"key"), value_hash=SUITE.hash(b"value"))
    root = leaf_hash(SUITE, leaf.path, leaf.value_hash)
    with pytest.raises(ProofInvalid, match="the key is present"):
        verify_state_proof(SUITE, root, b"key", None, StateProof(siblings=(), other=leaf))


def test_a_leaf_off_the_way_does_not_show_absence():
    entries = {b"@00": b"left", b"@ff": b"right"}
    root = twin_root(CROWDED, entries)
    honest = decode_state_proof(twin_proof(CROWDED, entries, b"@01"))
    assert honest.other is not None
    verify_state_proof(CROWDED, root, b"@01", None, honest)
    with pytest.raises(ProofInvalid, match="not on the key's way"):
        verify_state_proof(CROWDED, root, b"@f1", None, honest)


def test_a_presence_proof_ends_in_no_other_leaf():
    proof = decode_state_proof(twin_proof(CROWDED, {b"@00": b"left"}, b"@01"))
    with pytest.raises(ProofInvalid, match="the key is absent"):
        verify_state_proof(CROWDED, twin_root(CROWDED, {b"@00": b"left"}), b"@01", b"x", proof)


_HASH = bytes([7]) * 32


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([b"", [], None, None], "found 4 elements"),
        (["", [], None], "expected bytes"),
        ([b"\x80\x00", [_HASH], None], "byte of zeros"),
        ([b"\x00", [], None], "byte of zeros"),
        ([bytes(32) + b"\x80", [_HASH], None], "at most 32"),
        ([b"\x80", [], None], "1 bits set"),
        ([b"\x80", [_HASH, _HASH], None], "1 bits set"),
        ([b"\xff" * 32, [_HASH] * 257, None], "256"),
        ([b"\x80", [_HASH[1:]], None], "31 bytes"),
        ([b"\x80", [bytes(32)], None], "zero in the bitmap"),
        ([b"\x80", _HASH, None], "expected an array"),
        ([b"\x80", [_HASH], [_HASH]], "found 1 elements"),
        ([b"\x80", [_HASH], [_HASH, b""]], "0 bytes"),
        ([b"\x80", [_HASH], [_HASH[1:], _HASH]], "31 bytes"),
        ([b"\x80", [_HASH], False], "found a boolean"),
        ([b"\xff" * 32, [_HASH] * 256, [_HASH, _HASH]], "depth 256"),
    ],
)
def test_a_proof_of_an_impossible_shape_is_malformed(fields, why):
    with pytest.raises(DecodeError, match=why):
        decode_state_proof(msgpack.packb(fields))


@pytest.mark.parametrize("siblings", [(EMPTY,), (_HASH, EMPTY), (_HASH,) * 257])
def test_a_proof_of_an_impossible_shape_cannot_be_made(siblings):
    with pytest.raises(DecodeError):
        StateProof(siblings=siblings, other=None)


def test_the_longest_proof_fits_its_limit():
    longest = StateProof(
        siblings=(_HASH,) * 255, other=OtherLeaf(path=_HASH, value_hash=_HASH)
    ).encode()
    assert MAX_STATE_PROOF_BYTES - 100 < len(longest) <= MAX_STATE_PROOF_BYTES
    assert decode_state_proof(longest).encode() == longest


@given(st.binary(max_size=120))
@settings(max_examples=200)
def test_arbitrary_bytes_are_a_proof_in_its_one_encoding_or_malformed(data):
    try:
        proof = decode_state_proof(data)
    except DecodeError:
        return
    assert proof.encode() == data


@given(
    marks=st.lists(st.booleans(), max_size=256),
    other=st.none() | st.tuples(st.binary(min_size=32, max_size=32), st.just(_HASH)),
)
@settings(max_examples=100)
def test_every_proof_decodes_to_itself(marks, other):
    siblings = [_HASH if mark else EMPTY for mark in marks]
    while siblings and siblings[-1] == EMPTY:
        siblings.pop()
    leaf = other and OtherLeaf(path=other[0], value_hash=other[1])
    proof = StateProof(siblings=tuple(siblings[:255]) if leaf else tuple(siblings), other=None)
    if leaf and (not proof.siblings or proof.siblings[-1] != EMPTY):
        proof = StateProof(siblings=proof.siblings, other=leaf)
    assert decode_state_proof(proof.encode()) == proof


def test_bits_are_counted_from_the_most_significant():
    path = b"\x80\x01" + bytes(29) + b"\x01"
    assert [depth for depth in range(256) if path_bit(path, depth)] == [0, 15, 255]
