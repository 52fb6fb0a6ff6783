"""Random trouble, one seed at a time: nothing that must hold breaks, and the chain comes back by itself.

SEEDS=1000-9000 pytest tests/simulation/test_chaos.py -m soak        other seeds, as many as time allows
SEEDS=4711 pytest tests/simulation/test_chaos.py -m soak             one seed again
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.simulated_chaos import run_chaos

SHORT_SEEDS = 200
PER_TEST = 20
AGAIN = "FIRST_SEED={seed} SEEDS=1 pytest tests/simulation/test_chaos.py -m soak -k {test}"


def check_seeds(seeds, *, test, **options):
    """Run each seed; a failure says how to run it again."""
    for seed in seeds:
        try:
            run_chaos(seed, **options)
        except BaseException as error:
            again = AGAIN.format(seed=seed, test=test)
            error.add_note(f"seed {seed} failed; again: {again}")
            print(f"seed {seed}: {error}; again: {again}")
            raise


def soak_seeds():
    first = int(os.environ.get("FIRST_SEED", "1000"))
    return range(first, first + int(os.environ.get("SEEDS", "2000")))


@pytest.mark.parametrize("first", range(0, SHORT_SEEDS, PER_TEST))
def test_four_validators_stay_one_chain_through_any_trouble(first):
    check_seeds(range(first, first + PER_TEST), test="four")


def test_seven_validators_stay_one_chain_through_any_trouble():
    check_seeds(range(15), test="seven", validators=7, duration_ms=5_000)


def test_odd_sizes_stay_one_chain_through_any_trouble():
    for validators in (1, 2, 3, 5, 6):
        check_seeds(range(5), test="odd", validators=validators, duration_ms=5_000)


def test_real_signatures_change_nothing():
    check_seeds(range(4), test="real", real_crypto=True)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_four():
    check_seeds(soak_seeds(), test="four")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_four_for_a_minute_each():
    seeds = soak_seeds()
    check_seeds(seeds[: -(-len(seeds) // 10)], test="minute", duration_ms=60_000)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_seven():
    check_seeds(soak_seeds(), test="seven", validators=7)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_odd_sizes():
    for validators in (1, 2, 3, 5, 6):
        check_seeds(soak_seeds(), test="odd", validators=validators)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak_real_signatures():
    check_seeds(soak_seeds(), test="real", real_crypto=True)


def test_one_seed_is_one_course_of_events_whatever_the_hash_seed():
    program = (
        "from tests.support.simulated_chaos import run_chaos\n"
        "print([run_chaos(seed, duration_ms=4_000).trace_hash() for seed in (3, 5, 8)])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(eval(runs[0]))) == 3  # another seed is another course
