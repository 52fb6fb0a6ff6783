"""From a certificate to a root that is trusted, at one moment (RFC 5280 section 6).

    check_path(leaf, intermediates, roots, at_ms=..., crls=..., profile=TIMESTAMP)

What is checked of each certificate, from the leaf up: its name chain, signature and validity; no critical extension that we do
not know; that authorities are ones, with a path length that suffices; what the profile demands of the leaf; and, where a list of
the issuer is given, that it was not revoked. Policies, name constraints and the like are not evaluated: an authority that marks them critical is refused.

A path that ends at none of the roots proves nothing against the leaf: whoever asks may lack the right root. That is `CannotTell`
with code `no_path`. Codes of `ProofInvalid`: `bad_signature`, `unsupported_algorithm`, `not_yet_valid`, `expired`, `critical_extension`,
`not_an_authority`, `path_length`, `key_usage`, `extended_key_usage`, `key_usage_period`, `crl_stale`, `revoked`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import CannotTell, ProofInvalid, Refused
from chainnode.pki.keys import check_signature
from chainnode.pki.profiles import ISSUING, Profile, check_use
from chainnode.pki.revocation import RevocationList, RevocationReason, RevokedCertificate, check_crl
from chainnode.pki.times import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.pki.certificate import X509Certificate

MAX_PATH: Final = 5
"""Certificates from leaf to root, both counted: root, two levels of authorities and a leaf are common."""

MAX_INTERMEDIATES: Final = 16
"""Intermediates, and as many lists, that one check is given: with `MAX_PATH` they bound the search for a way."""

MAX_ROOTS: Final = 64
"""Roots that one check is given; a country's licensed authorities are as many."""

MAX_PATHS: Final = 16
"""Ways from leaf to root that are tried, when authorities have several certificates for one key."""

_NAMED_ROOTS: Final = 3
"""Roots that a sentence names; of more their number."""

