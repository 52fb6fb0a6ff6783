"""Every seeded bug is found: by which adversary and which invariant, `make mutants` prints."""

from __future__ import annotations

import re

import pytest

from tests.simulation.mutants import hunt
from tests.support.mutants import MUTANTS

FOUND_BEFORE = {
    "any-lock": 9,
    "signers-twice": 60,
    "unproven-locks": 13,
    "no-justification": 13,
    "invalid-blocks": 80,
    "current-view-only": 52,
    "no-jump": 14,
    "lock-in-memory": 16,
    "always-licensed": 70,
    "results-believed": 42,
    "delay-unsaid": 113,
    "one-liar-decides": 80,
}
"""Seeds that have found a mutant, tried first; if one finds it no longer, all are tried in turn."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulator_finds_the_bug(mutant):
    known = FOUND_BEFORE.get(mutant.name)
    kill = None if known is None else hunt(mutant, range(known, known + 1))
    assert kill or hunt(mutant), f"{mutant.name} survives: {mutant.what}"


def test_every_rule_of_the_protocol_has_a_mutant():
    rules = {mutant.rule for mutant in MUTANTS}
    assert rules >= {f"R{number}" for number in range(1, 16)}
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
    assert all(re.fullmatch(r"[a-z0-9-]+", mutant.name) for mutant in MUTANTS)
