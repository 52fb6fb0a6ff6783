"""Clients of four real validators while these are killed, stopped, cut off, deafened and slowed: one chain explains it all.

SEED=4711 pytest tests/e2e/test_histories.py                     the same trouble again, as far as machines repeat
SECONDS=600 pytest tests/e2e/test_histories.py -m soak           for as long as that
"""

import os
import random
import threading
from collections import Counter

import pytest

from devnet.network import Devnet
from tests.support.history import InBlock, Inconsistent, check
from tests.support.history_clients import INITIAL, Clients, read_chains
from tests.support.nemesis import Nemesis
from tests.support.network import Notary, make_whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("histories")]

SECONDS = 20
SOAK_SECONDS = 300
FEWEST_ACKNOWLEDGED = 10


ACCUSATIONS = (
    "node_stopped",
    "peer_fault",
    "misbehaviour_proven",
    "clone_found",
    "peer_runs_twice",
    "block_refused",
)
"""What no log may hold of validators that are correct and are never asked to stop."""


def accusations(network):
    """Lines in which a validator gives up, or finds fault with another."""
    return [
        line
        for node in network.nodes
        for line in network.log(node.name).read_text(encoding="utf-8").splitlines()
        if any(f" {event} " in line for event in ACCUSATIONS)
    ]


def run_and_check(tmp_path, seconds):
    seed = int(os.environ.get("SEED", str(random.randrange(2**32))))
    print(f"seed {seed}")
    with Devnet.create(tmp_path / "net") as network:
        network.up()
        clients, nemesis = Clients(network, seed), Nemesis(network, seed)
        thread = threading.Thread(target=clients.run)
        thread.start()
        try:
            nemesis.run(seconds)
        finally:
            clients.stop()
            thread.join()
        make_whole(network)
        print("\n".join(nemesis.done))
        print(Counter(type(o.answer).__name__ for o in clients.history.operations))
        # Whatever was still pending is in this block or never comes.
        result, _ = Notary(network).commit("v1")
        assert result["status"] == "committed"
        assert accusations(network) == []
        chains = read_chains(network)
        try:
            check(clients.history, chains, INITIAL)
        except Inconsistent as problem:
            problem.add_note(f"seed {seed}; the homes are in {tmp_path}")
            raise
    told = [o for o in clients.history.operations if o.is_write and isinstance(o.answer, InBlock)]
    assert len(told) >= FEWEST_ACKNOWLEDGED


def test_one_chain_explains_what_clients_see_through_any_trouble(tmp_path):
    run_and_check(tmp_path, SECONDS)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_one_chain_explains_what_clients_see_through_minutes_of_trouble(tmp_path):
    run_and_check(tmp_path, int(os.environ.get("SECONDS", str(SOAK_SECONDS))))
