"""A token as a value: what it says and by whom, before anything of it is believed.

Accepted is what RFC 3161 and RFC 5816 allow and nothing more: CMS SignedData version 3 with one signer, TSTInfo
version 1, signed attributes that name content type, digest and signing certificate, all in DER.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import cms, core, tsp

from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import DecodeError
from chainnode.model.timestamp import SERIAL_BYTES
from chainnode.pki.certificate import X509Certificate, decode_x509_certificate
from chainnode.pki.der import GENERALIZED_TIME, SEQUENCE, check_der, elements, reading
from chainnode.pki.names import decode_name
from chainnode.pki.times import generalized_time_of
from chainnode.tsp.algorithms import IMPRINT_NAMES

if TYPE_CHECKING:
    from chainnode.pki.names import DistinguishedName

MAX_TOKEN_BYTES: Final = 64 * 1024
"""A token with its certificates; ours have under 4 KiB, those of public authorities under 8 KiB."""

MAX_CERTIFICATES: Final = 16
"""Certificates in one token."""

_MAX_INTEGER_BYTES: Final = 64
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_GRANTED: Final = (0, 1)
"""granted, grantedWithMods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A timestamp token; nothing of it is proven by reading it."""

    encoded: bytes = field(repr=False)
    """ContentInfo in DER."""

    info: bytes = field(repr=False)
    """TSTInfo in DER: what is signed by way of its digest."""

    policy: str
    """Dotted."""

    imprint: Digest
    serial_number: int
    time_ms: int
    """genTime, milliseconds UTC; finer fractions are cut off."""

    accuracy_ms: int | None
    """How far genTime may be off either way, microseconds counted as a whole millisecond; None: not said."""

    nonce: int | None
    authority: DistinguishedName | None
    """tsa, if it is the name of a directory entry."""

    certificates: tuple[X509Certificate, ...]
    """All that it brings along."""

    issuer: bytes
    """Issuer of the signer's certificate, a Name in DER."""

    certificate_serial: int
    """Serial number of the signer's certificate."""

    digest_oid: str
    """Of the digest over info and of the signature."""

    attributes: bytes = field(repr=False)
    """Signed attributes as a SET in DER: what the signature is of."""

    content_digest: bytes
    """messageDigest: of `info`."""

    certificate_digest_oid: str
    certificate_digest: bytes
    """ESSCertIDv2 of the signer."""

    signature_oid: str
    signature: bytes = field(repr=False)

    @property
    def serial_text(self) -> str:
        """The serial number as people and file names have it: 20 bytes in hex, of foreign authorities perhaps more."""
        return f"{self.serial_number:0{2 * SERIAL_BYTES}x}"

    @property
    def signer(self) -> X509Certificate | None:
        """The signer's certificate, if the token brings it along."""
        return next((c for c in self.certificates if self.is_signed_as(c)), None)

    def is_signed_as(self, certificate: X509Certificate) -> bool:
        """Whether issuer and serial number of a certificate are those that the token names."""
        return (certificate.issuer.encoded, certificate.serial_number) == (
            self.issuer,
            self.certificate_serial,
        )


def decode_response(data: bytes) -> Token:
    """Return the token of a response (`.tsr`).

    Raises:
        DecodeError: not a response, or with code `rejected` one without a token; the message says why.
    """
    check_der(data, "timestamp response", most_bytes=MAX_TOKEN_BYTES)
    (outer,) = elements(data, 0, len(data))
    parts = list(elements(data, outer.content, outer.end)) if outer.tag == SEQUENCE else []
    if not 1 <= len(parts) <= 2 or any(part.tag != SEQUENCE for part in parts):
        raise DecodeError("timestamp response: expected a status and a token (RFC 3161)")
    with reading("timestamp response"):
        # asn1crypto's TimeStampResp knows none without a token.
        status = tsp.PKIStatusInfo.load(data[parts[0].start : parts[0].end], strict=True)
        number = int.from_bytes(status["status"].contents, "big")
        if number not in _GRANTED:
            failure = ", ".join(sorted(status["fail_info"].native or ()))
            said = "; ".join(status["status_string"].native or ())
            raise DecodeError(
                f"the authority issued no token: {failure or 'no reason given'}; {said}",
                code="rejected",
            )
    if len(parts) == 1:
        raise DecodeError("timestamp response: granted, but there is no token")
    return decode_token(data[parts[1].start : parts[1].end])


def decode_token(data: bytes) -> Token:
    """Return the token in these bytes (ContentInfo), which are all of them.

    Raises:
        DecodeError: it is none.
    """
    check_der(data, "timestamp token", most_bytes=MAX_TOKEN_BYTES)
    with reading("timestamp token"):
        outer = cms.ContentInfo.load(data, strict=True)
        if outer["content_type"].native != "signed_data":
            raise DecodeError("timestamp token: expected CMS SignedData")
        signed = outer["content"]
        content = signed["encap_content_info"]
        if content["content_type"].native != "tst_info" or len(signed["signer_infos"]) != 1:
            raise DecodeError("timestamp token: expected TSTInfo with one signer")
        info: bytes = content["content"].contents
        return _token(data, info, signed, signed["signer_infos"][0])


