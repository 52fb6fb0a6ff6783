"""Score the simulator: each seeded bug must be found within some hundred seeds. Prints who found what, and how.

python -m tests.simulation.mutants                    all of them, a table
python -m tests.simulation.mutants no-gate            one of them, with all of the line that found it
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.errors import ChainError, NodeFault
from tests.support.mutants import MUTANTS
from tests.support.simulated_chaos import SIZES, run_chaos
from tests.support.simulated_checks import Violation
from tests.support.simulated_clocks import EdgeLiar, clock_validators, run_clocks

if TYPE_CHECKING:
    from tests.support.mutants import Mutant

MOST_SEEDS = 500
CHAOS_MS = 20_000
HEALED_MS = 40_000
"""Less than a usual run: a bug shows, or another seed shows it sooner."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """How a mutant was found."""

    seeds: int
    """How many it took."""

    validators: int
    adversary: str
    invariant: str
    wall_s: float


def hunt(mutant: Mutant, seeds: range = range(MOST_SEEDS)) -> Kill | None:
    """Run seed after seed until one of them finds the mutant; None if none does."""
    began = time.monotonic()
    with mutant.applied():
        for number, seed in enumerate(seeds, 1):
            validators = SIZES[seed % len(SIZES)]
            drawn: list[str] = []
            try:
                if mutant.is_of_time:
                    drawn.append(EdgeLiar.name)
                    validators = clock_validators(seed)
                    run_clocks(seed)
                else:
                    run_chaos(
                        seed,
                        validators=validators,
                        chaos_ms=CHAOS_MS,
                        healed_ms=HEALED_MS,
                        tell_adversary=drawn.append,
                    )
            except (Violation, ChainError, NodeFault) as error:
                return Kill(
                    seeds=number,
                    validators=validators,
                    adversary=drawn[0],
                    invariant=f"{type(error).__name__}: {error}".splitlines()[0],
                    wall_s=time.monotonic() - began,
                )
    return None


def main() -> None:
    """Read the command line, and exit with 1 if a mutant survives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to hunt; by default all")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="at most so many for each")
    options = parser.parse_args()
    known = [m.name for m in MUTANTS]
    if unknown := sorted(set(options.names).difference(known)):
        parser.error(f"no such mutant: {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [m for m in MUTANTS if not options.names or m.name in options.names]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        kills = list(pool.map(_hunt_named, [(m.name, options.seeds) for m in chosen]))
    print(f"{'rule':<10} {'mutant':<20} {'seeds':>5} {'n':>3} {'adversary':<12} found by")
    for mutant, kill in zip(chosen, kills, strict=True):
        if kill is None:
            print(f"{mutant.rule:<10} {mutant.name:<20} SURVIVES: {mutant.what}")
        else:
            found = kill.invariant if options.names else kill.invariant[:110]
            print(
                f"{mutant.rule:<10} {mutant.name:<20} {kill.seeds:>5} {kill.validators:>3} "
                f"{kill.adversary:<12} {found}"
            )
    killed = sum(kill is not None for kill in kills)
    print(f"{killed} of {len(chosen)} mutants killed")
    sys.exit(0 if killed == len(chosen) else 1)


def _hunt_named(job: tuple[str, int]) -> Kill | None:
    name, seeds = job
    return hunt(next(m for m in MUTANTS if m.name == name), range(seeds))


if __name__ == "__main__":
    main()
