"""Evidence records as values and as bytes (RFC 4998 sections 3 to 5; IMPLICIT tags).

    EvidenceRecord   ::= SEQUENCE { version INTEGER { v1(1) }, digestAlgorithms SEQUENCE OF AlgorithmIdentifier,
                                    cryptoInfos [0] OPTIONAL, encryptionInfo [1] OPTIONAL,
                                    archiveTimeStampSequence SEQUENCE OF ArchiveTimeStampChain }
    ArchiveTimeStampChain ::= SEQUENCE OF ArchiveTimeStamp
    ArchiveTimeStamp ::= SEQUENCE { digestAlgorithm [0] OPTIONAL, attributes [1] OPTIONAL,
                                    reducedHashtree [2] SEQUENCE OF SEQUENCE OF OCTET STRING OPTIONAL,
                                    timeStamp ContentInfo }

The three optional fields of the standard that are refused here are `encryptionInfo` (the hash is then not the document's),
`cryptoInfos` and `attributes` (nothing protects either). Renewal hashes what was written before, so an archive
timestamp keeps its bytes as they came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from chainnode.ers.tree import ReducedTree, root_of
from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import DecodeError
from chainnode.pki.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, check_der, elements
from chainnode.tsp.algorithms import IMPRINT_OIDS
from chainnode.tsp.encoding import NULL, context, integer, octets, oid, sequence
from chainnode.tsp.reading import Token, decode_token

if TYPE_CHECKING:
    from chainnode.pki.der import Element

MAX_RECORD_BYTES: Final = 1024 * 1024
"""A record: one takes 2 to 8 KiB, and as much again with each renewal."""

MAX_CHAINS: Final = 16
"""Chains in a record: times that a digest algorithm was replaced. The last three took thirty years."""

MAX_STAMPS: Final = 64
"""Archive timestamps in a record: a renewal each year for a lifetime."""

MAX_LEVELS: Final = 64
"""Groups in a reduced tree; a tree of two branches with as many levels has more leaves than there are documents."""

MAX_GROUP: Final = 256
"""Hashes in a group; those that we make have 2."""

_DIGEST_ALGORITHM: Final = 0xA0
_REDUCED_TREE: Final = 0xA2
_NAMES_BY_CONTENT: Final = {oid(dotted)[2:]: name for name, dotted in IMPRINT_OIDS.items()}
_WHAT: Final = "evidence record"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTimestamp:
    """A token over the root of a hash tree, and the way there from one leaf; nothing of it is proven."""

    encoded: bytes = field(repr=False)
    """DER, as it came."""

    algorithm: str
    """Of the tree; that of the token's imprint if it does not say another."""

    tree: ReducedTree | None
    """None: the token is over the leaf itself."""

    token: Token

    @property
    def root(self) -> Digest:
        """What the token must be over."""
        if self.tree is None:
            return self.token.imprint
        return Digest(algorithm=self.algorithm, value=root_of(self.algorithm, self.tree))

    def has_leaf(self, leaf: bytes) -> bool:
        """Whether a hash is in the first group, or is what the token is over."""
        return leaf in (self.tree[0] if self.tree is not None else (self.token.imprint.value,))


Chain: TypeAlias = tuple[ArchiveTimestamp, ...]
"""Archive timestamps with trees of one digest algorithm, each over the token of the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """One document's evidence."""

    chains: tuple[Chain, ...]
    """In order of time, none of them empty; each is over the document and all chains before it."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Digest algorithms of the chains, in order; the document's digest is needed by each."""
        return tuple(dict.fromkeys(chain[0].algorithm for chain in self.chains))

    @property
    def last(self) -> ArchiveTimestamp:
        """The newest archive timestamp, on which the others rest."""
        return self.chains[-1][-1]

    def encode(self) -> bytes:
        """Return the record in DER."""
        algorithms = dict.fromkeys(stamp.algorithm for chain in self.chains for stamp in chain)
        return sequence(
            integer(1),
            sequence(*(sequence(oid(IMPRINT_OIDS[name])) for name in algorithms)),
            sequence_of_chains(self.chains),
        )


def sequence_of_chains(chains: tuple[Chain, ...]) -> bytes:
    """Return an ArchiveTimeStampSequence in DER: what renewal of the digest algorithm hashes."""
    return sequence(*(sequence(*(stamp.encoded for stamp in chain)) for chain in chains))


