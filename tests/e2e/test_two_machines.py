"""Two processes that run with one validator's keys stop by themselves, with what to do; the others go on."""

import datetime as dt
import shutil
import subprocess

import pytest

from devnet import homes
from devnet.ports import free_ports
from tests.support.network import LEVEL_MS, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

FAULT_STATUS = 70
NOTICED_WITHIN = dt.timedelta(seconds=5)


class Machine:
    """A process on a home, whose log we keep."""

    def __init__(self, home, place):
        self._log = place / f"{home.name}.said"
        with self._log.open("wb") as said:
            self.process = subprocess.Popen(
                homes.command(home, "start"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=homes.environment(),
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def lines(self, event):
        found = [line.split(" ") for line in self._log.read_text().splitlines()]
        return [" ".join(words) for words in found if len(words) > 2 and words[2] == event]

    def has_ended(self):
        return self.process.poll() is not None


def time_of(line):
    return dt.datetime.fromisoformat(line.split(" ", 1)[0])


def copied_home(home, copy):
    """Make a second home with the same keys and data, and ports of its own, as a restore beside a living node does."""
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("node.lock", "LOCK"))
    path = copy / "config.toml"
    lines = path.read_text().splitlines()
    ports = dict(zip(("listen", "port"), free_ports(2), strict=True))
    for number, line in enumerate(lines):
        key = line.partition(" = ")[0]
        if key == "listen":
            lines[number] = f'listen = "127.0.0.1:{ports.pop("listen")}"'
        elif key == "port":
            lines[number] = f"port = {ports.pop('port')}"
    assert not ports
    path.write_text("\n".join(lines) + "\n")


def test_a_second_machine_with_a_validators_keys_stops_both_and_nobody_else(network, notary):
    """v2 is called by v1, and calls v3 and v4: these two are shared by whoever has its keys."""
    place = network.directory
    network.terminate("v2")
    home, copy = network.node("v2").home, place / "v2.copy"
    copied_home(home, copy)
    with Machine(home, place) as first:
        wait_until(lambda: len(first.lines("peer_linked")) == 3, "v2 is linked with all")
        notary.commit("v1")
        with Machine(copy, place) as second:
            wait_until(lambda: first.has_ended() and second.has_ended(), "both stop")
        for machine in (first, second):
            assert machine.process.returncode == FAULT_STATUS
            (stopped,) = machine.lines("node_stopped")
            assert "kind=CloneFound" in stopped
            for words in ("another process runs with the keys of validator v2", "Both stop"):
                assert words in stopped
            assert "Two machines with one key" in stopped
            assert 'where="-"' in stopped
            assert time_of(stopped) - time_of(second.lines("peer_linked")[0]) < NOTICED_WITHIN
    result, _ = notary.commit("v1")
    assert result["status"] == "committed"
    for name in ("v1", "v3", "v4"):
        assert network.process_state(name) == "running"
    assert any("peer_runs_twice peer=v2" in network.log(n).read_text() for n in ("v3", "v4"))
    # One of the two alone is in order again.
    network.start("v2")
    network.wait_level(timeout_ms=LEVEL_MS)
    assert network.is_running("v2")
    shutil.rmtree(copy)
