"""S35: a rolling upgrade. What a newer version says and an older one does not know costs nobody a link or a block."""

from __future__ import annotations

import pytest

from chainnode.engine.messages import LAST_KIND
from chainnode.model import codec
from tests.support.message_kinds import Kind
from tests.support.simulated_chain import SimulatedChain

FIRST_UNKNOWN = max(Kind) + 1


class NewerVersion:
    """A correct validator that, besides what all say, says things of unknown kinds all the time."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.said = 0
        self.speak()

    def speak(self):
        world, rng = self.world, self.world.random
        for peer in world.nodes:
            if peer != self.name:
                value = rng.choice((None, True, "text", -5, rng.randbytes(2_000), (1, (2, "3"))))
                kind = rng.randint(FIRST_UNKNOWN, LAST_KIND)
                parts = (value,) * rng.randrange(8)
                world.network.inject(self.name, peer, codec.encode((kind, *parts)))
                self.said += 1
        world.time.after(10, self.speak)


@pytest.mark.parametrize("seed", range(3))
def test_s35_unknown_messages_of_an_upgraded_validator_disconnect_and_stall_nobody(seed):
    world = SimulatedChain(seed=seed)
    newer = NewerVersion(world, next(iter(world.nodes)))
    world.start()
    world.run_for(500)
    for _ in range(20):
        height = world.height()
        world.submit(3)
        world.run_until(lambda h=height: world.height() > h and world.is_settled(), within_ms=1_000)
    world.check_history()
    # A fault of a peer is a violation in itself here, and so is a node that stops.
    assert sum(node.view_changes for node in world.nodes.values()) == 0
    ignored = [
        n.engine.status().unknown_messages for n in world.nodes.values() if n.name != newer.name
    ]
    assert sum(ignored) > 0.9 * newer.said
    assert world.observer.events["message_ignored"] == len(ignored)
