"""Profiles: what a certificate for one use says, and what is accepted for that use.

They are not the same. We write one strict form; certificates of licensed authorities that are imported for the same use
say it in their own words, and are taken if they allow the use and restrict it as its standard demands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model.errors import ProofInvalid
from chainnode.pki.extensions import (
    ANY_USE,
    DOCUMENT_SIGNING,
    EMAIL_PROTECTION,
    EXTENDED_KEY_USAGE,
    TIME_STAMPING,
    Extensions,
    KeyUsage,
    Policy,
)

INTERNAL_POLICY: Final = "2.25.15192801507597754410611518769625469227"
"""Certificate policy of what an alliance's own root issues. The arc is a UUID (Rec. ITU-T X.667), which nobody must
register: 0b6e06f2-66eb-45d8-8fe3-dbc2b36a912b. Whoever owns an arc passes a policy of its own."""

INTERNAL: Final = Policy(
    oid=INTERNAL_POLICY,
    notice="联盟内部证书，非依法设立的电子认证服务机构签发。Internal certificate of an alliance; "
    "not issued by a licensed certification authority.",
)
"""The label that every certificate carries which our own root or its authorities issue."""

_SIGNS: Final = frozenset({KeyUsage.DIGITAL_SIGNATURE, KeyUsage.CONTENT_COMMITMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One use of certificates."""

    name: str
    """For people and for `--profile`."""

    is_authority: bool = False
    """Whether it signs certificates and revocation lists."""

    path_length: int | None = None
    """What we write: authorities that may come below."""

    key_usage: frozenset[KeyUsage]
    """What we write."""

    extended_key_usage: tuple[str, ...] = ()
    """What we write, as critical; empty: the extension is left out."""

    needs_one_of: frozenset[KeyUsage]
    """What we accept: keyUsage, if it is there, has one of these; in an authority it must be there."""

    allows_only: frozenset[KeyUsage] = frozenset(KeyUsage)
    """What we accept: keyUsage, if it is there, has no others."""

    accepted_uses: frozenset[str] = frozenset()
    """What we accept: extendedKeyUsage, if it is there, has one of these; empty: any."""

    is_sole_critical_use: bool = False
    """What we accept: whether extendedKeyUsage must be there, critical, with nothing else (RFC 3161 section 2.3)."""

    vouches_for_time: bool = False
    """Whether the moment to check at is known by this very key's word: then no moment is before its theft."""


ROOT: Final = Profile(
    name="root",
    is_authority=True,
    path_length=1,
    key_usage=frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}),
    needs_one_of=frozenset({KeyUsage.KEY_CERT_SIGN}),
)
"""The alliance's root: signs issuing authorities and its revocation list, and is kept away from networks."""

ISSUING: Final = Profile(
    name="issuing",
    is_authority=True,
    path_length=0,
    key_usage=frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}),
    needs_one_of=frozenset({KeyUsage.KEY_CERT_SIGN}),
)
"""An authority below the root that signs certificates of subscribers."""

TIMESTAMP: Final = Profile(
    name="timestamp",
    key_usage=_SIGNS,
    extended_key_usage=(TIME_STAMPING,),
    needs_one_of=_SIGNS,
    allows_only=_SIGNS,
    accepted_uses=frozenset({TIME_STAMPING}),
    is_sole_critical_use=True,
    vouches_for_time=True,
)
"""A time-stamping unit (RFC 3161 section 2.3, ETSI EN 319 422)."""

SEAL: Final = Profile(
    name="seal",
    key_usage=_SIGNS,
    needs_one_of=frozenset({KeyUsage.CONTENT_COMMITMENT}),
    accepted_uses=frozenset({DOCUMENT_SIGNING, EMAIL_PROTECTION, ANY_USE}),
)
"""Signs documents: electronic seals, PAdES (whose readers ask for content commitment, and refuse unknown uses)."""

PROFILES: Final = {profile.name: profile for profile in (ROOT, ISSUING, TIMESTAMP, SEAL)}
"""Every profile by its name."""


def is_labelled_internal(extensions: Extensions, policy_oid: str = INTERNAL_POLICY) -> bool:
    """Whether a certificate carries the label of certificates that an alliance's own root issued."""
    return any(policy.oid == policy_oid for policy in extensions.policies)


def check_use(extensions: Extensions, profile: Profile, what: str) -> None:
    """Check that a certificate may serve the use that a profile names.

    Raises:
        ProofInvalid: `not_an_authority`, `key_usage` or `extended_key_usage`.
    """
    if profile.is_authority and not extensions.is_authority:
        raise ProofInvalid(
            f"{what}: found the certificate of no authority; expected basicConstraints that say so",
            code="not_an_authority",
        )
    _check_key_usage(extensions.key_usage, profile, what)
    _check_extended_key_usage(extensions, profile, what)


def _check_key_usage(found: frozenset[KeyUsage] | None, profile: Profile, what: str) -> None:
    if found is None:
        if profile.is_authority:
            raise ProofInvalid(f"{what}: found no keyUsage; an authority has one", code="key_usage")
        return
    if not found & profile.needs_one_of or not found <= profile.allows_only:
        raise ProofInvalid(
            f"{what}: found keyUsage {_names(found)}; for {profile.name} expected "
            f"{_names(profile.needs_one_of)}, at least one of them"
            + ("" if profile.allows_only == frozenset(KeyUsage) else ", and nothing else"),
            code="key_usage",
        )


def _check_extended_key_usage(extensions: Extensions, profile: Profile, what: str) -> None:
    found = extensions.extended_key_usage
    if profile.is_sole_critical_use:
        is_sole = len(found) == 1 and found[0] in profile.accepted_uses
        if not is_sole or EXTENDED_KEY_USAGE not in extensions.critical:
            raise ProofInvalid(
                f"{what}: found extendedKeyUsage {', '.join(found) or 'missing'}"
                f"{'' if EXTENDED_KEY_USAGE in extensions.critical else ', not critical'}; for "
                f"{profile.name} expected {', '.join(profile.accepted_uses)} alone, critical",
                code="extended_key_usage",
            )
    elif found and profile.accepted_uses and not profile.accepted_uses & set(found):
        raise ProofInvalid(
            f"{what}: found extendedKeyUsage {', '.join(found)}; for {profile.name} expected one of "
            f"{', '.join(sorted(profile.accepted_uses))}, or none at all",
            code="extended_key_usage",
        )


def _names(usage: frozenset[KeyUsage]) -> str:
    return ", ".join(bit.value for bit in KeyUsage if bit in usage)
