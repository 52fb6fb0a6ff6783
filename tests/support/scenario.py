"""What directed scenarios share: a watched chain, work for it, and validators that obey the test.

world = started(validators=4)
evil = Puppet(world, [name])         before anything has happened
wait_for_leader(world, evil.faulty[0], view=1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import ProposeMessage, Vote
from chainnode.model import votes
from chainnode.model.suites import ED25519_SHA256
from tests.support.adversaries.attacker import Attacker
from tests.support.message_kinds import Kind, kind_of
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_node import State
from tests.support.specification import Specification

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.engine.messages import Message, PreparedProof, SignedChange
    from chainnode.model.block import Outline
    from chainnode.model.parameters import Parameters
    from tests.support.simulated_node import SimulatedNode

PROPOSE, PREPARE, COMMIT, VIEW_CHANGE = Kind.PROPOSE, Kind.PREPARE, Kind.COMMIT, Kind.VIEW_CHANGE
DECIDED, TRANSACTIONS, BLOCKS = Kind.DECIDED, Kind.TRANSACTIONS, Kind.BLOCKS
"""What scenarios speak of most, for `SimulatedNetwork.withholds`."""

VOTES = frozenset({PROPOSE, PREPARE, COMMIT, VIEW_CHANGE})

_SIGNED_AS = {PROPOSE: votes.PROPOSE, PREPARE: votes.PREPARE, COMMIT: votes.COMMIT}


def watched(
    *,
    seed: int = 1,
    validators: int = 4,
    parameters: Parameters | None = None,
    spares: int = 0,
    real_crypto: bool = False,
    suite: str = ED25519_SHA256,
    has_governance: bool = False,
) -> SimulatedChain:
    """Return a chain of which nobody runs yet, and whose every message will be judged."""
    more = {} if parameters is None else {"parameters": parameters}
    world = SimulatedChain(
        seed=seed,
        validators=validators,
        spares=spares,
        real_crypto=real_crypto,
        suite=suite,
        has_governance=has_governance,
        **more,
    )
    world.watch(Specification(world))
    return world


def begin(world: SimulatedChain) -> SimulatedChain:
    """Boot everybody, and have the first block decided."""
    world.start()
    world.run_for(500)
    decide(world)
    return world


def started(**options: object) -> SimulatedChain:
    """Return a watched chain whose every validator has decided its first block."""
    return begin(watched(**options))  # type: ignore[arg-type]


def names(world: SimulatedChain) -> list[str]:
    """Return all validators."""
    return list(world.nodes)


def heal(world: SimulatedChain) -> None:
    """Let everything through again, and boot whoever is down or asleep."""
    world.network.withholds = None
    world.cut(())
    for node in world.nodes.values():
        if node.state is State.PAUSED:
            node.resume()
        elif not node.is_up:
            node.boot()


def decide(world: SimulatedChain, count: int = 1, *, within_ms: int = 6_000) -> None:
    """Have `count` more heights decided at every correct node that runs, each within the time, with nothing left."""
    for _ in range(count):
        goal = world.height() + 1
        world.submit(2)
        world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),  # type: ignore[misc]
            within_ms=within_ms,
            what=f"height {goal}",
        )


def recover(world: SimulatedChain, *, within_ms: int = 15_000, heights: int = 2) -> None:
    """Heal; see all level, and the chain go on with one history."""
    heal(world)
    world.run_until(world.is_level, within_ms=within_ms, what="all are level")
    decide(world, heights, within_ms=within_ms)
    world.check_history()


def name_of_leader(world: SimulatedChain, height: int, view: int) -> str:
    """Return who leads a view."""
    return world.observer.validators(height).members[world.leader(height, view)].name


def wait_for_leader(world: SimulatedChain, name: str, view: int) -> int:
    """Decide heights until one is open whose `view` that validator leads; return that height."""
    for _ in range(2 * len(world.nodes)):
        height = world.height() + 1
        if name_of_leader(world, height, view) == name:
            return height
        decide(world)
    raise AssertionError(f"{name} never leads view {view}")


def voters(world: SimulatedChain, kind: int, height: int, view: int) -> set[str]:
    """Return the correct validators that have said such a PROPOSE, PREPARE or COMMIT."""
    vote = (_SIGNED_AS[kind], height, view)
    return {name for name, said in world.observer.voted.items() if vote in said}


def views_of(world: SimulatedChain, height: int) -> int:
    """Return the highest view of a height in which a correct validator has voted."""
    return max((v for said in world.observer.voted.values() for _, h, v in said if h == height))


class Puppet(Attacker):
    """Validators of the test's choice that hear everything, and say what the test has them say.

    Their machines run the real engine; `muted` are the kinds of messages that these may not send.
    """

    name = "puppet"

    def __init__(self, world: SimulatedChain, owned: Iterable[str]) -> None:
        super().__init__(world)
        self.faulty = tuple(sorted(owned))
        self.keys = {v.name: v.consensus for v in world.chain.validators if v.name in self.faulty}
        world.corrupt(self.faulty)
        self.muted: frozenset[int] = frozenset()
        self.muted_from: tuple[int, int] | None = None
        """(height, view): from there on the engines neither propose nor vote."""

        self.is_deaf_to: frozenset[int] = frozenset()
        self.knowledge = self._knowledge

    def overhears(self, host: str, data: bytes) -> None:
        """Remember what is said, and do nothing of one's own accord."""
        self._knowledge.hear(data)

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Let the engine speak, unless it is muted."""
        if kind_of(data) in self.muted:
            return ()
        if self.muted_from is not None and kind_of(data) in {PROPOSE, PREPARE, COMMIT}:
            message = decode_message(data)
            assert isinstance(message, ProposeMessage | Vote)
            if (message.height, message.view) >= self.muted_from:
                return ()
        return ((0, data),)

    def admits(self, sender: str, host: str, data: bytes) -> bool:
        """Let the engine hear, unless it is deaf to that."""
        return kind_of(data) not in self.is_deaf_to

    def act(self) -> None:
        """Do nothing of one's own accord."""

    def node(self, name: str) -> SimulatedNode:
        """Return the machine of an owned validator."""
        return self.world.nodes[name]

    def rival(self, name: str, height: int, view: int, *, label: int = 0) -> Outline:
        """Return a valid block of one's own; another one for each `label`, by its time."""
        node = self.node(name)
        assert node.ledger.tip.height + 1 == height
        time_ms = max(node.clock.now_ms(), node.ledger.tip.time_ms + 1) + 1 + label
        executed = node.ledger.build(
            transactions=(), time_ms=time_ms, first_view=view, proposer=name
        )
        return executed.outline

    def proposal(
        self,
        name: str,
        height: int,
        view: int,
        outline: bytes,
        digest: bytes,
        justification: tuple[tuple[SignedChange, ...], PreparedProof | None] = ((), None),
    ) -> ProposeMessage:
        """Return a signed proposal of any block, whatever justifies it."""
        domain = self.world.chain.genesis.domain
        sender = self.index(name, height)
        assert sender is not None
        changes, proof = justification
        return ProposeMessage(
            height=height,
            view=view,
            sender=sender,
            signature=self.keys[name].sign(
                votes.vote_message(domain, votes.PROPOSE, height, view, digest)
            ),
            outline=outline,
            changes=changes,
            proof=proof,
        )

    def tell(self, name: str, message: Message | None, to: Iterable[str] | None = None) -> None:
        """Send what was made up to these, by default to all correct ones."""
        assert message is not None
        for target in self.targets() if to is None else to:
            self.send(name, target, message)


class Recorder:
    """Keeps what correct validators say, so that it can be said again."""

    def __init__(self, world: SimulatedChain) -> None:
        self.said_by: list[tuple[str, bytes]] = []
        world.network.watchers.append(self)

    def said(self, host: str, data: bytes) -> None:
        """Note it."""
        self.said_by.append((host, data))

    def of_kind(self, kind: int) -> list[tuple[str, bytes]]:
        """Return (host, message) of one kind, in the order in which they were said."""
        return [(host, data) for host, data in self.said_by if kind_of(data) == kind]
