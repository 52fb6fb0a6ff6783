"""Tokens: what openssl and rfc3161-client say of them, what we read back, and what nobody believes."""

from __future__ import annotations

import hashlib
import itertools

import pytest
import rfc3161_client
from cryptography import x509

from chainnode.model.commitment import Digest
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.model.suites.sm3 import sm3
from chainnode.model.timestamp import Serial
from chainnode.pki.pem import write_bundle
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.reading import decode_response, decode_token
from chainnode.tsp.request import TimestampRequest, decode_request, make_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from tests.support.certificates import NOW_MS, authority, put, run_openssl

DOCUMENT = b"a document"
POLICY = "2.999.3161.1"
HASHES = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha384": lambda data: hashlib.sha384(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "sm3": sm3,
}
NONCE = 2**63 + 5


def imprint(algorithm: str = "sha256", data: bytes = DOCUMENT) -> Digest:
    return Digest(algorithm=algorithm, value=HASHES[algorithm](data))


def template(suite: str = P256_SHA256) -> TokenTemplate:
    made = authority(suite)
    return TokenTemplate(
        signer=made.leaf_signer,
        certificate=made.leaf,
        chain=(made.issuing, made.root),
        policy=POLICY,
    )


def facts(**changes) -> TokenFacts:
    values = {
        "serial_number": Serial(index=7, blinding=bytes(range(13))).as_integer(),
        "time_ms": NOW_MS + 120,
        "accuracy_ms": 2_500,
    }
    return TokenFacts(**values | changes)


def request(algorithm: str = "sha256", **changes) -> TimestampRequest:
    return decode_request(make_request(imprint(algorithm), nonce=NONCE, **changes))


@pytest.fixture
def roots(tmp_path):
    return put(tmp_path / "root.pem", write_bundle((authority().root,)))


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("time_ms", [NOW_MS, NOW_MS + 1, NOW_MS + 120, NOW_MS + 500])
def test_openssl_accepts_every_imprint_with_and_without_fractions(
    tmp_path, roots, algorithm, time_ms
):
    asked = make_request(imprint(algorithm), nonce=NONCE)
    response = granted(template().token(decode_request(asked), facts(time_ms=time_ms)))
    query, reply, document = (
        put(tmp_path / "q", asked), put(tmp_path / "r", response), put(tmp_path / "d", DOCUMENT)
    )  # fmt: skip
    for against in (("-queryfile", query), ("-data", document)):
        ran = run_openssl("ts", "-verify", "-in", reply, *against, "-CAfile", roots)
        assert "Verification: OK" in ran.stdout + ran.stderr


def test_openssl_makes_requests_that_we_read_and_prints_what_the_token_says(tmp_path, roots):
    document = put(tmp_path / "d", DOCUMENT)
    for digest, options in itertools.product(
        ("sha256", "sha384", "sha512", "sm3"),
        ((), ("-cert",), ("-no_nonce",), ("-tspolicy", POLICY)),
    ):
        query = tmp_path / "q"
        run_openssl("ts", "-query", "-data", document, f"-{digest}", *options, "-out", query)
        read = decode_request(query.read_bytes())
        assert read.imprint == imprint(digest)
        assert read.wants_certificate == ("-cert" in options)
        assert (read.nonce is None) == ("-no_nonce" in options)
        reply = put(tmp_path / "r", granted(template().token(read, facts())))
        own = put(tmp_path / "own.pem", write_bundle((authority().leaf, authority().issuing)))
        untrusted = () if read.wants_certificate else ("-untrusted", own)
        ran = run_openssl(
            *("ts", "-verify", "-in", reply, "-queryfile", query, "-CAfile", roots, *untrusted)
        )
        assert "Verification: OK" in ran.stdout + ran.stderr
        # Without being asked for, the certificate stays away, and openssl needs it from elsewhere.
        assert bool(decode_response(reply.read_bytes()).certificates) == read.wants_certificate
    shown = run_openssl("ts", "-reply", "-in", reply, "-text").stdout
    assert "Accuracy: 0x02 seconds, 0x01F4 millis" in shown
    assert "Ordering: no" in shown
    assert f"Policy OID: {POLICY}" in shown


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_rfc3161_client_accepts_them(algorithm):
    asked = rfc3161_client.TimestampRequestBuilder(data=DOCUMENT).hash_algorithm(
        getattr(rfc3161_client.HashAlgorithm, algorithm.upper())
    ).build()  # fmt: skip
    made = authority()
    response = granted(template().token(decode_request(asked.as_bytes()), facts()))
    verifier = (
        rfc3161_client.VerifierBuilder.from_request(asked)
        .add_root_certificate(x509.load_der_x509_certificate(made.root.encoded))
        .build()
    )
    assert verifier.verify_message(rfc3161_client.decode_timestamp_response(response), DOCUMENT)


