"""The main job from end to end, on real files between real processes; everything is checked, nothing is assumed.

Four agencies' validators start; files are notarized and proven offline; an altered file is refused; a file gets an RFC 3161
timestamp that the chain vouches for; one validator is lost and the others go on; it comes back and is level with them. The commands are those that a user would type.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chainnode.clock import SystemClock
from chainnode.model.errors import ChainError, DecodeError, Refused
from devnet import homes
from devnet.network import Devnet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST_VALIDATORS: Final = 4
"""With fewer, none may be lost."""

LEVEL_TIMEOUT_MS: Final = 30_000
"""From a validator's return until it is level; it takes a second or two."""

_COMMAND_TIMEOUT_S: Final = 90
_NOT_SO: Final = 1
"""Exit status of a check that is proven not to hold."""


def run(
    files: Sequence[Path], *, out: Path, suite: str, validators: int, say: Callable[[str], None]
) -> None:
    """Do it all; return only if all of it held.

    Args:
        files: to be notarized; they are only read.
        out: folder for proofs and policy; made if it is not there.
        suite: of the chain.
        validators: 4 or more.
        say: prints a line.

    Raises:
        ChainError: something did not hold. The network is gone then, too.
    """
    if validators < LEAST_VALIDATORS:
        raise Refused(
            f"found {validators} validators; the demo loses one and goes on, which takes "
            f"{LEAST_VALIDATORS}",
            field="validators",
        )
    for file in files:
        if not file.is_file():
            raise DecodeError(f"cannot read {file}: it is not a file", code="unreadable")
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="chainnode-devnet-"))
    demo = _Demo(out, say)
    try:
        demo.note(f"making the homes of {validators} validators ({suite})")
        network = Devnet.create(place / "net", validators=validators, suite=suite)
        with network:
            demo.play(network, files)
            demo.note("stopping the network")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    demo.note("all of it held")
    say("")
    first = out / f"{files[0].name}.tlog-proof"
    say(
        f"The proofs are yours to try, with no network running:\n  {homes.program()} verify {files[0]} {first} "
        f"--policy {out / homes.POLICY}"
    )


class _Demo:
    """Tells what happens, each line with the seconds since the beginning."""

    def __init__(self, out: Path, say: Callable[[str], None]) -> None:
        self._out, self._say = out, say
        self._clock = SystemClock()
        self._begun_ms = self._clock.monotonic_ms()

    def note(self, text: str) -> None:
        """Print a line with the time."""
        passed_ms = self._clock.monotonic_ms() - self._begun_ms
        self._say(f"{passed_ms // 1000:3}.{passed_ms % 1000 // 100} s  {text}")

    def play(self, network: Devnet, files: Sequence[Path]) -> None:
        """Everything between creating the network and ending it."""
        network.up()
        pids = ", ".join(f"{n.name} (pid {n.process.pid})" for n in network.nodes if n.process)
        self.note(f"ready: {pids}")
        shutil.copyfile(network.policy, self._out / homes.POLICY)
        self._notarize_and_verify(network, files, self._out)
        self._refuse_altered(network, files[0])
        network.establish_authority()
        self.note(
            "certified every validator's timestamp unit: offline root, issuing authority, records on the log"
        )
        self._timestamp(network, files[0])

        lost = network.nodes[-1].name
        network.kill(lost)
        self.note(f"killed {lost} with SIGKILL; {len(network.nodes) - 1} validators are left")
        self._notarize_and_verify(network, files[:1], self._out / f"without-{lost}")

        network.start(lost)
        self.note(f"started {lost} again")
        network.wait_ready(lost)
        network.wait_level(timeout_ms=LEVEL_TIMEOUT_MS)
        status = network.status(lost)
        self.note(
            f"{lost} is level with the others: height {status['tip_height']}, "
            f"{status['log_size']} records, log root {status['log_root'][:16]}, "
            f"state root {status['state_root'][:16]}"
        )

    def _notarize_and_verify(self, network: Devnet, files: Sequence[Path], out: Path) -> None:
        answer = self._run(network, "notarize", "--out", str(out), *map(str, files))
        for file, done in zip(files, answer["notarized"], strict=True):
            self.note(
                f"notarized {file}: block {done['height']}, log index {done['index']}, "
                f"{done['latency_ms']} ms until decided, cosigned and proven"
            )
            self._run(network, "verify", str(file), done["proof"], "--policy", str(network.policy))
            self.note(f"verified {file} offline with {Path(done['proof']).name}: it holds")

    def _timestamp(self, network: Devnet, file: Path) -> None:
        """Get an RFC 3161 token, and check it and its record on the log with no node."""
        token = self._out / f"{file.name}.tsr"
        answer = self._run(network, "timestamp", str(file), "--out", str(token))
        self.note(
            f"timestamped {file} (RFC 3161): log index {answer['index']}, "
            f"accurate to {answer['accuracy_ms']} ms"
        )
        arguments = ("timestamp", "verify", str(file), str(token))
        self._run(
            network,
            *arguments,
            "--policy",
            str(network.policy),
            "--root",
            str(network.timestamp_root),
        )
        self.note(
            f"verified {token.name} offline: the unit signed it, and the chain has its record"
        )

    def _refuse_altered(self, network: Devnet, file: Path) -> None:
        """Show that one changed byte in a copy is found."""
        altered = network.directory / f"altered-{file.name}"
        data = bytearray(file.read_bytes() or b"\0")
        data[len(data) // 2] ^= 1
        altered.write_bytes(data)
        proof = self._out / f"{file.name}.tlog-proof"
        arguments = ("verify", str(altered), str(proof), "--policy", str(network.policy))
        done = _chainnode(network.client_home, *arguments)
        if done.returncode != _NOT_SO:
            raise ChainError(
                f"a copy of {file} with one changed byte was not refused: exit status "
                f"{done.returncode}, {done.stderr.strip()}",
                code="demo_failed",
            )
        self.note(f"refused a copy of {file} with byte {len(data) // 2} changed:")
        self._say(f"         {done.stderr.strip()}")

    def _run(self, network: Devnet, *arguments: str) -> Any:  # noqa: ANN401  whatever JSON says
        done = _chainnode(network.client_home, "--json", *arguments)
        if done.returncode != 0:
            raise ChainError(
                f"`chainnode {' '.join(arguments)}` ended with {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()}",
                code="demo_failed",
            )
        return json.loads(done.stdout)


def _chainnode(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        homes.command(home, *arguments, has_keys=False),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=homes.environment(),
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
