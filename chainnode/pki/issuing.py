"""Making certificates: terms and a signer in, a certificate out that has been read and checked as others will."""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import x509

from chainnode.model.errors import Refused
from chainnode.pki.certificate import (
    MAX_CERTIFICATE_BYTES,
    MAX_SERIAL_BITS,
    X509Certificate,
    decode_x509_certificate,
    key_identifier_of,
)
from chainnode.pki.extension_writing import encode_extensions
from chainnode.pki.extensions import Extensions, KeyUsage, Policy
from chainnode.pki.keys import (
    CertificateSigner,
    SubjectKey,
    check_signature,
    sign_der,
    signature_algorithm,
    subject_key,
)
from chainnode.pki.names import DistinguishedName, as_asn1
from chainnode.pki.profiles import INTERNAL, Profile
from chainnode.pki.times import as_time, check_time, time_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a certificate is to say."""

    profile: Profile
    """What it is for."""

    subject: DistinguishedName
    """Whom it is about."""

    key: SubjectKey
    """The subject's key, P-256 or SM2; of a root: the signer's."""

    serial_number: int
    """1 to 2^159 - 1, random and never used before by this issuer."""

    not_before_ms: int
    not_after_ms: int
    """Period of validity, whole seconds UTC in milliseconds, both included."""

    key_used_until_ms: int | None = None
    """When the key stops signing (privateKeyUsagePeriod, from `not_before_ms` on), or None for no word on that."""

    crl_urls: tuple[str, ...] = ()
    """Where the issuer's revocation list can be had."""

    issuer_urls: tuple[str, ...] = ()
    """Where the issuer's certificate can be had."""

    policies: tuple[Policy, ...] = (INTERNAL,)
    """Under which policies it is issued; the default is the label of internal certificates."""


def issue_root(terms: Terms, signer: CertificateSigner) -> X509Certificate:
    """Return a certificate that its own key signs.

    Raises:
        Refused: `bad_serial`, `bad_time`, `bad_validity`, `bad_url`, `bad_policy`, `too_large`, `unsupported_key`,
            or `wrong_key` if the terms are about another key than the signer's.
    """
    if terms.key != subject_key(signer.suite, signer.public_key):
        raise _wrong_key("a root is signed by the key that it is about")
    return _issue(terms, None, signer)


def issue_certificate(
    terms: Terms, issuer: X509Certificate, signer: CertificateSigner
) -> X509Certificate:
    """Return a certificate that an authority signs.

    Raises:
        Refused: as `issue_root`; `not_an_authority` or `path_length` if the issuer may not issue it, `outlives_issuer`,
            `wrong_key` if the signer's key is not that of the issuer's certificate.
    """
    if issuer.key != subject_key(signer.suite, signer.public_key):
        raise _wrong_key(f"the certificate of {issuer.subject.text()} is about another key")
    _check_issuer(terms, issuer)
    return _issue(terms, issuer, signer)


def _check_issuer(terms: Terms, issuer: X509Certificate) -> None:
    extensions = issuer.extensions
    if not extensions.is_authority or KeyUsage.KEY_CERT_SIGN not in (extensions.key_usage or ()):
        raise Refused(
            f"{issuer.subject.text()} is no authority; name one that is", code="not_an_authority"
        )
    below, allowed = terms.profile.path_length, extensions.path_length
    if terms.profile.is_authority and allowed is not None and (below is None or below >= allowed):
        raise Refused(
            f"{issuer.subject.text()} may have {allowed} authorities below it; the profile "
            f"{terms.profile.name} is one too many",
            code="path_length",
        )
    if not (
        issuer.not_before_ms <= terms.not_before_ms and terms.not_after_ms <= issuer.not_after_ms
    ):
        raise Refused(
            f"found a validity from {time_text(terms.not_before_ms)} to {time_text(terms.not_after_ms)}; "
            f"expected one within the issuer's, {time_text(issuer.not_before_ms)} to "
            f"{time_text(issuer.not_after_ms)}",
            code="outlives_issuer",
            field="not_after_ms",
        )


def _issue(
    terms: Terms, issuer: X509Certificate | None, signer: CertificateSigner
) -> X509Certificate:
    _check_terms(terms)
    profile = terms.profile
    issuer_name, issuer_key = (
        (terms.subject, terms.key) if issuer is None else (issuer.subject, issuer.key)
    )
    extensions = Extensions(
        is_authority=profile.is_authority,
        path_length=profile.path_length,
        key_usage=profile.key_usage,
        extended_key_usage=profile.extended_key_usage,
        subject_key_identifier=terms.key.identifier,
        authority_key_identifier=b"" if issuer is None else key_identifier_of(issuer),
        crl_urls=terms.crl_urls,
        issuer_urls=terms.issuer_urls,
        policies=terms.policies,
        key_used_from_ms=None if terms.key_used_until_ms is None else terms.not_before_ms,
        key_used_until_ms=terms.key_used_until_ms,
    )
    signed = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": terms.serial_number,
            "signature": signature_algorithm(signer.suite),
            "issuer": as_asn1(issuer_name),
            "validity": {
                "not_before": as_time(terms.not_before_ms),
                "not_after": as_time(terms.not_after_ms),
            },
            "subject": as_asn1(terms.subject),
            "subject_public_key_info": x509.PublicKeyInfo.load(terms.key.encoded),
            "extensions": encode_extensions(extensions),
        }
    )
    algorithm, signature = sign_der(signer, signed.dump())
    encoded: bytes = x509.Certificate(
        {
            "tbs_certificate": signed,
            "signature_algorithm": algorithm,
            "signature_value": signature,
        }
    ).dump()
    if len(encoded) > MAX_CERTIFICATE_BYTES:
        raise Refused(
            f"the certificate would have {len(encoded)} bytes; at most {MAX_CERTIFICATE_BYTES} are read",
            code="too_large",
        )
    certificate = decode_x509_certificate(encoded)
    # What the others will do first: a signer that is broken, or not the one it says, is found here and not in the field.
    check_signature(
        issuer_key,
        certificate.signature_algorithm,
        certificate.signed,
        certificate.signature,
        "new certificate",
    )
    return certificate


def _check_terms(terms: Terms) -> None:
    if not 1 <= terms.serial_number < 1 << MAX_SERIAL_BITS:
        raise Refused(
            f"found serial number {terms.serial_number}; expected 1 to 2^{MAX_SERIAL_BITS} - 1",
            code="bad_serial",
            field="serial_number",
        )
    check_time(terms.not_before_ms, "not_before_ms")
    check_time(terms.not_after_ms, "not_after_ms")
    used_until_ms = terms.not_after_ms
    if terms.key_used_until_ms is not None:
        check_time(terms.key_used_until_ms, "key_used_until_ms")
        used_until_ms = terms.key_used_until_ms
    if not terms.not_before_ms < used_until_ms <= terms.not_after_ms:
        raise Refused(
            f"found a certificate from {time_text(terms.not_before_ms)} to "
            f"{time_text(terms.not_after_ms)} whose key signs until {time_text(used_until_ms)}; "
            "expected begin, end of signing and end in this order",
            code="bad_validity",
            field="not_after_ms",
        )
    if terms.subject.is_empty:
        raise Refused("found an empty subject; expected a name", code="bad_name", field="subject")
    _ = terms.key.point  # only keys that we can judge


def _wrong_key(why: str) -> Refused:
    return Refused(f"the signer's key is not the issuer's: {why}", code="wrong_key", field="key")
