import socket
import subprocess
import sys

import pytest

from chainnode.model.errors import Unavailable
from devnet import ports


def test_ports_are_different_and_free():
    found = ports.free_ports(50)
    assert len(set(found)) == 50
    for port in found:
        with socket.create_server((ports.LOOPBACK, port)):
            pass


def test_port_that_is_taken_is_passed_over(monkeypatch):
    with socket.create_server((ports.LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(
            ports.random, "sample", lambda population, count: [taken, *range(30_000, 31_000)]
        )
        assert taken not in ports.free_ports(1)


def test_port_is_handed_out_once_though_nobody_listens_yet(monkeypatch):
    (promised,) = ports.free_ports(1)
    monkeypatch.setattr(
        ports.random, "sample", lambda population, count: [promised, *range(30_000, 31_000)]
    )
    program = (
        "import random; from devnet import ports;"
        f"random.sample = lambda *_: [{promised}, *range(31_000, 32_000)];"
        "print(*ports.free_ports(1))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(found.stdout) != promised
    assert promised not in ports.free_ports(1)


def test_promises_do_not_pile_up():
    for _ in range(100):
        ports.free_ports(2)
    assert len(ports._reserved) <= ports._KEPT


def test_want_of_ports_is_an_error(monkeypatch):
    (taken,) = ports.free_ports(1)
    monkeypatch.setattr(ports.random, "sample", lambda population, count: [taken])
    with pytest.raises(Unavailable, match="found 0"):
        ports.free_ports(1)
