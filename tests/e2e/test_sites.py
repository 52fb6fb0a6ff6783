"""Seven real validators at four sites, 2+2+2+1: one site is lost as a whole, killed and then cut off."""

import time

import pytest

from devnet.network import Devnet
from tests.support.network import LEVEL_MS, Notary, check_acknowledged

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.soak,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("sites"),
]

SITE = ("v3", "v4")
MOST_GAP_S = 10
LOST_S = 15


class Alliance:
    """A network of seven whose clients go on at the other sites; knows what they were told, and how long they waited."""

    def __init__(self, network):
        self.network = network
        self.others = [node.name for node in network.nodes if node.name not in SITE]
        self.acknowledged = {}
        self._notary = Notary(network)

    def live(self, seconds, at):
        """Commit one after the other; none waits longer than a lost site may cost."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for name in at:
                result, waited_s = self._notary.commit(name)
                assert result["status"] == "committed"
                assert waited_s < MOST_GAP_S
                self.acknowledged[result["tx_id"]] = result["height"]

    def everybody(self):
        return [node.name for node in self.network.nodes]


def test_site_of_two_is_killed_and_cut_off_and_nothing_acknowledged_is_lost(tmp_path):
    with Devnet.create(tmp_path / "net", validators=7) as network:
        network.up()
        alliance = Alliance(network)
        alliance.live(5, alliance.everybody())

        network.kill(*SITE)
        alliance.live(LOST_S, alliance.others)
        for name in SITE:
            network.start(name)
        network.wait_ready()
        network.wait_level(timeout_ms=LEVEL_MS)
        check_acknowledged(network, alliance.acknowledged)

        alliance.live(2, alliance.everybody())
        # The two still reach each other.
        for name in SITE:
            for other in alliance.others:
                network.part(name, other)
        alliance.live(LOST_S, alliance.others)
        for name in SITE:
            network.heal(name)
        network.wait_ready()
        network.wait_level(timeout_ms=LEVEL_MS)
        check_acknowledged(network, alliance.acknowledged)
