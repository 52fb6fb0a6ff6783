"""ECDSA on P-256 and SHA-256: RFC vectors, refusals, totality, and the openssl program's word."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.suites import P256_SHA256, key_suite_named
from chainnode.model.suites.p256_sha256 import N
from tests.support.sm2 import openssl

if TYPE_CHECKING:
    from pathlib import Path

SUITE = key_suite_named(P256_SHA256)

# RFC 6979 appendix A.2.5: private key, public key, and the signatures of "sample" and "test" with SHA-256.
PRIVATE_KEY = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
PUBLIC_KEY = bytes.fromhex(
    "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SIGNATURES = {
    b"sample": bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    ),
    b"test": bytes.fromhex(
        "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
        "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
    ),
}
P = 2**256 - 2**224 + 2**192 + 2**96 - 1


@pytest.mark.parametrize("message", SIGNATURES)
def test_rfc_6979_vectors_are_reproduced(message: bytes) -> None:
    assert SUITE.public_key_of(PRIVATE_KEY) == PUBLIC_KEY
    assert SUITE.sign(PRIVATE_KEY, message) == SIGNATURES[message]
    assert SUITE.is_signature(PUBLIC_KEY, message, SIGNATURES[message])


def test_sizes_and_names_are_those_of_the_scheme() -> None:
    assert (SUITE.name, SUITE.hash_name) == ("p256-sha256", "sha256")
    assert SUITE.public_key_bytes == len(PUBLIC_KEY)
    assert SUITE.private_key_bytes == len(PRIVATE_KEY)
    assert SUITE.signature_bytes == len(SIGNATURES[b"test"])


def test_hash_is_sha256_and_hmac_is_that_of_rfc_4231() -> None:
    assert SUITE.hash(b"abc").hex().startswith("ba7816bf8f01cfea")
    data = b"what do ya want for nothing?"
    assert SUITE.hmac(b"Jefe", data) == SUITE.hmac_under(b"Jefe")(data)
    assert SUITE.hmac(b"Jefe", data).hex().startswith("5bdcc146bf60754e")


@pytest.mark.parametrize("bit", range(0, 512, 7))
def test_every_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURES[b"test"])
    flipped[bit // 8] ^= 1 << (bit % 8)
    assert not SUITE.is_signature(PUBLIC_KEY, b"test", bytes(flipped))


def test_both_forms_of_a_signature_hold_since_other_software_makes_either() -> None:
    r, s = SIGNATURES[b"test"][:32], int.from_bytes(SIGNATURES[b"test"][32:], "big")
    assert SUITE.is_signature(PUBLIC_KEY, b"test", r + (N - s).to_bytes(32, "big"))


@pytest.mark.parametrize("number", [0, N, N + 1, 2**256 - 1])
def test_numbers_out_of_range_are_no_signature(number: int) -> None:
    good = SIGNATURES[b"test"]
    edge = number.to_bytes(32, "big")
    assert not SUITE.is_signature(PUBLIC_KEY, b"test", edge + good[32:])
    assert not SUITE.is_signature(PUBLIC_KEY, b"test", good[:32] + edge)
    assert not SUITE.is_signature(PUBLIC_KEY, b"test", edge + edge)


def _point_with_small_x() -> tuple[int, int]:
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    for x in range(100):
        square = (x**3 - 3 * x + b) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y
    raise AssertionError


def test_a_coordinate_beyond_the_prime_is_no_public_key() -> None:
    x, y = _point_with_small_x()
    assert SUITE.is_public_key(b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    assert not SUITE.is_public_key(b"\4" + (x + P).to_bytes(32, "big") + y.to_bytes(32, "big"))


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0", id="infinity"),
        pytest.param(PUBLIC_KEY[:64], id="short"),
        pytest.param(PUBLIC_KEY + b"\0", id="long"),
        pytest.param(b"\3" + PUBLIC_KEY[1:33], id="compressed"),
        pytest.param(b"\7" + PUBLIC_KEY[1:], id="hybrid"),
        pytest.param(b"\4" + bytes(64), id="not on the curve"),
        pytest.param(PUBLIC_KEY[:-1] + b"\0", id="off the curve by a byte"),
    ],
)
def test_unusable_points_are_no_public_keys(point: bytes) -> None:
    assert not SUITE.is_public_key(point)
    assert not SUITE.is_signature(point, b"test", SIGNATURES[b"test"])


@pytest.mark.parametrize(
    "scalar", [b"", bytes(31), bytes(32), N.to_bytes(32, "big"), b"\xff" * 32, bytes(33)]
)
def test_private_keys_out_of_range_are_refused(scalar: bytes) -> None:
    assert not SUITE.is_private_key(scalar)


@given(st.binary(max_size=70), st.binary(max_size=20), st.binary(max_size=70))
def test_verification_answers_no_to_arbitrary_bytes(key: bytes, message: bytes, sig: bytes) -> None:
    assert SUITE.is_signature(key, message, sig) is False


@given(st.integers(1, N - 1), st.binary(max_size=200))
def test_what_is_signed_verifies_here_and_with_cryptography(scalar: int, message: bytes) -> None:
    private_key = scalar.to_bytes(32, "big")
    assert SUITE.is_private_key(private_key)
    public_key = SUITE.public_key_of(private_key)
    signature = SUITE.sign(private_key, message)
    assert SUITE.is_signature(public_key, message, signature)
    der = encode_dss_signature(
        *(int.from_bytes(h, "big") for h in (signature[:32], signature[32:]))
    )
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    key.verify(der, message, ec.ECDSA(SHA256()))


def test_the_openssl_program_agrees(tmp_path: Path) -> None:
    key = ec.derive_private_key(int.from_bytes(PRIVATE_KEY, "big"), ec.SECP256R1())
    message, private, public, der = (tmp_path / name for name in ("message", "key", "pub", "sig"))
    message.write_bytes(b"sample")
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    ours = SIGNATURES[b"sample"]
    der.write_bytes(
        encode_dss_signature(*(int.from_bytes(h, "big") for h in (ours[:32], ours[32:])))
    )
    verify = [openssl(), "dgst", "-sha256", "-verify", public, "-signature", der, message]
    assert b"Verified OK" in subprocess.run(verify, check=True, capture_output=True).stdout
    sign = [openssl(), "dgst", "-sha256", "-sign", private, "-out", der, message]
    subprocess.run(sign, check=True, capture_output=True)
    theirs = b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(der.read_bytes()))
    assert SUITE.is_signature(PUBLIC_KEY, b"sample", theirs)
