"""Certificates that we make: read by openssl and cryptography, and refused where they must be."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from chainnode.keystore.randomness import fresh_serial_number
from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.model.suites import ED25519_SHA256, SM2_SM3, suite_named
from chainnode.pki.certificate import (
    MAX_CERTIFICATE_BYTES,
    MAX_SERIAL_BITS,
    decode_x509_certificate,
)
from chainnode.pki.description import describe_certificate
from chainnode.pki.extension_reading import decode_extensions
from chainnode.pki.extension_writing import encode_extensions
from chainnode.pki.extensions import MAX_URL_CHARS, URL, Extensions, Policy
from chainnode.pki.issuing import issue_certificate, issue_root
from chainnode.pki.keys import check_signature, subject_key
from chainnode.pki.pem import write_bundle
from chainnode.pki.profiles import (
    INTERNAL,
    INTERNAL_POLICY,
    ISSUING,
    ROOT,
    SEAL,
    TIMESTAMP,
    is_labelled_internal,
)
from tests.support.certificates import (
    BEGIN_MS,
    DAY_MS,
    KEY_SUITES,
    NOW_MS,
    authority,
    put,
    run_openssl,
    signer_of,
    terms,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.profiles import Profile

AT = f"-attime {NOW_MS // 1000}".split()


def test_a_certificate_that_was_read_is_kept_and_nothing_of_it_can_change():
    encoded = authority().leaf.encoded
    read = decode_x509_certificate(encoded)
    assert decode_x509_certificate(bytes(bytearray(encoded))) is read
    # Whatever a hash is made of, down to names and extensions, is frozen.
    assert hash(read) == hash(authority().leaf)


def verify(folder: Path, leaf: X509Certificate, *options: str) -> str:
    """Have openssl check a leaf up to the authority's root, policies included; return what it says."""
    made = authority()
    root, between, end = (
        put(folder / name, write_bundle((certificate,)))
        for name, certificate in (
            ("root.pem", made.root),
            ("between.pem", made.issuing),
            ("leaf.pem", leaf),
        )
    )
    done = run_openssl(
        *("verify", *AT, "-x509_strict", "-check_ss_sig", "-explicit_policy"),
        *("-policy", INTERNAL_POLICY, *options, "-CAfile", root, "-untrusted", between, end),
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("profile", "purpose"),
    [(TIMESTAMP, "timestampsign"), (SEAL, "smimesign")],
    ids=["timestamp", "seal"],
)
def test_openssl_verifies_a_path_strictly(tmp_path: Path, profile: Profile, purpose: str) -> None:
    leaf = authority().issue(profile)
    assert "leaf.pem: OK" in verify(tmp_path, leaf, "-purpose", purpose)


def test_openssl_verifies_sm2_certificates_as_far_as_it_can(tmp_path: Path) -> None:
    """One level: below the first it forgets the signer's identifier (openssl issue 23471). Bouncy Castle does all."""
    made = authority(SM2_SM3)
    root = put(tmp_path / "root.pem", write_bundle((made.root,)))
    between = put(tmp_path / "between.pem", write_bundle((made.issuing,)))
    done = run_openssl(
        *("verify", "-vfyopt", "distid:1234567812345678", *AT, "-x509_strict"),
        *("-CAfile", root, between),
        check=False,
    )
    assert "between.pem: OK" in done.stdout, done.stderr
    done = run_openssl(
        *("verify", "-vfyopt", "distid:another", *AT, "-CAfile", root, between), check=False
    )
    assert "certificate signature failure" in done.stderr


def test_openssl_refuses_a_seal_as_a_timestamp_and_sees_the_label(tmp_path: Path) -> None:
    leaf = authority().issue(SEAL)
    said = verify(tmp_path, leaf, "-purpose", "timestampsign")
    assert "unsuitable certificate purpose" in said
    shown = run_openssl("x509", "-in", tmp_path / "leaf.pem", "-noout", "-text", "-nameopt", "utf8")
    assert f"Policy: {INTERNAL_POLICY}" in shown.stdout
    assert "Internal certificate of an alliance" in shown.stdout
    assert "联盟内部证书" in shown.stdout
    assert "Subject: C=CN, O=某市政务服务数据管理局, CN=seal 一" in shown.stdout


