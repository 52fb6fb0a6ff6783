"""Digest algorithms that may be timestamped, and the algorithms under which units sign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.model.suites.sm3 import sm3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IMPRINT_OIDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sha256": "2.16.840.1.101.3.4.2.1",
        "sha384": "2.16.840.1.101.3.4.2.2",
        "sha512": "2.16.840.1.101.3.4.2.3",
        "sm3": "1.2.156.10197.1.401",
    }
)
"""By the name that the chain uses (RFC 5754 section 2, GM/T 0006)."""

IMPRINT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {oid: name for name, oid in IMPRINT_OIDS.items()}
)


HASHES: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "sha256": lambda data: hashlib.sha256(data).digest(),
        "sha384": lambda data: hashlib.sha384(data).digest(),
        "sha512": lambda data: hashlib.sha512(data).digest(),
        "sm3": sm3,
    }
)
"""Each of them, over bytes in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureScheme:
    """How a unit's key signs tokens."""

    digest: str
    """Name of the digest over the signed attributes and of the certificate."""

    digest_oid: str
    signature_oid: str


_SCHEMES: Final[Mapping[str, SignatureScheme]] = MappingProxyType(
    {
        # RFC 5754 section 3.3.
        P256_SHA256: SignatureScheme(
            digest="sha256",
            digest_oid=IMPRINT_OIDS["sha256"],
            signature_oid="1.2.840.10045.4.3.2",
        ),
        # GM/T 0006: SM2 with SM3, as one algorithm; the identifiers of the curve or of SM2 alone verify nowhere.
        SM2_SM3: SignatureScheme(
            digest="sm3", digest_oid=IMPRINT_OIDS["sm3"], signature_oid="1.2.156.10197.1.501"
        ),
    }
)


def scheme_of(suite_name: str) -> SignatureScheme:
    """Return how keys of a suite sign tokens.

    Raises:
        Refused: `unsupported_key`: no verifier reads tokens signed by keys of that suite.
    """
    scheme = _SCHEMES.get(suite_name)
    if scheme is None:
        raise Refused(
            f"found a key of {suite_name}; tokens are signed by {' or '.join(_SCHEMES)}",
            code="unsupported_key",
        )
    return scheme
