"""Inputs that once broke something, by family and name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.decoders import decoders
from tests.support.fuzz_families import families, family_of

FOLDER = Path(__file__).parent / "regressions"
INPUTS = sorted(path for path in FOLDER.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke_something_does_not_any_more(path: Path) -> None:
    families()[path.parent.name].run(path.read_bytes())


def test_every_decoder_has_a_family_and_every_family_something_to_begin_with() -> None:
    used = {family_of(d.function) for d in decoders().values()}
    assert used == set(families()) - {"engine", "dispatcher"}
    for name, family in families().items():
        assert family.seeds, name


@pytest.mark.parametrize("name", families())
def test_a_family_takes_what_it_begins_with(name: str) -> None:
    family = families()[name]
    for seed in family.seeds[:3]:
        family.run(seed)
