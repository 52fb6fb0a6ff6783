"""What all adversaries have: machines that run the real engine, their keys, and a say in what leaves and reaches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import SignedChange, Vote
from chainnode.model.votes import view_change_message, vote_message
from tests.support.simulated_node import State

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from chainnode.engine.messages import Message
    from chainnode.model.validators import ValidatorSet
    from tests.support.simulated_chain import SimulatedChain
    from tests.support.simulated_node import SimulatedNode

AS_IT_IS = 0


class Adversary:
    """Owns some validators. This one does nothing wrong with them; others override what they do."""

    name = "honest"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        """Take f validators of genesis, or `excess` more than that."""
        self.world = world
        self.random: random.Random = world.random
        members = [v.name for v in world.chain.genesis.validator_set.members]
        count = world.chain.genesis.validator_set.faulty + excess
        self.faulty = tuple(sorted(self.random.sample(members, count)))
        self.keys = {v.name: v.consensus for v in world.chain.validators if v.name in self.faulty}
        world.corrupt(self.faulty)
        world.network.interference = self

    # -- the network's port ------------------------------------------------------------------------------------

    def owns(self, host: str) -> bool:
        """Whether a host has keys of a validator that is owned."""
        return self.world.nodes[host].name in self.keys

    def overhears(self, host: str, data: bytes) -> None:
        """See what is said."""

    def alters(self, host: str, receiver: str, data: bytes) -> Sequence[tuple[int, bytes]]:
        """Send as the engine does."""
        return ((AS_IT_IS, data),)

    def admits(self, sender: str, host: str, data: bytes) -> bool:
        """Hear everything."""
        return True

    # -- in the course of a run ----------------------------------------------------------------------------------

    def act(self) -> None:
        """Do something of one's own accord; called a few times a second, in chaos and after."""

    def heal(self) -> None:
        """The network is well from now on, and only the owned validators are not."""

    # -- tools ---------------------------------------------------------------------------------------------------

    def hosts(self) -> list[SimulatedNode]:
        """Return the owned machines that run."""
        return [
            n for n in self.world.nodes.values() if n.name in self.keys and n.state is State.RUNNING
        ]

    def targets(self) -> list[str]:
        """Return the hosts of everybody else."""
        return [h for h, n in self.world.nodes.items() if n.name not in self.keys]

    def validators(self, height: int) -> ValidatorSet:
        """Return the set of a height."""
        return self.world.observer.validators(height)

    def index(self, name: str, height: int) -> int | None:
        """Return the index of a validator at a height."""
        return self.validators(height).index_of(name)

    def send(self, name: str, receiver: str, message: Message, delay_ms: int = 0) -> None:
        """Send a message that was made up as an owned validator, if it runs."""
        for node in self.hosts():
            if node.name == name:
                self.world.network.inject(node.host, receiver, encode_message(message), delay_ms)
                return

    def vote(self, name: str, kind: int, height: int, view: int, digest: bytes) -> Vote | None:
        """Return a signed vote of an owned validator; None if it is none of the height."""
        sender = self.index(name, height)
        if sender is None:
            return None
        domain = self.world.chain.genesis.domain
        signature = self.keys[name].sign(vote_message(domain, kind, height, view, digest))
        return Vote(
            kind=kind, height=height, view=view, sender=sender, digest=digest, signature=signature
        )

    def change(
        self, name: str, height: int, view: int, prepared: tuple[int, bytes] | None
    ) -> SignedChange | None:
        """Return a signed request for a view that states whatever lock."""
        sender = self.index(name, height)
        if sender is None:
            return None
        domain = self.world.chain.genesis.domain
        signature = self.keys[name].sign(view_change_message(domain, height, view, prepared))
        return SignedChange(
            height=height, view=view, sender=sender, prepared=prepared, signature=signature
        )
