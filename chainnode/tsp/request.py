"""What a client asks: TimeStampReq (RFC 3161 section 2.4.1), read strictly and refused as the standard says.

    TimeStampReq ::= SEQUENCE {
        version         INTEGER { v1(1) },
        messageImprint  SEQUENCE { hashAlgorithm AlgorithmIdentifier, hashedMessage OCTET STRING },
        reqPolicy       OBJECT IDENTIFIER OPTIONAL,
        nonce           INTEGER OPTIONAL,
        certReq         BOOLEAN DEFAULT FALSE,
        extensions  [0] IMPLICIT Extensions OPTIONAL }

The imprint, the policy and the nonce are echoed as they came, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import DecodeError
from chainnode.pki.der import INTEGER, SEQUENCE, check_der, elements
from chainnode.tsp.algorithms import IMPRINT_NAMES, IMPRINT_OIDS
from chainnode.tsp.encoding import (
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    element,
    integer,
    octets,
    oid,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.pki.der import Element

MAX_REQUEST_BYTES: Final = 4_096
"""A request has some 60 to 120 bytes; one with extensions, which are refused anyway, a few hundred."""

MAX_NONCE_BYTES: Final = 64
"""Content of a nonce. Clients send 8 to 20 bytes; a longer one would only make tokens long."""

_BOOLEAN: Final = 0x01
_EXTENSIONS: Final = 0xA0
_NAMES_BY_CONTENT: Final = {oid(dotted)[2:]: name for dotted, name in IMPRINT_NAMES.items()}


class Failure(IntEnum):
    """PKIFailureInfo (RFC 3161 section 2.4.2); the values are bit numbers."""

    BAD_ALGORITHM = 0
    """badAlg: the imprint's digest algorithm is unknown, or not taken any more."""

    BAD_REQUEST = 2
    """badRequest: this transaction is not permitted or supported."""

    BAD_DATA_FORMAT = 5
    """badDataFormat: the data have the wrong format."""

    TIME_NOT_AVAILABLE = 14
    """timeNotAvailable: this node cannot vouch for the time now."""

    UNACCEPTED_POLICY = 15
    """unacceptedPolicy: the requested policy is not this unit's."""

    UNACCEPTED_EXTENSION = 16
    """unacceptedExtension: extensions are not supported."""

    ADD_INFO_NOT_AVAILABLE = 17
    """addInfoNotAvailable: not used; nothing more can be asked for."""

    SYSTEM_FAILURE = 25
    """systemFailure: overload, or a unit without a certificate in force."""


class RequestRejected(DecodeError):
    """A request that gets no token; the message goes to the client."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Reject with `failure`, and a sentence for people."""
        super().__init__(message, code=failure.name.lower())
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRequest:
    """A request that can be granted, as far as it shows."""

    imprint: Digest
    """What is to be timestamped."""

    encoded_imprint: bytes
    """messageImprint in DER, as it came."""

    policy: bytes | None
    """reqPolicy in DER, or None."""

    nonce: bytes | None
    """nonce in DER, or None."""

    wants_certificate: bool
    """certReq: whether the unit's certificate and its chain shall be in the token."""


def decode_request(data: bytes) -> TimestampRequest:
    """Read a request.

    Raises:
        RequestRejected: it gets no token; `failure` says why.
    """
    try:
        check_der(data, "request", most_bytes=MAX_REQUEST_BYTES)
        (outer,) = elements(data, 0, len(data))
        if outer.tag != SEQUENCE:
            raise _bad_format("expected a SEQUENCE (RFC 3161 TimeStampReq)")
        return _decode(data, list(elements(data, outer.content, outer.end)))
    except RequestRejected:
        raise
    except DecodeError as error:
        raise _bad_format(error.message) from error


def make_request(imprint: Digest, *, nonce: int, policy: str | None = None) -> bytes:
    """Return a request that asks for the certificate too; `nonce` is a random number of 64 bits or so."""
    return sequence(
        integer(1),
        imprint_element(imprint),
        b"" if policy is None else oid(policy),
        integer(nonce),
        element(_BOOLEAN, b"\xff"),
    )


def imprint_element(imprint: Digest) -> bytes:
    """Return messageImprint in DER, with NULL parameters (RFC 3161 clients write them so)."""
    return sequence(sequence(oid(IMPRINT_OIDS[imprint.algorithm]), NULL), octets(imprint.value))


def _decode(data: bytes, parts: list[Element]) -> TimestampRequest:
    if len(parts) < 2 or parts[0].tag != INTEGER:
        raise _bad_format("expected a version and a messageImprint")
    if data[parts[0].start : parts[0].end] != integer(1):
        raise RequestRejected(Failure.BAD_REQUEST, "version: expected 1 (RFC 3161)")
    imprint = _decode_imprint(data, parts[1])
    rest = iter(parts[2:])
    found = _optional(data, rest)
    return TimestampRequest(
        imprint=imprint,
        encoded_imprint=data[parts[1].start : parts[1].end],
        policy=found.get(OBJECT_IDENTIFIER),
        nonce=found.get(INTEGER),
        wants_certificate=found.get(_BOOLEAN, b"").endswith(b"\xff"),
    )


def _optional(data: bytes, parts: Iterator[Element]) -> dict[int, bytes]:
    """Return the optional fields, which come in this order if at all, as DER by identifier octet."""
    order = (OBJECT_IDENTIFIER, INTEGER, _BOOLEAN, _EXTENSIONS)
    found: dict[int, bytes] = {}
    least = 0
    for part in parts:
        if part.tag not in order[least:]:
            raise _bad_format(
                "expected at most reqPolicy, nonce, certReq and extensions, in this order"
            )
        least = order.index(part.tag) + 1
        found[part.tag] = data[part.start : part.end]
        if part.tag == INTEGER and part.end - part.content > MAX_NONCE_BYTES:
            raise _bad_format(f"nonce: expected at most {MAX_NONCE_BYTES} bytes")
    if _EXTENSIONS in found:
        # Section 2.4.1: whether critical or not, one that the server does not know is refused.
        raise RequestRejected(
            Failure.UNACCEPTED_EXTENSION, "extensions: found some; none are supported"
        )
    return found


def _decode_imprint(data: bytes, imprint: Element) -> Digest:
    parts = list(elements(data, imprint.content, imprint.end)) if imprint.tag == SEQUENCE else []
    if [part.tag for part in parts] != [SEQUENCE, OCTET_STRING]:
        raise _bad_format("messageImprint: expected an algorithm and an OCTET STRING")
    algorithm, digest = parts
    fields = list(elements(data, algorithm.content, algorithm.end))
    if not fields or fields[0].tag != OBJECT_IDENTIFIER:
        raise _bad_format("messageImprint: expected the identifier of an algorithm")
    name = _NAMES_BY_CONTENT.get(data[fields[0].content : fields[0].end])
    if name is None:
        raise RequestRejected(
            Failure.BAD_ALGORITHM,
            f"messageImprint: unknown digest algorithm; taken are {', '.join(IMPRINT_OIDS)}",
        )
    if data[fields[0].end : algorithm.end] not in (b"", NULL):
        raise _bad_format(f"messageImprint: {name} has no parameters but NULL")
    value = data[digest.content : digest.end]
    if len(value) != DIGEST_BYTES[name]:
        raise _bad_format(
            f"messageImprint: found {len(value)} bytes; a {name} digest has {DIGEST_BYTES[name]}"
        )
    return Digest(algorithm=name, value=value)


def _bad_format(message: str) -> RequestRejected:
    return RequestRejected(Failure.BAD_DATA_FORMAT, message)
