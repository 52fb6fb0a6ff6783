"""Certificate revocation lists, version 2 (RFC 5280 section 5): what an authority takes back, and since when."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import core, crl

from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.pki.certificate import MAX_SERIAL_BITS, bits_of, key_identifier_of, time_in
from chainnode.pki.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    check_der,
    element,
    elements,
    reading,
)
from chainnode.pki.extension_reading import (
    MAX_EXTENSION_BYTES,
    authority_key_of,
    raw_extensions,
)
from chainnode.pki.extension_writing import authority_key_value
from chainnode.pki.extensions import AUTHORITY_KEY_IDENTIFIER, KeyUsage
from chainnode.pki.keys import (
    CertificateSigner,
    check_signature,
    decode_algorithm,
    sign_der,
    signature_algorithm,
    subject_key,
)
from chainnode.pki.names import DistinguishedName, as_asn1, decode_name
from chainnode.pki.times import as_time, check_time, time_of, time_text

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.der import Element

MAX_CRL_BYTES: Final = 1024 * 1024
"""A list in DER, some 20,000 entries: more than an alliance issues in decades."""

_CRL_NUMBER = "2.5.29.20"
_REASON = "2.5.29.21"
_REASON_ELEMENT = bytes.fromhex("0603551d15")
_REASON_VALUE = bytes.fromhex("0a01")
"""In DER: the identifier of the extension, and an ENUMERATED up to its one octet."""


class RevocationReason(IntEnum):
    """Why a certificate was taken back (RFC 5280 section 5.3.1)."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10

    @property
    def text(self) -> str:
        """As RFC 5280 writes it: `keyCompromise`, `cACompromise`."""
        first, *others = self.name.split("_")
        begin = first.lower() if len(first) > 2 else first[0].lower() + first[1:]
        return begin + "".join(map(str.title, others))


@dataclass(frozen=True, slots=True)
class RevokedCertificate:
    """An entry."""

    serial_number: int
    """Of the certificate."""

    revoked_ms: int
    """Since when, whole seconds UTC in milliseconds."""

    reason: RevocationReason | None
    """Why; None if the entry does not say, which RFC 3161 takes for the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A list as it was read; `check_crl` says whether an authority signed it."""

    encoded: bytes = field(repr=False)
    """DER."""

    signed: bytes = field(compare=False, repr=False)
    """tbsCertList in DER: what the signature is of."""

    issuer: DistinguishedName
    """Whose certificates it speaks of."""

    number: int
    """cRLNumber: rises with each list of an issuer."""

    this_update_ms: int
    """When it was made, milliseconds UTC."""

    next_update_ms: int
    """When there will be another at the latest; from then on this one is stale."""

    revoked: tuple[RevokedCertificate, ...] = field(repr=False)
    """Entries as they stand; no serial number twice."""

    authority_key_identifier: bytes = b""
    """keyIdentifier of the issuer's key, empty if the list does not say."""

    signature_algorithm: str
    """Dotted."""

    signature: bytes = field(repr=False)
    """Content of the BIT STRING."""

    def entry_of(self, serial_number: int) -> RevokedCertificate | None:
        """Return what the list says of a certificate of its issuer, or None if that is nothing."""
        return next((r for r in self.revoked if r.serial_number == serial_number), None)


