"""SM2 and SM3: vectors of the standards, refusals, and agreement of the two backends on everything."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import InvariantViolation, Unavailable
from chainnode.model.suites import SM2_SM3, gmssl, libcrypto, sm2_sm3, suite_named
from chainnode.model.suites.sm2_curve import G, N, P, is_point, signed_digest, times_base
from chainnode.model.suites.sm2_sm3 import Sm2Sm3, find_backend
from chainnode.model.suites.sm3 import (
    hmac_sm3_by_cryptography,
    hmac_sm3_by_hashlib,
    sm3_by_cryptography,
    sm3_by_hashlib,
)
from tests.support.sm2 import SUITES, openssl, suite_over

if TYPE_CHECKING:
    from pathlib import Path

# GM/T 0003.5-2012 annex A: the recommended curve, user id 1234567812345678, a fixed k.
PRIVATE_KEY = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
PUBLIC_KEY = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
MESSAGE = b"message digest"
SIGNATURE = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
D = int.from_bytes(PRIVATE_KEY, "big")


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def answers(public_key: bytes, message: bytes, signature: bytes) -> set[bool]:
    """What the backends of this machine say; one element if they agree."""
    return {suite.is_signature(public_key, message, signature) for suite in SUITES.values()}


@pytest.fixture(params=["libcrypto", "gmssl"])
def suite(request: pytest.FixtureRequest) -> Sm2Sm3:
    return suite_over(request.param)


def test_the_vector_of_the_standard_verifies(suite: Sm2Sm3) -> None:
    assert suite.public_key_of(PRIVATE_KEY) == PUBLIC_KEY
    assert suite.is_signature(PUBLIC_KEY, MESSAGE, SIGNATURE)


def test_the_digest_of_the_standard_is_signed() -> None:
    expected = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    assert signed_digest(PUBLIC_KEY, MESSAGE).hex() == expected


def test_sizes_and_names_are_those_of_the_scheme(suite: Sm2Sm3) -> None:
    assert (suite.name, suite.hash_name) == ("sm2-sm3", "sm3")
    assert suite.public_key_bytes == len(PUBLIC_KEY)
    assert suite.private_key_bytes == len(PRIVATE_KEY)
    assert suite.signature_bytes == len(SIGNATURE) == len(suite.sign(PRIVATE_KEY, b""))


def test_each_backend_says_what_it_is() -> None:
    assert suite_over("libcrypto").backend.description.startswith("libcrypto ")
    assert suite_over("gmssl").backend.description.startswith("gmssl-pyx ")


def keys_with_leading_digits() -> list[int]:
    """Private keys whose public x begins with the hex digits 0 and 4, found by counting, and some others."""
    wanted = {0x0: 4, 0x4: 4}
    found = []
    for d in range(2, 500):
        digit = times_base(d)[1] >> 4
        if wanted.get(digit, 0) > 0:
            wanted[digit] -= 1
            found.append(d)
        if not any(wanted.values()):
            break
    assert not any(wanted.values())
    seeds = (hashlib.sha256(bytes([i])).digest() for i in range(40))
    return [1, N - 2, *found, *(int.from_bytes(seed, "big") % (N - 2) + 1 for seed in seeds)]


@pytest.mark.parametrize("d", keys_with_leading_digits())
def test_each_backend_verifies_what_the_other_signs(d: int) -> None:
    private_key = number(d)
    public_key = times_base(d)
    suite_over("libcrypto"), suite_over("gmssl")
    for signer in SUITES.values():
        assert signer.is_private_key(private_key)
        assert signer.public_key_of(private_key) == public_key
        assert signer.is_public_key(public_key)
        assert answers(public_key, MESSAGE, signer.sign(private_key, MESSAGE)) == {True}


@pytest.mark.parametrize("bit", range(0, 512, 13))
def test_every_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << (bit % 8)
    assert answers(PUBLIC_KEY, MESSAGE, bytes(flipped)) == {False}


R = int.from_bytes(SIGNATURE[:32], "big")
S = int.from_bytes(SIGNATURE[32:], "big")


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(b"", id="empty"),
        pytest.param(SIGNATURE[:-1], id="short"),
        pytest.param(SIGNATURE + b"\0", id="long"),
        pytest.param(number(0) + number(S), id="r = 0"),
        pytest.param(number(R) + number(0), id="s = 0"),
        pytest.param(number(N) + number(S), id="r = n"),
        pytest.param(number(R) + number(N), id="s = n"),
        pytest.param(number(R) + number(N - R), id="t = 0"),
        pytest.param(number(R) + number(N - S), id="negated s"),
        pytest.param(b"\xff" * 64, id="all ones"),
        pytest.param(SIGNATURE[32:] + SIGNATURE[:32], id="swapped"),
    ],
)
def test_malformed_signatures_are_refused_by_each_backend(suite: Sm2Sm3, signature: bytes) -> None:
    assert not suite.is_signature(PUBLIC_KEY, MESSAGE, signature)


def test_a_signature_whose_point_is_neutral_is_refused_by_each_backend(suite: Sm2Sm3) -> None:
    """With s = -r d / (1 + d) the key's owner makes s G + t P vanish; GmSSL alone would accept r = e."""
    r = int.from_bytes(signed_digest(PUBLIC_KEY, MESSAGE), "big") % N
    s = -r * D * pow(1 + D, -1, N) % N
    assert not suite.is_signature(PUBLIC_KEY, MESSAGE, number(r) + number(s))


