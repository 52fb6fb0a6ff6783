"""A validator with two machines votes twice: the chain records that, once, on all nodes alike."""

from __future__ import annotations

import pytest

from chainnode.model.record import decode_record
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_node import State

PRESENCE_KINDS = {15, 16, 17}


def entries(ledger):
    return [ledger.leaf(index) for index in ledger.lookup(b"evidence", 100)]


@pytest.mark.parametrize("seed", range(5))
def test_double_votes_of_a_twin_come_on_chain_once_on_all_nodes(seed):
    world = SimulatedChain(seed=seed)
    victim = next(iter(world.nodes))
    world.corrupt([victim])
    world.add_twin(victim)
    world.start()
    honest = [n for n in world.nodes.values() if n.name != victim]

    def go_on():
        world.submit(1)
        world.run_for(300)
        return all(entries(n.ledger) for n in honest)

    assert any(go_on() for _ in range(200)), "no evidence came on chain"
    world.run_until(
        lambda: len({n.ledger.tip.height for n in honest}) == 1, within_ms=20_000, what="level"
    )
    found = {tuple(entries(n.ledger)) for n in honest}
    assert len(found) == 1
    slots = [ledger_slot(leaf) for leaf in next(iter(found))]
    assert len(slots) == len(set(slots))
    assert {slot[0] for slot in slots} == {victim}


def ledger_slot(leaf):
    validator, offence, height, _, _ = decode_record(leaf).body
    return validator, offence, height


@pytest.mark.parametrize("seed", range(5))
def test_s27_double_votes_of_before_two_machines_noticed_each_other_are_evidence_that_names_them(
    seed,
):
    """Each is honest; both voted, for different blocks, before anybody told them of each other."""
    world = SimulatedChain(seed=seed)
    names = list(world.nodes)
    owner = names[1]  # leads height 1
    world.corrupt([owner])
    first, second = world.nodes[owner], world.add_twin(owner, may_notice=True)
    world.network.withholds = lambda _sender, _receiver, kind: kind in PRESENCE_KINDS
    world.start()
    world.run_for(300)
    world.submit(1, to=first.host)
    world.submit(1, to=second.host)
    world.run_for(200)
    assert world.observer.accusations["misbehaviour_proven"]
    world.network.withholds = None
    # What is told at a new link was withheld; it is repeated.
    world.run_until(
        lambda: (first.state, second.state) == (State.STOPPED, State.STOPPED), within_ms=10_000
    )
    honest = [world.nodes[n] for n in names if n != owner]
    for _ in range(20):
        world.submit(1)
        world.run_for(1_000)
    found = {tuple(entries(n.ledger)) for n in honest}
    assert len(found) == 1
    assert {ledger_slot(leaf)[0] for leaf in next(iter(found))} == {owner}
