"""Requests: what is taken, and which PKIFailureInfo everything else gets."""

from __future__ import annotations

import pytest
from asn1crypto import tsp

from chainnode.model.commitment import Digest
from chainnode.model.errors import DecodeError
from chainnode.pki.der import elements
from chainnode.tsp.encoding import (
    NULL,
    context,
    element,
    generalized_time,
    integer,
    named_bit,
    octets,
    oid,
    sequence,
)
from chainnode.tsp.reading import decode_response
from chainnode.tsp.request import Failure, RequestRejected, decode_request, make_request
from chainnode.tsp.response import rejected

SHA256 = "2.16.840.1.101.3.4.2.1"
DIGEST = bytes(range(32))
IMPRINT = sequence(sequence(oid(SHA256), NULL), octets(DIGEST))
VERSION = integer(1)
TRUE, FALSE = element(1, b"\xff"), element(1, b"\0")


@pytest.mark.parametrize(
    ("fields", "policy", "nonce", "wants_certificate"),
    [
        ((), None, None, False),
        ((oid("1.2.3"),), oid("1.2.3"), None, False),
        ((integer(5),), None, integer(5), False),
        ((TRUE,), None, None, True),
        ((FALSE,), None, None, False),
        (
            (oid("2.999.1"), integer(2**512 - 1 >> 8), TRUE),
            oid("2.999.1"),
            integer(2**504 - 1),
            True,
        ),
    ],
)
def test_optional_fields(fields, policy, nonce, wants_certificate):
    found = decode_request(sequence(VERSION, IMPRINT, *fields))
    assert found.imprint == Digest(algorithm="sha256", value=DIGEST)
    assert found.encoded_imprint == IMPRINT
    assert (found.policy, found.nonce, found.wants_certificate) == (
        policy, nonce, wants_certificate
    )  # fmt: skip


def test_an_algorithm_without_parameters_is_echoed_without():
    bare = sequence(sequence(oid(SHA256)), octets(DIGEST))
    assert decode_request(sequence(VERSION, bare)).encoded_imprint == bare


def imprint(dotted: str, size: int, parameters: bytes = NULL) -> bytes:
    return sequence(sequence(oid(dotted), parameters), octets(bytes(size)))


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"", Failure.BAD_DATA_FORMAT),
        (b"hello", Failure.BAD_DATA_FORMAT),
        (sequence(), Failure.BAD_DATA_FORMAT),
        (octets(b""), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT) + b"\0", Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT)[:-1], Failure.BAD_DATA_FORMAT),
        (sequence(IMPRINT), Failure.BAD_DATA_FORMAT),
        (sequence(integer(2), IMPRINT), Failure.BAD_REQUEST),
        (sequence(integer(0), IMPRINT), Failure.BAD_REQUEST),
        # MD5 and SHA-1: known to the world, not taken.
        (sequence(VERSION, imprint("1.2.840.113549.2.5", 16)), Failure.BAD_ALGORITHM),
        (sequence(VERSION, imprint("1.3.14.3.2.26", 20)), Failure.BAD_ALGORITHM),
        (sequence(VERSION, imprint(SHA256, 31)), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, imprint(SHA256, 48)), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, imprint(SHA256, 32, integer(1))), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, sequence(octets(DIGEST))), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, integer(1), oid("1.2.3")), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, integer(1), integer(1)), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, integer(2**512)), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, element(2, b"\0\1")), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, element(1, b"\1")), Failure.BAD_DATA_FORMAT),
        (sequence(VERSION, IMPRINT, octets(b"")), Failure.BAD_DATA_FORMAT),
        (
            sequence(VERSION, IMPRINT, context(0, sequence(oid("1.2.3"), octets(b"")))),
            Failure.UNACCEPTED_EXTENSION,
        ),
        (sequence(VERSION, IMPRINT, octets(bytes(5_000))), Failure.BAD_DATA_FORMAT),
    ],
)
def test_refusals(data, failure):
    with pytest.raises(RequestRejected) as caught:
        decode_request(data)
    assert caught.value.failure is failure


@pytest.mark.parametrize("failure", Failure)
def test_a_rejection_says_to_everybody_why(failure):
    response = rejected(failure, "因为 because")
    (outer,) = elements(response, 0, len(response))
    status = tsp.PKIStatusInfo.load(response[outer.content :], strict=True)
    (name,) = status["fail_info"].native
    assert (status["status"].native, status["status_string"].native) == (
        "rejection",
        ["因为 because"],
    )
    with pytest.raises(DecodeError) as caught:
        decode_response(response)
    assert caught.value.error_code == "rejected"
    assert name in caught.value.message
    assert "因为 because" in caught.value.message


def test_half_characters_in_a_sentence_do_no_harm():
    assert rejected(Failure.BAD_REQUEST, "\ud800" * 600)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (integer(0), "020100"),
        (integer(127), "02017f"),
        (integer(128), "02020080"),
        (integer(2**159), "021500" + "80" + "00" * 19),
        (oid("2.999.1"), "0603883701"),
        (oid("1.2.840.113549.1.7.2"), "06092a864886f70d010702"),
        (named_bit(0), "03020780"),
        (named_bit(5), "03020204"),
        (named_bit(14), "0303010002"),
        (named_bit(25), "03050600000040"),
        (generalized_time(0), "180f" + b"19700101000000Z".hex()),
        (generalized_time(1_500), "1811" + b"19700101000001.5Z".hex()),
        (element(4, bytes(128)), "048180" + "00" * 128),
        (element(4, bytes(256)), "04820100" + "00" * 256),
    ],
)
def test_encodings(encoded, expected):
    assert encoded.hex() == expected


@pytest.mark.parametrize("text", ["3.1", "1.40", "1.-1", "1.2.-3"])
def test_what_is_no_object_identifier(text):
    with pytest.raises(ValueError, match="no object identifier"):
        oid(text)


def test_our_requests_ask_for_the_certificate():
    request = make_request(Digest(algorithm="sm3", value=DIGEST), nonce=1, policy="2.999.3161.1")
    assert decode_request(request).wants_certificate
