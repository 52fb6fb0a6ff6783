"""X.509 certificates, version 3 (RFC 5280 section 4.1), as values.

(A `Certificate` without more is a quorum's signatures on this chain; so this one is called `X509Certificate`.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import x509

from chainnode.model.errors import DecodeError
from chainnode.pki.der import check_der, reading
from chainnode.pki.extension_reading import decode_extensions
from chainnode.pki.keys import SubjectKey, decode_algorithm, decode_key
from chainnode.pki.names import DistinguishedName, decode_name
from chainnode.pki.times import time_of

if TYPE_CHECKING:
    from chainnode.pki.extensions import Extensions

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
"""A certificate in DER. Ours have under 1,200 bytes, those of public authorities under 3,000."""

CACHED_CERTIFICATES: Final = 256
"""Certificates kept as they were read, of at most 16 KiB: reading one takes milliseconds, and a thousand tokens bring the same
three along."""

MAX_SERIAL_BITS: Final = 159
"""RFC 5280 section 4.1.2.2: a positive number of at most 20 octets, whose first bit is a sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class X509Certificate:
    """A certificate, and all of it that we use; nothing about it is proven by reading it."""

    encoded: bytes
    """DER; two certificates are the same if these are."""

    signed: bytes = field(compare=False, repr=False)
    """tbsCertificate in DER: what the signature is of."""

    serial_number: int
    """1 to 2^159 - 1; unique for its issuer."""

    issuer: DistinguishedName
    """Whose signature it bears."""

    subject: DistinguishedName
    """Whom it is about; not empty."""

    not_before_ms: int
    not_after_ms: int
    """Valid from the first through the second of these seconds, milliseconds UTC."""

    key: SubjectKey
    """The subject's public key."""

    extensions: Extensions
    """What else it says."""

    signature_algorithm: str
    """Dotted."""

    signature: bytes = field(repr=False)
    """Content of the BIT STRING."""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER; on SM2 chains people also compare `suite.hash(encoded)`, SM3."""
        return hashlib.sha256(self.encoded).digest()

    @property
    def is_self_issued(self) -> bool:
        """Whether issuer and subject bear one name, as those of roots do."""
        return self.issuer == self.subject

    def is_valid_at(self, at_ms: int) -> bool:
        """Whether a moment lies in the period of validity, both seconds included."""
        return self.not_before_ms <= at_ms < self.not_after_ms + 1000


@lru_cache(maxsize=CACHED_CERTIFICATES)
def decode_x509_certificate(data: bytes) -> X509Certificate:
    """Return the certificate in these bytes, which are all of them. Nothing of it can change, so it is kept.

    Raises:
        DecodeError: not DER, not version 3, or out of the bounds of this module.
    """
    check_der(data, "certificate", most_bytes=MAX_CERTIFICATE_BYTES)
    with reading("certificate"):
        outer = x509.Certificate.load(data, strict=True)
        tbs = outer["tbs_certificate"]
        algorithm = tbs["signature"].dump()
        if algorithm != outer["signature_algorithm"].dump():
            raise DecodeError("certificate: names two signature algorithms", field="signature")
        if tbs["version"].native != "v3" or any(
            tbs[name].native is not None for name in ("issuer_unique_id", "subject_unique_id")
        ):
            raise DecodeError("certificate: expected version 3, without unique identifiers")
        return X509Certificate(
            encoded=data,
            signed=tbs.dump(),
            serial_number=serial_number_of(tbs["serial_number"]),
            issuer=_name(tbs["issuer"], "issuer"),
            subject=_name(tbs["subject"], "subject"),
            not_before_ms=time_in(tbs["validity"]["not_before"]),
            not_after_ms=time_in(tbs["validity"]["not_after"]),
            key=decode_key(tbs["subject_public_key_info"].dump()),
            extensions=decode_extensions(tbs["extensions"].contents or b""),
            signature_algorithm=decode_algorithm(algorithm),
            signature=bits_of(outer["signature_value"]),
        )


def key_identifier_of(issuer: X509Certificate) -> bytes:
    """Return what an authority is called in what it signs: its certificate's word if there is one (RFC 5280, 4.2.1.1)."""
    return issuer.extensions.subject_key_identifier or issuer.key.identifier


def serial_number_of(value: Any) -> int:  # noqa: ANN401  asn1crypto
    """Return a serial number.

    Raises:
        DecodeError: it is not 1 to 2^159 - 1.
    """
    number = int(value.native)
    if not 1 <= number < 1 << MAX_SERIAL_BITS:
        raise DecodeError(
            f"serial number: found one of {number.bit_length()} bits; expected 1 to 2^{MAX_SERIAL_BITS} - 1"
        )
    return number


def time_in(value: Any) -> int:  # noqa: ANN401  asn1crypto
    """Return the milliseconds UTC of a Time.

    Raises:
        DecodeError: as `time_of`.
    """
    chosen = value.chosen
    return time_of(chosen.tag, chosen.contents)


def bits_of(value: Any) -> bytes:  # noqa: ANN401  asn1crypto
    """Return the octets of a BIT STRING that has no unused bits.

    Raises:
        DecodeError: it has some.
    """
    contents: bytes = value.contents
    if contents[:1] != b"\0":
        raise DecodeError("signature: found bits that are no octets", field="signature")
    return contents[1:]


def _name(value: Any, what: str) -> DistinguishedName:  # noqa: ANN401  asn1crypto
    name = decode_name(value.chosen.dump())
    if name.is_empty:
        raise DecodeError(f"certificate: found an empty {what}; expected a name", field=what)
    return name
