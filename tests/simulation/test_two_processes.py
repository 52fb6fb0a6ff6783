"""S27: two machines run with one validator's keys. Both stop as soon as they share a peer; nobody else ever does."""

from __future__ import annotations

import random

import pytest

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import PresenceMessage
from chainnode.model.errors import CloneFound
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_network import Conditions
from tests.support.simulated_node import State

NOTICED_WITHIN_MS = 5_000
PAUSES_MS = (75, 2_500)
"""Between two calls of a process that was pushed from its link; `chainnode.p2p.limits`."""

CLONE = 16
PRESENCE_KINDS = {15, CLONE, 17}


def chain_with(owner, seed, **options):
    world = SimulatedChain(seed=seed, **options)
    world.corrupt([owner])
    world.start()
    world.run_for(500)
    world.submit(3)
    world.run_until(lambda: world.height() >= 1 and world.is_settled(), within_ms=3_000)
    return world


class OneLink:
    """Of two machines of one name, each shared peer has a link with the one that called last."""

    def __init__(self, world, first, second, shared, seed):
        self.world = world
        self.hosts = (first.host, second.host)
        self.random = random.Random(seed)
        others = [n.host for n in world.nodes.values() if n.name != first.name]
        self.cut = dict.fromkeys(others, second.host)
        for peer in shared:
            self.call(peer, 1)

    def call(self, peer, caller):
        """One of the two calls; the other one hears that its link is gone, and calls again after a pause."""
        self.cut[peer] = self.hosts[1 - caller]
        self.world.cut(
            (a, b) for peer, host in self.cut.items() for a, b in ((peer, host), (host, peer))
        )
        pause_ms = self.random.randint(*PAUSES_MS)
        self.world.time.after(pause_ms, lambda: self.call(peer, 1 - caller))


@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_s27_two_machines_with_one_key_both_stop_within_five_seconds_of_sharing_a_peer(
    seed, shares
):
    owner = "birch"
    world = chain_with(owner, seed)
    first = world.nodes[owner]
    second = world.add_twin(owner, may_notice=True)
    second.disk = first.disk.copy()
    OneLink(world, first, second, [n.name for n in world.correct()][:shares], seed)
    second.boot()
    world.submit(2)
    world.run_for(NOTICED_WITHIN_MS)
    for node in (first, second):
        assert node.state is State.STOPPED, node.host
        assert isinstance(node.fault, CloneFound)
        assert owner in str(node.fault)
    assert world.observer.events["peer_runs_twice"] > 0
    height = world.height()
    world.submit(3)
    world.run_until(lambda: world.height() > height and world.is_settled(), within_ms=6_000)
    world.check_history()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("are_linked", [True, False])
def test_s27_two_machines_none_of_whose_peers_is_shared_stop_if_their_peers_are_linked(
    seed, are_linked
):
    """As after a move of which not all peers were told. What two halves of a divided network do is known to nobody."""
    world = chain_with("birch", seed)
    first, second = world.nodes["birch"], world.add_twin("birch", may_notice=True)
    one, *others = [n.name for n in world.correct()]
    cut = [(second.host, peer) for peer in others] + [(first.host, one)]
    if not are_linked:
        cut += [(one, peer) for peer in others]
    world.cut(pair for a, b in cut for pair in ((a, b), (b, a)))
    second.boot()
    world.run_for(NOTICED_WITHIN_MS)
    expected = State.STOPPED if are_linked else State.RUNNING
    assert [first.state, second.state] == [expected, expected]


@pytest.mark.parametrize("seed", range(5))
def test_s27_honest_restarts_stop_nobody(seed):
    """However soon after a crash, and whatever the network does with what the earlier life has said."""
    world = SimulatedChain(seed=seed)
    world.network.conditions = Conditions(
        loss_permille=50, duplicate_permille=200, slow_permille=100, in_order=False
    )
    world.start()
    for _ in range(40):
        node = world.random.choice(list(world.nodes.values()))
        node.crash()
        world.run_for(world.random.choice((0, 1, 200, 1_000)))
        node.boot()
        world.run_for(world.random.choice((1, 500, 2_000)))
    assert len(world.running()) == len(world.nodes)
    assert world.observer.events["clone_found"] == world.observer.events["peer_runs_twice"] == 0


class Liar:
    """Shows one validator every challenge it has seen or made up, and sends back whatever anybody has ever signed."""

    def __init__(self, world, name, victim):
        self.world, self.name, self.victim = world, name, victim
        self.seen = []
        self.signed_by_victim = 0
        world.network.watchers.append(self)
        self.act()

    def said(self, host, data):
        if data[1] in PRESENCE_KINDS and len(self.seen) < 500:
            self.seen.append(data)
        if host == self.victim and data[1] == CLONE:
            # Others' are passed on, and are not the victim's work.
            self.signed_by_victim += decode_message(data).validator == self.victim

    def act(self):
        network, rng = self.world.network, self.world.random
        made_up = PresenceMessage(
            rng.randbytes(32), tuple(sorted(rng.randbytes(32) for _ in "1234"))
        )
        network.inject(self.name, self.victim, encode_message(made_up))
        for data in self.seen[-20:]:
            network.inject(self.name, self.victim, data)
        self.world.time.after(50, self.act)


@pytest.mark.parametrize("seed", range(3))
def test_s27_a_lying_peer_stops_nobody(seed):
    world = chain_with("cedar", seed)
    liar = Liar(world, "cedar", "birch")
    victim = world.nodes["birch"]
    for _ in range(3):
        world.run_for(4_000)
        victim.crash()
        victim.boot()
    world.run_for(4_000)
    assert victim.state is State.RUNNING
    assert world.observer.events["clone_found"] == 0
    # It answered, at most four times a second to each peer, and that did not help the liar.
    assert 10 < liar.signed_by_victim < 16 * 4 * 3