def test_cryptography_reads_what_we_wrote() -> None:
    made = authority()
    leaf = made.issue(
        key_used_until_ms=NOW_MS + 30 * DAY_MS, issuer_urls=("http://ca.example/issuing.cer",)
    )
    read = x509.load_der_x509_certificate(leaf.encoded)
    assert (read.version, read.serial_number) == (x509.Version.v3, leaf.serial_number)
    assert read.not_valid_before_utc == dt.datetime.fromtimestamp(BEGIN_MS // 1000, dt.UTC)
    assert read.issuer.public_bytes() == made.issuing.subject.encoded
    read.verify_directly_issued_by(x509.load_der_x509_certificate(made.issuing.encoded))
    usage = read.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    uses = read.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (uses.critical, list(uses.value)) == (True, [ExtendedKeyUsageOID.TIME_STAMPING])
    names = {extension.oid.dotted_string: extension.critical for extension in read.extensions}
    assert names == {
        "2.5.29.19": True, "2.5.29.15": True, "2.5.29.37": True, "2.5.29.14": False,
        "2.5.29.35": False, "2.5.29.32": False, "2.5.29.16": False, "2.5.29.31": False,
        "1.3.6.1.5.5.7.1.1": False,
    }  # fmt: skip
    root = x509.load_der_x509_certificate(made.root.encoded)
    assert root.extensions.get_extension_for_class(
        x509.BasicConstraints
    ).value == x509.BasicConstraints(ca=True, path_length=1)
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_a_certificate_says_what_its_terms_said(suite_name: str) -> None:
    made = authority(suite_name)
    leaf = made.issue(key_used_until_ms=NOW_MS + 30 * DAY_MS)
    extensions = leaf.extensions
    assert (leaf.issuer, leaf.not_before_ms, leaf.not_after_ms) == (
        made.issuing.subject,
        BEGIN_MS,
        NOW_MS + 365 * DAY_MS,
    )
    assert extensions.extended_key_usage == TIMESTAMP.extended_key_usage
    assert extensions.key_usage == TIMESTAMP.key_usage
    assert extensions.subject_key_identifier == leaf.key.identifier
    assert extensions.authority_key_identifier == made.issuing.extensions.subject_key_identifier
    assert (extensions.key_used_from_ms, extensions.key_used_until_ms) == (
        BEGIN_MS,
        NOW_MS + 30 * DAY_MS,
    )
    assert extensions.policies == (INTERNAL,)
    assert extensions.crl_urls == ("http://ca.example/issuing.crl",)
    assert made.issuing.extensions.issuer_urls == ("http://ca.example/root.cer",)
    assert [c.extensions.path_length for c in (made.root, made.issuing, leaf)] == [1, 0, None]
    assert leaf.key.point == made.leaf_signer.public_key
    assert decode_x509_certificate(leaf.encoded) == leaf
    assert len(leaf.encoded) < 1200


def test_a_root_of_one_suite_certifies_a_key_of_the_other() -> None:
    leaf_signer = signer_of(SM2_SM3, "leaf")
    leaf = issue_certificate(terms(leaf_signer), authority().issuing, authority().issuing_signer)
    assert leaf.key.suite is leaf_signer.suite
    assert leaf.signature_algorithm == "1.2.840.10045.4.3.2"


def test_whoever_owns_an_arc_labels_by_it() -> None:
    own = Policy(oid="1.2.156.99999.1.1", notice="内部")
    leaf = authority().issue(policies=(own,))
    assert is_labelled_internal(leaf.extensions, own.oid)
    assert not is_labelled_internal(leaf.extensions)
    assert not authority().issue(policies=()).extensions.policies
    rows = dict(describe_certificate(leaf, internal_policy=own.oid))
    assert rows["issued"] == "internally: 内部"


def test_a_description_tells_people_what_matters() -> None:
    made = authority()
    rows = dict(describe_certificate(made.leaf))
    assert rows["subject"] == "C=CN, O=某市政务服务数据管理局, CN=timestamp 一"
    assert rows["issued"].startswith("internally: 联盟内部证书")
    assert rows["key usage"] == "digitalSignature, contentCommitment"
    assert rows["extended key usage"] == "timeStamping"
    assert (rows["key"], rows["signed with"]) == ("P-256", "ECDSA with SHA-256")
    assert rows["SHA-256"] == made.leaf.fingerprint.hex()
    assert "authority" not in rows
    assert (
        dict(describe_certificate(made.root))["authority"]
        == "yes, with one level of authorities below it"
    )


# -- what is not made -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("bad_serial", {"serial_number": 0}),
        ("bad_serial", {"serial_number": 1 << MAX_SERIAL_BITS}),
        ("bad_time", {"not_before_ms": BEGIN_MS + 1}),
        ("bad_validity", {"not_after_ms": BEGIN_MS}),
        ("bad_validity", {"key_used_until_ms": NOW_MS + 366 * DAY_MS}),
        ("bad_validity", {"key_used_until_ms": BEGIN_MS}),
        ("outlives_issuer", {"not_after_ms": NOW_MS + 4000 * DAY_MS}),
        ("outlives_issuer", {"not_before_ms": BEGIN_MS - 1000}),
        ("path_length", {"profile": ISSUING}),
        ("path_length", {"profile": ROOT}),
        ("bad_url", {"crl_urls": ("ftp://ca.example/a",)}),
        ("bad_url", {"crl_urls": ("http://ca.example/a b",)}),
        ("bad_url", {"crl_urls": ("http://例.example/",)}),
        ("bad_url", {"issuer_urls": ("http://ca.example/" + "a" * 500,)}),
        ("bad_url", {"issuer_urls": ("http://ca.example/",) * 9}),
        ("bad_policy", {"policies": (Policy(oid="3.1"),)}),
        ("bad_policy", {"policies": (Policy(oid="1.40"),)}),
        ("bad_policy", {"policies": (Policy(oid="1.2", notice="x" * 201),)}),
        ("too_large", {"policies": tuple(Policy(oid=f"1.2.{i}", notice="x" * 200) for i in range(80))}),
    ],
)  # fmt: skip
def test_terms_that_no_certificate_can_have_are_refused(code: str, changes: dict[str, Any]) -> None:
    made = authority()
    with pytest.raises(Refused) as caught:
        issue_certificate(terms(made.leaf_signer, **changes), made.issuing, made.issuing_signer)
    assert caught.value.error_code == code


