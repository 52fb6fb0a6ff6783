"""Whether an evidence record shows that a document existed at a time (RFC 4998 sections 4.3 and 5.3).

Each token is judged as of the time of the next one, which was there to see it hold; the last as of the moment of
checking. Codes of `ProofInvalid`, besides those of `chainnode.tsp.checking` and `chainnode.pki.path`: `other_document`,
`other_root`, `other_token`, `other_chain`, `mixed_algorithms`, `order`, `no_certificate`, `weak_algorithm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.ers.renewal import chains_leaf
from chainnode.model.errors import CannotTell, ProofInvalid
from chainnode.pki.path import check_path
from chainnode.pki.profiles import TIMESTAMP
from chainnode.pki.times import time_text
from chainnode.tsp.algorithms import HASHES, IMPRINT_NAMES
from chainnode.tsp.checking import check_token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainnode.ers.record import ArchiveTimestamp, EvidenceRecord
    from chainnode.model.commitment import Digest
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.path import CheckedPath
    from chainnode.pki.revocation import RevocationList

_NOTHING_WEAK: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTimestamp:
    """An archive timestamp that holds."""

    stamp: ArchiveTimestamp
    certificate: X509Certificate
    """Of the unit that signed its token."""

    until_ms: int
    """The moment as of which it was judged: the next token's time, or that of checking."""

    path: CheckedPath | None
    """From the certificate to a root; None if no roots were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceVerdict:
    """What a record shows."""

    timestamps: tuple[JudgedTimestamp, ...]
    """In order of time."""

    @property
    def exists_since_ms(self) -> int:
        """The document existed at this time, milliseconds UTC; the first token says how exact that is."""
        return self.timestamps[0].stamp.token.time_ms


def verify_evidence(
    record: EvidenceRecord,
    digests: Iterable[Digest],
    *,
    at_ms: int,
    roots: tuple[X509Certificate, ...],
    crls: tuple[RevocationList, ...] = (),
    weak_from_ms: Mapping[str, int] = _NOTHING_WEAK,
) -> EvidenceVerdict:
    """Check a record of a document.

    Args:
        record: as read.
        digests: of the document, one for each of `record.algorithms`; further ones do no harm.
        at_ms: the moment of checking, milliseconds UTC.
        roots: of timestamp authorities. Without any, certificates are not checked: then something else must vouch for the tokens.
        crls: revocation lists of the authorities, if there are some.
        weak_from_ms: since when digest algorithms, by name, are no longer believed.

    Raises:
        ProofInvalid: it is proven not to hold; see the module's codes.
        CannotTell: `digest_missing`: a digest by one of the record's algorithms is not given; `no_path`: nothing is proven
            wrong, and a token's certificate leads to none of the roots.
    """
    by_algorithm = {digest.algorithm: digest for digest in digests}
    for place, chain in enumerate(record.chains):
        algorithm = chain[0].algorithm
        if algorithm not in by_algorithm:
            raise CannotTell(
                f"the record rests on {algorithm} from its chain {place + 1} on; expected the document's "
                "digest by it",
                code="digest_missing",
            )
        leaf = chains_leaf(by_algorithm[algorithm], record.chains[:place])
        if not chain[0].has_leaf(leaf):
            raise _other_leaf(by_algorithm[algorithm], place)
        if any(stamp.algorithm != algorithm for stamp in chain):
            raise ProofInvalid(
                f"chain {place + 1} mixes digest algorithms; expected {algorithm} alone",
                code="mixed_algorithms",
            )
        for earlier, later in pairwise(chain):
            if not later.has_leaf(HASHES[algorithm](earlier.token.encoded)):
                raise ProofInvalid(
                    f"the token of {time_text(later.token.time_ms)} is not over the one before it",
                    code="other_token",
                )
    stamps = [stamp for chain in record.chains for stamp in chain]
    for earlier, later in pairwise(stamps):
        if not earlier.token.time_ms < later.token.time_ms:
            raise ProofInvalid(
                f"a token of {time_text(later.token.time_ms)} follows one of "
                f"{time_text(earlier.token.time_ms)}; expected rising times",
                code="order",
            )
    _check_trees(record, at_ms, weak_from_ms)
    untils = (*(stamp.token.time_ms for stamp in stamps[1:]), at_ms)
    # All signatures come before the first path: a root that is lacking must not hide a token that is forged.
    signed = [
        (stamp, _signer(stamp, until_ms, weak_from_ms), until_ms)
        for stamp, until_ms in zip(stamps, untils, strict=True)
    ]
    return EvidenceVerdict(
        timestamps=tuple(
            JudgedTimestamp(
                stamp=stamp,
                certificate=certificate,
                until_ms=until_ms,
                path=_path(stamp, certificate, until_ms, roots, crls) if roots else None,
            )
            for stamp, certificate, until_ms in signed
        )
    )


def _other_leaf(document: Digest, place: int) -> ProofInvalid:
    if place == 0:
        return ProofInvalid(
            f"the file's {document.algorithm} is {document.value.hex()}, which the record does not lead "
            "from: another document, or an altered one",
            code="other_document",
        )
    return ProofInvalid(
        f"chain {place + 1} is not over this document and the chains before it", code="other_chain"
    )


def _check_trees(record: EvidenceRecord, at_ms: int, weak_from_ms: Mapping[str, int]) -> None:
    """Check that each chain's trees were believed in until the next chain took over."""
    nexts = (*(chain[0].token.time_ms for chain in record.chains[1:]), at_ms)
    for chain, until_ms in zip(record.chains, nexts, strict=True):
        _check_strength(chain[0].algorithm, "the trees", until_ms, weak_from_ms)


