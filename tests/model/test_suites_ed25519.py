"""Ed25519 and SHA-256: RFC vectors, refusals and totality."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.suites import ED25519_SHA256, suite_named

SUITE = suite_named(ED25519_SHA256)

# RFC 8032 section 7.1: seed, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
SEED, PUBLIC_KEY, MESSAGE, SIGNATURE = (bytes.fromhex(part) for part in VECTORS[1])
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize("vector", VECTORS)
def test_rfc_8032_vectors_are_reproduced(vector: tuple[str, str, str, str]) -> None:
    seed, public_key, message, signature = (bytes.fromhex(part) for part in vector)
    assert SUITE.public_key_of(seed) == public_key
    assert SUITE.sign(seed, message) == signature
    assert SUITE.is_signature(public_key, message, signature)
    assert SUITE.is_public_key(public_key)
    assert SUITE.is_private_key(seed)


def test_sizes_and_names_are_those_of_the_scheme() -> None:
    assert (SUITE.name, SUITE.hash_name) == ("ed25519-sha256", "sha256")
    assert SUITE.public_key_bytes == len(PUBLIC_KEY)
    assert SUITE.private_key_bytes == len(SEED)
    assert SUITE.signature_bytes == len(SIGNATURE)


def test_hash_is_sha256_and_hmac_is_that_of_rfc_4231() -> None:
    assert SUITE.hash(b"abc") == hashlib.sha256(b"abc").digest()
    mac = SUITE.hmac(b"Jefe", b"what do ya want for nothing?")
    assert mac.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@given(key=st.binary(max_size=130), data=st.binary(max_size=300))
def test_hmac_is_that_of_the_standard_library_for_keys_of_any_length(key, data) -> None:
    assert SUITE.hmac(key, data) == hmac.digest(key, data, "sha256") == SUITE.hmac_under(key)(data)


@pytest.mark.parametrize("bit", range(0, 512, 7))
def test_every_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << (bit % 8)
    assert not SUITE.is_signature(PUBLIC_KEY, MESSAGE, bytes(flipped))


def test_a_signature_shifted_by_the_group_order_is_refused() -> None:
    scalar = int.from_bytes(SIGNATURE[32:], "little") + GROUP_ORDER
    assert not SUITE.is_signature(
        PUBLIC_KEY, MESSAGE, SIGNATURE[:32] + scalar.to_bytes(32, "little")
    )


def test_another_message_and_another_key_are_refused() -> None:
    assert not SUITE.is_signature(PUBLIC_KEY, MESSAGE + b"\0", SIGNATURE)
    assert not SUITE.is_signature(bytes.fromhex(VECTORS[0][1]), MESSAGE, SIGNATURE)


def test_a_byte_moved_between_signature_and_message_is_refused() -> None:
    assert not SUITE.is_signature(PUBLIC_KEY, b"", SIGNATURE + MESSAGE)
    assert not SUITE.is_signature(PUBLIC_KEY, SIGNATURE[-1:] + MESSAGE, SIGNATURE[:-1])


@pytest.mark.parametrize(
    "point",
    [
        pytest.param((1).to_bytes(32, "little"), id="identity"),
        pytest.param(bytes(32), id="order 4"),
        pytest.param((2**255 - 20).to_bytes(32, "little"), id="order 2"),
        pytest.param((2**255 - 19 + 1).to_bytes(32, "little"), id="non-canonical identity"),
        pytest.param(b"\xff" * 32, id="non-canonical"),
        pytest.param((2).to_bytes(32, "little"), id="not on the curve"),
        pytest.param(b"", id="empty"),
        pytest.param(bytes.fromhex(VECTORS[0][1])[:31], id="short"),
        pytest.param(bytes.fromhex(VECTORS[0][1]) + b"\0", id="long"),
    ],
)
def test_unusable_points_are_no_public_keys(point: bytes) -> None:
    assert not SUITE.is_public_key(point)


def test_a_small_order_key_verifies_nothing() -> None:
    identity = (1).to_bytes(32, "little")
    assert not SUITE.is_signature(identity, b"anything", identity + bytes(32))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_private_keys_of_another_length_are_refused(length: int) -> None:
    assert not SUITE.is_private_key(bytes(length))


@given(st.binary(max_size=70), st.binary(max_size=20), st.binary(max_size=130))
def test_verification_answers_no_to_arbitrary_bytes(key: bytes, message: bytes, sig: bytes) -> None:
    assert SUITE.is_signature(key, message, sig) is False


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_what_is_signed_verifies(seed: bytes, message: bytes) -> None:
    public_key = SUITE.public_key_of(seed)
    assert SUITE.is_public_key(public_key)
    assert SUITE.is_signature(public_key, message, SUITE.sign(seed, message))
