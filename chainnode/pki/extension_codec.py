"""Extensions of certificates as bytes: written in one order, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import core, x509

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.der import (
    BOOLEAN,
    MAX_OID_BYTES,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    check_der,
    dotted,
    elements,
    reading,
)
from chainnode.pki.extensions import EXTENDED_KEY_USAGE, Extensions, KeyUsage, Policy
from chainnode.pki.times import generalized_time_of, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_EXTENSIONS: Final = 32
"""Extensions of a certificate, request or list; public authorities write about ten."""

MAX_EXTENSION_BYTES: Final = 8 * 1024
"""The value of one."""

MAX_URLS: Final = 8
"""Places from which a list or an issuer's certificate can be had."""

MAX_URL_CHARS: Final = 512
"""Of one such place."""

MAX_NOTICE_CHARS: Final = 200
"""Explicit text of a user notice (RFC 5280 section 4.2.1.4)."""

_BASIC_CONSTRAINTS = "2.5.29.19"
_KEY_USAGE = "2.5.29.15"
_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
AUTHORITY_KEY_IDENTIFIER: Final = "2.5.29.35"
_CRL_DISTRIBUTION_POINTS = "2.5.29.31"
_AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"
_CERTIFICATE_POLICIES = "2.5.29.32"
_PRIVATE_KEY_USAGE_PERIOD = "2.5.29.16"

_URL = re.compile(r"https?://[!#-;=?-Z_a-z~]+")
"""Printable ASCII but quotes, angle and square brackets, backslash, braces and the like: nothing that is rewritten."""

_Fields = dict[str, Any]


def encode_extensions(extensions: Extensions) -> x509.Extensions:
    """Return the ASN.1 value. Critical are basicConstraints, keyUsage and extendedKeyUsage.

    Raises:
        Refused: `bad_url` or `bad_policy`.
    """
    values: list[tuple[str, bool, Any]] = [
        (_BASIC_CONSTRAINTS, True, _basic_constraints_value(extensions)),
        (_KEY_USAGE, True, _key_usage_value(extensions)),
        (EXTENDED_KEY_USAGE, True, _extended_key_usage_value(extensions)),
        (_SUBJECT_KEY_IDENTIFIER, False, _subject_key_value(extensions)),
        (AUTHORITY_KEY_IDENTIFIER, False, authority_key_value(extensions.authority_key_identifier)),
        (_CERTIFICATE_POLICIES, False, _policies_value(extensions)),
        (_PRIVATE_KEY_USAGE_PERIOD, False, _period_value(extensions)),
        (_CRL_DISTRIBUTION_POINTS, False, _crl_value(extensions)),
        (_AUTHORITY_INFORMATION_ACCESS, False, _issuer_urls_value(extensions)),
    ]
    return x509.Extensions(
        [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(v.dump())}
            for oid, critical, v in values
            if v is not None
        ]
    )


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


def authority_key_value(identifier: bytes) -> x509.AuthorityKeyIdentifier | None:
    """Return the authorityKeyIdentifier of a certificate or list, or None for an empty one."""
    return x509.AuthorityKeyIdentifier({"key_identifier": identifier}) if identifier else None


def authority_key_of(value: bytes) -> bytes:
    """Return the key identifier in an authorityKeyIdentifier, empty if there is none."""
    identifier = x509.AuthorityKeyIdentifier.load(value, strict=True)["key_identifier"].native
    return bytes(identifier or b"")


def check_urls(urls: tuple[str, ...], what: str) -> None:
    """Check places that go into a certificate.

    Raises:
        Refused: with code `bad_url`.
    """
    for url in urls:
        if len(url) > MAX_URL_CHARS or _URL.fullmatch(url) is None:
            raise Refused(
                f"{what}: found {url[:80]!r}; expected http:// or https:// and at most "
                f"{MAX_URL_CHARS} characters of a URL in ASCII",
                code="bad_url",
                field=what,
            )
    if len(urls) > MAX_URLS:
        raise Refused(
            f"{what}: found {len(urls)} URLs; expected at most {MAX_URLS}",
            code="bad_url",
            field=what,
        )


# -- writing -----------------------------------------------------------------------------------------------


def _basic_constraints_value(extensions: Extensions) -> x509.BasicConstraints:
    fields: _Fields = {"ca": extensions.is_authority}
    if extensions.path_length is not None:
        fields["path_len_constraint"] = extensions.path_length
    return x509.BasicConstraints(fields)