def check_timestamp(stamp: ArchiveTimestamp) -> X509Certificate:
    """Check that a token is over the root of its tree and signed by the certificate that it brings along; return that.

    Raises:
        ProofInvalid: `other_root`, `no_certificate`, or as `check_token`.
    """
    token = stamp.token
    what = f"the token of {time_text(token.time_ms)}"
    if token.imprint != stamp.root:
        raise ProofInvalid(f"{what} is not over the root of its tree", code="other_root")
    certificate = token.signer
    if certificate is None:
        raise ProofInvalid(
            f"{what} does not bring its certificate along; nothing shows who signed it",
            code="no_certificate",
        )
    check_token(token, certificate)
    return certificate


def _signer(
    stamp: ArchiveTimestamp, until_ms: int, weak_from_ms: Mapping[str, int]
) -> X509Certificate:
    """Return the certificate whose key signed a token that is in order, but for the certificate's path."""
    token = stamp.token
    what = f"the token of {time_text(token.time_ms)}"
    certificate = check_timestamp(stamp)
    if until_ms < token.time_ms:
        raise ProofInvalid(
            f"{what} lies after the moment to check at, {time_text(until_ms)}", code="order"
        )
    for name in {token.imprint.algorithm, IMPRINT_NAMES.get(token.digest_oid, token.digest_oid)}:
        _check_strength(name, what, until_ms, weak_from_ms)
    return certificate


def _path(
    stamp: ArchiveTimestamp,
    certificate: X509Certificate,
    until_ms: int,
    roots: tuple[X509Certificate, ...],
    crls: tuple[RevocationList, ...],
) -> CheckedPath:
    token = stamp.token
    # The key was to sign at the token's own time; its certificate must hold until the next token.
    path = check_path(
        certificate, token.certificates, roots, at_ms=token.time_ms, profile=TIMESTAMP, crls=crls
    )
    for link in path.certificates:
        if not link.is_valid_at(until_ms):
            raise ProofInvalid(
                f"the certificate of {link.subject.text()} ended at {time_text(link.not_after_ms)}, and "
                f"nothing newer vouched for the token of {time_text(token.time_ms)} by then; it was "
                "renewed too late, or not at all",
                code="expired",
            )
    for found in path.lists:
        if found.next_update_ms <= until_ms:
            raise ProofInvalid(
                f"revocation list {found.number} of {found.issuer.text()} was to be replaced by "
                f"{time_text(found.next_update_ms)}; expected one that covers {time_text(until_ms)}",
                code="crl_stale",
            )
    return path


def _check_strength(name: str, what: str, until_ms: int, weak_from_ms: Mapping[str, int]) -> None:
    since_ms = weak_from_ms.get(name)
    if since_ms is not None and since_ms <= until_ms:
        raise ProofInvalid(
            f"{what}: {name} is not believed since {time_text(since_ms)}, and nothing stronger took over "
            "by then",
            code="weak_algorithm",
        )
