"""Outsiders watch real networks: a monitor that is killed and goes on, witnesses of another chain and of other software."""

import base64
import json
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from chainnode.model.merkle import EMPTY
from chainnode.model.note import cosigner_key, parse_note
from chainnode.model.suites import suite_named
from chainnode.model.tlog_policy import parse_policy
from devnet import homes
from devnet.network import Devnet
from devnet.ports import LOOPBACK, free_ports
from tests.support.network import chainnode, wait_until
from tests.support.outside import go_verifier, torchwood

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("outside")]


class Monitor:
    """`chainnode monitor` of two validators, as a service would run it."""

    def __init__(self, network, home, *arguments):
        self._urls = (network.node("v1").rpc, network.node("v2").rpc)
        self.home = home
        home.mkdir(exist_ok=True)
        (home / "policy").write_bytes((network.directory / "policy").read_bytes())
        self._arguments = (*self.of("--json"), "--every", "1", *arguments)
        self._out = home / "out"

    def of(self, *options):
        """Return the arguments of one run."""
        return ("--rpc", self._urls[0], *options, "monitor", "--also", self._urls[1])

    def start(self):
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                homes.command(self.home, *self._arguments, has_keys=False),
                stdin=subprocess.DEVNULL,
                stdout=out,
                env=homes.environment(),
            )

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def events(self, kind):
        lines = self._out.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if event["event"] == kind]

    def sizes(self):
        return {event["url"]: event["size"] for event in self.events("checkpoint")}

    def await_growth(self, least):
        def both():
            sizes = self.sizes()
            return len(sizes) == 2 and min(sizes.values()) >= least

        wait_until(both, f"both validators are seen with {least} records")


@pytest.fixture
def monitor(network, tmp_path):
    monitor = Monitor(network, tmp_path / "monitor", "--entries")
    yield monitor
    if monitor.process.poll() is None:
        monitor.kill()


def test_a_monitor_follows_two_validators_through_its_own_death_and_theirs(
    network, notary, monitor
):
    notary.commit("v1")
    monitor.start()
    monitor.await_growth(1)
    monitor.kill()
    state = monitor.home / "monitor.json"
    seen = json.loads(state.read_text())["entries"]["size"]
    assert seen >= 1
    notary.commit("v1")
    monitor.start()
    monitor.await_growth(seen + 1)
    network.kill("v2")
    wait_until(lambda: monitor.events("unreachable"), "the loss of a validator is noticed")
    network.up()
    notary.commit("v2")
    monitor.await_growth(seen + 2)
    assert monitor.process.poll() is None
    monitor.kill()
    once = chainnode(monitor.home, *monitor.of(), "--once", "--entries")
    assert once.returncode == 0, once.stderr
    assert len(once.stdout.splitlines()) == 2


# -- witnesses ---------------------------------------------------------------------------------------------------

LITEWITNESS = "litewitness.example/w"
SEED = bytes(range(32))


