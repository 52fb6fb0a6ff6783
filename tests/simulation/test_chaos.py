"""Random trouble and adversaries, one seed at a time: nothing that must hold breaks, and the chain comes back by itself.

make simulate SEEDS=5000                                        many seeds over all sizes, with figures
python -m tests.simulation.soak --first 4711 --seeds 1 -n 7     one seed again
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.soak import Options, again, run_seed
from tests.support.adversaries.catalogue import ADVERSARIES
from tests.support.simulated_chaos import SIZES

SUITE_SEEDS = 40
PER_TEST = 10


def check_seed(seed, validators, *, real_crypto=False, **more):
    """Run one seed; a failure says how to run it again."""
    options = Options(real_crypto=real_crypto, **more)
    try:
        return run_seed(seed, validators, options)
    except BaseException as error:
        error.add_note(f"again: {again(seed, validators, options)}")
        raise


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, SUITE_SEEDS, PER_TEST))
def test_validators_stay_one_chain_through_any_trouble(first):
    for seed in range(first, first + PER_TEST):
        check_seed(seed, SIZES[seed % len(SIZES)])


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_every_adversary_fails_at_every_size(adversary):
    for number, validators in enumerate((4, 5, 7)):
        check_seed(900 + number, validators, adversary=adversary, chaos_ms=10_000, healed_ms=10_000)


def test_small_chains_have_no_adversary_to_fear_and_recover_too():
    for validators in (1, 2, 3):
        for seed in range(5):
            check_seed(seed, validators, chaos_ms=8_000, healed_ms=10_000)


def test_real_signatures_and_full_blocks_change_nothing():
    for seed, validators in ((3, 4), (4, 5)):
        check_seed(seed, validators, chaos_ms=8_000, healed_ms=10_000, real_crypto=True)


@pytest.mark.soak
def test_seed_1260_a_backlog_of_ten_thousand_is_worked_off_in_full_blocks():
    check_seed(1260, 6, real_crypto=True)


def test_a_failure_says_how_to_make_the_same_run_again():
    short = Options(adversary="slow leader", chaos_ms=10_000, healed_ms=10_000, real_crypto=True)
    assert again(3, 5, short) == (
        "python -m tests.simulation.soak --first 3 --seeds 1 -n 5 --adversary 'slow leader' "
        "--chaos-ms 10000 --healed-ms 10000 --crypto real"
    )
    # A soak would make this seed's run with real signatures.
    assert again(198, 4, Options(real_crypto=False)).endswith("-n 4 --crypto simulated")
    assert again(198, 4, Options(real_crypto=True)).endswith("-n 4")


def test_one_seed_is_one_course_of_events_whatever_the_hash_seed():
    program = (
        "from tests.support.simulated_chaos import run_chaos\n"
        "print([run_chaos(seed, validators=5, chaos_ms=6_000, healed_ms=8_000).trace\n"
        "       for seed in (3, 5, 8, 13)])"
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
    assert len(set(eval(runs[0]))) == 4  # another seed is another course
