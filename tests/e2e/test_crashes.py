"""kill -9 of all validators at random moments under load: nothing acknowledged is lost, everybody starts again."""

import os
import random
import threading

import pytest

from devnet.network import Devnet
from tests.support.network import LEVEL_MS, Load, Notary, check_acknowledged

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

ROUNDS = 5
SOAK_ROUNDS = 50
MOST_S = 3.0
"""A round ends at a random moment within this."""


def crash_and_check(tmp_path, rounds, record_property):
    seed = int(os.environ.get("SEED", str(random.randrange(2**32))))
    record_property("seed", seed)
    print(f"seed {seed}")
    moments = random.Random(seed)
    total = 0
    with Devnet.create(tmp_path / "net", can_cut=False) as network:
        network.up()
        for number in range(rounds):
            load = Load(network, first_client=number + 1)
            thread = threading.Thread(target=load.run)
            thread.start()
            try:
                threading.Event().wait(0.2 + moments.random() * MOST_S)
                network.kill(*(node.name for node in network.nodes))
            finally:
                load.stop()
                thread.join()
            network.up()
            network.wait_level(timeout_ms=LEVEL_MS)
            check_acknowledged(network, load.acknowledged)
            total += len(load.acknowledged)
        assert total > 0
        result, _ = Notary(network).commit("v1")
        assert result["status"] == "committed"


def test_killing_all_under_load_loses_nothing_acknowledged(tmp_path, record_property):
    crash_and_check(tmp_path, ROUNDS, record_property)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killing_all_under_load_fifty_times_loses_nothing_acknowledged(tmp_path, record_property):
    crash_and_check(tmp_path, SOAK_ROUNDS, record_property)
