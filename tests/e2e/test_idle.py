"""A network that nobody uses: no view change, no growth but a heartbeat a minute, next to no CPU, memory flat."""

import time
from pathlib import Path

import pytest

from devnet import processes
from devnet.network import Devnet
from tests.support.network import LEVEL_MS, Notary

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200), pytest.mark.xdist_group("network")]

IDLE_S = 600
SETTLE_S = 60
MOST_BLOCKS = IDLE_S // 60 + 1
MOST_CPU_PERCENT = 1
MOST_GROWTH_KIB = 4 * 1024
"""Of resident memory: allocators breathe; a leak of 1 KiB per message would be ten times that."""


def resident_kib(process):
    family = (process, *processes.descendants(process))
    total = 0
    for member in family:
        status = Path(f"/proc/{member.pid}/status").read_text()
        total += sum(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")
        )
    return total


def disk_bytes(home):
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def reading(network, node):
    status = network.status(node.name)
    return {
        "height": status["tip_height"],
        "view_changes": status["view_changes"],
        "cpu_ms": processes.cpu_ms(node.process),
        "memory_kib": resident_kib(node.process),
        "disk": disk_bytes(node.home),
    }


def test_idle_network_does_next_to_nothing(tmp_path):
    with Devnet.create(tmp_path / "net", can_cut=False) as network:
        network.up()
        Notary(network).commit("v1")
        network.wait_level(timeout_ms=LEVEL_MS)
        time.sleep(SETTLE_S)
        before = {node.name: reading(network, node) for node in network.nodes}
        time.sleep(IDLE_S)
        for node in network.nodes:
            was, now = before[node.name], reading(network, node)
            grown = {name: now[name] - was[name] for name in now}
            print(node.name, grown)
            assert grown["view_changes"] == 0
            assert 1 <= grown["height"] <= MOST_BLOCKS
            assert grown["cpu_ms"] < IDLE_S * 1000 * MOST_CPU_PERCENT / 100
            assert grown["memory_kib"] < MOST_GROWTH_KIB
            # An empty block with its certificate, its tiles and its index takes about 2 KiB.
            assert grown["disk"] < MOST_BLOCKS * 8 * 1024
        assert network.differences() is None
