"""docs/operations.md, done as it says: four agencies form a network, and come back from what befalls their machines.

The commands are taken out of the page. What the page leaves to people (stopping a service, losing a machine) is done
here between its blocks.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chainnode.model.errors import Unavailable
from chainnode.rpc.client import RpcClient
from devnet.ports import LOOPBACK, free_ports
from tests.support.network import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("operations")]

PAGE = Path(__file__).parents[2] / "docs/operations.md"
EXAMPLE_HOME = "/var/lib/chainnode"
PATIENCE_S = 60
STOP_S = 30
FAULT_STATUS = 70
UNSURE_MS = 2_000
"""A block that is proposed this long after a node's start is taken to be, whatever the clocks."""


def read_page():
    """Return {section: ((command, lines of sample output), ...)}; a section is what stands under one `##`."""
    sections, section, block = {}, None, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if block is None:
            if line.startswith("## "):
                section = line.removeprefix("## ")
            elif line == "```console":
                block = []
        elif line == "```":
            sections.setdefault(section, []).extend((c, tuple(o)) for c, o in block)
            block = None
        elif line.startswith("$ "):
            block.append([line.removeprefix("$ "), []])
        elif block[-1][0].endswith("\\"):
            block[-1][0] += f"\n{line}"
        else:
            block[-1][1].append(line)
    return sections


class Alliance:
    """Four homes and a clerk's folder; types what the page says, and keeps the nodes that it starts."""

    def __init__(self, directory):
        self._sections = read_page()
        self._directory = directory
        self._nodes = {}
        self._documents = 0
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CHAINNODE_")}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        ports = iter(free_ports(8))
        for folder in ("MAIL", "WORK", "BACKUP"):
            self._set(folder, directory / folder.lower())
            self.path(folder).mkdir()
        for agency in "ABCD":
            self._set(f"HOME_{agency}", directory / agency / "home")
            self._set(f"PASS_{agency}", directory / f"passphrase-{agency}")
            self._set(f"ADDRESS_{agency}", f"{LOOPBACK}:{next(ports)}")
            self._set(f"RPC_PORT_{agency}", next(ports))
            self.path(f"PASS_{agency}").touch(mode=0o600)
            self.path(f"PASS_{agency}").write_text(f"the passphrase of {agency}\n")

    def _set(self, name, value):
        self.environment[name] = str(value)

    def path(self, name):
        """Return the path that a variable of the page holds."""
        return Path(self.environment[name])

    def follow(self, section, *, first=0, last=None):
        """Type the commands of a section, and hold what they print to what the page shows."""
        for command, sample in self._sections[section][first:last]:
            if command.endswith(" &"):
                self.start(command.removesuffix(" &"))
                continue
            printed = self.type(command).stdout.splitlines()
            agency = re.search(r"HOME_([A-D])", command)
            for line in sample:
                home = self.environment[agency[0]]
                assert line.replace(EXAMPLE_HOME, home) in printed, f"{command}: {printed}"

    def type(self, command, *, status=0):
        """Run one command line in a shell; return the completed process."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}{self._logs()}"
        return done

    def start(self, command):
        """Leave a node running, in a session of its own."""
        agency = re.search(r"HOME_([A-D])", command)[1]
        with (self._directory / f"{agency}.log").open("ab") as log:
            self._nodes[agency] = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_again(self, agency):
        """Start an agency's node with the command of the page."""
        (command,) = (
            c for c, _ in self._sections["Forming a network"] if f'HOME_{agency}" start' in c
        )
        self.start(command.removesuffix(" &"))

    def stop(self, agency):
        """Do what a service manager does; a node that was asked to stop says that all is well."""
        self._nodes[agency].terminate()
        assert self._nodes[agency].wait(timeout=STOP_S) == 0

    def is_running(self, agency):
        """Whether an agency's node runs."""
        return self._nodes[agency].poll() is None

    def await_refusal(self, agency):
        """Return what a node says that must not start."""
        assert self._nodes[agency].wait(timeout=STOP_S) == FAULT_STATUS
        return (self._directory / f"{agency}.log").read_text().splitlines()[-1]

    def status(self, agency):
        """Return what a node says of itself, or None if it does not answer."""

        async def ask():
            async with RpcClient(
                f"http://{LOOPBACK}:{self.environment[f'RPC_PORT_{agency}']}"
            ) as node:
                return await node.chain_status()

        try:
            return asyncio.run(ask())
        except Unavailable:
            return None

    def notarize(self):
        """Have the clerk of A notarize one more document; a block at the least."""
        self._documents += 1
        document = self.path("WORK") / f"document-{self._documents}"
        document.write_text(f"document {self._documents}")
        self.type(f'chainnode --home "$HOME_A" notarize "{document}" --passphrase-file "$PASS_A"')

    def wait_until_level(self, agency, *, votes):
        """Wait until a node has what A has, and votes if it shall."""

        def is_back():
            there, here = self.status("A"), self.status(agency)
            return (
                here is not None
                and here["is_ready"]
                and (here["is_voting"] or not votes)
                and here["tip_height"] >= there["tip_height"]
            )

        wait_until(is_back, f"{agency} is level with A, and votes: {votes}")

    def wait_until_votes(self, agency):
        """Have a node see a block that was proposed after its start, which is when it votes at the latest."""
        self.wait_until_level(agency, votes=False)
        wait_until(lambda: self.status(agency)["uptime_ms"] > UNSURE_MS, "a moment passes")
        self.notarize()
        self.wait_until_level(agency, votes=True)

    def end(self):
        """End every process that was started, whatever became of it."""
        for node in self._nodes.values():
            # The session's other processes, the verification workers, end with the node or are killed with it.
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()

    def _logs(self):
        return "".join(
            f"\n{path.name}:\n{path.read_text()[-2000:]}" for path in self._directory.glob("*.log")
        )


