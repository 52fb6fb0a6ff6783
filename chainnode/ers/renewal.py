"""What a new token must be over, so that it takes over from the last one (RFC 4998 section 5.2).

    time-stamp renewal   the hashes of the tokens so far, in the same chain: before that token's certificate ends, or its
                         signature algorithm grows weak. Needs no document.
    hash-tree renewal    H(H(document) || H(all chains so far)), in a new chain: before the digest algorithm of the trees
                         grows weak. Needs the document.

Leaves of many records go into one tree (`grow`), so one token renews them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.ers.record import EvidenceRecord, archive_timestamp, sequence_of_chains
from chainnode.tsp.algorithms import HASHES

if TYPE_CHECKING:
    from chainnode.ers.record import Chain
    from chainnode.ers.tree import HashGroup, ReducedTree
    from chainnode.model.commitment import Digest
    from chainnode.tsp.reading import Token


def timestamp_group(record: EvidenceRecord) -> HashGroup:
    """Return the hashes of the last chain's tokens, the newest first: the group that a newer token is to be over.

    The standard asks for the newest alone; Bouncy Castle looks for all of them in the last group.
    """
    hash_ = HASHES[record.last.algorithm]
    return tuple(hash_(stamp.token.encoded) for stamp in reversed(record.chains[-1]))


def chains_leaf(document: Digest, chains: tuple[Chain, ...]) -> bytes:
    """Return what a new chain is over: the document by a new digest algorithm, and all chains so far."""
    hash_ = HASHES[document.algorithm]
    if not chains:
        return document.value
    return hash_(document.value + hash_(sequence_of_chains(chains)))


def with_timestamp(record: EvidenceRecord, tree: ReducedTree, token: Token) -> EvidenceRecord:
    """Return a record whose last token is vouched for by a newer one; `tree` leads from `timestamp_group`."""
    stamp = archive_timestamp(record.last.algorithm, tree, token)
    return EvidenceRecord(chains=(*record.chains[:-1], (*record.chains[-1], stamp)))


def with_chain(
    record: EvidenceRecord, algorithm: str, tree: ReducedTree, token: Token
) -> EvidenceRecord:
    """Return a record with one more chain; `tree` leads from `chains_leaf`."""
    return EvidenceRecord(chains=(*record.chains, (archive_timestamp(algorithm, tree, token),)))


def first_record(algorithm: str, tree: ReducedTree, token: Token) -> EvidenceRecord:
    """Return a document's first record; `tree` leads from its digest, in a group with a blind."""
    return EvidenceRecord(chains=((archive_timestamp(algorithm, tree, token),),))
