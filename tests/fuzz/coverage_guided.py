"""Coverage-guided fuzzing of every family in turn, by atheris: `make fuzz`.

    python -m tests.fuzz.coverage_guided [--seconds N] [FAMILY ...]

Each family runs in a process of its own, since libFuzzer ends the one that it runs in. What reached new code is kept in
`.fuzz/corpus/`, what broke something is in `.fuzz/crashes/`. Exit status 0: nothing did.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".fuzz"
MAX_INPUT_BYTES = 65_536
INPUT_PATIENCE_S = 20
MEMORY_MIB = 2_048
PACKAGES = ["chainnode", "consensus", "contracts", "cli"]


def main() -> int:
    """Fuzz the families named, or all; return how many broke."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="for each family")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    wanted = parser.parse_args()
    try:
        import atheris  # noqa: F401, PLC0415
    except ImportError:
        print(
            "error: atheris is not installed; it has wheels for Linux on x86-64 and Python 3.11 to 3.13; "
            "on such a machine `make fuzz` installs it",
            file=sys.stderr,
        )
        return 2
    if wanted.inside:
        return fuzz(wanted.families[0], wanted.seconds)

    from tests.support.fuzz_families import families  # noqa: PLC0415

    unknown = [name for name in wanted.families if name not in families()]
    if unknown:
        parser.error(f"found {', '.join(unknown)}; known are {', '.join(families())}")
    broken = []
    for name in wanted.families or families():
        print(f"--- {name}: {wanted.seconds} s", flush=True)
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                __spec__.name,
                "--inside",
                "--seconds",
                str(wanted.seconds),
                name,
            ],
            cwd=ROOT,
            check=False,
        )
        if ran.returncode:
            broken.append(name)
    if broken:
        print(f"broken: {', '.join(broken)}; the inputs are in {FOLDER / 'crashes'}")
    return len(broken)


def fuzz(name: str, seconds: int) -> int:
    """Fuzz one family in this process, which ends with it."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=PACKAGES, enable_loader_override=False):
        from tests.support.fuzz_families import families  # noqa: PLC0415

    family = families()[name]
    corpus, crashes = FOLDER / "corpus" / name, FOLDER / "crashes" / name
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    regressions = sorted((ROOT / "tests" / "fuzz" / "regressions" / name).glob("*"))
    for seed in (*family.seeds, *(path.read_bytes() for path in regressions)):
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return atheris.Mutate(data, max_size)
        return family.change(data, rng)[:max_size]

    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-max_len={MAX_INPUT_BYTES}",
            f"-timeout={INPUT_PATIENCE_S}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-artifact_prefix={crashes}/",
            "-print_final_stats=1",
            str(corpus),
        ],
        family.run,
        custom_mutator=change,
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