def _key_usage_value(extensions: Extensions) -> x509.KeyUsage | None:
    usage = extensions.key_usage
    return None if usage is None else x509.KeyUsage({bit.value for bit in usage})


def _extended_key_usage_value(extensions: Extensions) -> x509.ExtKeyUsageSyntax | None:
    usage = extensions.extended_key_usage
    return x509.ExtKeyUsageSyntax(list(usage)) if usage else None


def _subject_key_value(extensions: Extensions) -> core.OctetString | None:
    identifier = extensions.subject_key_identifier
    return core.OctetString(identifier) if identifier else None


def _policies_value(extensions: Extensions) -> x509.CertificatePolicies | None:
    policies = extensions.policies
    return x509.CertificatePolicies([_policy_value(p) for p in policies]) if policies else None


def _policy_value(policy: Policy) -> _Fields:
    if len(policy.notice) > MAX_NOTICE_CHARS or not (
        policy.notice.isprintable() and is_object_identifier(policy.oid)
    ):
        raise Refused(
            f"policy {policy.oid[:80]!r}: expected a dotted identifier, and a notice of at most "
            f"{MAX_NOTICE_CHARS} printable characters",
            code="bad_policy",
            field="policy",
        )
    if not policy.notice:
        return {"policy_identifier": policy.oid}
    text = x509.DisplayText("utf8_string", policy.notice)
    notice = x509.UserNotice({"explicit_text": text})
    return {
        "policy_identifier": policy.oid,
        "policy_qualifiers": [{"policy_qualifier_id": "user_notice", "qualifier": notice}],
    }


def is_object_identifier(text: str) -> bool:
    """Whether a text is a dotted identifier that fits into `der.MAX_OID_BYTES`."""
    if re.fullmatch(r"[012](\.(0|[1-9][0-9]{0,39})){1,20}", text) is None:
        return False
    first, second, *_ = (int(arc) for arc in text.split("."))
    return (first == 2 or second < 40) and len(
        core.ObjectIdentifier(text).contents
    ) <= MAX_OID_BYTES


def _period_value(extensions: Extensions) -> x509.PrivateKeyUsagePeriod | None:
    times = {
        "not_before": extensions.key_used_from_ms,
        "not_after": extensions.key_used_until_ms,
    }
    fields = {name: moment(ms) for name, ms in times.items() if ms is not None}
    return x509.PrivateKeyUsagePeriod(fields) if fields else None


def _crl_value(extensions: Extensions) -> x509.CRLDistributionPoints | None:
    check_urls(extensions.crl_urls, "crl_urls")
    if not extensions.crl_urls:
        return None
    return x509.CRLDistributionPoints(
        [
            {"distribution_point": x509.DistributionPointName("full_name", [_url_value(url)])}
            for url in extensions.crl_urls
        ]
    )


def _issuer_urls_value(extensions: Extensions) -> x509.AuthorityInfoAccessSyntax | None:
    check_urls(extensions.issuer_urls, "issuer_urls")
    if not extensions.issuer_urls:
        return None
    return x509.AuthorityInfoAccessSyntax(
        [
            {"access_method": "ca_issuers", "access_location": _url_value(url)}
            for url in extensions.issuer_urls
        ]
    )


def _url_value(url: str) -> x509.GeneralName:
    return x509.GeneralName("uniform_resource_identifier", url)


# -- reading -----------------------------------------------------------------------------------------------


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
    for qualifier in qualifiers if qualifiers.native is not None else ():
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
        if name.native is not None and name.name == "full_name":
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
    return [url for url in found if len(url) <= MAX_URL_CHARS and _URL.fullmatch(url)]


_READERS: Final[Mapping[str, Callable[[bytes], _Fields]]] = {
    _BASIC_CONSTRAINTS: _read_basic_constraints,
    _KEY_USAGE: _read_key_usage,
    EXTENDED_KEY_USAGE: _read_extended_key_usage,
    _SUBJECT_KEY_IDENTIFIER: _read_subject_key,
    AUTHORITY_KEY_IDENTIFIER: _read_authority_key,
    _CERTIFICATE_POLICIES: _read_policies,
    _PRIVATE_KEY_USAGE_PERIOD: _read_period,
    _CRL_DISTRIBUTION_POINTS: _read_crl_urls,
    _AUTHORITY_INFORMATION_ACCESS: _read_issuer_urls,
}