def done(home, *arguments, **options):
    """Run a command that must succeed; return what it printed."""
    ran = chainnode(home, *map(str, arguments), **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def configure(node, section, **settings):
    """Write settings of a section of a validator's config.toml."""
    path = node.home / "config.toml"
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    text = path.read_text()
    assert f"[{section}]\n" in text
    path.write_text(text.replace(f"[{section}]\n", f"[{section}]\n{lines}", 1))


def make_witness(node, name, policy):
    """Have a validator witness the logs of a policy; return the line by which others know it."""
    done(node.home, "keys", "new", "witness", "--purpose", "witness", has_keys=True)
    (node.home / "witnessed").mkdir()
    (node.home / "witnessed" / "other.policy").write_bytes(policy)
    configure(node, "witness", key="witness", name=name)
    return done(node.home, "witness")


@pytest.fixture(scope="module")
def litewitness(module_network, tmp_path_factory):
    """Run litewitness for the network's log, its key in an ssh-agent; return its line for a policy."""
    directory, programs = tmp_path_factory.mktemp("litewitness"), torchwood()
    (port,) = free_ports(1)
    policy = parse_policy((module_network.directory / "policy").read_bytes())
    database = sqlite3.connect(directory / "db")
    # Its own tool for this, witnessctl, does not build: the zip of a module that it needs is not on the Go proxy.
    database.executescript(
        "CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);"
        "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));"
    )
    empty = base64.b64encode(EMPTY.root(suite_named("ed25519-sha256"))).decode()
    database.execute("INSERT INTO log VALUES (?, 0, ?)", (homes.CHAIN_ID, empty))
    database.executemany(
        "INSERT INTO key VALUES (?, ?)", [(homes.CHAIN_ID, log.key.vkey()) for log in policy.logs]
    )
    database.commit()
    database.close()
    with (directory / "log").open("wb") as log:
        agent = subprocess.Popen(
            [programs / "torchwood", "agent", "agent.sock", SEED.hex()],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        fingerprint = agent.stdout.readline().decode().strip()
        witness = subprocess.Popen(
            [
                *(programs / "litewitness", "-db", "db", "-name", LITEWITNESS),
                *("-ssh-agent", "agent.sock", "-key", fingerprint),
                *("-listen", f"{LOOPBACK}:{port}"),
            ],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        try:
            suite = suite_named("ed25519-sha256")
            key = cosigner_key(suite, LITEWITNESS, suite.public_key_of(SEED))
            yield f"witness {LITEWITNESS} {key.vkey()} http://{LOOPBACK}:{port}\n"
        finally:
            for process in (witness, agent):
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def alliances(module_network, litewitness, tmp_path_factory):
    """Two chains that witness each other at their first validators; litewitness witnesses the first as well."""
    directory = tmp_path_factory.mktemp("other")
    chain_id = "other.example/chain"
    with Devnet.create(directory / "net", validators=1, chain_id=chain_id) as other:
        here, there = module_network.node("v1"), other.node("v1")
        own_policy = (module_network.directory / "policy").read_bytes()
        here_line = make_witness(here, "here.example/w", (other.directory / "policy").read_bytes())
        there_line = make_witness(there, "there.example/w", own_policy)
        group = f"group outside all there.example/w {LITEWITNESS}\n"
        (here.home / "outside.policy").write_text(
            f"{there_line}{litewitness}{group}quorum outside\n"
        )
        (there.home / "outside.policy").write_text(f"{here_line}quorum here.example/w\n")
        for node in (here, there):
            configure(node, "outside", policy="outside.policy", interval_ms=200)
        module_network.terminate("v1")
        module_network.up()
        other.up()
        yield module_network, other


def policy_of(network, directory):
    """Return the policy that asks for a network's validators and its outside witnesses."""
    path = directory / f"{Path(network.directory).parent.name}.policy"
    outside = network.node("v1").home / "outside.policy"
    done(network.client_home, "policy", "--witness", outside, "--out", path)
    assert "\nquorum both\n" in path.read_text()
    return path


def test_two_chains_and_other_software_witness_each_other_s_logs(alliances, tmp_path):
    for network in alliances:
        policy = policy_of(network, tmp_path)
        file = tmp_path / f"{policy.stem}.txt"
        file.write_text(f"a document of {policy.stem}")
        done(network.client_home, "notarize", file)
        proof = file.with_name(f"{file.name}.tlog-proof")
        # Outside witnesses come a moment later than the validators.
        done(network.client_home, "refresh", proof, "--witnessed")
        verified = json.loads(done(tmp_path, "--json", "verify", file, proof, "--policy", policy))
        validators = len(network.nodes)
        outside = 2 if validators > 1 else 1
        names = [cosigner["name"] for cosigner in verified["cosigners"]]
        assert len(names) >= 2 * validators // 3 + 1 + outside
        assert go_verifier().verify(file, proof, policy) == 0
        state = ("--state", tmp_path / f"{policy.stem}.json")
        url = network.node("v1").rpc
        done(tmp_path, "--rpc", url, "monitor", "--once", "--policy", policy, *state)


def test_another_node_s_proofs_lack_what_its_policy_asks_for(alliances, tmp_path):
    network, _ = alliances
    file = tmp_path / "file"
    file.write_text("no witness saw this yet")
    rpc = network.node("v3").rpc
    done(network.client_home, "--rpc", rpc, "notarize", file)
    proof = f"{file}.tlog-proof"
    policy = policy_of(network, tmp_path)
    # v3 asks nobody outside: its proofs satisfy the chain's own policy, and no more.
    own = chainnode(
        tmp_path, "verify", str(file), proof, "--policy", str(network.directory / "policy")
    )
    assert own.returncode == 0, own.stderr
    both = chainnode(tmp_path, "verify", str(file), proof, "--policy", str(policy))
    assert both.returncode == 1
    assert "its quorum needs 2 more" in both.stderr
    assert go_verifier().verify(file, Path(proof), policy) == 1
    refused = chainnode(network.client_home, "--rpc", rpc, "refresh", proof, "--witnessed")
    assert refused.returncode == 4
    assert "no outside witnesses" in refused.stderr


def test_torchwood_reads_the_log_from_its_tiles(alliances):
    network, _ = alliances
    policy = parse_policy((network.directory / "policy").read_bytes())
    _, checkpoint = network.ask("v1", lambda node: node.get("/checkpoint"))
    key_id = parse_note(checkpoint).signatures[0].key_id
    own = next(log.key for log in policy.logs if log.key.key_id == key_id)
    read = subprocess.run(
        [torchwood() / "torchwood", "entries", network.node("v1").rpc, own.vkey()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    assert int(read.stdout) >= 1