def test_another_message_and_another_key_are_refused(suite: Sm2Sm3) -> None:
    assert not suite.is_signature(PUBLIC_KEY, MESSAGE + b"\0", SIGNATURE)
    assert not suite.is_signature(times_base(7), MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"", id="empty"),
        pytest.param(PUBLIC_KEY[1:], id="no prefix"),
        pytest.param(PUBLIC_KEY + b"\0", id="long"),
        pytest.param(b"\x02" + PUBLIC_KEY[1:33], id="compressed"),
        pytest.param(b"\x06" + PUBLIC_KEY[1:], id="hybrid"),
        pytest.param(b"\x04" + bytes(64), id="neutral element, as some write it"),
        pytest.param(PUBLIC_KEY[:-1] + b"\x14", id="off the curve"),
        pytest.param(b"\x04" + number(P) + PUBLIC_KEY[33:], id="x = p"),
        pytest.param(PUBLIC_KEY[:33] + number(P), id="y = p"),
    ],
)
def test_what_is_no_point_is_no_public_key_and_verifies_nothing(suite: Sm2Sm3, key: bytes) -> None:
    assert not suite.is_public_key(key)
    assert not suite.is_signature(key, MESSAGE, SIGNATURE)


def test_a_coordinate_has_one_encoding() -> None:
    """The point with x = 0 exists; x = p names the same residue and is refused."""
    y = pow(0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93, (P + 1) // 4, P)
    assert is_point(b"\x04" + number(0) + number(y))
    assert not is_point(b"\x04" + number(P) + number(y))


@pytest.mark.parametrize("d", [0, N - 1, N, 2**256 - 1])
def test_scalars_out_of_range_are_no_private_keys(suite: Sm2Sm3, d: int) -> None:
    assert not suite.is_private_key(number(d))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_private_keys_of_another_length_are_refused(suite: Sm2Sm3, length: int) -> None:
    assert not suite.is_private_key(b"\1" * length)


def test_multiples_of_the_base_point_obey_the_group_law() -> None:
    assert times_base(1) == b"\x04" + number(G[0]) + number(G[1])
    assert times_base(N - 1) == b"\x04" + number(G[0]) + number(P - G[1])
    with pytest.raises(InvariantViolation):
        times_base(N)


@given(st.binary(max_size=70), st.binary(max_size=20), st.binary(max_size=70))
def test_verification_answers_no_to_arbitrary_bytes(key: bytes, message: bytes, sig: bytes) -> None:
    assert answers(key, message, sig) == {False}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, N - 1), st.integers(1, N - 1), st.binary(max_size=20))
def test_backends_agree_on_arbitrary_signatures_in_range(r: int, s: int, message: bytes) -> None:
    assert answers(PUBLIC_KEY, message, number(r) + number(s)) == {False}


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=300))
def test_what_one_backend_signs_every_backend_verifies(message: bytes) -> None:
    for signer in SUITES.values():
        assert answers(PUBLIC_KEY, message, signer.sign(PRIVATE_KEY, message)) == {True}


# GB/T 32905-2016 annex A.
SM3_VECTORS = [
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
]


@pytest.mark.parametrize(("data", "digest"), SM3_VECTORS)
def test_sm3_vectors_are_reproduced_by_both_providers(data: bytes, digest: str) -> None:
    assert suite_named(SM2_SM3).hash(data).hex() == digest
    assert sm3_by_cryptography(data).hex() == digest
    if "sm3" in hashlib.algorithms_available:
        assert sm3_by_hashlib(data).hex() == digest


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_follows_its_definition_with_both_providers(key: bytes, data: bytes) -> None:
    """RFC 2104, written out: H((K ^ opad) || H((K ^ ipad) || data)), K padded to the block of 64 bytes."""
    suite = suite_named(SM2_SM3)
    block = (suite.hash(key) if len(key) > 64 else key).ljust(64, b"\0")
    inner = suite.hash(bytes(b ^ 0x36 for b in block) + data)
    expected = suite.hash(bytes(b ^ 0x5C for b in block) + inner)
    assert suite.hmac(key, data) == hmac_sm3_by_cryptography(key, data) == expected
    if "sm3" in hashlib.algorithms_available:
        assert hmac_sm3_by_hashlib(key, data) == expected


