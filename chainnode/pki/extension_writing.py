"""Extensions of certificates, as we write them: in one order, critical where RFC 5280 asks for it."""

from __future__ import annotations

import re
from typing import Any, Final

from asn1crypto import core, x509

from chainnode.model.errors import Refused
from chainnode.pki.der import MAX_OID_BYTES, element
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
    Policy,
)
from chainnode.pki.times import moment

MAX_URLS: Final = 8
"""Places of one kind in a certificate."""

MAX_NOTICE_CHARS: Final = 200
"""Explicit text of a user notice (RFC 5280 section 4.2.1.4)."""

_URI = 0x86
"""Tag of uniformResourceIdentifier in a GeneralName."""

_Fields = dict[str, Any]


def encode_extensions(extensions: Extensions) -> x509.Extensions:
    """Return the ASN.1 value. Critical are basicConstraints, keyUsage and extendedKeyUsage.

    Raises:
        Refused: `bad_url` or `bad_policy`.
    """
    values: list[tuple[str, bool, Any]] = [
        (BASIC_CONSTRAINTS, True, _basic_constraints_value(extensions)),
        (KEY_USAGE, True, _key_usage_value(extensions)),
        (EXTENDED_KEY_USAGE, True, _extended_key_usage_value(extensions)),
        (SUBJECT_KEY_IDENTIFIER, False, _subject_key_value(extensions)),
        (AUTHORITY_KEY_IDENTIFIER, False, authority_key_value(extensions.authority_key_identifier)),
        (CERTIFICATE_POLICIES, False, _policies_value(extensions)),
        (PRIVATE_KEY_USAGE_PERIOD, False, _period_value(extensions)),
        (CRL_DISTRIBUTION_POINTS, False, _crl_value(extensions)),
        (AUTHORITY_INFORMATION_ACCESS, False, _issuer_urls_value(extensions)),
    ]
    return x509.Extensions(
        [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(v.dump())}
            for oid, critical, v in values
            if v is not None
        ]
    )


def authority_key_value(identifier: bytes) -> x509.AuthorityKeyIdentifier | None:
    """Return the authorityKeyIdentifier of a certificate or list, or None for an empty one."""
    return x509.AuthorityKeyIdentifier({"key_identifier": identifier}) if identifier else None


def check_urls(urls: tuple[str, ...], what: str) -> None:
    """Check places that go into a certificate.

    Raises:
        Refused: with code `bad_url`.
    """
    for url in urls:
        if len(url) > MAX_URL_CHARS or URL.fullmatch(url) is None:
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
    # From bytes, since asn1crypto's URI rewrites what it is given as text.
    return x509.GeneralName.load(element(_URI, url.encode("ascii")))
