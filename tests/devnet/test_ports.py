import socket

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
    taken, free = ports.free_ports(2)
    monkeypatch.setattr(ports.random, "sample", lambda population, count: [taken, free, 1])
    with socket.create_server((ports.LOOPBACK, taken)):
        assert ports.free_ports(1) == (free,)


def test_want_of_ports_is_an_error(monkeypatch):
    (taken,) = ports.free_ports(1)
    monkeypatch.setattr(ports.random, "sample", lambda population, count: [taken])
    with socket.create_server((ports.LOOPBACK, taken)), pytest.raises(Unavailable, match="found 0"):
        ports.free_ports(1)
