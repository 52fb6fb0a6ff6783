"""Certification requests (PKCS #10, RFC 2986): a name and a key, signed by that key.

The signature proves that whoever asks holds the key. Everything else is the authority's to decide: extensions that a
request asks for are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from asn1crypto import csr, x509

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.certificate import bits_of
from chainnode.pki.der import check_der, reading
from chainnode.pki.keys import (
    CertificateSigner,
    KeyKind,
    SubjectKey,
    check_signature,
    decode_algorithm,
    decode_key,
    sign_der,
    subject_key,
)
from chainnode.pki.names import DistinguishedName, as_asn1, decode_name

MAX_REQUEST_BYTES: Final = 8 * 1024
"""A request in DER. Ours have under 500 bytes; others' carry extensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A request whose signature holds."""

    encoded: bytes
    """DER."""

    subject: DistinguishedName
    """The name that is asked for; may be empty, and is the authority's to judge."""

    key: SubjectKey
    """The key that signed the request."""

    signature_algorithm: str = field(repr=False)
    """Dotted."""


def make_request(subject: DistinguishedName, signer: CertificateSigner) -> CertificateRequest:
    """Return a request for a certificate of the signer's key.

    Raises:
        Refused: `unsupported_key` if certificates cannot carry keys of the signer's suite.
    """
    key = subject_key(signer.suite, signer.public_key)
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": as_asn1(subject),
            "subject_pk_info": x509.PublicKeyInfo.load(key.encoded),
            # RFC 2986 has attributes always, be they none.
            "attributes": csr.CRIAttributes([]),
        }
    )
    algorithm, signature = sign_der(signer, info.dump())
    return decode_request(
        csr.CertificationRequest(
            {
                "certification_request_info": info,
                "signature_algorithm": algorithm,
                "signature": signature,
            }
        ).dump()
    )


def decode_request(data: bytes) -> CertificateRequest:
    """Return the request in these bytes, which are all of them, with its signature checked.

    Raises:
        DecodeError: not a request in DER, or too large.
        Refused: with code `unsupported_key` for a key that is neither P-256 nor SM2.
        ProofInvalid: `bad_signature` or `unsupported_algorithm`: whoever asks does not show that it holds the key.
    """
    check_der(data, "certificate request", most_bytes=MAX_REQUEST_BYTES)
    with reading("certificate request"):
        outer = csr.CertificationRequest.load(data, strict=True)
        info = outer["certification_request_info"]
        if info["version"].native != "v1":
            raise DecodeError("certificate request: expected version 1")
        signed, signature = info.dump(), bits_of(outer["signature"])
        request = CertificateRequest(
            encoded=data,
            subject=decode_name(info["subject"].chosen.dump()),
            key=decode_key(info["subject_pk_info"].dump()),
            signature_algorithm=decode_algorithm(outer["signature_algorithm"].dump()),
        )
    if request.key.kind not in (KeyKind.P256, KeyKind.SM2):
        raise Refused(
            f"certificate request: found a key of kind {request.key.kind.value}; expected P-256 or SM2",
            code="unsupported_key",
            field="key",
        )
    check_signature(
        request.key, request.signature_algorithm, signed, signature, "certificate request"
    )
    return request
