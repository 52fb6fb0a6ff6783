"""A mutator that knows the messages' structure: small changes to what a correct validator would say (ByzzFuzz).

Each change is of one field, by a little: the view before or after, the digest of another proposal, the other kind of
vote, a proof left out or doubled, a list shortened. Half of them are signed anew with the validator's own key, so that
only the rules can refuse them; the others keep their signature, so that only its check can.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import (
    CosignatureMessage,
    DecidedMessage,
    PreparedProof,
    ProposeMessage,
    StatusMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model.block import decode_outline
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, vote_message
from tests.support.adversaries.base import Adversary
from tests.support.adversaries.knowledge import Knowledge
from tests.support.message_kinds import Kind, kind_of

if TYPE_CHECKING:
    from chainnode.engine.messages import Message
    from tests.support.simulated_chain import SimulatedChain

_MUTABLE = {
    Kind.STATUS,
    Kind.PROPOSE,
    Kind.PREPARE,
    Kind.COMMIT,
    Kind.VIEW_CHANGE,
    Kind.DECIDED,
    Kind.COSIGNATURE,
}


class Mutator(Adversary):
    """Sends each message as it is, changed, twice, later, or not at all."""

    name = "mutator"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        self._permille = self.random.choice((50, 200, 500))
        self._knowledge = Knowledge(world.chain.genesis.domain)

    def overhears(self, host: str, data: bytes) -> None:
        """Collect digests and proofs to mix up."""
        self._knowledge.hear(data)

    def alters(self, host: str, receiver: str, data: bytes) -> list[tuple[int, bytes]]:
        """Draw what becomes of a message."""
        random = self.random
        if kind_of(data) not in _MUTABLE or random.randrange(1_000) >= self._permille:
            return [(0, data)]
        fate = random.randrange(8)
        if fate == 0:
            return []
        if fate == 1:
            return [(random.randrange(1, 4_000), data)]
        if fate == 2:
            old = random.choice(self._knowledge.messages or [data])
            return [(0, data), (0, old)]
        name = self.world.nodes[host].name
        message = decode_message(data)
        changed = self._mutate(name, message)
        if fate == 3:
            return [(0, data), (random.randrange(200), encode_message(changed))]
        return [(0, encode_message(changed))]

    # -- what is changed -----------------------------------------------------------------------------------------

    def _mutate(self, name: str, message: Message) -> Message:
        match message:
            case Vote():
                return self._vote(name, message)
            case ViewChangeMessage():
                return self._view_change(name, message)
            case ProposeMessage():
                return self._proposal(name, message)
            case StatusMessage():
                return self._status(message)
            case CosignatureMessage():
                return replace(message, timestamp=message.timestamp + self.random.choice((-1, 1)))
            case DecidedMessage():
                return DecidedMessage(message.certificate[:-1])
            case _:
                return message

    def _vote(self, name: str, vote: Vote) -> Message:
        random = self.random
        choice = random.randrange(4)
        if choice == 0:
            vote = replace(vote, view=max(0, vote.view + random.choice((-1, 1))))
        elif choice == 1:
            vote = replace(vote, digest=self._digest(vote.height, vote.digest))
        elif choice == 2:
            vote = replace(vote, kind=COMMIT if vote.kind == PREPARE else PREPARE)
        else:
            vote = replace(vote, height=max(1, vote.height + random.choice((-1, 1))))
        if random.random() < 0.3:
            return vote
        return self.vote(name, vote.kind, vote.height, vote.view, vote.digest) or vote

    def _view_change(self, name: str, message: ViewChangeMessage) -> Message:
        random, change, proof = self.random, message.change, message.proof
        choice = random.randrange(5)
        if choice == 0:
            proof = None
        elif choice == 1:
            change, proof = replace(change, prepared=None), None
        elif choice == 2:
            view = max(0, change.view - random.randint(1, 2))
            change = replace(change, prepared=(view, self._digest(change.height, bytes(32))))
            proof = self._proof(change.height)
        elif choice == 3:
            change = replace(change, view=max(1, change.view + random.choice((-1, 1, 3))))
        elif proof is not None:
            proof = self._shortened(proof)
        if random.random() < 0.8:
            change = self.change(name, change.height, change.view, change.prepared) or change
        return ViewChangeMessage(change=change, proof=proof)

    def _proposal(self, name: str, message: ProposeMessage) -> Message:
        random = self.random
        choice = random.randrange(7)
        outline = message.outline
        changes, proof, view = message.changes, message.proof, message.view
        if choice == 0:
            changes = ()
        elif choice == 1:
            changes = changes[:-1]
        elif choice == 2:
            changes = (*changes, *changes[:1])[1:] if changes else changes
        elif choice == 3:
            proof = None
        elif choice == 4:
            proof = self._proof(message.height) if proof is None else self._shortened(proof)
        elif choice == 5:
            view = max(0, view + random.choice((-1, 1)))
        else:
            outlines = [o for (h, _), o in self._knowledge.outlines.items() if h == message.height]
            outline = random.choice(outlines or [outline])
        block_hash = decode_outline(self.world.chain.genesis.domain, outline).block_hash
        domain = self.world.chain.genesis.domain
        signature = self.keys[name].sign(
            vote_message(domain, PROPOSE, message.height, view, block_hash)
        )
        return replace(
            message, view=view, outline=outline, changes=changes, proof=proof, signature=signature
        )

    def _status(self, message: StatusMessage) -> Message:
        choice = self.random.randrange(4)
        if choice == 0:
            return replace(message, tip_height=message.tip_height + self.random.choice((1, 1_000)))
        if choice == 1:
            return replace(message, prepares=(), commits=(), has_proposal=False)
        if choice == 2:
            return replace(message, view=message.view + 1)
        return replace(message, view_changes=tuple(v + 1 for v in message.view_changes))

    # -- material ------------------------------------------------------------------------------------------------

    def _digest(self, height: int, otherwise: bytes) -> bytes:
        known = [digest for (h, digest) in self._knowledge.outlines if h == height]
        return self.random.choice(known or [otherwise])

    def _proof(self, height: int) -> PreparedProof | None:
        known = self._knowledge.proofs.get(height)
        return self.random.choice(known) if known else None

    def _shortened(self, proof: PreparedProof) -> PreparedProof:
        kept = proof.signatures[:-1] if len(proof.signatures) > 1 else proof.signatures
        return replace(proof, signatures=kept, view=max(0, proof.view - self.random.randrange(2)))
