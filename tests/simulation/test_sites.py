"""Validators share sites, and a site is lost as a whole: docs/operations.md, `Sites`.

Default chain parameters throughout; virtual time.
"""

from __future__ import annotations

import os
import random

import pytest

from chainnode.model.parameters import Parameters
from tests.support.simulated_chain import SimulatedChain

MOST_GAP_MS = 10_000
"""What the loss of one of four sites may cost."""

STEP_MS = 250
"""One transaction each; so a gap may be that long when nothing is wrong."""

SITES_2221 = ((0, 1), (2, 3), (4, 5), (6,))
SITES_INTERLEAVED = ((0, 4), (1, 5), (2, 6), (3,))
"""The same with no two of a site leading one after the other."""

SITES_322 = ((0, 1, 2), (3, 4), (5, 6))
LOST_MS = 15_000
HOW = ("killed", "cut off")


class Sites:
    """Seven validators at sites, under load; knows the longest time for which one of those that are there decided nothing."""

    def __init__(self, seed, sites):
        self.world = SimulatedChain(seed=seed, validators=7, parameters=Parameters())
        names = [member.name for member in self.world.chain.genesis.validator_set.members]
        self.sites = [[names[number] for number in site] for site in sites]
        self.world.start()
        # A validator without a vote on disk cannot tell at first whether it has lost some.
        self.live(names, 3_000)
        self.world.run_until(self.world.is_settled, within_ms=5_000)
        # The moment of the loss is any moment of a height.
        self.live(names, 1_000 + self.world.random.randrange(1_000))

    def live(self, there, duration_ms):
        """Submit to those that are there; return the longest time in which the tip of one of them stood still."""
        world = self.world
        tips = {name: (world.nodes[name].ledger.tip.height, world.time.now_ms) for name in there}
        longest_ms, until_ms = 0, world.time.now_ms + duration_ms

        def look():
            nonlocal longest_ms
            for name, (height, since_ms) in tips.items():
                longest_ms = max(longest_ms, world.time.now_ms - since_ms)
                if (found := world.nodes[name].ledger.tip.height) > height:
                    tips[name] = (found, world.time.now_ms)

        while world.time.now_ms < until_ms:
            world.submit(1, to=world.random.choice(there))
            for _ in range(STEP_MS // 50):
                world.run_for(50)
                look()
        return longest_ms

    def others(self, site):
        return [name for name in self.world.nodes if name not in site]

    def lose(self, site, how):
        """Lose a whole site: its machines, or its lines to the others."""
        if how == "killed":
            for name in site:
                self.world.nodes[name].crash()
        else:
            self.world.split(site, self.others(site))

    def return_(self, site, how):
        if how == "killed":
            for name in site:
                self.world.nodes[name].boot()
        else:
            self.world.cut(())

    def acknowledged_at(self, names):
        """Whether everything that any validator ever said is committed is in its block at each of these."""
        return all(
            (place := self.world.nodes[name].ledger.find_transaction(tx_id)) and place[0] == height
            for name in names
            for tx_id, height in self.world.observer.acknowledged.items()
        )


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("lost", range(4))
@pytest.mark.parametrize(
    "sites", [SITES_2221, SITES_INTERLEAVED], ids=["neighbours", "interleaved"]
)
def test_losing_one_of_four_sites_loses_nothing_and_costs_ten_seconds_at_most(sites, lost, how):
    lose_and_return(0, sites, lost, how)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_losing_one_of_four_sites():
    first = int(os.environ.get("FIRST_SEED", "1000"))
    for seed in range(first, first + int(os.environ.get("SEEDS", "2000")) // 100):
        chance = random.Random(seed)
        sites, how = chance.choice((SITES_2221, SITES_INTERLEAVED)), chance.choice(HOW)
        lose_and_return(seed, sites, chance.randrange(4), how)


def lose_and_return(seed, sites, lost, how):
    alliance = Sites(seed, sites)
    site, world = alliance.sites[lost], alliance.world
    others = alliance.others(site)
    before = dict(world.observer.acknowledged)
    alliance.lose(site, how)
    gap_ms = alliance.live(others, LOST_MS)
    print(f"seed {seed}: {gap_ms} ms without a decision")
    assert gap_ms <= MOST_GAP_MS
    assert len(world.observer.acknowledged) > len(before) > 0
    world.run_until(lambda: alliance.acknowledged_at(others), within_ms=MOST_GAP_MS, what="has all")
    alliance.return_(site, how)
    assert alliance.live(others, 5_000) <= MOST_GAP_MS
    world.run_until(world.is_settled, within_ms=MOST_GAP_MS, what="level")
    world.check_history()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("lost", range(3))
def test_of_three_sites_one_is_too_large_to_lose(lost, how):
    """Seven as 3+2+2: a site of three is more than f, so without it nothing is decided, and with it all goes on."""
    alliance = Sites(1, SITES_322)
    site = alliance.sites[lost]
    others = alliance.others(site)
    heights = {alliance.world.nodes[name].ledger.tip.height for name in others}
    alliance.lose(site, how)
    # What was decided already may still be told.
    alliance.live(others, LOST_MS)
    gained = alliance.world.nodes[others[0]].ledger.tip.height - min(heights)
    if len(site) == 3:
        assert gained <= 1
    else:
        assert gained > 5
    alliance.return_(site, how)
    # Timers have grown while nothing could be decided; the lost ones catch up, and votes are said again.
    world = alliance.world
    tips = max(node.ledger.tip.height for node in world.running())
    world.submit(1, to=others[0])
    world.run_until(lambda: world.height() > tips, within_ms=MOST_GAP_MS, what="commits go on")
    world.run_until(world.is_settled, within_ms=MOST_GAP_MS, what="level")
    world.check_history()
