"""The omniscient attacker: it hears everything at once and says whatever serves to break agreement or to stop the chain.

During chaos it also decides which messages arrive, within what a network may do. Its tactics are those by which
published protocols fell: a decision that only one learns of while the others are led to another block
(commit-then-hide), a leader's proposal with every kind of false justification, view changes that state locks that
never were, locks spread over views so that no two correct validators share one, two blocks for two halves, and
everything old said again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainnode.engine.messages import (
    PreparedProof,
    ProposeMessage,
    SignedChange,
    ViewChangeMessage,
)
from chainnode.model.block import make_outline
from chainnode.model.errors import ChainError
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, vote_message
from tests.support.adversaries.base import Adversary
from tests.support.adversaries.knowledge import Knowledge
from tests.support.message_kinds import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.messages import Message
    from chainnode.model.block import Outline
    from tests.support.simulated_chain import SimulatedChain

_WINDOW_ACTS = (4, 24)
"""How long a scheme on the network lasts, in acts of a quarter of a second."""


class Attacker(Adversary):
    """Draws a scheme after another, and forges whenever one of its validators leads."""

    name = "attacker"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        self._knowledge = Knowledge(world.chain.genesis.domain)
        self._acts_left = 0
        self._is_healed = False
        self._proposed: set[tuple[int, int]] = set()
        self._rivals: dict[tuple[int, int], Outline] = {}
        self._victim = ""
        self._lying_blocks: set[bytes] = set()

    def overhears(self, host: str, data: bytes) -> None:
        """React to what has just been said."""
        if not self._knowledge.hear(data):
            return
        height = self._knowledge.height
        view = self._knowledge.view[height]
        for name in self.faulty:
            leads = self.leads(name, height, view)
            if leads and (height, view) not in self._proposed and self._may_propose(height, view):
                self._proposed.add((height, view))
                self._propose(name, height, view)

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Say what the engine says, except to whom it would help just now."""
        if (
            self._victim
            and receiver != self._victim
            and kind_of(data) in {Kind.PREPARE, Kind.COMMIT}
        ):
            return ()
        return ((0, data),)

    def act(self) -> None:
        """Go on with the scheme on the network, and throw in lies."""
        if not self._is_healed:
            self._acts_left -= 1
            if self._acts_left <= 0:
                self._new_scheme()
        height = self._knowledge.height
        if not height:
            return
        for name in self.faulty:
            if self.random.random() < 0.5:
                self._lie_about_locks(name, height)
            if self.random.random() < 0.3:
                self._vote_for_all(name, height)
            if self.random.random() < 0.3 and self._knowledge.messages:
                old = self.random.choice(self._knowledge.messages)
                node = next((n for n in self.hosts() if n.name == name), None)
                if node is not None:
                    target = self.random.choice(self.targets())
                    self.world.network.inject(node.host, target, old)

    def heal(self) -> None:
        """From here on only its own validators obey it."""
        self._is_healed = True
        self._victim = ""
        self.world.network.withholds = None

    def leads(self, name: str, height: int, view: int) -> bool:
        """Whether a validator leads a view; False while none of one's own machines runs."""
        if not self.hosts():
            return False
        index = self.index(name, height)
        return index is not None and index == self.world.leader(height, view)

    # -- schemes on the network ----------------------------------------------------------------------------------

    def _new_scheme(self) -> None:
        random, network = self.random, self.world.network
        self._acts_left = random.randint(*_WINDOW_ACTS)
        self._victim = ""
        network.withholds = None
        scheme = random.randrange(4)
        victim = random.choice([n.name for n in self.world.correct()])
        if scheme == 0:
            # Only the victim learns of decisions, and nobody hears of it again while this lasts.
            self._victim = victim
            network.withholds = lambda sender, receiver, kind: (
                sender == victim or (kind == Kind.COMMIT and receiver != victim)
            )
        elif scheme == 1:
            # One new validator in each view prepares, alone: locks spread, and none is shared.
            names = [n.name for n in self.world.correct()]
            network.withholds = lambda _sender, receiver, kind: (
                kind == Kind.PREPARE
                and receiver != names[self._knowledge.view[self._knowledge.height] % len(names)]
            )
        elif scheme == 2:
            # Votes arrive, decisions do not spread: only view changes can bring the others on.
            network.withholds = lambda _sender, _receiver, kind: kind == Kind.COMMIT

    # -- lies ----------------------------------------------------------------------------------------------------

    def _may_propose(self, height: int, view: int) -> bool:
        return view > 0 or len(self._proposed) % 2 == 0

    def _rival(self, name: str, height: int, view: int) -> Outline | None:
        """Return a valid block of one's own for a height, other than what the engine would propose."""
        if (height, view) not in self._rivals:
            node = next((n for n in self.hosts() if n.name == name), None)
            if node is None or node.ledger.tip.height + 1 != height:
                return None
            time_ms = max(node.clock.now_ms(), node.ledger.tip.time_ms + 1) + 1
            try:
                executed = node.ledger.build(
                    transactions=(), time_ms=time_ms, first_view=view, proposer=name
                )
            except ChainError:
                return None
            outline = executed.outline
            if self.random.random() < 0.3:
                outline = self._spoilt(outline)
            else:
                node.engine._candidates.add_executed(executed)
            self._rivals = {(height, view): outline}
        return self._rivals[height, view]

    def _spoilt(self, outline: Outline) -> Outline:
        """Return a block like this one that lies about its results."""
        spoilt = make_outline(
            self.world.chain.genesis.domain,
            header=replace(outline.header, state_root=bytes(32)),
            parent_certificate=outline.parent_certificate,
            tx_hashes=outline.tx_hashes,
        )
        self._lying_blocks.add(spoilt.block_hash)
        return spoilt

    def _propose(self, name: str, height: int, view: int) -> None:
        """Propose a block of one's own to some, with a justification that differs from one to the next."""
        outline = self._rival(name, height, view)
        sender = self.index(name, height)
        if outline is None or sender is None:
            return
        domain = self.world.chain.genesis.domain
        signature = self.keys[name].sign(
            vote_message(domain, PROPOSE, height, view, outline.block_hash)
        )
        honest = ProposeMessage(
            height=height,
            view=view,
            sender=sender,
            signature=signature,
            outline=outline.encode(),
            changes=(),
            proof=None,
        )
        for target in self.targets():
            if outline.block_hash in self._lying_blocks:
                # Everybody is to believe it: all else about it is right.
                changes, proof = _true(self, height, view) if view else ((), None)
                self.send(name, target, replace(honest, changes=changes, proof=proof))
                continue
            if view == 0:
                if self.random.random() < 0.5:
                    self.send(name, target, honest)
                continue
            variant = self.random.choice(JUSTIFICATIONS)
            changes, proof = variant(self, height, view)
            self.send(name, target, replace(honest, changes=changes, proof=proof))
        for other in self.faulty:
            for kind in (PREPARE, COMMIT):
                self._spread(other, self.vote(other, kind, height, view, outline.block_hash), 0.5)

    def _lie_about_locks(self, name: str, height: int) -> None:
        """Ask for a view with a lock that never was, or with a proof of something else."""
        view = self._knowledge.view[height] + self.random.choice((0, 0, 1, 1, 2))
        if view < 1:
            return
        proofs = self._knowledge.proofs.get(height, [])
        proof: PreparedProof | None = self.random.choice([*proofs, None])
        choice = self.random.randrange(5)
        prepared: tuple[int, bytes] | None
        if choice == 0:
            prepared, proof = None, None
        elif choice == 1:
            prepared, proof = (view - 1, self._some_digest(height)), None
        elif choice == 2:
            prepared = (view - 1, self._some_digest(height))
            proof = self.own_proof(height, *prepared)
        elif choice == 3 and proof is not None:
            # A genuine certificate, restated as of a later view.
            prepared = (view - 1, proof.digest)
            proof = replace(proof, view=view - 1)
        elif proof is not None:
            prepared = (proof.view, proof.digest)
        else:
            prepared = None
        change = self.change(name, height, view, prepared)
        if change is not None:
            self._spread(name, ViewChangeMessage(change=change, proof=proof), 0.6)

    def _vote_for_all(self, name: str, height: int) -> None:
        """Vote for every block of the height, in the newest views, each to some."""
        digests = [digest for (h, digest) in self._knowledge.outlines if h == height]
        for view in range(
            max(0, self._knowledge.view[height] - 1), self._knowledge.view[height] + 1
        ):
            for digest in digests:
                for kind in (PREPARE, COMMIT):
                    self._spread(name, self.vote(name, kind, height, view, digest), 0.4)

    def _spread(self, name: str, message: Message | None, share: float) -> None:
        if message is None:
            return
        for target in self.targets():
            if self.random.random() < share:
                self.send(name, target, message)

    # -- material ------------------------------------------------------------------------------------------------

    def _some_digest(self, height: int) -> bytes:
        known = [digest for (h, digest) in self._knowledge.outlines if h == height]
        return self.random.choice(known) if known else bytes(32)

    def own_proof(self, height: int, view: int, digest: bytes) -> PreparedProof | None:
        """Return a prepared certificate of whatever signatures there are: one's own and those that were heard."""
        held = dict(self._knowledge.prepares(height, view, digest))
        for name in self.faulty:
            vote = self.vote(name, PREPARE, height, view, digest)
            if vote is not None:
                held[vote.sender] = vote.signature
        signatures = tuple(sorted(held.items()))
        return (
            PreparedProof(view=view, digest=digest, signatures=signatures) if signatures else None
        )

    def changes_to(self, height: int, view: int) -> list[SignedChange]:
        """Return the requests for a view that were heard, and those that one's own validators add without a lock."""
        heard = self._knowledge.changes.get((height, view), {})
        found = {sender: message.change for sender, message in heard.items()}
        for name in self.faulty:
            change = self.change(name, height, view, None)
            if change is not None:
                found.setdefault(change.sender, change)
        return [found[sender] for sender in sorted(found)]

    def lock_proof(self, height: int, view: int) -> PreparedProof | None:
        """Return the proof of the highest lock among the requests for a view."""
        heard = self._knowledge.changes.get((height, view), {})
        proofs = [m.proof for m in heard.values() if m.proof is not None]
        return max(proofs, key=lambda p: p.view, default=None)

    def proofs_of(self, height: int) -> list[PreparedProof]:
        """Return every proof of a height that was heard."""
        return self._knowledge.proofs.get(height, [])

    def quorum(self, height: int) -> int:
        """Return the quorum of a height."""
        return self.validators(height).quorum


