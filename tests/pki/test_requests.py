"""Certification requests: ours read by others, others' read by us, and who does not show that it holds the key."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import ChainError, DecodeError, ProofInvalid, Refused
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.pki.description import describe_request
from chainnode.pki.keys import KeyKind
from chainnode.pki.names import parse_name
from chainnode.pki.pem import CERTIFICATE_REQUEST, parse_pem, write_pem
from chainnode.pki.request import MAX_REQUEST_BYTES, decode_request, make_request
from tests.support.certificates import KEY_SUITES, key_of, put, run_openssl, signer_of

if TYPE_CHECKING:
    from pathlib import Path

NAME = parse_name("C=CN, O=某区档案馆, CN=电子印章 一")
DISTID = {P256_SHA256: (), SM2_SM3: ("-vfyopt", "distid:1234567812345678")}


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_openssl_accepts_our_request(tmp_path: Path, suite_name: str) -> None:
    signer = signer_of(suite_name, "asker")
    request = make_request(NAME, signer)
    assert (request.subject, request.key) == (NAME, key_of(signer))
    file = put(tmp_path / "request.pem", write_pem(CERTIFICATE_REQUEST, request.encoded))
    done = run_openssl(
        *("req", "-in", file, "-verify", *DISTID[suite_name], "-noout", "-subject"),
        *("-nameopt", "utf8"),
    )
    assert "verify OK" in done.stderr
    assert done.stdout.strip() == "subject=C=CN, O=某区档案馆, CN=电子印章 一"
    (encoded,) = parse_pem(file.read_bytes(), CERTIFICATE_REQUEST)
    assert decode_request(encoded) == request


def test_cryptography_accepts_our_request() -> None:
    signer = signer_of(P256_SHA256, "asker")
    read = x509.load_der_x509_csr(make_request(NAME, signer).encoded)
    assert read.is_signature_valid
    assert read.subject.public_bytes() == NAME.encoded
    assert not list(read.attributes)


@pytest.mark.parametrize(
    ("curve", "kind", "options"),
    [
        ("prime256v1", KeyKind.P256, ()),
        ("SM2", KeyKind.SM2, ("-sm3", "-sigopt", "distid:1234567812345678")),
    ],
)
def test_we_accept_a_request_of_openssl(
    tmp_path: Path, curve: str, kind: KeyKind, options: tuple[str, ...]
) -> None:
    key, out = tmp_path / "key.pem", tmp_path / "request.pem"
    run_openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", key)
    run_openssl(
        *("req", "-new", "-key", key, "-utf8", "-subj", "/C=CN/O=某区/CN=a", *options, "-out", out),
        *("-addext", "extendedKeyUsage=timeStamping"),
    )
    request = decode_request(parse_pem(out.read_bytes(), CERTIFICATE_REQUEST)[0])
    assert (request.key.kind, request.subject.text()) == (kind, "C=CN, O=某区, CN=a")
    assert dict(describe_request(request))["key"] == kind.value


def test_a_request_signed_with_another_identifier_of_sm2_shows_nothing(tmp_path: Path) -> None:
    key, out = tmp_path / "key.pem", tmp_path / "request.pem"
    run_openssl("ecparam", "-name", "SM2", "-genkey", "-noout", "-out", key)
    run_openssl("req", "-new", "-key", key, "-subj", "/CN=a", "-sm3", "-out", out)
    with pytest.raises(ProofInvalid) as caught:
        decode_request(parse_pem(out.read_bytes(), CERTIFICATE_REQUEST)[0])
    assert caught.value.error_code == "bad_signature"


@pytest.mark.parametrize("algorithm", ["rsa:2048", "ed25519", "P-384"])
def test_keys_that_are_not_certified_are_refused(tmp_path: Path, algorithm: str) -> None:
    key, out = tmp_path / "key.pem", tmp_path / "request.pem"
    if algorithm == "P-384":
        run_openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", key)
        run_openssl("req", "-new", "-key", key, "-subj", "/CN=a", "-out", out)
    else:
        run_openssl(
            *("req", "-newkey", algorithm, "-nodes", "-keyout", key, "-subj", "/CN=a", "-out", out)
        )
    with pytest.raises(Refused, match="expected P-256 or SM2") as caught:
        decode_request(parse_pem(out.read_bytes(), CERTIFICATE_REQUEST)[0])
    assert caught.value.error_code == "unsupported_key"


def test_a_weak_hash_is_not_accepted() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA224())
    with pytest.raises(ProofInvalid) as caught:
        decode_request(request.public_bytes(Encoding.DER))
    assert caught.value.error_code == "unsupported_algorithm"


def test_somebody_elses_key_is_not_taken_for_ones_own() -> None:
    asker, victim = signer_of(P256_SHA256, "asker"), signer_of(P256_SHA256, "victim")
    theirs = make_request(NAME, asker).encoded.replace(asker.public_key, victim.public_key)
    with pytest.raises(ProofInvalid) as caught:
        decode_request(theirs)
    assert caught.value.error_code == "bad_signature"


def test_a_request_is_bounded() -> None:
    with pytest.raises(DecodeError, match=f"at most {MAX_REQUEST_BYTES}"):
        decode_request(bytes(MAX_REQUEST_BYTES + 1))


@functools.cache
def _request(suite_name: str) -> bytes:
    return make_request(NAME, signer_of(suite_name, "asker")).encoded


@pytest.mark.parametrize("suite_name", KEY_SUITES)
@given(data=st.data())
def test_no_changed_byte_of_a_request_goes_unnoticed(suite_name: str, data: st.DataObject) -> None:
    changed = bytearray(_request(suite_name))
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ChainError):
        decode_request(bytes(changed))