def make_crl(
    issuer: X509Certificate,
    signer: CertificateSigner,
    *,
    number: int,
    this_update_ms: int,
    next_update_ms: int,
    revoked: tuple[RevokedCertificate, ...],
) -> RevocationList:
    """Return a list that an authority signs.

    Entries should stay on the lists of an authority after their certificates have expired: timestamps and seals are checked
    long after.

    Raises:
        Refused: `wrong_key` if the signer's key is not that of the issuer's certificate, `not_an_authority` if it may not
            sign lists, `bad_number`, `bad_time`, `bad_validity`, `duplicate` for a certificate that is listed twice, `too_large`.
    """
    _check_maker(issuer, signer)
    _check_content(number, this_update_ms, next_update_ms, revoked)
    fields: dict[str, Any] = {
        "version": "v2",
        "signature": signature_algorithm(signer.suite),
        "issuer": as_asn1(issuer.subject),
        "this_update": as_time(this_update_ms),
        "next_update": as_time(next_update_ms),
        "crl_extensions": [
            _extension(AUTHORITY_KEY_IDENTIFIER, authority_key_value(key_identifier_of(issuer))),
            _extension(_CRL_NUMBER, core.Integer(number)),
        ],
    }
    if revoked:  # RFC 5280 section 5.1.2.6: the field is absent when there is no entry
        content = b"".join(_entry_bytes(entry) for entry in revoked)
        fields["revoked_certificates"] = crl.RevokedCertificates.load(element(SEQUENCE, content))
    signed = crl.TbsCertList(fields)
    algorithm, signature = sign_der(signer, signed.dump())
    encoded: bytes = crl.CertificateList(
        {"tbs_cert_list": signed, "signature_algorithm": algorithm, "signature": signature}
    ).dump()
    if len(encoded) > MAX_CRL_BYTES:
        raise Refused(
            f"the list would have {len(encoded)} bytes; at most {MAX_CRL_BYTES} are read",
            code="too_large",
        )
    made = decode_crl(encoded)
    check_crl(made, issuer)
    return made


def decode_crl(data: bytes) -> RevocationList:
    """Return the list in these bytes, which are all of them. Whether its signature holds: `check_crl`.

    Raises:
        DecodeError: not DER, not version 2 with number and next update, of a kind that we do not know (delta, indirect or
            partial lists mark that critical), or out of the bounds of this module.
    """
    check_der(data, "revocation list", most_bytes=MAX_CRL_BYTES)
    with reading("revocation list"):
        outer = crl.CertificateList.load(data, strict=True)
        tbs = outer["tbs_cert_list"]
        algorithm = tbs["signature"].dump()
        if algorithm != outer["signature_algorithm"].dump():
            raise DecodeError("revocation list: names two signature algorithms", field="signature")
        if tbs["version"].native != "v2" or tbs["next_update"].native is None:
            raise DecodeError("revocation list: expected version 2 with a next update")
        number, authority_key = _list_extensions(tbs["crl_extensions"].contents or b"")
        return RevocationList(
            encoded=data,
            signed=tbs.dump(),
            issuer=decode_name(tbs["issuer"].chosen.dump()),
            number=number,
            this_update_ms=time_in(tbs["this_update"]),
            next_update_ms=time_in(tbs["next_update"]),
            revoked=_entries(tbs["revoked_certificates"].contents or b""),
            authority_key_identifier=authority_key,
            signature_algorithm=decode_algorithm(algorithm),
            signature=bits_of(outer["signature"]),
        )


def check_crl(found: RevocationList, issuer: X509Certificate) -> None:
    """Check that an authority signed a list of its own certificates.

    Raises:
        ProofInvalid: `wrong_issuer`, `key_usage`, `bad_signature` or `unsupported_algorithm`.
    """
    what = f"revocation list {found.number} of {found.issuer.text()}"
    if found.issuer != issuer.subject:
        raise ProofInvalid(f"{what}: expected one of {issuer.subject.text()}", code="wrong_issuer")
    usage = issuer.extensions.key_usage
    if usage is None or KeyUsage.CRL_SIGN not in usage:
        raise ProofInvalid(f"{what}: its issuer's key may not sign lists", code="key_usage")
    check_signature(issuer.key, found.signature_algorithm, found.signed, found.signature, what)


# -- writing -----------------------------------------------------------------------------------------------


def _check_maker(issuer: X509Certificate, signer: CertificateSigner) -> None:
    if issuer.key != subject_key(signer.suite, signer.public_key):
        raise Refused(
            f"the signer's key is not that of {issuer.subject.text()}",
            code="wrong_key",
            field="key",
        )
    if KeyUsage.CRL_SIGN not in (issuer.extensions.key_usage or ()):
        raise Refused(
            f"{issuer.subject.text()} may not sign revocation lists", code="not_an_authority"
        )


