"""A validator with two machines votes twice: the chain records that, once, on all nodes alike."""

from __future__ import annotations

import pytest

from chainnode.model.record import decode_record
from tests.support.simulated_chain import SimulatedChain


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
