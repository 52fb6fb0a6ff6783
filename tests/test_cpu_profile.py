"""The sampler of a node's processor time."""

from __future__ import annotations

import json
import signal
import time

import pytest

from chainnode.cpu_profile import INTERVAL_MS, CpuProfile, part_of
from chainnode.model import codec
from chainnode.model.merkle import leaf_hashes
from chainnode.model.suites import suite_named


def sampled(work, ms=300):
    """What is sampled while `work` is done over and over, for so much processor time."""
    profile = CpuProfile()
    before = signal.getsignal(signal.SIGPROF)
    profile.start()
    try:
        until = time.process_time() + ms / 1000
        while time.process_time() < until:
            work()
    finally:
        profile.stop()
        signal.signal(signal.SIGPROF, before or signal.SIG_DFL)
    return json.loads(profile.encode())


@pytest.mark.parametrize(
    ("work", "part"),
    [
        (lambda: codec.decode(codec.encode((1, b"x" * 9, ("y",) * 99)), max_bytes=999), "decode"),
        (lambda: leaf_hashes(suite_named("ed25519-sha256"), [b"leaf"] * 999), "tree"),
    ],
    ids=["decode", "tree"],
)
def test_samples_name_the_part_that_the_time_went_into(work, part):
    interval_ms, parts, functions, samples = sampled(work)
    assert interval_ms == INTERVAL_MS
    assert len(samples) >= 20
    counts = {name: sum(at == number for _, at, _ in samples) for number, name in enumerate(parts)}
    assert counts[part] > len(samples) / 2
    assert any(name.startswith("chainnode/model/") for name in functions)


def test_a_stack_without_a_frame_of_ours_is_the_loop():
    assert part_of(None) == "loop"
