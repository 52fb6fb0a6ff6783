"""What this machine could do at most: one verification of every signature on every validator, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_private_key
from chainnode.model.suites import HASH_BYTES, suite_named

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

MEASURE_MS: Final = 1_000
_ROUND: Final = 64
"""Verifications between two looks at the clock."""


def ceiling_tps(suite: str, validators: int) -> float:
    """Return cores * verifications per second and core / validators, measured on all cores at once.

    Args:
        suite: whose signatures.
        validators: that share the machine.
    """
    context = multiprocessing.get_context("spawn")
    cores = usable_cores()
    barrier = context.Barrier(cores)
    answers = context.SimpleQueue()
    workers = [
        context.Process(target=_verify, args=(suite, barrier, answers), daemon=True)
        for _ in range(cores)
    ]
    for worker in workers:
        worker.start()
    per_second: float = sum(answers.get() for _ in workers)
    for worker in workers:
        worker.join()
    return per_second / validators


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def _verify(suite_name: str, barrier: Barrier, answers: multiprocessing.SimpleQueue[float]) -> None:
    suite = suite_named(suite_name)
    private_key = fresh_private_key(suite)
    public_key, message = suite.public_key_of(private_key), bytes(HASH_BYTES)
    signature = suite.sign(private_key, message)
    barrier.wait()
    began, done = time.perf_counter_ns(), 0
    while (passed := time.perf_counter_ns() - began) < MEASURE_MS * 1_000_000:
        for _ in range(_ROUND):
            if not suite.is_signature(public_key, message, signature):
                raise AssertionError("a valid signature was not accepted")
        done += _ROUND
    answers.put(done * 1_000_000_000 / passed)
