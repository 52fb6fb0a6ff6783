"""Making tokens: CMS SignedData over TSTInfo (RFC 3161 section 2.4.2, RFC 5652, RFC 5816).

All that one unit's tokens have in common is encoded once. What is left per token is some concatenation, two digests and
a signature.

    genTime    the block's time, to the millisecond
    accuracy   so that genTime - accuracy .. genTime + accuracy covers the certified interval
    serial     leads to the record on the log (`chainnode.model.timestamp`)
    tsa        the unit's own name, as its certificate has it
    ordering   FALSE; the log orders tokens, whatever their times say
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.suites.sm3 import sm3
from chainnode.tsp.algorithms import SignatureScheme, scheme_of
from chainnode.tsp.encoding import (
    context,
    generalized_time,
    implicit,
    integer,
    octets,
    oid,
    sequence,
    set_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.keys import CertificateSigner
    from chainnode.tsp.request import TimestampRequest

ID_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
ID_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
ID_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
ID_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
ID_SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"

_VERSION_1: Final = integer(1)
_CMS_VERSION: Final = integer(3)
_DIRECTORY_NAME: Final = 4
_SET_TAG: Final = b"\x31"
_SCALAR_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What the chain says of one imprint."""

    serial_number: int
    """At most 160 bits."""

    time_ms: int
    """The block's time, milliseconds UTC."""

    accuracy_ms: int
    """1 or more."""


class TokenTemplate:
    """All of a token that one timestamp unit never changes."""

    __slots__ = (
        "_algorithms",
        "_certificates",
        "_content_type",
        "_hash",
        "_policy",
        "_sign",
        "_signer_head",
        "_signer_tail",
        "_signing_certificate",
        "_tsa",
        "policy",
    )

    def __init__(
        self,
        *,
        signer: CertificateSigner,
        certificate: X509Certificate,
        chain: tuple[X509Certificate, ...],
        policy: str,
    ) -> None:
        """Make the template of a unit.

        Args:
            signer: Its key.
            certificate: Its certificate.
            chain: The authorities' certificates, the one that issued it first; sent along when asked for.
            policy: Dotted identifier of the policy under which it issues.
        """
        scheme = scheme_of(signer.suite.name)
        self._hash = _hash_of(scheme)
        self._sign = signer.sign
        algorithm = sequence(oid(scheme.digest_oid))
        self._algorithms = set_of(algorithm)
        self._certificates = context(0, *sorted([certificate.encoded, *(c.encoded for c in chain)]))
        self._content_type = sequence(oid(ID_CONTENT_TYPE), set_of(oid(ID_TST_INFO)))
        self._signing_certificate = _signing_certificate(certificate, scheme)
        issuer = certificate.issuer.encoded
        self._signer_head = (
            _VERSION_1 + sequence(issuer, integer(certificate.serial_number)) + algorithm
        )
        self._signer_tail = sequence(oid(scheme.signature_oid))
        self._tsa = context(0, context(_DIRECTORY_NAME, certificate.subject.encoded))
        self.policy = oid(policy)
        """Policy identifier in DER."""

    def token(self, request: TimestampRequest, facts: TokenFacts) -> bytes:
        """Return the token (ContentInfo in DER) that answers a request."""
        info = sequence(
            _VERSION_1,
            self.policy,
            request.encoded_imprint,
            integer(facts.serial_number),
            generalized_time(facts.time_ms),
            _accuracy(facts.accuracy_ms),
            request.nonce or b"",
            self._tsa,
        )
        digest = sequence(oid(ID_MESSAGE_DIGEST), set_of(octets(self._hash(info))))
        # RFC 5652 section 5.4: signed as a SET, sent as [0].
        attributes = set_of(self._content_type, digest, self._signing_certificate)
        signature = self._sign(attributes)
        signer_info = sequence(
            self._signer_head,
            b"\xa0" + attributes[len(_SET_TAG) :],
            self._signer_tail,
            octets(_signature_element(signature)),
        )
        signed_data = sequence(
            _CMS_VERSION,
            self._algorithms,
            sequence(oid(ID_TST_INFO), context(0, octets(info))),
            self._certificates if request.wants_certificate else b"",
            set_of(signer_info),
        )
        return sequence(oid(ID_SIGNED_DATA), context(0, signed_data))


def _signing_certificate(certificate: X509Certificate, scheme: SignatureScheme) -> bytes:
    """Return the attribute that names the unit's certificate: exactly one ESSCertIDv2 (RFC 5816 section 2.2.1)."""
    issuer = sequence(context(_DIRECTORY_NAME, certificate.issuer.encoded))
    certificate_id = sequence(
        # SHA-256 is the default, which DER leaves out.
        b"" if scheme.digest == "sha256" else sequence(oid(scheme.digest_oid)),
        octets(_hash_of(scheme)(certificate.encoded)),
        sequence(issuer, integer(certificate.serial_number)),
    )
    return sequence(oid(ID_SIGNING_CERTIFICATE_V2), set_of(sequence(sequence(certificate_id))))


def _accuracy(accuracy_ms: int) -> bytes:
    seconds, millis = divmod(accuracy_ms, 1_000)
    return sequence(
        integer(seconds) if seconds else b"",
        implicit(0, integer(millis)[2:]) if millis else b"",
    )


def _signature_element(signature: bytes) -> bytes:
    """Return SEQUENCE {r, s} of r || s."""
    r = int.from_bytes(signature[:_SCALAR_BYTES], "big")
    s = int.from_bytes(signature[_SCALAR_BYTES:], "big")
    return sequence(integer(r), integer(s))


def _hash_of(scheme: SignatureScheme) -> Callable[[bytes], bytes]:
    return _sha256 if scheme.digest == "sha256" else sm3


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
