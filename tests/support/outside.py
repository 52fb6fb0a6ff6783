"""Verifiers that we did not write, ready to be called on files: Go (ed25519-sha256) and Java (sm2-sm3).

A missing tool skips the test that asked, loudly; under CI=true it fails it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from tests.support.missing import missing

VERIFIERS = Path(__file__).parents[1] / "verifiers"
LIMIT_S = 240
"""A first Go build downloads modules; runs themselves take under 3 s."""

JARS = Path("/usr/share/java")
"""Where Debian's libbcprov-java and libbcpkix-java put Bouncy Castle; BCPROV_JAR, BCUTIL_JAR and BCPKIX_JAR name other places."""


"""Where timestamps and evidence records are: Debian's libbcpkix-java and what it depends on."""


@dataclass(frozen=True)
class Outside:
    """A verifier as a command. Exit status 0: holds, 1: does not hold, 2: cannot be read."""

    argv: tuple[str, ...]

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a sub-command of the verifier."""
        return subprocess.run(
            [*self.argv, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def verify(self, file: Path, proof: Path, policy: Path) -> int:
        """Check FILE + PROOF + POLICY; return the status."""
        return self.run("verify-proof", file, proof, policy).returncode

    def batch(self, directory: Path, *arguments: object) -> dict[str, int]:
        """Check every case `directory/NAME/{file,proof,policy}`; return the statuses by name."""
        done = self.run("batch", directory, *arguments)
        assert done.returncode == 0, done.stderr
        return {name: int(status) for name, status, *_ in map(str.split, done.stdout.splitlines())}


@cache
def go_verifier() -> Outside:
    """Build the Go program once per process of the test run."""
    return Outside((str(_built("go", ".") / "outside"),))


@cache
def torchwood() -> Path:
    """Return a directory with `litewitness` of filippo.io/torchwood and our `torchwood`, which reads logs with its library.

    A first build takes 40 s of processor time, most of it for SQLite; optimizing it would take longer than it saves.
    """
    return _built("torchwood", "-gcflags=all=-N -l", ".", "filippo.io/torchwood/cmd/litewitness")


def java_verifier() -> Outside:
    """Return the Java program for proofs, which `java` compiles in memory as it starts."""
    return _java("Outside.java")


def java_certificates() -> Outside:
    """Return the Java program for certificates."""
    return _java("Certificates.java")


def java_timestamps() -> Outside:
    """Return the Java program for timestamps on SM2."""
    return _java("Timestamps.java", "bcprov", "bcutil", "bcpkix")


def java_evidence_records() -> Outside:
    """Return the Java program for evidence records."""
    return _java("EvidenceRecords.java", "bcprov", "bcutil", "bcpkix")


@cache
def _java(program: str, *libraries: str) -> Outside:
    java = shutil.which("java")
    jars = [_jar(library) for library in libraries or ("bcprov",)]
    if java is None or None in jars:
        _missing(
            "java 17 or newer, and Bouncy Castle (Debian: libbcprov-java, libbcpkix-java; or BCPROV_JAR, "
            "BCUTIL_JAR and BCPKIX_JAR)"
        )
    path = os.pathsep.join(map(str, jars))
    return Outside((java, "-cp", path, str(VERIFIERS / "java" / program)))


def _jar(library: str) -> Path | None:
    named = os.environ.get(f"{library.upper()}_JAR")
    places = [Path(named)] if named else [JARS / f"{library}{end}.jar" for end in ("", "-jdk18on")]
    return next((place for place in places if place.exists()), None)


def run_tool(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine, such as `jarsigner` or `curl`, in English."""
    path = shutil.which(program)
    if path is None:
        _missing(f"{program} (Debian: curl; jarsigner and keytool are in default-jdk-headless)")
    return subprocess.run(
        [path, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C.UTF-8", "JAVA_TOOL_OPTIONS": "-Duser.language=en"},
        timeout=LIMIT_S,
        check=False,
    )


def _built(module: str, *arguments: str) -> Path:
    """Build packages of a Go module of `tests/verifiers` into a directory that goes when this process ends."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        _missing("go (1.25 or newer)")
    directory = tempfile.mkdtemp(prefix="chainnode-outside-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = subprocess.run(
        [go, "build", "-o", f"{directory}/", *arguments],
        cwd=VERIFIERS / module,
        env=os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if built.returncode != 0:
        _missing(f"go that builds tests/verifiers/{module}: {built.stderr.strip()[-400:]}")
    return Path(directory)


def _missing(tool: str) -> NoReturn:
    missing(tool, so="nothing was verified by outsiders")
