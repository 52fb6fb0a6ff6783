"""Extensions of certificates (RFC 5280 section 4.2), as one typed value.

What we do not know is left aside if it is not critical, and named if it is: `path` refuses such a certificate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
SUBJECT_KEY_IDENTIFIER: Final = "2.5.29.14"
AUTHORITY_KEY_IDENTIFIER: Final = "2.5.29.35"
CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
AUTHORITY_INFORMATION_ACCESS: Final = "1.3.6.1.5.5.7.1.1"
CERTIFICATE_POLICIES: Final = "2.5.29.32"
PRIVATE_KEY_USAGE_PERIOD: Final = "2.5.29.16"
"""Extensions that are known."""

TIME_STAMPING: Final = "1.3.6.1.5.5.7.3.8"
DOCUMENT_SIGNING: Final = "1.3.6.1.5.5.7.3.36"
"""RFC 9336."""

EMAIL_PROTECTION: Final = "1.3.6.1.5.5.7.3.4"
ANY_USE: Final = "2.5.29.37.0"
"""Extended key usages."""

MAX_URL_CHARS: Final = 512
"""Of a place from which a list or an issuer's certificate can be had."""

URL: Final = re.compile(r"https?://[A-Za-z0-9][!#-;=?-Z_a-z~]*")
"""Such a place: printable ASCII but quotes, angle and square brackets, backslash, braces and the like."""


class KeyUsage(StrEnum):
    """What a key may do (RFC 5280 section 4.2.1.3), in the order of its bits."""

    DIGITAL_SIGNATURE = "digital_signature"
    CONTENT_COMMITMENT = "non_repudiation"
    KEY_ENCIPHERMENT = "key_encipherment"
    DATA_ENCIPHERMENT = "data_encipherment"
    KEY_AGREEMENT = "key_agreement"
    KEY_CERT_SIGN = "key_cert_sign"
    CRL_SIGN = "crl_sign"
    ENCIPHER_ONLY = "encipher_only"
    DECIPHER_ONLY = "decipher_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A certificate policy, and what its notice tells people."""

    oid: str
    """Dotted."""

    notice: str = ""
    """Explicit text of a user notice, at most 200 characters (RFC 5280 section 4.2.1.4); empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """What a certificate says besides names, times and key. None or empty: the extension is not there."""

    is_authority: bool = False
    """basicConstraints: may it sign certificates."""

    path_length: int | None = None
    """basicConstraints: how many authorities may come below it, or None for any number."""

    key_usage: frozenset[KeyUsage] | None = None
    """keyUsage."""

    extended_key_usage: tuple[str, ...] = ()
    """extendedKeyUsage: dotted."""

    subject_key_identifier: bytes = b""
    authority_key_identifier: bytes = b""
    """keyIdentifier of authorityKeyIdentifier; its other fields are not used."""

    crl_urls: tuple[str, ...] = ()
    """cRLDistributionPoints: http and https."""

    issuer_urls: tuple[str, ...] = ()
    """authorityInfoAccess, caIssuers: http and https."""

    policies: tuple[Policy, ...] = ()
    """certificatePolicies."""

    key_used_from_ms: int | None = None
    key_used_until_ms: int | None = None
    """privateKeyUsagePeriod: when the key may sign; a certificate lives on after that to be verified."""

    critical: frozenset[str] = frozenset()
    """Dotted identifiers of what was marked critical and is known."""

    unknown_critical: tuple[str, ...] = ()
    """Dotted identifiers of what must be understood and is not."""
