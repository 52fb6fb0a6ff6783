"""The transactions of a measurement: derived from their numbers, so that any process can tell what is in them.

The documents do not exist; their digests are as good as random, which is all that a chain sees of documents.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.keystore.randomness import fresh_nonce
from chainnode.model.calls import Document, register_documents
from chainnode.model.commitment import Digest, Opening, derive_salt
from chainnode.model.ids import Height
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.model.transaction import Body, sign_transaction

if TYPE_CHECKING:
    from chainnode.keystore.signer import Signer
    from chainnode.model.genesis import Genesis
    from chainnode.model.suites import Suite
    from chainnode.model.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Number:
    """Names a transaction of the measurement."""

    client: int
    sequence: int

    def bytes(self) -> bytes:
        """Return what everything in the transaction is derived from."""
        return self.client.to_bytes(4, "big") + self.sequence.to_bytes(8, "big")


def seed_of(number: Number) -> bytes:
    """Return the blinding seed of a transaction."""
    return hashlib.sha256(b"seed" + number.bytes()).digest()


def digests_of(number: Number, item: int, digests: int = 1) -> tuple[Digest, ...]:
    """Return the digests of one of its documents: by SHA-256, and if there are two by SM3."""
    both = hashlib.sha512(number.bytes() + item.to_bytes(4, "big")).digest()
    found = (Digest(algorithm="sha256", value=both[:32]), Digest(algorithm="sm3", value=both[32:]))
    return found[:digests]


def opening_of(suite: Suite, number: Number, item: int, digests: int = 1) -> Opening:
    """Return what opens the record of a document."""
    return Opening(
        salt=derive_salt(suite, seed_of(number), item), digests=digests_of(number, item, digests)
    )


def transaction(
    genesis: Genesis,
    account: str,
    signer: Signer,
    number: Number,
    batch_size: int,
    digests: int = 1,
    tip_height: int = 0,
) -> Transaction:
    """Return the signed transaction of a number, valid for as long as the chain allows from `tip_height` on."""
    documents = [Document(digests=digests_of(number, item, digests)) for item in range(batch_size)]
    body = Body(
        chain_id=genesis.chain_id,
        sender=account,
        nonce=fresh_nonce(),
        last_valid_height=Height(tip_height + MAX_VALID_HEIGHTS),
        calls=(register_documents(documents, seed=seed_of(number)),),
    )
    return sign_transaction(genesis.domain, body, public_key=signer.public_key, sign=signer.sign)
