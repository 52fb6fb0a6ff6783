"""Outsiders watch a real network: a monitor that is killed and goes on."""

import json
import signal
import subprocess

import pytest

from devnet import homes
from tests.support.network import chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]


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
