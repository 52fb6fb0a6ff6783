"""`POST /tsa` of a running network: software that we did not write accepts its tokens, and every wrong request is told so.

The network is one for all tests of timestamps; what a test does to it, it undoes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import zipfile
from io import BytesIO

import pytest
import rfc3161_client
from asn1crypto import pem, x509
from cryptography import x509 as cryptography_x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign import fields, signers, timestamps
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from chainnode.model.errors import ChainError
from chainnode.model.genesis import decode_genesis
from chainnode.model.record import decode_record
from chainnode.model.timestamp import KIND, Serial, parse_serial, verify_imprint
from chainnode.pki.pem import parse_bundle
from chainnode.tsp.checking import check_token
from chainnode.tsp.encoding import NULL, context, element, integer, octets, oid, sequence
from chainnode.tsp.reading import decode_response
from chainnode.tsp.request import MAX_REQUEST_BYTES, decode_request
from devnet.bench.check import _leaves
from devnet.bench.timestamp_check import check_issued
from tests.support.certificates import put, run_openssl
from tests.support.der_mutations import changed_der
from tests.support.network import LEVEL_MS, chainnode, wait_until
from tests.support.outside import run_tool
from tests.support.timestamps import (
    POLICY,
    QUERY,
    REPLY,
    Asked,
    forged_response,
    imprint_of,
    post,
    post_all,
    request_about,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stamps")]

DOCUMENT = b"a document\n"
SHA256 = "2.16.840.1.101.3.4.2.1"
VERSION = integer(1)
IMPRINT = sequence(sequence(oid(SHA256), NULL), octets(bytes(32)))
AT_ONCE = 200
"""Requests to one node at the same time."""


@pytest.fixture(scope="module")
def network(stamping_network):
    return stamping_network


@pytest.fixture
def tsa(network):
    return f"{network.node('v1').rpc}/tsa"


def tsa_of(network, name):
    return f"{network.node(name).rpc}/tsa"


def done(home, *arguments):
    """Run a command that opens keys and must succeed."""
    ran = chainnode(home, "--json", *map(str, arguments), has_keys=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def leaves_of(network, name):
    """All records of a validator's log, from its public tiles."""
    size = network.status(name)["log_size"]
    return [decode_record(leaf) for leaf in asyncio.run(_leaves(network.node(name).rpc, 0, size))]


# -- outside software ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512", "sm3"])
def test_openssl_accepts_what_it_asked_for(network, tsa, tmp_path, algorithm):
    document, query, reply, own = (tmp_path / name for name in ("d", "q", "r", "own.pem"))
    document.write_bytes(DOCUMENT)
    own.write_bytes(post(f"{tsa}/p256.pem", method="GET").body)
    for options in itertools.chain.from_iterable(
        itertools.combinations(("-cert", "-no_nonce", f"-tspolicy {POLICY}"), count)
        for count in range(4)
    ):
        words = " ".join(options).split()
        run_openssl("ts", "-query", "-data", document, f"-{algorithm}", *words, "-out", query)
        answer = post(tsa, query.read_bytes())
        assert (answer.status, answer.content_type) == (200, REPLY)
        reply.write_bytes(answer.body)
        brought = "-cert" in words
        untrusted = () if brought else ("-untrusted", own)
        verify = ("ts", "-verify", "-in", reply, "-CAfile", network.ca)
        for against in (("-queryfile", query), ("-data", document)):
            said = run_openssl(*verify, *against, *untrusted)
            assert "Verification: OK" in said.stdout + said.stderr
        assert bool(decode_response(answer.body).certificates) == brought
    document.write_bytes(DOCUMENT + b" altered")
    assert run_openssl(*verify, "-data", document, *untrusted, check=False).returncode != 0


