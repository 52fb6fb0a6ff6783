"""Claims of the validators of a test chain, and the books that sign them."""

from __future__ import annotations

from chainnode.engine.book import SignatureBook
from chainnode.keystore.signer import local_signer
from chainnode.model.keys import KeyPurpose
from consensus.messages import (
    Commit,
    Digest,
    Height,
    Prepare,
    PreparedCertificate,
    Propose,
    ProvenViewChange,
    ValidatorIndex,
    View,
    ViewChange,
)
from tests.support.chain import Chain, random_bytes
from tests.support.leaders import rotation

DIGEST = Digest(random_bytes("a block"))
HEIGHT = Height(4)
LEADERS = rotation(HEIGHT, 4)
"""Of the height above: validator 0 leads its view 0 and validator 1 its view 1."""


def book_of(chain: Chain, index: int) -> SignatureBook:
    """Return the empty book of a validator."""
    keys = chain.validators[index]
    signer = local_signer(
        name=keys.name,
        suite=keys.consensus.suite,
        purpose=KeyPurpose.CONSENSUS,
        private_key=keys.consensus.private,
    )
    return SignatureBook(chain.genesis.domain, signer)


def vote(kind: type[Propose | Prepare | Commit], sender: int, *, view: int = 0, digest=DIGEST):
    """Return a vote at the height above."""
    return kind(height=HEIGHT, view=View(view), digest=digest, sender=ValidatorIndex(sender))


def view_change(sender: int, *, view: int = 1, prepared: int | None = None) -> ViewChange:
    """Return a view change that states a lock on the block above, or none."""
    return ViewChange(
        height=HEIGHT,
        view=View(view),
        prepared_view=None if prepared is None else View(prepared),
        prepared_digest=None if prepared is None else DIGEST,
        sender=ValidatorIndex(sender),
    )


def certificate(signers: tuple[int, ...] = (0, 1, 2), *, view: int = 0) -> PreparedCertificate:
    """Return a prepared certificate of the block above."""
    return PreparedCertificate(
        height=HEIGHT,
        view=View(view),
        digest=DIGEST,
        signers=tuple(ValidatorIndex(i) for i in signers),
    )


def proven(sender: int, *, prepared: int | None = None) -> ProvenViewChange:
    """Return a view change with its certificate."""
    return ProvenViewChange(
        claim=view_change(sender, prepared=prepared),
        prepared=None if prepared is None else certificate(view=prepared),
    )


def know_all(chain: Chain, book: SignatureBook, *claims) -> None:
    """Enter claims of anybody into a book, each signed by its sender and verified."""
    for claim in claims:
        signature = book_of(chain, claim.sender).sign(claim)
        book.verify(claim, signature, chain.genesis.validator_set)
