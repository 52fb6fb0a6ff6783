"""Every decoder of what comes from outside: a value or its one named error, one encoding a value, bounded memory."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.decoders import Decoder, check, decoders
from tests.support.mutations import bombs, mutated

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = pytest.mark.parametrize("name", decoders())
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(derandomize=True, database=None, deadline=None)
"""The same inputs in every run; `make fuzz` looks for others."""

MEMORY_FACTOR = 64
"""Bytes of memory for a byte of input. A pair of small values takes 3 bytes here and a tuple of 56 bytes there, with a
slot of 8 in the array around it."""

MEMORY_FLOOR = 256 * 1024
"""What reading anything may take: tables of the JSON and TOML readers, messages of errors."""

NESTED_CLAIMS = 82 * 1024 * 1024
"""The MessagePack reader sets aside 10,000 places for each array that claims more, and nests 1,024 deep, whatever the input
holds; all of it is free again before the next input."""


@EVERY
def test_a_valid_encoding_is_read_and_written_as_it_was(name: str) -> None:
    decoder = decoders()[name]
    for seed in decoder.seeds:
        assert check(decoder, seed) is not None


@EVERY
@settings(QUICK, max_examples=100)
@given(seed=SEEDS)
def test_a_valid_encoding_changed_by_its_structure_is_another_value_or_the_named_error(
    name: str, seed: int
) -> None:
    decoder, rng = decoders()[name], random.Random(seed)
    check(decoder, mutated(decoder.shape, rng.choice(decoder.seeds), rng))


@EVERY
@settings(QUICK, max_examples=30)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_value_or_the_named_error(name: str, data: bytes) -> None:
    check(decoders()[name], data)


@EVERY
@settings(QUICK, max_examples=20)
@given(seed=SEEDS)
def test_what_belongs_to_another_decoder_is_no_worse(name: str, seed: int) -> None:
    rng = random.Random(seed)
    other = decoders()[rng.choice(sorted(decoders()))]
    check(decoders()[name], rng.choice(other.seeds))


def _most_memory(decoder: Decoder, size: int) -> Iterator[tuple[str, int]]:
    for what, data in bombs(size):
        tracemalloc.start()
        try:
            check(decoder, data)
            yield what, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@EVERY
def test_what_looks_small_and_claims_to_be_large_gets_memory_by_its_size(name: str) -> None:
    size = 16 * 1024
    for what, peak in _most_memory(decoders()[name], size):
        bound = NESTED_CLAIMS if what == "nested claims" else MEMORY_FACTOR * size + MEMORY_FLOOR
        assert peak <= bound, what