def test_a_serial_number_or_key_that_none_has_is_refused() -> None:
    leaf = authority().leaf
    number = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    point = leaf.key.point
    for old, new, why in (
        (number, b"\xf0" + number[1:], "expected 1 to 2"),
        (point, b"\5" + point[1:], "not a point of P-256"),
        (point, point[:-1] + bytes([point[-1] ^ 1]), "not a point of P-256"),
    ):
        assert leaf.encoded.count(old) == 1
        with pytest.raises(DecodeError, match=why):
            decode_x509_certificate(leaf.encoded.replace(old, new))


def test_only_an_authority_issues_and_only_with_its_own_key() -> None:
    made = authority()
    for issuer, signer, code in (
        (made.leaf, made.leaf_signer, "not_an_authority"),
        (made.issuing, made.root_signer, "wrong_key"),
        (made.issuing, authority(SM2_SM3).issuing_signer, "wrong_key"),
    ):
        with pytest.raises(Refused) as caught:
            issue_certificate(terms(made.leaf_signer), issuer, signer)
        assert caught.value.error_code == code
    with pytest.raises(Refused) as caught:
        issue_root(terms(made.leaf_signer, ROOT), made.root_signer)
    assert caught.value.error_code == "wrong_key"


def test_a_key_of_another_suite_is_not_certified() -> None:
    ed25519 = suite_named(ED25519_SHA256)
    with pytest.raises(Refused, match="p256-sha256 and sm2-sm3") as caught:
        subject_key(ed25519, ed25519.public_key_of(bytes(32)))
    assert caught.value.error_code == "unsupported_key"


