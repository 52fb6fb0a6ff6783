"""Extensions of certificates, as others write them: all are told apart, those that we know are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import core, x509

from chainnode.model.errors import DecodeError
from chainnode.pki.der import (
    BOOLEAN,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    check_der,
    dotted,
    elements,
    reading,
)
from chainnode.pki.extensions import (
    AUTHORITY_INFORMATION_ACCESS,
    AUTHORITY_KEY_IDENTIFIER,
    BASIC_CONSTRAINTS,
    CERTIFICATE_POLICIES,
    CRL_DISTRIBUTION_POINTS,
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    MAX_URL_CHARS,
    PRIVATE_KEY_USAGE_PERIOD,
    SUBJECT_KEY_IDENTIFIER,
    URL,
    Extensions,
    KeyUsage,
    Policy,
)
from chainnode.pki.times import generalized_time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_EXTENSIONS: Final = 32
"""Extensions of a certificate or list; public authorities write about ten."""

MAX_EXTENSION_BYTES: Final = 8 * 1024
"""The value of one in a certificate."""

_Fields = dict[str, Any]


def decode_extensions(content: bytes) -> Extensions:
    """Return the extensions of a certificate as they are, known or not.

    Args:
        content: of their SEQUENCE, which `check_der` has accepted; empty if there is none.

    Raises:
        DecodeError: there are too many, one is there twice, or a known one cannot be read.
    """
    found, critical, unknown = Extensions(), set(), []
    for extension in raw_extensions(content):
        reader = _READERS.get(extension.oid)
        if reader is None:
            unknown += [extension.oid] if extension.is_critical else []
            continue
        what = f"extension {extension.oid}"
        check_der(extension.value, what, most_bytes=MAX_EXTENSION_BYTES)
        with reading(what):
            found = replace(found, **reader(extension.value))
        if extension.is_critical:
            critical.add(extension.oid)
    return replace(found, critical=frozenset(critical), unknown_critical=tuple(unknown))


@dataclass(frozen=True, slots=True)
class RawExtension:
    """An extension of a certificate, a list or an entry of one."""

    oid: str
    """Dotted."""

    is_critical: bool
    """Whether it must be understood."""

    value: bytes
    """Content of the OCTET STRING; any bytes."""


def raw_extensions(content: bytes) -> tuple[RawExtension, ...]:
    """Return the extensions in the content of their SEQUENCE, which `check_der` has accepted.

    Raises:
        DecodeError: there are too many, one is there twice, or it is none.
    """
    found = tuple(_raw_extension(content, at) for at in elements(content, 0, len(content)))
    if len(found) > MAX_EXTENSIONS:
        raise DecodeError(f"extensions: found {len(found)}; expected at most {MAX_EXTENSIONS}")
    if len({extension.oid for extension in found}) != len(found):
        raise DecodeError("extensions: one is there twice")
    return found


def _raw_extension(data: bytes, at: Element) -> RawExtension:
    # Not by asn1crypto, which would read the values of extensions that we leave aside, and stumble over them.
    parts = [*elements(data, at.content, at.end)]
    tags = [part.tag for part in parts]
    if at.tag != SEQUENCE or tags not in (
        [OBJECT_IDENTIFIER, OCTET_STRING],
        [OBJECT_IDENTIFIER, BOOLEAN, OCTET_STRING],
    ):
        raise DecodeError("extensions: found one that is none")
    oid, value = parts[0], parts[-1]
    return RawExtension(
        dotted(data[oid.content : oid.end]),
        len(parts) == 3 and data[parts[1].content] != 0,
        data[value.content : value.end],
    )


def authority_key_of(value: bytes) -> bytes:
    """Return the key identifier in an authorityKeyIdentifier, empty if there is none."""
    identifier = x509.AuthorityKeyIdentifier.load(value, strict=True)["key_identifier"].native
    return bytes(identifier or b"")


def _read_basic_constraints(value: bytes) -> _Fields:
    constraints = x509.BasicConstraints.load(value, strict=True)
    path_length = constraints["path_len_constraint"].native
    is_authority = bool(constraints["ca"].native)
    if path_length is not None and (path_length < 0 or not is_authority):
        raise DecodeError("basicConstraints: found a path length that means nothing")
    return {"is_authority": is_authority, "path_length": path_length}


def _read_key_usage(value: bytes) -> _Fields:
    bits = x509.KeyUsage.load(value, strict=True).native
    return {"key_usage": frozenset(KeyUsage(bit) for bit in bits)}


def _read_extended_key_usage(value: bytes) -> _Fields:
    uses = tuple(use.dotted for use in x509.ExtKeyUsageSyntax.load(value, strict=True))
    if not uses:
        raise DecodeError("extendedKeyUsage: found no use; expected at least one")
    return {"extended_key_usage": uses}


def _read_subject_key(value: bytes) -> _Fields:
    return {"subject_key_identifier": bytes(core.OctetString.load(value, strict=True).native)}


def _read_authority_key(value: bytes) -> _Fields:
    return {"authority_key_identifier": authority_key_of(value)}


def _read_policies(value: bytes) -> _Fields:
    policies = tuple(
        Policy(oid=policy["policy_identifier"].dotted, notice=_notice(policy["policy_qualifiers"]))
        for policy in x509.CertificatePolicies.load(value, strict=True)
    )
    return {"policies": policies}


def _notice(qualifiers: Any) -> str:  # noqa: ANN401  asn1crypto
    for qualifier in () if isinstance(qualifiers, core.Void) else qualifiers:
        if qualifier["policy_qualifier_id"].native == "user_notice":
            return str(qualifier["qualifier"]["explicit_text"].native or "")
    return ""


def _read_period(value: bytes) -> _Fields:
    period = x509.PrivateKeyUsagePeriod.load(value, strict=True)
    return {
        field: None if (content := period[name].contents) is None else generalized_time_of(content)
        for field, name in (("key_used_from_ms", "not_before"), ("key_used_until_ms", "not_after"))
    }


def _read_crl_urls(value: bytes) -> _Fields:
    urls: list[str] = []
    for point in x509.CRLDistributionPoints.load(value, strict=True):
        name = point["distribution_point"]
        if not isinstance(name, core.Void) and name.name == "full_name":
            urls += _urls(name.chosen)
    return {"crl_urls": tuple(urls)}


def _read_issuer_urls(value: bytes) -> _Fields:
    descriptions = x509.AuthorityInfoAccessSyntax.load(value, strict=True)
    places = [
        d["access_location"] for d in descriptions if d["access_method"].native == "ca_issuers"
    ]
    return {"issuer_urls": tuple(_urls(places))}


def _urls(names: Any) -> list[str]:  # noqa: ANN401  asn1crypto
    """Return what can be fetched by HTTP; other places are of no use to us, and LDAP is common."""
    found = [
        name.chosen.contents.decode("ascii", "replace")
        for name in names
        if name.name == "uniform_resource_identifier"
    ]
    return [url for url in found if len(url) <= MAX_URL_CHARS and URL.fullmatch(url)]


_READERS: Final[Mapping[str, Callable[[bytes], _Fields]]] = {
    BASIC_CONSTRAINTS: _read_basic_constraints,
    KEY_USAGE: _read_key_usage,
    EXTENDED_KEY_USAGE: _read_extended_key_usage,
    SUBJECT_KEY_IDENTIFIER: _read_subject_key,
    AUTHORITY_KEY_IDENTIFIER: _read_authority_key,
    CERTIFICATE_POLICIES: _read_policies,
    PRIVATE_KEY_USAGE_PERIOD: _read_period,
    CRL_DISTRIBUTION_POINTS: _read_crl_urls,
    AUTHORITY_INFORMATION_ACCESS: _read_issuer_urls,
}
