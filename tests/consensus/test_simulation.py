"""Agreement and recovery of whole networks, seed by seed."""

import os

import pytest

from tests.consensus.simulator import PARAMETERS, Simulation, Violation

SEEDS = range(60)


def run(seed, n=4, chaos_ms=12_000, **knobs):
    """Return a simulation that survived chaos and then made progress."""
    simulation = Simulation(seed, n=n, **knobs)
    try:
        simulation.chaos(chaos_ms)
        simulation.heal_and_check_progress()
    except Violation as violation:
        pytest.fail(f"{violation}\nagain: run({seed}, n={n}, {knobs})", pytrace=False)
    return simulation


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_networks_agree_and_recover_from_loss_delay_partition_and_crash(n):
    for seed in SEEDS if n < 6 else range(25):
        run(seed, n)


def test_networks_of_four_survive_a_twin():
    for seed in SEEDS:
        run(seed, twins=(seed % 4,))


def test_blocks_that_nobody_finds_valid_are_never_decided():
    for seed in SEEDS:
        run(seed, bad_blocks=0.3)


def test_one_seed_gives_one_run():
    first, second = run(7), run(7)
    assert (first.steps, first.now, first.decided) == (second.steps, second.now, second.decided)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_an_idle_chain_changes_no_view(n):
    simulation = Simulation(1, n=n, crashes=False, idle=True)
    simulation.run(600 * PARAMETERS.heartbeat_ms)
    assert simulation.view_changes == 0
    assert min(node.height for node in simulation.nodes) > 500


def test_a_chain_goes_on_without_one_of_four_and_waits_without_two():
    simulation = Simulation(1, crashes=False)
    simulation.run(1_000)
    simulation.nodes[3].up = False
    before = simulation.nodes[0].height
    simulation.run(4_000)
    assert simulation.nodes[0].height > before + 5
    simulation.nodes[2].up = False
    simulation.run(5_000)
    before = simulation.nodes[0].height
    simulation.run(30_000)
    assert simulation.nodes[0].height == before
    awaited = simulation.nodes[0].replica.snapshot().awaited
    assert {2, 3} <= set(awaited)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_seeds():
    first = int(os.environ.get("FIRST_SEED", "1000"))
    for seed in range(first, first + int(os.environ.get("SEEDS", "2000"))):
        run(seed, 4 + seed % 4, twins=(0,) if seed % 3 == 0 else (), bad_blocks=0.1 * (seed % 2))