def test_libcrypto_is_preferred_and_gmssl_is_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_backend().description.startswith("libcrypto")
    monkeypatch.setattr(sm2_sm3.libcrypto, "load", lambda: None)
    suite_over("gmssl")
    assert find_backend().description.startswith("gmssl-pyx")


def test_without_a_backend_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm2_sm3.libcrypto, "load", lambda: None)
    monkeypatch.setattr(gmssl, "gmssl_pyx", None)
    suite = Sm2Sm3()
    assert len(suite.hash(b"")) == 32
    with pytest.raises(Unavailable, match="pip install gmssl-pyx") as caught:
        suite.sign(PRIVATE_KEY, MESSAGE)
    assert caught.value.error_code == "no_sm2"


def test_the_backend_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Sm2Sm3()
    first = suite.backend
    monkeypatch.setattr(sm2_sm3, "find_backend", lambda: pytest.fail("looked again"))
    assert suite.backend is first


def test_a_missing_library_and_one_that_is_not_libcrypto_are_passed_over() -> None:
    assert libcrypto.load(("libcrypto.so.none", "libc.so.6")) is None


def libcrypto_name() -> str:
    suite_over("libcrypto")
    return next(name for name in libcrypto.LIBRARY_NAMES if libcrypto.load((name,)) is not None)


class Function:
    """A C function that answers 0, whatever is declared of it."""

    def __call__(self, *_: object) -> int:
        return 0


@pytest.mark.parametrize(
    "broken",
    [
        "d2i_PUBKEY",
        "d2i_AutoPrivateKey",
        "i2d_PUBKEY",
        "EVP_PKEY_CTX_new",
        "EVP_PKEY_sign_init",
        "EVP_PKEY_sign",
        "EVP_PKEY_verify_init",
        "EVP_PKEY_verify",
    ],
)
def test_a_libcrypto_that_fails_its_self_test_is_passed_over(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ctypes.CDLL(libcrypto_name())
    setattr(real, broken, Function())
    monkeypatch.setattr(libcrypto.ctypes, "CDLL", lambda _: real)
    assert libcrypto.load(("any",)) is None


def test_a_refused_signature_leaves_no_error_to_python_ssl() -> None:
    """OpenSSL's error queue is one per thread: a leftover would break an innocent TLS connection."""
    suite = suite_over("libcrypto")
    library = ctypes.CDLL(libcrypto_name())
    library.ERR_peek_error.restype = ctypes.c_ulong
    assert not suite.is_signature(PUBLIC_KEY, b"another", SIGNATURE)
    assert not suite.is_signature(PUBLIC_KEY, MESSAGE, number(1) + number(1))
    assert library.ERR_peek_error() == 0


def test_keys_evicted_from_the_cache_are_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    suite_over("libcrypto")
    monkeypatch.setattr(libcrypto, "CACHED_PUBLIC_KEYS", 1)
    backend = libcrypto.load()
    assert backend is not None
    suite = Sm2Sm3(backend)
    for d in (2, 3, 2):
        signature = suite.sign(number(d), MESSAGE)
        assert suite.is_signature(times_base(d), MESSAGE, signature)


SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
PKCS8_PREFIX = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420"
)


def test_the_openssl_program_verifies_our_signature_and_we_verify_its(
    suite: Sm2Sm3, tmp_path: Path
) -> None:
    """With the user id given explicitly: openssl 3 takes the empty one by default."""
    program = openssl()
    paths = {
        name: tmp_path / name for name in ("key.der", "public.der", "message", "ours", "theirs")
    }
    paths["key.der"].write_bytes(PKCS8_PREFIX + PRIVATE_KEY)
    paths["public.der"].write_bytes(SPKI_PREFIX + PUBLIC_KEY)
    paths["message"].write_bytes(MESSAGE)
    options = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
    common = [program, "pkeyutl", "-keyform", "DER", "-in", str(paths["message"]), *options]

    signing = [*common, "-sign", "-inkey", str(paths["key.der"]), "-out", str(paths["theirs"])]
    subprocess.run(signing, check=True, capture_output=True)
    r, s = sm2_sm3.decode_dss_signature(paths["theirs"].read_bytes())
    assert suite.is_signature(PUBLIC_KEY, MESSAGE, number(r) + number(s))

    ours = suite.sign(PRIVATE_KEY, MESSAGE)
    r, s = (int.from_bytes(half, "big") for half in (ours[:32], ours[32:]))
    paths["ours"].write_bytes(sm2_sm3.encode_dss_signature(r, s))
    verifying = [*common, "-verify", "-pubin", "-inkey", str(paths["public.der"])]
    subprocess.run([*verifying, "-sigfile", str(paths["ours"])], check=True, capture_output=True)