def _check_content(
    number: int,
    this_update_ms: int,
    next_update_ms: int,
    revoked: tuple[RevokedCertificate, ...],
) -> None:
    if not 0 <= number < 1 << MAX_SERIAL_BITS:
        raise Refused(
            f"found list number {number}; expected 0 to 2^{MAX_SERIAL_BITS} - 1", code="bad_number"
        )
    check_time(this_update_ms, "this_update_ms")
    check_time(next_update_ms, "next_update_ms")
    if not this_update_ms < next_update_ms:
        raise Refused(
            f"found a list of {time_text(this_update_ms)} with the next on {time_text(next_update_ms)}; "
            "expected a later time",
            code="bad_validity",
        )
    for entry in revoked:
        check_time(entry.revoked_ms, "revoked_ms")
        if not 1 <= entry.serial_number < 1 << MAX_SERIAL_BITS:
            raise Refused(f"found serial number {entry.serial_number}", code="bad_serial")
    if len({entry.serial_number for entry in revoked}) != len(revoked):
        raise Refused("found a certificate that is listed twice", code="duplicate")


def _entry_bytes(entry: RevokedCertificate) -> bytes:
    # Written here for the same reason that they are read here: asn1crypto takes half a minute for the longest list.
    number = entry.serial_number
    content = element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))
    content += as_time(entry.revoked_ms).dump()
    if entry.reason is not None:
        value = element(OCTET_STRING, _REASON_VALUE + bytes((entry.reason,)))
        content += element(SEQUENCE, element(SEQUENCE, _REASON_ELEMENT + value))
    return element(SEQUENCE, content)


def _extension(oid: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  asn1crypto
    return {
        "extn_id": oid,
        "critical": False,
        "extn_value": core.ParsableOctetString(value.dump()),
    }


# -- reading -----------------------------------------------------------------------------------------------


def _list_extensions(content: bytes) -> tuple[int, bytes]:
    number, authority_key = -1, b""
    for extension in raw_extensions(content):
        oid, value = extension.oid, extension.value
        if oid in (_CRL_NUMBER, AUTHORITY_KEY_IDENTIFIER):
            check_der(value, f"extension {oid}", most_bytes=MAX_EXTENSION_BYTES)
        if oid == _CRL_NUMBER:
            number = int(core.Integer.load(value, strict=True).native)
        elif oid == AUTHORITY_KEY_IDENTIFIER:
            authority_key = authority_key_of(value)
        elif extension.is_critical:
            raise DecodeError(
                f"revocation list: found the critical extension {oid}, which we do not know"
            )
    if not 0 <= number < 1 << MAX_SERIAL_BITS:
        raise DecodeError("revocation list: expected a number")
    return number, authority_key


def _entries(content: bytes) -> tuple[RevokedCertificate, ...]:
    # Read here and not by asn1crypto, whose objects take sixty times the memory of the bytes.
    found = tuple(_entry(content, e) for e in elements(content, 0, len(content)))
    if len({entry.serial_number for entry in found}) != len(found):
        raise DecodeError("revocation list: lists a certificate twice")
    return found


def _entry(data: bytes, at: Element) -> RevokedCertificate:
    """Read SEQUENCE { serial INTEGER, since Time, extensions SEQUENCE OPTIONAL }, which is in DER."""
    parts = [*elements(data, at.content, at.end)]
    tags = [part.tag for part in parts]
    if at.tag != SEQUENCE or tags[:1] != [INTEGER] or not 2 <= len(tags) <= 3:
        raise DecodeError("revocation list: found an entry that is none")
    number = int.from_bytes(data[parts[0].content : parts[0].end], "big", signed=True)
    if not 1 <= number < 1 << MAX_SERIAL_BITS:
        raise DecodeError("revocation list: found an entry with a serial number that none can be")
    reason = None
    if len(parts) == 3:
        if parts[2].tag != SEQUENCE:
            raise DecodeError("revocation list: found an entry that is none")
        reason = _reason(data[parts[2].content : parts[2].end])
    since_ms = time_of(parts[1].tag, data[parts[1].content : parts[1].end])
    return RevokedCertificate(number, since_ms, reason)


def _reason(content: bytes) -> RevocationReason | None:
    reason = None
    for extension in raw_extensions(content):
        if extension.oid == _REASON:
            octets = extension.value
            if octets[:-1] != _REASON_VALUE or octets[-1] not in set(RevocationReason):
                raise DecodeError("revocation list: found a reason that complete lists do not have")
            reason = RevocationReason(octets[-1])
        elif extension.is_critical:
            raise DecodeError("revocation list: found a critical extension of an entry")
    return reason