_THEFT = frozenset(
    {
        None,
        RevocationReason.KEY_COMPROMISE,
        RevocationReason.CA_COMPROMISE,
        RevocationReason.AA_COMPROMISE,
    }
)
"""Reasons after which nobody knows who used the key before, the missing one included (RFC 3161 section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPath:
    """A path that holds."""

    certificates: tuple[X509Certificate, ...]
    """From the leaf to the root, both included."""

    at_ms: int
    """The moment that it holds for, milliseconds UTC."""

    lists: tuple[RevocationList, ...]
    """Revocation lists that were consulted, at most one of each authority."""

    without_list: tuple[X509Certificate, ...]
    """Certificates below the root of whose issuer no list was given: nothing is known of their revocation."""

    revoked_later: RevokedCertificate | None = None
    """Entry of the leaf if it was revoked after the moment, or None."""

    @property
    def leaf(self) -> X509Certificate:
        """The certificate that was asked about."""
        return self.certificates[0]

    @property
    def root(self) -> X509Certificate:
        """The one that is trusted."""
        return self.certificates[-1]


def check_path(
    leaf: X509Certificate,
    intermediates: tuple[X509Certificate, ...],
    roots: tuple[X509Certificate, ...],
    *,
    at_ms: int,
    profile: Profile,
    crls: tuple[RevocationList, ...] = (),
) -> CheckedPath:
    """Check that a certificate serves a use at a moment, by the word of a root.

    Args:
        leaf: the certificate in question.
        intermediates: authorities between leaf and roots, in any order, needed or not.
        roots: what is trusted for being in this list; a leaf that is in it needs no other.
        at_ms: the moment, milliseconds UTC.
        profile: the use.
        crls: revocation lists, of any authorities. One that was made after the moment is as good as any: entries stay.

    Raises:
        ProofInvalid: with one of the codes above; if several ways lead to a root and none holds, that of the first.
        CannotTell: `no_path`: no way leads to one of the roots.
        Refused: with code `too_many` if there is more than a check is given.
    """
    for what, found, most in (
        ("intermediates", len(intermediates), MAX_INTERMEDIATES),
        ("roots", len(roots), MAX_ROOTS),
        ("revocation lists", len(crls), MAX_INTERMEDIATES),
    ):
        if found > most:
            raise Refused(f"found {found} {what}; expected at most {most}", code="too_many")
    first: ProofInvalid | None = None
    for path in islice(_paths((leaf,), intermediates, roots), MAX_PATHS):
        try:
            return _checked(path, at_ms, profile, crls)
        except ProofInvalid as error:
            first = first or error
    raise first or CannotTell(
        f"{leaf.subject.text()}: found no way from its issuer {leaf.issuer.text()} to "
        f"{_these(roots)}, which shows nothing either way; expected the root of the authority that "
        "issued it, and the certificates in between",
        code="no_path",
    )


def _these(roots: tuple[X509Certificate, ...]) -> str:
    if not roots:
        return "a root: none is given"
    named = ", ".join(root.subject.text() for root in roots[:_NAMED_ROOTS])
    return f"the given root {named}" if len(roots) <= _NAMED_ROOTS else f"any of {len(roots)} roots"


def _paths(
    begun: tuple[X509Certificate, ...],
    intermediates: tuple[X509Certificate, ...],
    roots: tuple[X509Certificate, ...],
) -> Iterator[tuple[X509Certificate, ...]]:
    """Yield the ways from a leaf to a root by names and key identifiers; nothing of them is proven."""
    last = begun[-1]
    if last in roots:
        yield begun
        return
    if len(begun) == MAX_PATH:
        return
    for issuer in roots:
        if _may_have_issued(issuer, last):
            yield (*begun, issuer)
    for issuer in intermediates:
        if issuer not in begun and issuer not in roots and _may_have_issued(issuer, last):
            yield from _paths((*begun, issuer), intermediates, roots)


def has_issued(issuer: X509Certificate, certificate: X509Certificate) -> bool:
    """Whether a certificate names another as its issuer's, and bears the signature of its key; nothing else is looked at."""
    if not _may_have_issued(issuer, certificate):
        return False
    try:
        check_signature(
            issuer.key,
            certificate.signature_algorithm,
            certificate.signed,
            certificate.signature,
            _name(certificate),
        )
    except ProofInvalid:
        return False
    return True


def _may_have_issued(issuer: X509Certificate, certificate: X509Certificate) -> bool:
    names, named = (
        issuer.extensions.subject_key_identifier,
        certificate.extensions.authority_key_identifier,
    )
    return issuer.subject == certificate.issuer and (not names or not named or names == named)


def _checked(
    path: tuple[X509Certificate, ...],
    at_ms: int,
    profile: Profile,
    crls: tuple[RevocationList, ...],
) -> CheckedPath:
    for certificate, issuer in pairwise(path):
        check_signature(
            issuer.key,
            certificate.signature_algorithm,
            certificate.signed,
            certificate.signature,
            _name(certificate),
        )
    for certificate in path:
        _check_validity(certificate, at_ms)
        _check_critical(certificate)
    _check_authorities(path)
    _check_leaf(path[0], profile, at_ms)
    return _checked_revocation(path, at_ms, profile, crls)


def _check_validity(certificate: X509Certificate, at_ms: int) -> None:
    if certificate.is_valid_at(at_ms):
        return
    is_early = at_ms < certificate.not_before_ms
    raise ProofInvalid(
        f"{_name(certificate)}: valid from {time_text(certificate.not_before_ms)} to "
        f"{time_text(certificate.not_after_ms)}; expected it to be at {time_text(at_ms)}",
        code="not_yet_valid" if is_early else "expired",
    )


def _check_critical(certificate: X509Certificate) -> None:
    unknown = certificate.extensions.unknown_critical
    if unknown:
        raise ProofInvalid(
            f"{_name(certificate)}: found critical extensions that we do not know ({', '.join(unknown)}); "
            "they may say that it must not be used like this",
            code="critical_extension",
        )


