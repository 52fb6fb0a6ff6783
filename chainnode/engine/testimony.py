"""What this node could say in court: why it prepared what it prepared, kept beyond the height.

In view 0 a proposal needs no reason. Above, its justification is what convicts those who forgot a COMMIT if ever two
blocks of one height should be decided (`chainnode.model.forensics`). It is in memory while the height is open, and written
with the block; a crash of this node in between loses its share, others have theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ForkProven
from chainnode.model.forensics import (
    culprits,
    decode_testimony,
    encode_testimony,
    statements_of,
)
from consensus.effects import Proposed, Voted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.engine.book import SignatureBook
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.certificate import Certificate
    from chainnode.model.evidence import Statement
    from chainnode.services.ports import Witness
    from consensus.effects import Record
    from consensus.messages import Justification

MAX_REASONS: Final = 64
"""Justifications kept of one height: of the first views above 0 in which this node prepared something."""


class Testimony:
    """The reasons of this node's votes, and what follows from them when there is a fork."""

    def __init__(self, *, ledger: Ledger, book: SignatureBook, witness: Witness) -> None:
        self._ledger = ledger
        self._book = book
        self._witness = witness
        self._kept: dict[Statement, None] = {}
        self._reasons = 0

    def note(self, records: Iterable[Record]) -> None:
        """Keep why this node votes as these records say; called when they are written."""
        for record in records:
            if isinstance(record, Proposed):
                self._keep(record.proposal.justification)
            elif isinstance(record, Voted):
                self._keep(record.grounds)

    def _keep(self, grounds: Justification | None) -> None:
        if grounds is None or self._reasons == MAX_REASONS:
            return
        self._reasons += 1
        claims = list(grounds.view_changes)
        for claim in claims:
            self._kept[self._book.statement(claim)] = None
        if grounds.prepared is not None:
            for statement in self._book.proof_statements(grounds.prepared):
                self._kept[statement] = None

    def decided(self, height: int) -> None:
        """Write what was kept of a height; the block that follows in the store makes it durable."""
        if self._kept:
            self._ledger.save_testimony(height, encode_testimony(height, self._kept))
        self._kept.clear()
        self._reasons = 0

    def of(self, height: int) -> tuple[Statement, ...]:
        """Return all that this node can still say of a height: its certificate's COMMITs, and its reasons."""
        if height > self._ledger.tip.height:
            return (*self._kept, *self._book.statements(height))
        saved = self._ledger.load_testimony(height)
        reasons = () if saved is None else decode_testimony(saved)
        return (*statements_of(self._ledger.header(height)[1]), *reasons)

    def convict(self, theirs: Certificate) -> None:
        """Stop: a quorum has decided another block of a height that is decided here.

        Args:
            theirs: a verified certificate.

        Raises:
            ForkProven: always.
        """
        height = theirs.height
        validators = self._ledger.validators(height)
        statements = (*self.of(height), *statements_of(theirs))
        found = culprits(self._ledger.genesis.domain, validators, statements)
        names = sorted({validators.members[e.signer].name for e in found})
        ours = self._ledger.header(height)[1].block_hash
        for evidence in found:
            self._witness.event(
                "fork_evidence",
                validator=validators.members[evidence.signer].name,
                height=height,
                evidence=evidence.encode().hex(),
            )
        raise ForkProven(
            f"two blocks of height {height} are decided, {ours.hex()} here and {theirs.block_hash.hex()} elsewhere: "
            f"more than {validators.faulty} validators broke the protocol; proven of: "
            f"{', '.join(names) or 'none by what this node holds alone'}; this node stops, see `A fork` in docs/operations.md",
            height=height,
            testimony=encode_testimony(height, dict.fromkeys(statements)),
        )
