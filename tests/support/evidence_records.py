"""Evidence records of a small authority: sealed and renewed at times that tests choose."""

from __future__ import annotations

import hashlib

from chainnode.ers.record import decode_evidence_record
from chainnode.ers.renewal import (
    chains_leaf,
    first_record,
    timestamp_group,
    with_chain,
    with_timestamp,
)
from chainnode.ers.tree import grow
from chainnode.model.commitment import Digest
from chainnode.model.suites import P256_SHA256
from chainnode.tsp.algorithms import HASHES
from chainnode.tsp.reading import decode_token
from chainnode.tsp.request import decode_request, make_request
from chainnode.tsp.token import TokenFacts, TokenTemplate
from tests.support.certificates import NOW_MS, authority


def digest(document, algorithm="sha256"):
    return Digest(algorithm=algorithm, value=HASHES[algorithm](document))


def token_over(algorithm, root, *, at_ms, suite=P256_SHA256, leaf=None, wants_certificate=True):
    """A token of the authority over a root."""
    made = authority(suite)
    template = TokenTemplate(
        signer=made.leaf_signer,
        certificate=made.leaf if leaf is None else leaf,
        chain=(made.issuing,),
        policy="2.999.3161.1",
    )
    asked = make_request(Digest(algorithm=algorithm, value=root), nonce=7)
    if not wants_certificate:
        asked = asked.replace(b"\x01\x01\xff", b"")
        asked = asked[:1] + bytes([asked[1] - 3]) + asked[2:]
    facts = TokenFacts(serial_number=at_ms, time_ms=at_ms, accuracy_ms=2_500)
    return decode_token(template.token(decode_request(asked), facts))


def sealed(documents, *, algorithm="sha256", at_ms=NOW_MS, **how):
    """A record of each document, with one token; blinds follow from the documents, so that tests repeat."""
    groups = [
        (HASHES[algorithm](document), HASHES[algorithm](b"blind" + document))
        for document in documents
    ]
    root, trees = grow(algorithm, groups)
    token = token_over(algorithm, root, at_ms=at_ms, **how)
    return [first_record(algorithm, tree, token) for tree in trees]


def stamped_again(records, *, at_ms, **how):
    """The records with a newer token over their last ones."""
    algorithm = records[0].last.algorithm
    groups = list(dict.fromkeys(timestamp_group(record) for record in records))
    root, trees = grow(algorithm, groups)
    token = token_over(algorithm, root, at_ms=at_ms, **how)
    by_group = dict(zip(groups, trees, strict=True))
    return [with_timestamp(record, by_group[timestamp_group(record)], token) for record in records]


def hashed_again(records, documents, *, algorithm="sha512", at_ms, **how):
    """The records with a new chain by another digest algorithm."""
    leaves = [
        chains_leaf(digest(document, algorithm), record.chains)
        for record, document in zip(records, documents, strict=True)
    ]
    root, trees = grow(algorithm, [(leaf,) for leaf in leaves])
    token = token_over(algorithm, root, at_ms=at_ms, **how)
    return [
        with_chain(record, algorithm, tree, token)
        for record, tree in zip(records, trees, strict=True)
    ]


def read_again(record):
    """A record as whoever gets its bytes has it."""
    return decode_evidence_record(record.encode())


def documents(count):
    return [hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(count)]


def evidence_records():
    """One of each kind: fresh, with a newer token, with a newer digest algorithm."""
    texts = documents(3)
    fresh = sealed(texts)
    return (
        fresh[0],
        stamped_again(fresh, at_ms=NOW_MS + 1)[0],
        hashed_again(fresh, texts, at_ms=NOW_MS + 1)[0],
    )