# -- justifications that must all be refused, unless they happen to be true ----------------------------------------

_Justified = tuple[tuple[SignedChange, ...], PreparedProof | None]


def _none(_attacker: Attacker, _height: int, _view: int) -> _Justified:
    return (), None


def _true(attacker: Attacker, height: int, view: int) -> _Justified:
    return tuple(attacker.changes_to(height, view)), attacker.lock_proof(height, view)


def _too_few(attacker: Attacker, height: int, view: int) -> _Justified:
    return tuple(attacker.changes_to(height, view)[: attacker.quorum(height) - 1]), None


def _one_signer_repeated(attacker: Attacker, height: int, view: int) -> _Justified:
    changes = attacker.changes_to(height, view)
    free = [c for c in changes if c.prepared is None] or changes
    return tuple((free * attacker.quorum(height))[: attacker.quorum(height)]), None


def _without_proof(attacker: Attacker, height: int, view: int) -> _Justified:
    return tuple(attacker.changes_to(height, view)), None


def _without_the_locked(attacker: Attacker, height: int, view: int) -> _Justified:
    free = [c for c in attacker.changes_to(height, view) if c.prepared is None]
    return tuple(free), None


def _stripped_of_locks(attacker: Attacker, height: int, view: int) -> _Justified:
    return tuple(replace(c, prepared=None) for c in attacker.changes_to(height, view)), None


def _of_another_view(attacker: Attacker, height: int, view: int) -> _Justified:
    changes = attacker.changes_to(height, view - 1) if view > 1 else []
    return tuple(replace(c, view=view) for c in changes), None


def _lowest_lock(attacker: Attacker, height: int, view: int) -> _Justified:
    proofs = attacker.proofs_of(height)
    lowest = min(proofs, key=lambda p: p.view, default=None)
    return tuple(attacker.changes_to(height, view)), lowest


JUSTIFICATIONS: tuple[Callable[[Attacker, int, int], _Justified], ...] = (
    _none,
    _true,
    _too_few,
    _one_signer_repeated,
    _without_proof,
    _without_the_locked,
    _stripped_of_locks,
    _of_another_view,
    _lowest_lock,
)
"""What an evil leader shows instead of a proof that its choice was free."""
