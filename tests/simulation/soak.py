"""Many seeds over all sizes, on all cores, with figures; one line for each failure says how to run it again.

    python -m tests.simulation.soak --seeds 5000
    python -m tests.simulation.soak --first 4711 --seeds 1 -n 7 --adversary attacker

One run in two hundred uses real signatures and fills its blocks, unless `--crypto` says which.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tests.support.adversaries.catalogue import ADVERSARIES, NOBODY
from tests.support.simulated_chaos import CHAOS_MS, HEALED_MS, SIZES, Outcome, run_chaos

if TYPE_CHECKING:
    from collections.abc import Iterable

FULL_EVERY = 199
"""One run in so many (a prime, so that all sizes have their share) is made with real signatures and full blocks, which
takes thirty times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is made with, besides its seed and its number of validators."""

    adversary: str | None = None
    """Name of a kind; None leaves it to the seed."""

    chaos_ms: int = CHAOS_MS
    healed_ms: int = HEALED_MS
    real_crypto: bool | None = None
    """None leaves it to the seed."""


def is_full(seed: int) -> bool:
    """Whether a seed uses real signatures and fills its blocks, if nothing else is said."""
    return seed % FULL_EVERY == FULL_EVERY - 1


def again(seed: int, validators: int, options: Options) -> str:
    """Return the command that makes exactly this run again."""
    command = f"python -m tests.simulation.soak --first {seed} --seeds 1 -n {validators}"
    if options.adversary is not None:
        command += f" --adversary {options.adversary!r}"
    if options.chaos_ms != CHAOS_MS:
        command += f" --chaos-ms {options.chaos_ms}"
    if options.healed_ms != HEALED_MS:
        command += f" --healed-ms {options.healed_ms}"
    if options.real_crypto not in {None, is_full(seed)}:
        command += f" --crypto {'real' if options.real_crypto else 'simulated'}"
    return command


def run_seed(seed: int, validators: int, options: Options) -> Outcome:
    """Make one run."""
    return run_chaos(
        seed,
        validators=validators,
        adversary=options.adversary,
        chaos_ms=options.chaos_ms,
        healed_ms=options.healed_ms,
        real_crypto=is_full(seed) if options.real_crypto is None else options.real_crypto,
    )


def run_one(job: tuple[int, int], options: Options, *, is_single: bool) -> Done | str:
    """Run a seed; return what it came to, or how it failed."""
    seed, validators = job
    began = time.monotonic()
    try:
        outcome = run_seed(seed, validators, options)
        is_slow = is_full(seed) if options.real_crypto is None else options.real_crypto
        return Done(outcome, is_slow, time.monotonic() - began)
    except Exception as error:  # whatever it is, the seed that shows it is the result
        if is_single:
            raise
        return f"{type(error).__name__}: {error}\n    again: {again(seed, validators, options)}"


class Done(NamedTuple):
    """A run that has ended well."""

    outcome: Outcome
    is_full: bool
    """Whether its signatures were real and its blocks full."""

    wall_s: float
    """How long it took, on one core."""


@dataclass(slots=True)
class Figures:
    """What many runs of one size came to."""

    runs: int = 0
    heights: int = 0
    events: int = 0
    virtual_ms: int = 0
    view_changes: int = 0
    slowest_recovery_ms: int = 0
    adversaries: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.runs += 1
        self.heights += outcome.heights
        self.events += outcome.events
        self.virtual_ms += outcome.virtual_ms
        self.view_changes += outcome.view_changes
        self.slowest_recovery_ms = max(self.slowest_recovery_ms, outcome.recovery_ms)
        self.adversaries[outcome.adversary] += 1


def soak(first: int, seeds: int, sizes: tuple[int, ...], options: Options, workers: int) -> int:
    """Run the seeds and print the figures; return how many failed."""
    jobs = [(seed, sizes[seed % len(sizes)]) for seed in range(first, first + seeds)]
    figures = {size: Figures() for size in sorted(set(sizes))}
    failures = 0
    began, fast_runs, fast_s = time.monotonic(), 0, 0.0
    run = partial(run_one, options=options, is_single=seeds == 1)
    for done, ((_, size), result) in enumerate(
        zip(jobs, _results(run, jobs, workers), strict=True), 1
    ):
        if isinstance(result, str):
            failures += 1
            print(f"FAILED n={size}: {result}", flush=True)
        else:
            figures[size].add(result.outcome)
            if not result.is_full:
                fast_runs, fast_s = fast_runs + 1, fast_s + result.wall_s
        if done % 500 == 0:
            print(f"{done} of {seeds} runs, {failures} failed", file=sys.stderr, flush=True)
    _report(figures, failures, time.monotonic() - began)
    if fast_runs:
        print(
            f"{fast_runs} of them in fast mode, {fast_runs * min(workers, seeds) / fast_s:.1f} "
            f"a second on {min(workers, seeds)} cores"
        )
    return failures


def _results(run, jobs: list[tuple[int, int]], workers: int) -> Iterable[Done | str]:
    if workers == 1 or len(jobs) == 1:
        yield from map(run, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(run, jobs, chunksize=4)


def _report(figures: dict[int, Figures], failures: int, wall_s: float) -> None:
    print(f"{'n':>3} {'runs':>6} {'heights':>8} {'view changes':>12} {'slowest recovery':>17}")
    total = Figures()
    for size, found in figures.items():
        print(
            f"{size:>3} {found.runs:>6} {found.heights:>8} {found.view_changes:>12} "
            f"{found.slowest_recovery_ms:>14} ms"
        )
        total.runs += found.runs
        total.events += found.events
        total.virtual_ms += found.virtual_ms
        total.adversaries += found.adversaries
    drawn = ", ".join(
        f"{name} {total.adversaries[name]}"
        for name in (NOBODY, *ADVERSARIES)
        if total.adversaries[name]
    )
    print(f"adversaries: {drawn}")
    print(
        f"{total.runs + failures} seeds, {failures} failed; {total.virtual_ms / 3_600_000:.1f} virtual "
        f"hours in {wall_s:.0f} s; {total.events / wall_s:,.0f} events a second, "
        f"{(total.runs + failures) / wall_s:.1f} runs a second"
    )


def main() -> None:
    """Read the command line, and exit with 1 if any seed failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many, over all sizes")
    parser.add_argument(
        "-n", type=int, choices=range(1, 11), help="validators; by default all sizes"
    )
    parser.add_argument("--adversary", choices=[NOBODY, *ADVERSARIES], help="by default drawn")
    parser.add_argument("--chaos-ms", type=int, default=CHAOS_MS, help="default: %(default)s")
    parser.add_argument("--healed-ms", type=int, default=HEALED_MS, help="default: %(default)s")
    parser.add_argument("--crypto", choices=["real", "simulated"], help="by default by the seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    found = parser.parse_args()
    options = Options(
        adversary=found.adversary,
        chaos_ms=found.chaos_ms,
        healed_ms=found.healed_ms,
        real_crypto=None if found.crypto is None else found.crypto == "real",
    )
    sizes = SIZES if found.n is None else (found.n,)
    failed = soak(found.first, found.seeds, sizes, options, found.workers)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