@pytest.fixture(scope="module")
def alliance(tmp_path_factory):
    """The network of the page's first part; every node runs."""
    found = Alliance(tmp_path_factory.mktemp("alliance"))
    try:
        found.follow("Forming a network")
        yield found
    finally:
        found.end()


def spoil(path):
    """Damage a file in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_four_agencies_form_a_network_that_notarizes(alliance):
    assert (alliance.path("WORK") / "notice.txt.tlog-proof").exists()
    (alliance.path("WORK") / "notice.txt").write_text("关于公布许可目录的通告\n")
    verify = (
        'chainnode verify "$WORK/notice.txt" "$WORK/notice.txt.tlog-proof" --policy "$WORK/policy"'
    )
    alliance.type(verify, status=1)
    for agency in "BCD":
        alliance.wait_until_level(agency, votes=True)


def test_a_chain_that_stands_still_says_who_is_missing(alliance):
    alliance.notarize()
    for agency in "BC":
        alliance.stop(agency)
    document = alliance.path("WORK") / "while-it-stands-still"
    document.write_text("x")
    notarize = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec chainnode --home "$HOME_A" notarize "{document}" --passphrase-file "$PASS_A"',
        ],
        env=alliance.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: alliance.status("A")["step"] == "view_change", "the view's leader is given up"
        )
        alliance.follow("When the chain stands still")
        shown = alliance.type('chainnode --home "$HOME_A" status').stdout
        (why,) = re.findall("^why +(.*)$", shown, re.MULTILINE)
        assert "2 of 4 validators have asked for view 1" in why
        assert "court-1" in why
        assert "archive-1" in why
        assert why.endswith("(both not linked)")
        for agency in "BC":
            alliance.start_again(agency)
        assert notarize.wait(timeout=PATIENCE_S) == 0
        for agency in "BC":
            alliance.wait_until_level(agency, votes=True)
    finally:
        notarize.kill()
        notarize.wait()


def test_lost_machine_comes_back_from_its_backup(alliance):
    alliance.stop("D")
    alliance.follow("Backup")
    alliance.notarize()
    shutil.rmtree(alliance.path("HOME_D"))

    alliance.follow("Restore")
    assert (alliance.path("HOME_D") / "keys").stat().st_mode & 0o077 == 0
    alliance.wait_until_votes("D")
    # With one of the others away, nothing is decided without its votes.
    alliance.stop("C")
    alliance.notarize()
    alliance.start_again("C")
    alliance.wait_until_level("C", votes=True)


def test_node_with_a_damaged_vote_log_observes_and_votes_again(alliance):
    alliance.stop("C")
    spoil(alliance.path("HOME_C") / "votes.log")
    alliance.start_again("C")
    said = alliance.await_refusal("C")
    assert "the vote log is damaged at offset" in said
    assert "move it aside and start again" in said

    alliance.follow("Damaged vote log")
    assert not alliance.status("C")["is_voting"]
    shown = alliance.type('chainnode --home "$HOME_C" status').stdout
    assert re.search("^votes +no: observes", shown, re.MULTILINE)
    alliance.wait_until_votes("C")
    alliance.stop("D")
    alliance.notarize()
    alliance.start_again("D")
    alliance.wait_until_level("D", votes=True)


def test_damaged_database_is_rebuilt_or_fetched_from_the_others(alliance):
    alliance.stop("B")
    height = alliance.status("A")["tip_height"]
    alliance.follow("Damaged database: rebuild")
    assert not (alliance.path("HOME_B") / "data.replaced").exists()
    assert alliance.status("B")["tip_height"] >= height
    alliance.wait_until_level("B", votes=True)

    alliance.stop("B")
    data = alliance.path("HOME_B") / "data"
    for path in data.glob("MANIFEST-*"):
        spoil(path)
    alliance.start_again("B")
    assert "kind=StorageFault" in alliance.await_refusal("B")
    data.rename(data.with_name("data.damaged"))
    alliance.start_again("B")
    alliance.wait_until_level("B", votes=True)
