"""What the validators' processor time went into, by part of a node and by function.

Worker processes do nothing but verify, and threads beside the main one are LevelDB's; the kernel counts both exactly.
The main thread's time is divided by its samples (`chainnode.cpu_profile`), those of it in which it only waited left out.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devnet.processes import CpuSplit

WAITING: Final = "waiting"
"""Samples of time that other threads used while the main one waited."""

VERIFY: Final = "verify"
COMPACTION: Final = "compaction"
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Of the main threads of all validators, in the measured time."""

    parts: Counter[str]
    functions: Counter[str]
    """`file:function` in which the processor was, C code that it had called included."""


def read_samples(files: Sequence[Path], first_ns: int, end_ns: int) -> Samples:
    """Read the profiles of nodes that have stopped; only what was sampled within the time (monotonic) counts.

    Raises:
        Unavailable: a node wrote none, since it had to be killed.
    """
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for file in files:
        text = file.read_text(encoding="utf-8")
        if not text:
            raise Unavailable(
                f"{file.name} is empty: its validator did not stop in time and was killed; measure again",
                code="no_profile",
            )
        _, part_names, function_names, samples = json.loads(text)
        for at_ms, part, function in samples:
            if first_ns <= at_ms * _NS_PER_MS < end_ns and part_names[part] != WAITING:
                parts[part_names[part]] += 1
                functions[function_names[function]] += 1
    return Samples(parts=parts, functions=functions)


def cpu_us_by_part(used: CpuSplit, samples: Samples, divisor: int) -> Mapping[str, float]:
    """Return the microseconds of CPU time of each part, of `divisor` units of work; the largest first."""
    sampled = max(1, sum(samples.parts.values()))
    found = {
        part: used.main_thread * count / sampled for part, count in sorted(samples.parts.items())
    }
    found[VERIFY] = found.get(VERIFY, 0) + used.descendants
    found[COMPACTION] = used.other_threads
    return {
        part: round(ms * 1000 / divisor, 2)
        for part, ms in sorted(found.items(), key=lambda item: -item[1])
    }
