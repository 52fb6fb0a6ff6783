"""ML-DSA-44: sizes, refusals, totality. That others accept its signatures: `tests/verifiers`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.suites import ML_DSA_44, key_suite_named

SUITE = key_suite_named(ML_DSA_44)
SEED = bytes(range(32))
PUBLIC = SUITE.public_key_of(SEED)
SIGNATURE = SUITE.sign(SEED, b"message")


def test_sizes_are_those_of_fips_204():
    assert (len(PUBLIC), len(SIGNATURE)) == (SUITE.public_key_bytes, SUITE.signature_bytes)
    assert (SUITE.public_key_bytes, SUITE.signature_bytes, SUITE.private_key_bytes) == (
        1_312,
        2_420,
        32,
    )
    assert (SUITE.name, SUITE.hash_name) == ("ml-dsa-44", "sha256")


def test_a_seed_gives_one_key_and_any_signature_of_it_verifies():
    assert SUITE.public_key_of(SEED) == PUBLIC
    assert SUITE.is_signature(PUBLIC, b"message", SIGNATURE)
    assert SUITE.is_signature(PUBLIC, b"message", SUITE.sign(SEED, b"message"))
    assert SUITE.is_public_key(PUBLIC)
    assert SUITE.is_private_key(SEED)


@pytest.mark.parametrize("size", [0, 1_311, 1_313])
def test_only_keys_of_the_right_length_are_keys(size):
    assert not SUITE.is_public_key(bytes(size))
    assert not SUITE.is_signature(bytes(size), b"message", SIGNATURE)
    assert not SUITE.is_private_key(bytes(31))


@given(st.binary(max_size=40), st.integers(0, 2_419), st.integers(1, 255))
def test_another_message_and_a_changed_signature_do_not_verify(message, place, change):
    assert SUITE.is_signature(PUBLIC, message, SIGNATURE) == (message == b"message")
    changed = bytearray(SIGNATURE)
    changed[place] ^= change
    assert not SUITE.is_signature(PUBLIC, b"message", bytes(changed))


@given(st.binary(max_size=1_400), st.binary(max_size=2_500))
def test_any_bytes_are_answered(public_key, signature):
    assert not SUITE.is_signature(public_key, b"message", signature)