def archive_timestamp(algorithm: str, tree: ReducedTree | None, token: Token) -> ArchiveTimestamp:
    """Return a new archive timestamp; whether the token is over the tree's root is not looked at."""
    encoded = sequence(
        context(0, oid(IMPRINT_OIDS[algorithm])),
        b"" if tree is None else context(2, *(sequence(*map(octets, group)) for group in tree)),
        token.encoded,
    )
    return ArchiveTimestamp(encoded=encoded, algorithm=algorithm, tree=tree, token=token)


def decode_evidence_record(data: bytes) -> EvidenceRecord:
    """Return the record in these bytes, which are all of them.

    Raises:
        DecodeError: it is none, is larger than the bounds of this module, or uses a field that is not taken.
    """
    check_der(data, _WHAT, most_bytes=MAX_RECORD_BYTES)
    (outer,) = elements(data, 0, len(data))
    version, algorithms, *rest = _parts(data, outer, "a record", least=3)
    if data[version.start : version.end] != integer(1):
        raise DecodeError(f"{_WHAT}: expected version 1", field="version")
    if len(rest) != 1:
        raise DecodeError(
            f"{_WHAT}: found cryptoInfos or encryptionInfo; records with these are not taken"
        )
    named = {
        _algorithm(data, found, _parts(data, found, "an algorithm"))
        for found in _parts(data, algorithms, "digestAlgorithms", most=len(IMPRINT_OIDS))
    }
    chains = tuple(
        tuple(_stamp(data, stamp) for stamp in _parts(data, chain, "a chain", most=MAX_STAMPS))
        for chain in _parts(data, rest[0], "archiveTimeStampSequence", most=MAX_CHAINS)
    )
    if sum(map(len, chains)) > MAX_STAMPS:
        raise DecodeError(f"{_WHAT}: found more than {MAX_STAMPS} archive timestamps")
    record = EvidenceRecord(chains=chains)
    if not named.issuperset(record.algorithms):
        raise DecodeError(f"{_WHAT}: digestAlgorithms does not name all that its trees use")
    return record


def _stamp(data: bytes, at: Element) -> ArchiveTimestamp:
    *optional, last = _parts(data, at, "an archive timestamp", most=3)
    tags = [part.tag for part in optional]
    if tags not in ([], [_DIGEST_ALGORITHM], [_REDUCED_TREE], [_DIGEST_ALGORITHM, _REDUCED_TREE]):
        raise DecodeError(
            f"{_WHAT}: expected of an archive timestamp digest algorithm, tree and token at most, in order"
        )
    token = decode_token(data[last.start : last.end])
    algorithm = token.imprint.algorithm
    tree: ReducedTree | None = None
    for part in optional:
        inner = list(elements(data, part.content, part.end))
        if part.tag == _DIGEST_ALGORITHM:
            algorithm = _algorithm(data, part, inner)
        else:
            tree = _tree(data, part, inner, algorithm)
    return ArchiveTimestamp(
        encoded=data[at.start : at.end], algorithm=algorithm, tree=tree, token=token
    )


def _tree(data: bytes, at: Element, groups: list[Element], algorithm: str) -> ReducedTree:
    if not 1 <= len(groups) <= MAX_LEVELS:
        raise DecodeError(
            f"{_WHAT}: found a tree of {len(groups)} groups at {at.start}; expected 1 to {MAX_LEVELS}"
        )
    size = DIGEST_BYTES[algorithm]
    tree = tuple(
        tuple(
            data[node.content : node.end] if node.tag == OCTET_STRING else b""
            for node in _parts(data, group, "a group", most=MAX_GROUP)
        )
        for group in groups
    )
    if any(len(node) != size for group in tree for node in group):
        raise DecodeError(f"{_WHAT}: expected every hash to have {size} bytes, as {algorithm} has")
    return tree


def _algorithm(data: bytes, at: Element, parts: list[Element]) -> str:
    name = None
    if parts and parts[0].tag == OBJECT_IDENTIFIER:
        name = _NAMES_BY_CONTENT.get(data[parts[0].content : parts[0].end])
    if name is None or data[parts[0].end : at.end] not in (b"", NULL):
        raise DecodeError(
            f"{_WHAT}: found an unknown digest algorithm; known are {', '.join(IMPRINT_OIDS)}",
            code="unknown_algorithm",
        )
    return name


def _parts(data: bytes, at: Element, what: str, *, least: int = 1, most: int = 5) -> list[Element]:
    parts = list(elements(data, at.content, at.end)) if at.tag == SEQUENCE else []
    if not least <= len(parts) <= most:
        raise DecodeError(
            f"{_WHAT}: {what} at {at.start}: expected a SEQUENCE of {least} to {most} elements"
        )
    return parts
