"""Three honest engines and a validator that says whatever it likes, signed with its own keys."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import PeerFault
from tests.support.engine_bench import NAMES, EngineBench
from tests.support.hostile import Besieged


@settings(derandomize=True, database=None, deadline=None, max_examples=120)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 120))
def test_whatever_one_validator_says_the_others_only_find_fault_with_it_and_go_on(
    seed: int, steps: int
) -> None:
    world = Besieged(random.Random(seed))
    world.attack(steps)
    world.recover()


def test_the_hostile_validator_gets_far_into_the_others() -> None:
    """Not everything it says is refused at once, or all of the above would be said to a closed door."""
    events: set[str] = set()
    codes: set[object] = set()
    taken = faults = 0
    for seed in range(6):
        world = Besieged(random.Random(seed))
        world.attack(250)
        taken, faults = taken + world.taken, faults + world.faults
        for bench in world.benches.values():
            events |= set(bench.witness.names())
            codes |= {fields.get("code") for _, fields in bench.witness.events}
    assert taken > 1_000
    assert faults > 500
    assert {"misbehaviour_proven", "message_refused", "peer_fault"} <= events
    assert len(codes) > 5, codes


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(data=st.binary(max_size=200))
def test_any_bytes_of_a_peer_are_a_fault_of_it_or_a_message(data: bytes) -> None:
    try:
        _BENCH.engine.receive(NAMES[1], data, _BENCH.clock.now_ms())
    except PeerFault:
        return


_BENCH = EngineBench()


@pytest.mark.parametrize("seed", range(4))
def test_the_same_seed_is_the_same_story(seed: int) -> None:
    told = []
    for _ in range(2):
        world = Besieged(random.Random(seed))
        world.attack(40)
        told.append((world.taken, world.faults, world.height, world.heard))
    assert told[0] == told[1]