def test_openssl_without_the_certificate_says_no(network, tsa, tmp_path):
    """The most frequent complaint about timestamp authorities: certReq was not set, so the certificate must come from elsewhere."""
    document = put(tmp_path / "d", DOCUMENT)
    query = tmp_path / "q"
    run_openssl("ts", "-query", "-data", document, "-sha256", "-out", query)
    reply = put(tmp_path / "r", post(tsa, query.read_bytes()).body)
    verify = ("ts", "-verify", "-in", reply, "-data", document, "-CAfile", network.ca)
    assert run_openssl(*verify, check=False).returncode != 0


def test_curl_is_told_what_it_asked_for(tsa, tmp_path):
    query = put(tmp_path / "q", request_about("curl"))
    reply = tmp_path / "r"
    said = run_tool(
        *("curl", "--silent", "--show-error", "--fail", "--output", reply),
        *("--header", f"Content-Type: {QUERY}", "--data-binary", f"@{query}", tsa),
    )
    assert said.returncode == 0, said.stderr
    assert decode_response(reply.read_bytes()).imprint == imprint_of("curl")


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA512"])
def test_rfc3161_client_accepts_it(network, tsa, algorithm):
    asked = rfc3161_client.TimestampRequestBuilder(data=DOCUMENT).hash_algorithm(
        rfc3161_client.HashAlgorithm[algorithm]
    ).build()  # fmt: skip
    answer = post(tsa, asked.as_bytes())
    verifier = (
        rfc3161_client.VerifierBuilder.from_request(asked)
        .add_root_certificate(cryptography_x509.load_pem_x509_certificate(network.ca.read_bytes()))
        .build()
    )
    response = rfc3161_client.decode_timestamp_response(answer.body)
    assert verifier.verify_message(response, DOCUMENT)
    with pytest.raises(rfc3161_client.VerificationError):
        verifier.verify_message(response, DOCUMENT + b" altered")


@pytest.fixture(scope="module")
def keystore(network, tmp_path_factory):
    """A signer's key, and beside it the root that its timestamps lead to."""
    store = tmp_path_factory.mktemp("keys") / "signer.p12"
    options = ("-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit")
    for command in (
        ("-genkeypair", "-alias", "signer", "-keyalg", "EC", "-groupname", "secp256r1",
         "-dname", "CN=signer", *options),
        ("-importcert", "-alias", "root", "-file", network.ca, "-noprompt", *options),
    ):  # fmt: skip
        ran = run_tool("keytool", *command)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return store


def test_jarsigner_timestamps_an_archive_and_trusts_the_timestamp(tsa, keystore, tmp_path):
    archive = tmp_path / "a.jar"
    with zipfile.ZipFile(archive, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        jar.writestr("a.txt", "hello")
    options = ("-keystore", keystore, "-storepass", "changeit")
    signed = run_tool("jarsigner", *options, "-tsa", tsa, archive, "signer")
    assert signed.returncode == 0, signed.stdout + signed.stderr
    assert "No -tsa" not in signed.stdout
    shown = run_tool("jarsigner", "-verify", "-verbose", "-certs", *options, archive)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "jar verified." in shown.stdout
    assert 'Timestamped by "CN=v1 timestamp unit' in shown.stdout
    # It says so where it cannot find its way from the unit to a root that it trusts.
    assert "TSA certificate chain is invalid" not in shown.stdout


def test_pyhanko_seals_a_pdf_with_a_timestamp_that_validates(network, tsa, keystore):
    paper = PdfFileWriter()
    corners = generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 200)))
    content = paper.add_object(generic.StreamObject(stream_data=b""))
    paper.insert_page(PageObject(contents=content, media_box=corners))
    plain = BytesIO()
    paper.write(plain)
    signer = signers.SimpleSigner.load_pkcs12(keystore, passphrase=b"changeit")
    meta = signers.PdfSignatureMetadata(
        field_name="Seal", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
    )
    sealed = signers.sign_pdf(
        IncrementalPdfFileWriter(plain),
        meta,
        signer=signer,
        timestamper=timestamps.HTTPTimeStamper(tsa),
    )
    (signature,) = PdfFileReader(sealed).embedded_signatures
    root = x509.Certificate.load(pem.unarmor(network.ca.read_bytes())[2])

    def status(*roots):
        return validate_pdf_signature(
            signature,
            signer_validation_context=ValidationContext(trust_roots=[signer.signing_cert]),
            ts_validation_context=ValidationContext(trust_roots=roots, allow_fetching=False),
        )

    found = status(root)
    assert found.bottom_line
    stamp = found.timestamp_validity
    assert stamp.valid
    assert stamp.trusted
    assert stamp.intact
    assert "v1 timestamp unit" in stamp.signing_cert.subject.human_friendly
    assert not status(signer.signing_cert).timestamp_validity.trusted