def test_a_signer_that_signs_something_else_is_found_out() -> None:
    made = authority()

    class Broken:
        suite, public_key = made.issuing_signer.suite, made.issuing_signer.public_key

        def sign(self, message: bytes) -> bytes:
            return made.issuing_signer.sign(message + b"\0")

    with pytest.raises(ProofInvalid) as caught:
        issue_certificate(terms(made.leaf_signer), made.issuing, Broken())
    assert caught.value.error_code == "bad_signature"


def test_serial_numbers_are_positive_and_differ() -> None:
    numbers = {fresh_serial_number() for _ in range(50)}
    assert len(numbers) == 50
    assert all(0 < number < 1 << MAX_SERIAL_BITS for number in numbers)


# -- what is not read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite_name", KEY_SUITES)
@given(data=st.data())
def test_no_changed_byte_of_a_certificate_goes_unnoticed(
    suite_name: str, data: st.DataObject
) -> None:
    made = authority(suite_name)
    changed = bytearray(made.leaf.encoded)
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_x509_certificate(bytes(changed))
        check_signature(
            made.issuing.key, read.signature_algorithm, read.signed, read.signature, "changed"
        )
    except (DecodeError, ProofInvalid):
        return
    pytest.fail(f"byte {position} may be changed")


@pytest.mark.parametrize("cut", range(0, 700, 23))
def test_a_certificate_that_is_cut_off_or_goes_on_is_none(cut: int) -> None:
    encoded = authority().leaf.encoded
    for changed in (encoded[:cut], encoded + bytes(cut + 1), encoded + encoded[: cut + 1]):
        with pytest.raises(DecodeError):
            decode_x509_certificate(changed)


def test_a_certificate_is_bounded() -> None:
    with pytest.raises(DecodeError, match="expected at most 16384"):
        decode_x509_certificate(bytes(MAX_CERTIFICATE_BYTES + 1))


def _resized(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes by others of the same length."""
    assert len(old) == len(new)
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        pytest.param("a003020102", "a003020101", "version 3", id="version 2"),
        pytest.param("06082a8648ce3d040302", "06082a8648ce3d040303", "two signature", id="algorithms"),
        pytest.param("0603551d23", "0603551d10", "one is there twice", id="twice"),
        pytest.param("0603551d0f0101ff", "0603551d0f010101", "not in DER", id="boolean"),
        pytest.param("0603550406", "0603550306", "", id="name"),
    ],
)  # fmt: skip
def test_a_certificate_that_says_what_none_may_say_is_refused(old: str, new: str, why: str) -> None:
    leaf = authority().issue(key_used_until_ms=NOW_MS)
    changed = _resized(leaf.encoded, bytes.fromhex(old), bytes.fromhex(new))
    if not why:
        assert decode_x509_certificate(changed).issuer != authority().leaf.issuer
        return
    with pytest.raises(DecodeError, match=why):
        decode_x509_certificate(changed)


@given(st.from_regex(URL, fullmatch=True).filter(lambda url: len(url) <= MAX_URL_CHARS))
def test_a_place_is_read_as_it_was_written(url: str) -> None:
    value = encode_extensions(Extensions(crl_urls=(url,), issuer_urls=(url,)))
    read = decode_extensions(value.contents)
    assert (read.crl_urls, read.issuer_urls) == ((url,), (url,))