def _token(data: bytes, info: bytes, signed: Any, signer: Any) -> Token:  # noqa: ANN401  asn1crypto
    check_der(info, "TSTInfo", most_bytes=MAX_TOKEN_BYTES)
    said = tsp.TSTInfo.load(info, strict=True)
    if said["version"].native != "v1":
        raise DecodeError("TSTInfo: expected version 1")
    if signer["sid"].name != "issuer_and_serial_number":
        raise DecodeError("timestamp token: expected its signer by issuer and serial number")
    sid = signer["sid"].chosen
    # RFC 5652 section 5.4: signed as a SET, sent as [0]. Taken before they are read: asn1crypto would put them together anew.
    attributes = b"\x31" + signer["signed_attrs"].dump()[1:]
    values = _attributes(signer["signed_attrs"])
    certificate_digest_oid, certificate_digest = _signing_certificate(values)
    if values.get("content_type", [None])[0] != "1.2.840.113549.1.9.16.1.4":
        raise DecodeError("timestamp token: its signed content type is not TSTInfo")
    return Token(
        encoded=data,
        info=info,
        policy=said["policy"].dotted,
        imprint=_imprint(said["message_imprint"]),
        serial_number=_integer(said["serial_number"]),
        time_ms=_time_ms(info),
        accuracy_ms=_accuracy_ms(said["accuracy"]),
        nonce=None if said["nonce"].native is None else _integer(said["nonce"]),
        authority=_authority(said["tsa"]),
        certificates=_certificates(signed["certificates"]),
        issuer=sid["issuer"].chosen.dump(),
        certificate_serial=_integer(sid["serial_number"]),
        digest_oid=signer["digest_algorithm"]["algorithm"].dotted,
        attributes=attributes,
        content_digest=values["message_digest"][0],
        certificate_digest_oid=certificate_digest_oid,
        certificate_digest=certificate_digest,
        signature_oid=signer["signature_algorithm"]["algorithm"].dotted,
        signature=signer["signature"].native,
    )


def _attributes(attributes: Any) -> dict[str, list[Any]]:  # noqa: ANN401  asn1crypto
    """Return the signed attributes that count, each with one value, by name."""
    found: dict[str, list[Any]] = {}
    for attribute in attributes:
        name = attribute["type"].native
        if name not in {"content_type", "message_digest", "signing_certificate_v2"}:
            continue
        if name in found or len(attribute["values"]) != 1:
            raise DecodeError(f"timestamp token: expected one {name}")
        value = attribute["values"][0]
        found[name] = [value.dotted if name == "content_type" else value]
    if "message_digest" not in found:
        raise DecodeError("timestamp token: found no signed digest of its content")
    found["message_digest"] = [found["message_digest"][0].native]
    return found


def _signing_certificate(values: dict[str, list[Any]]) -> tuple[str, bytes]:
    if "signing_certificate_v2" not in values:
        raise DecodeError(
            "timestamp token: it does not name its signing certificate (RFC 5816 ESSCertIDv2)"
        )
    first = values["signing_certificate_v2"][0]["certs"][0]
    algorithm = first["hash_algorithm"]["algorithm"]
    return algorithm.dotted or _SHA256, first["cert_hash"].native


def _imprint(imprint: Any) -> Digest:  # noqa: ANN401  asn1crypto
    dotted = imprint["hash_algorithm"]["algorithm"].dotted
    name = IMPRINT_NAMES.get(dotted)
    value: bytes = imprint["hashed_message"].native
    if name is None or len(value) != DIGEST_BYTES[name]:
        raise DecodeError(
            f"timestamp token: its imprint is by {dotted} and has {len(value)} bytes; known are "
            f"{', '.join(DIGEST_BYTES)}",
            code="unknown_algorithm",
        )
    return Digest(algorithm=name, value=value)


def _certificates(certificates: Any) -> tuple[X509Certificate, ...]:  # noqa: ANN401  asn1crypto
    if isinstance(certificates, core.Void):
        return ()
    if len(certificates) > MAX_CERTIFICATES:
        raise DecodeError(
            f"timestamp token: found {len(certificates)} certificates; at most {MAX_CERTIFICATES} are read"
        )
    return tuple(decode_x509_certificate(choice.chosen.dump()) for choice in certificates)


def _authority(tsa: Any) -> DistinguishedName | None:  # noqa: ANN401  asn1crypto
    if tsa.native is None or tsa.name != "directory_name":
        return None
    return decode_name(tsa.chosen.chosen.dump())


def _accuracy_ms(accuracy: Any) -> int | None:  # noqa: ANN401  asn1crypto
    if accuracy.native is None:
        return None
    seconds, millis, micros = (
        accuracy[name].native or 0 for name in ("seconds", "millis", "micros")
    )
    if not (0 <= seconds < 2**31 and 0 <= millis < 1_000 and 0 <= micros < 1_000):
        raise DecodeError("TSTInfo: its accuracy is out of range")
    return int(seconds) * 1_000 + int(millis) + (1 if micros else 0)


def _integer(value: Any) -> int:  # noqa: ANN401  asn1crypto
    if len(value.contents) > _MAX_INTEGER_BYTES:
        raise DecodeError(f"timestamp token: a number has over {_MAX_INTEGER_BYTES} bytes")
    return int(value.native)


def _time_ms(info: bytes) -> int:
    """Return genTime, the first GeneralizedTime of TSTInfo, as it is written: no library rounds it."""
    (outer,) = elements(info, 0, len(info))
    content = next(
        info[part.content : part.end]
        for part in elements(info, outer.content, outer.end)
        if part.tag == GENERALIZED_TIME
    )
    whole, point, fraction = content.removesuffix(b"Z").partition(b".")
    is_minimal = fraction.isdigit() and not fraction.endswith(b"0") if point else True
    if not content.endswith(b"Z") or not is_minimal or len(fraction) > 9 or outer.tag != SEQUENCE:
        raise DecodeError(f"TSTInfo: genTime {content!r} is not in DER")
    return generalized_time_of(whole + b"Z") + int(fraction[:3].ljust(3, b"0"))