# -- what is refused -----------------------------------------------------------------------------------------


def imprint(dotted, size, parameters=NULL):
    return sequence(sequence(oid(dotted), parameters), octets(bytes(size)))


EXTENSION = sequence(oid("1.2.3"), octets(b""))
CRITICAL = sequence(oid("1.2.3"), element(1, b"\xff"), octets(b""))

REFUSED = {
    "MD5": (sequence(VERSION, imprint("1.2.840.113549.2.5", 16)), "bad_alg"),
    "SHA-1": (sequence(VERSION, imprint("1.3.14.3.2.26", 20)), "bad_alg"),
    "SHA-224": (sequence(VERSION, imprint("2.16.840.1.101.3.4.2.4", 28)), "bad_alg"),
    "version 0": (sequence(integer(0), IMPRINT), "bad_request"),
    "version 2": (sequence(integer(2), IMPRINT), "bad_request"),
    "nothing": (b"", "bad_data_format"),
    "text": (b"GET / HTTP/1.1", "bad_data_format"),
    "no imprint": (sequence(VERSION), "bad_data_format"),
    "a digest too short": (sequence(VERSION, imprint(SHA256, 31)), "bad_data_format"),
    "a digest too long": (sequence(VERSION, imprint(SHA256, 64)), "bad_data_format"),
    "a digest of another algorithm": (
        sequence(VERSION, imprint("2.16.840.1.101.3.4.2.3", 32)),
        "bad_data_format",
    ),
    "parameters": (sequence(VERSION, imprint(SHA256, 32, integer(1))), "bad_data_format"),
    "cut off": (sequence(VERSION, IMPRINT)[:-1], "bad_data_format"),
    "a byte behind": (sequence(VERSION, IMPRINT) + b"\0", "bad_data_format"),
    "indefinite length": (b"\x30\x80" + VERSION + IMPRINT + b"\0\0", "bad_data_format"),
    "a length in too many bytes": (
        b"\x30\x81" + bytes([len(VERSION + IMPRINT)]) + VERSION + IMPRINT,
        "bad_data_format",
    ),
    "a nonce of no bytes": (sequence(VERSION, IMPRINT, element(2, b"")), "bad_data_format"),
    "a nonce with a zero in front": (
        sequence(VERSION, IMPRINT, element(2, b"\0\1")),
        "bad_data_format",
    ),
    "a nonce of 65 bytes": (
        sequence(VERSION, IMPRINT, element(2, b"\1" * 65)),
        "bad_data_format",
    ),
    "fields in another order": (
        sequence(VERSION, IMPRINT, element(1, b"\xff"), integer(1)),
        "bad_data_format",
    ),
    "another policy": (sequence(VERSION, IMPRINT, oid("1.2.3.4.1")), "unaccepted_policy"),
    "an extension": (
        sequence(VERSION, IMPRINT, context(0, EXTENSION)),
        "unaccepted_extensions",
    ),
    "a critical extension": (
        sequence(VERSION, IMPRINT, context(0, CRITICAL)),
        "unaccepted_extensions",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_gets_no_token_is_answered_with_the_reason(tsa, case):
    body, failure = REFUSED[case]
    answer = post(tsa, body)
    assert (answer.status, answer.content_type, answer.failure) == (200, REPLY, failure)


@pytest.mark.parametrize("size", [1, 8, 20, 63, 64])
@pytest.mark.parametrize("first", [b"\1", b"\x7f", b"\x80", b"\xff"])
def test_nonces_come_back_byte_for_byte_whatever_their_size_and_sign(tsa, size, first):
    nonce = element(2, first + b"\x55" * (size - 1))
    answer = post(tsa, sequence(VERSION, IMPRINT, nonce))
    assert answer.failure is None
    assert nonce in answer.body


def test_what_is_no_request_at_all_is_a_matter_of_http(network, tsa):
    query = request_about("http")
    assert post(tsa, query, content_type="application/json").status == 415
    assert post(tsa, query, content_type=None).status == 415
    assert post(tsa, query, content_type=f"{QUERY}; charset=binary").failure is None
    assert post(tsa, query, method="PUT").status == 405
    assert post(tsa, method="GET").status == 404
    assert post(f"{tsa}/sm2", query).status == 404
    assert post(f"{tsa}/p256/", query).status == 404
    assert post(f"{tsa}/p256", query).failure is None
    for body in (bytes(MAX_REQUEST_BYTES + 1), octets(bytes(100_000))):
        assert post(tsa, body).status == 413
    assert post(tsa, octets(bytes(MAX_REQUEST_BYTES - 4))).failure == "bad_data_format"


# -- what tokens say of one another --------------------------------------------------------------------------


def test_serial_numbers_are_unique_and_each_names_a_leaf_about_its_imprint(network):
    names = ("v1", "v2")
    asked = [(names[number % 2], f"at once {number}", number) for number in range(2 * AT_ONCE)]
    replies = post_all(
        [
            (tsa_of(network, name), request_about(text, nonce=number, wants_certificate=False))
            for name, text, number in asked
        ]
    )
    tokens = [decode_response(reply.body) for reply in replies]
    assert len({token.serial_number for token in tokens}) == len(asked)
    network.wait_level(timeout_ms=LEVEL_MS)
    suite = decode_genesis(network.genesis.read_bytes()).suite
    certificates = {
        name: parse_bundle((network.node(name).home / "timestamp.pem").read_bytes())[0]
        for name in names
    }
    records = leaves_of(network, "v3")
    for (name, text, nonce), token in zip(asked, tokens, strict=True):
        assert (token.imprint, token.nonce) == (imprint_of(text), nonce)
        serial = parse_serial(token.serial_number)
        record = records[serial.index]
        fingerprint = verify_imprint(suite, record, serial, token.imprint)
        assert fingerprint == suite.hash(certificates[name].encoded)
        assert record.time_ms == token.time_ms
        check_token(token, certificates[name])


def test_a_token_made_with_a_stolen_key_passes_openssl_and_has_no_leaf(network, tsa, tmp_path):
    genuine = decode_response(post(tsa, request_about("genuine")).body)
    check_issued(network, genuine, by="v2")
    document, request = put(tmp_path / "d", b"forged"), request_about("forged")
    serial = parse_serial(genuine.serial_number)
    for number in (
        genuine.serial_number,
        Serial(index=0, blinding=serial.blinding).as_integer(),
        7,
    ):
        forged = forged_response(
            network, "v1", request, serial_number=number, time_ms=genuine.time_ms
        )
        reply = put(tmp_path / "r", forged)
        said = run_openssl(
            *("ts", "-verify", "-in", reply, "-data", document, "-CAfile", network.ca)
        )
        assert "Verification: OK" in said.stdout + said.stderr
        with pytest.raises(ChainError):
            check_issued(network, decode_response(forged), by="v2")


# -- faults --------------------------------------------------------------------------------------------------


def test_without_a_quorum_no_time_is_available_and_with_it_tokens_come_again(network, tsa):
    # A node without a quorum still has its clients; these never finish what they say.
    body = request_about("half")
    slow = [Asked(tsa, body[: len(body) // 2], announced=len(body)) for _ in range(100)]
    for name in ("v2", "v3", "v4"):
        network.stop(name)
    try:
        answer = post(tsa, request_about("no quorum"))
    finally:
        for name in ("v2", "v3", "v4"):
            network.cont(name)
    assert (answer.status, answer.failure) == (200, "time_not_available")
    assert {pending.wait().partition(b"\r\n")[0] for pending in slow} == {
        b"HTTP/1.1 408 Request Timeout"
    }

    def again():
        return post(tsa, request_about("quorum again")).failure is None

    wait_until(again, "tokens come again")


def test_killed_between_entry_and_answer_a_node_has_issued_nothing_and_goes_on(network):
    """The imprint is on the log and nobody has a token: nothing to undo, and its serial number is never given again."""
    texts = (f"killed {number}" for number in itertools.count())
    for delay_ms in itertools.islice(itertools.cycle((4, 8, 12, 16, 24, 32, 48, 64)), 64):
        network.wait_level(timeout_ms=LEVEL_MS)
        size = network.status("v1")["log_size"]
        text = next(texts)
        pending = Asked(tsa_of(network, "v4"), request_about(text))
        time.sleep(delay_ms / 1_000)
        network.stop("v4")
        if (lost := entered(network, size)) is not None and not pending.has_answer():
            break
        network.cont("v4")
        pending.wait()
    else:
        pytest.fail("v4 never had an imprint on the log without having answered")
    network.kill("v4")
    assert pending.wait() is None
    network.start("v4")
    network.wait_ready("v4")
    network.wait_level(timeout_ms=LEVEL_MS)

    def token():
        answer = post(tsa_of(network, "v4"), request_about(text))
        return decode_response(answer.body) if answer.failure is None else None

    wait_until(lambda: token() is not None, "v4 issues tokens again")
    again = token()
    assert parse_serial(again.serial_number).index > lost
    check_issued(network, again, by="v1")


def entered(network, size):
    """Return the log index of a timestamp from `size` on, or None if there is none within a second."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if network.status("v1")["log_size"] > size:
            for index, record in enumerate(leaves_of(network, "v1")[size:], start=size):
                if record.kind == KIND:
                    return index
        time.sleep(0.02)
    return None


# -- certificates --------------------------------------------------------------------------------------------


def test_a_revoked_unit_issues_nothing_others_go_on_and_a_renewed_one_needs_no_restart(
    network, tmp_path
):
    home, authority = network.node("v3").home, network.directory / "ca"
    url = tsa_of(network, "v3")
    old = decode_response(post(url, request_about("before")).body)
    done(authority, "ca", "revoke", home / "timestamp.pem", "--reason", "superseded")
    network.wait_level(timeout_ms=LEVEL_MS)
    answers = post_all([(tsa_of(network, name), request_about("after")) for name in ("v1", "v3")])
    assert [answer.failure for answer in answers] == [None, "system_failure"]
    subject = "O=Devnet 本地网络, CN=v3 timestamp unit"
    request = tmp_path / "v3.csr"
    done(home, "ca", "request", "--key", "timestamp", "--subject", subject, "--out", request)
    issue = ("ca", "issue", "--authority", "alliance", "--owner", "agency-3/v3")
    done(authority, *issue, "--out", tmp_path, request)
    installed = chainnode(home, "ca", "install", "--key", "timestamp", tmp_path / "v3.pem")
    assert installed.returncode == 0, installed.stderr
    wait_until(lambda: post(url, request_about("renewed")).failure is None, "v3 uses it")
    new = decode_response(post(url, request_about("renewed")).body)
    assert new.signer.serial_number != old.signer.serial_number
    check_issued(network, new, by="v1")
    # A token from before stays one of the chain's.
    check_issued(network, old, by="v1")


def test_a_stolen_key_is_replaced_by_its_settings_name_and_older_tokens_stay_good(
    network, tmp_path
):
    home, authority = network.node("v3").home, network.directory / "ca"
    url, key = tsa_of(network, "v3"), "timestamp-2028"
    old = decode_response(post(url, request_about("before the theft")).body)
    done(authority, "ca", "revoke", home / "timestamp.pem", "--reason", "compromised")
    done(home, "keys", "new", key, "--purpose", "timestamp", "--suite", "p256-sha256")
    subject = "O=Devnet 本地网络, CN=v3 timestamp unit 2028"
    request = tmp_path / "v3-2028.csr"
    done(home, "ca", "request", "--key", key, "--subject", subject, "--out", request)
    done(authority, "ca", "issue", request, "--owner", "agency-3/v3")
    installed = chainnode(home, "ca", "install", "--key", key, tmp_path / "v3-2028.pem")
    assert installed.returncode == 0, installed.stderr
    settings = home / "config.toml"
    named = settings.read_text().replace('# key = "timestamp"', f'key = "{key}"')
    assert named != settings.read_text()
    settings.write_text(named)
    network.terminate("v3")
    network.start("v3")
    network.wait_level(timeout_ms=LEVEL_MS)
    wait_until(lambda: post(url, request_about("after")).failure is None, "v3 has its new unit")
    new = decode_response(post(url, request_about("afterwards")).body)
    assert new.signer == parse_bundle((home / f"{key}.pem").read_bytes())[0]
    assert new.signer.key != old.signer.key
    check_issued(network, new, by="v1")
    check_issued(network, old, by="v1")
    earlier = post(f"{url}/{old.signer.serial_number:x}.pem", method="GET")
    assert (earlier.status, parse_bundle(earlier.body)[0]) == (200, old.signer)


def test_a_certificate_file_that_is_damaged_or_gone_is_no_unit_until_it_is_back(network):
    file = network.node("v2").home / "timestamp.pem"
    url, whole = tsa_of(network, "v2"), file.read_bytes()

    def failure():
        return post(url, request_about("damaged")).failure

    other = (network.node("v1").home / "timestamp.pem").read_bytes()
    wide = whole.replace(b"MII", b"MIJ", 1)
    try:
        for content in (
            b"",
            b"not a certificate",
            whole[:200],
            wide,
            other,
            network.ca.read_bytes(),
        ):
            file.write_bytes(content)
            wait_until(lambda: failure() == "system_failure", "v2 has no unit")
            assert post(f"{url}/p256.pem", method="GET").status == 503
            assert network.why_not_ready("v2") is None
        file.unlink()
        wait_until(lambda: failure() == "system_failure", "v2 has no unit")
    finally:
        file.write_bytes(whole)
    wait_until(lambda: failure() is None, "v2 has its unit again")


# -- clients that mean no good -------------------------------------------------------------------------------


def test_clients_that_leave_take_nothing_from_others(network, tsa):
    for number in range(100):
        # The imprint may be entered, and nobody hears of it.
        Asked(tsa, request_about(f"gone {number}")).leave()
    assert post(tsa, request_about("others")).failure is None
    assert network.why_not_ready("v1") is None


def test_requests_that_are_almost_right_are_answered_all_alike(network, tsa):
    rng = random.Random(3161)
    genuine = request_about("almost", nonce=2**64)
    changed = (changed_der(genuine, rng, flipped) for _ in range(300))
    bodies = [body for body in changed if len(body) <= MAX_REQUEST_BYTES]
    replies = post_all([(tsa, body) for body in bodies])
    assert {(reply.status, reply.content_type) for reply in replies} == {(200, REPLY)}
    failures = {reply.failure for reply in replies}
    assert {None, "bad_data_format", "bad_alg", "bad_request"} <= failures
    for body, reply in zip(bodies, replies, strict=True):
        if reply.failure is None:
            # What got a token was a request, and the token answers it.
            asked = decode_request(body)
            assert decode_response(reply.body).imprint == asked.imprint
            assert (asked.nonce or b"") in reply.body
    assert network.why_not_ready("v1") is None


def flipped(data, rng):
    if not data:
        return b"\0"
    position = rng.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]