def _check_authorities(path: tuple[X509Certificate, ...]) -> None:
    between = 0
    for authority in path[1:]:
        check_use(authority.extensions, ISSUING, _name(authority))
        allowed = authority.extensions.path_length
        if allowed is not None and between > allowed:
            raise ProofInvalid(
                f"{_name(authority)}: may have {allowed} authorities below it; found {between}",
                code="path_length",
            )
        # RFC 5280 section 6.1.4 (l): a new key of the same authority is no further level.
        between += not authority.is_self_issued


def _check_leaf(leaf: X509Certificate, profile: Profile, at_ms: int) -> None:
    check_use(leaf.extensions, profile, _name(leaf))
    begin_ms, end_ms = leaf.extensions.key_used_from_ms, leaf.extensions.key_used_until_ms
    if (begin_ms is not None and at_ms < begin_ms) or (
        end_ms is not None and at_ms >= end_ms + 1000
    ):
        raise ProofInvalid(
            f"{_name(leaf)}: its key was to sign from "
            f"{'the beginning' if begin_ms is None else time_text(begin_ms)} to "
            f"{'the end' if end_ms is None else time_text(end_ms)}; found {time_text(at_ms)}",
            code="key_usage_period",
        )


def _checked_revocation(
    path: tuple[X509Certificate, ...],
    at_ms: int,
    profile: Profile,
    crls: tuple[RevocationList, ...],
) -> CheckedPath:
    consulted: list[RevocationList] = []
    without: list[X509Certificate] = []
    later: RevokedCertificate | None = None
    for certificate, issuer in pairwise(path):
        newest = _newest(issuer, crls)
        if newest is None:
            without.append(certificate)
            continue
        _check_fresh(newest, at_ms)
        consulted.append(newest)
        entry = newest.entry_of(certificate.serial_number)
        if entry is None:
            continue
        is_leaf = certificate is path[0]
        # A stolen authority key makes certificates of any date; a stolen timestamp key makes times.
        if entry.revoked_ms <= at_ms or (
            entry.reason in _THEFT and (profile.vouches_for_time or not is_leaf)
        ):
            raise _revoked(certificate, entry, at_ms)
        later = entry if is_leaf else later
    return CheckedPath(
        certificates=path,
        at_ms=at_ms,
        lists=tuple(consulted),
        without_list=tuple(without),
        revoked_later=later,
    )


def _newest(issuer: X509Certificate, crls: tuple[RevocationList, ...]) -> RevocationList | None:
    """Return the newest list of an authority. One that names it and does not bear its signature is refused, not skipped."""
    named = issuer.extensions.subject_key_identifier
    theirs = [
        found
        for found in crls
        if found.issuer == issuer.subject
        and found.authority_key_identifier in (b"", named or found.authority_key_identifier)
    ]
    for found in theirs:
        check_crl(found, issuer)
    return max(theirs, key=lambda found: (found.this_update_ms, found.number), default=None)


def _check_fresh(found: RevocationList, at_ms: int) -> None:
    if found.next_update_ms <= at_ms:
        raise ProofInvalid(
            f"revocation list {found.number} of {found.issuer.text()}: was to be replaced by "
            f"{time_text(found.next_update_ms)}; for {time_text(at_ms)} expected a newer one",
            code="crl_stale",
        )


def _revoked(certificate: X509Certificate, entry: RevokedCertificate, at_ms: int) -> ProofInvalid:
    reason = "no reason given" if entry.reason is None else entry.reason.text
    when = (
        ""
        if entry.revoked_ms <= at_ms
        else (f"; nothing shows that it was used at {time_text(at_ms)} by its owner")
    )
    return ProofInvalid(
        f"{_name(certificate)}: revoked since {time_text(entry.revoked_ms)} ({reason}){when}",
        code="revoked",
    )


def _name(certificate: X509Certificate) -> str:
    return f"certificate {certificate.serial_number:x} of {certificate.subject.text()}"