@pytest.mark.parametrize("suite", [P256_SHA256, SM2_SM3])
@pytest.mark.parametrize("algorithm", HASHES)
def test_what_we_write_is_what_we_read(suite, algorithm):
    made = authority(suite)
    response = granted(template(suite).token(request(algorithm, policy=POLICY), facts()))
    token = decode_response(response)
    assert decode_token(token.encoded) == token
    assert (token.imprint, token.policy, token.nonce) == (imprint(algorithm), POLICY, NONCE)
    assert (token.time_ms, token.accuracy_ms) == (NOW_MS + 120, 2_500)
    assert token.serial_number == facts().serial_number
    assert token.authority == made.leaf.subject
    assert token.signer == made.leaf
    assert set(token.certificates) == {made.leaf, made.issuing, made.root}
    check_token(token, made.leaf)
    check_imprint(token, imprint(algorithm))
    with pytest.raises(ProofInvalid) as caught:
        check_imprint(token, imprint(algorithm, b"another"))
    assert caught.value.error_code == "other_document"


@pytest.mark.parametrize("suite", [P256_SHA256, SM2_SM3])
def test_a_token_with_one_byte_changed_is_refused_or_says_the_same(suite):
    """The signature covers the attributes, these the content and the certificate's digest. What it leaves open is what the
    signer's certificate says anyway, and certificates that the token merely brings along."""
    made = authority(suite)
    asked = decode_request(make_request(imprint(), nonce=NONCE))
    encoded = template(suite).token(asked, facts())
    original = decode_token(encoded)
    for position in range(0, len(encoded), 11):
        altered = encoded[:position] + bytes([encoded[position] ^ 1]) + encoded[position + 1 :]
        try:
            token = decode_token(altered)
            check_token(token, made.leaf)
        except (DecodeError, ProofInvalid):
            continue
        said = (token.info, token.attributes, token.signature, token.content_digest)
        assert said == (
            original.info, original.attributes, original.signature, original.content_digest
        )  # fmt: skip


def test_a_token_names_one_certificate_even_if_another_has_its_key_and_name():
    made = authority()
    token = decode_token(template().token(request(), facts()))
    twin = made.issue(
        serial_number=made.leaf.serial_number, not_after_ms=made.leaf.not_after_ms - 1_000
    )
    assert token.is_signed_as(twin)
    with pytest.raises(ProofInvalid) as caught:
        check_token(token, twin)
    assert caught.value.error_code == "signing_certificate"


@pytest.mark.parametrize(
    ("accuracy_ms", "shown"),
    [(1, "unspecified seconds, 0x01 millis"), (1_000, "0x01 seconds, unspecified millis")],
)
def test_accuracy_in_whole_seconds_and_below_one(tmp_path, accuracy_ms, shown):
    token = template().token(request(), facts(accuracy_ms=accuracy_ms))
    assert decode_token(token).accuracy_ms == accuracy_ms
    reply = put(tmp_path / "r", granted(token))
    assert shown in run_openssl("ts", "-reply", "-in", reply, "-text").stdout
