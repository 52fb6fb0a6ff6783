import time

import pytest

from devnet.network import Devnet
from tests.support.network import LEVEL_MS, Notary, make_whole

UNSURE_S = 2
"""A validator without a vote on disk cannot tell whether it has lost some: it keeps silent until a block comes that was
proposed after its start by more than clocks may be wrong."""


def settle(network):
    """Let every validator have its say once; from then on none needs the others' help to know that it may vote."""
    time.sleep(UNSURE_S)
    notary = Notary(network)
    for node in network.nodes:
        notary.commit(node.name)
    network.wait_level(timeout_ms=LEVEL_MS)


@pytest.fixture(scope="module")
def module_network(tmp_path_factory):
    with Devnet.create(tmp_path_factory.mktemp("net") / "net") as network:
        network.up()
        settle(network)
        yield network


@pytest.fixture(scope="module")
def module_notary(module_network):
    return Notary(module_network)


@pytest.fixture(scope="session")
def stamping_network(tmp_path_factory):
    """Four validators with timestamp units; making the certificates takes so long that all tests of them share it."""
    directory = tmp_path_factory.mktemp("timestamps") / "net"
    with Devnet.create(directory, can_cut=False) as network:
        network.up()
        network.establish_authority()
        yield network


@pytest.fixture
def network(module_network):
    """Four validators that run, reach each other and are level."""
    make_whole(module_network)
    return module_network


@pytest.fixture
def notary(network, module_notary):
    return module_notary
