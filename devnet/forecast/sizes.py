"""How long the messages between validators are: as many bytes as the real ones, by the same codec (docs/formats)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.keystore.randomness import fresh_nonce, fresh_private_key
from chainnode.model import codec
from chainnode.model.calls import Document, register_documents
from chainnode.model.certificate import Certificate
from chainnode.model.header import Header
from chainnode.model.ids import BlockHash, Height, View
from chainnode.model.quorum import quorum_of
from chainnode.model.suites import HASH_BYTES, suite_named
from chainnode.model.transaction import Body, encode_envelope
from devnet.bench.workload import Number, digests_of, seed_of
from devnet.homes import CHAIN_ID, NOTARY_ACCOUNT

FRAME_BYTES: Final = 4
"""Of each message, before TLS."""

_HEIGHT: Final = 100_000
_SIGNATURE: Final = bytes(64)
_HASH: Final = bytes(HASH_BYTES)
_SECONDS: Final = 1_800_000_000
_HEADER: Final = Header(
    rules_version=1,
    chain_id=CHAIN_ID,
    height=Height(_HEIGHT),
    parent_hash=BlockHash(_HASH),
    time_ms=_SECONDS * 1_000,
    first_view=View(0),
    params_hash=_HASH,
    proposer="v1",
    parent_certificate_hash=_HASH,
    tx_root=_HASH,
    tx_count=1_000,
    receipts_root=_HASH,
    log_size=_HEIGHT,
    log_root=_HASH,
    state_root=_HASH,
    validators_hash=_HASH,
    next_validators_hash=_HASH,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of the messages of one network, frames included."""

    vote: int
    """A PREPARE or COMMIT."""

    cosignature: int
    outline: int
    """A proposal without transactions."""

    tx_hash: int
    """What each transaction adds to it."""

    envelope: int
    """What each transaction adds to a message that brings it."""


def envelope_bytes(suite_name: str) -> int:
    """Return how long a transaction of the benchmark is that notarizes one document, on a devnet of this suite."""
    suite = suite_named(suite_name)
    number, key = Number(0, 0), fresh_private_key(suite)
    documents = [Document(digests=digests_of(number, 0))]
    body = Body(
        chain_id=CHAIN_ID,
        sender=NOTARY_ACCOUNT,
        nonce=fresh_nonce(),
        last_valid_height=Height(_HEIGHT),
        calls=(register_documents(documents, seed=seed_of(number)),),
    )
    envelope = encode_envelope(
        body=body.encode(),
        suite=suite_name,
        public_key=suite.public_key_of(key),
        signature=suite.sign(key, _HASH),
    )
    return len(envelope)


def sizes_of(validators: int, envelope_bytes: int) -> Sizes:
    """Return the sizes for a network of so many validators, and transactions of so many bytes each."""
    last = validators - 1
    vote = codec.encode((3, _HEIGHT, 0, last, _HASH, _SIGNATURE))
    cosignature = codec.encode((13, _HEIGHT, last, _SECONDS, _SIGNATURE))
    certificate = Certificate(
        height=Height(_HEIGHT),
        view=View(0),
        block_hash=BlockHash(_HASH),
        signatures=tuple((index, _SIGNATURE) for index in range(quorum_of(validators))),
    )
    outline = codec.encode((_HEADER.encode(), certificate.encode(), ()))
    proposal = codec.encode((2, _HEIGHT, 0, last, _SIGNATURE, outline, (), None))
    return Sizes(
        vote=len(vote) + FRAME_BYTES,
        cosignature=len(cosignature) + FRAME_BYTES,
        outline=len(proposal) + FRAME_BYTES,
        tx_hash=len(codec.encode(_HASH)),
        envelope=len(codec.encode(bytes(envelope_bytes))),
    )
