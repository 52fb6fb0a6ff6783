"""Validators in network namespaces of their own: real TCP through partitions, deafness, loss and slow lines."""

import threading
import time

import pytest

from tests.support import namespaces
from tests.support.network import GO_ON_S, LEVEL_MS, Notary, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("namespaces")]

NAMES = ("v1", "v2", "v3", "v4")
HEAL_S = 15
"""From the end of a partition to the next decision: a link that was given up is dialled again every 2 s, what was on its way
is sent again by TCP after pauses that double, and a view may have to end."""

TWO_VIEWS_S = 6
"""Where two validators do not hear each other, each of them may lead in vain, one after the other."""

QUIET_S = 6
"""Long enough for links to be given up, which takes them 4 s."""


@pytest.fixture(scope="module")
def module_network(tmp_path_factory):
    with namespaces.separated(tmp_path_factory.mktemp("apart") / "net") as network:
        network.up()
        # Each has its say once, so that none needs the others' help to know that it may vote.
        notary = Notary(network)
        time.sleep(2)
        for name in NAMES:
            notary.commit(name)
        network.wait_level(timeout_ms=LEVEL_MS)
        yield network
    assert namespaces.left_over() == []


@pytest.fixture
def network(module_network):
    module_network.mend()
    module_network.wait_ready()
    module_network.wait_level(timeout_ms=LEVEL_MS)
    return module_network


@pytest.fixture(scope="module")
def module_notary(module_network):
    return Notary(module_network)


@pytest.fixture
def notary(network, module_notary):
    return module_notary


def commits_go_on(notary, *names, within_s=GO_ON_S):
    """Each turn to propose comes by; none may take long."""
    for name in (*names, names[0]):
        result, seconds = notary.commit(name)
        assert result["status"] == "committed"
        assert seconds < within_s


def heals_within(notary, network, bound_s):
    """Mend all; a transaction is decided and all are level within the bound."""
    pending = threading.Thread(target=notary.commit, args=("v1",))
    pending.start()
    network.mend()
    mended = time.monotonic()
    pending.join()
    assert time.monotonic() - mended < bound_s
    network.wait_level(timeout_ms=bound_s * 1000)


def test_half_and_half_decide_nothing_and_go_on_when_whole_again(network, notary):
    network.split(("v1", "v2"), ("v3", "v4"))
    heights = {name: network.status(name)["tip_height"] for name in NAMES}
    waiting = [
        threading.Thread(target=notary.try_commit, args=(name,), kwargs={"timeout_s": QUIET_S})
        for name in ("v1", "v3")
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert {name: network.status(name)["tip_height"] for name in NAMES} == heights
    assert {"v3", "v4"} & set(network.status("v1")["awaited"])
    heals_within(notary, network, HEAL_S)


def test_three_go_on_without_the_fourth_which_decides_nothing_alone(network, notary):
    network.split(("v1", "v2", "v3"), ("v4",))
    commits_go_on(notary, "v1", "v2", "v3")
    height = network.status("v4")["tip_height"]
    assert notary.try_commit("v4", timeout_s=QUIET_S) is None
    assert network.status("v4")["tip_height"] == height
    heals_within(notary, network, HEAL_S)


@pytest.mark.parametrize("way", ["in", "out"])
def test_one_that_is_deaf_or_mute_stops_nobody_and_comes_back_level(network, notary, way):
    network.filter("v2", f"{way} drop")
    commits_go_on(notary, "v1", "v3", "v4")
    wait_until(
        lambda: not any(peer["connected"] for peer in network.status("v2")["peers"]),
        "v2 has given up its links",
    )
    commits_go_on(notary, "v1", "v3", "v4")
    heals_within(notary, network, HEAL_S)


def test_two_that_do_not_hear_each_other_are_reached_through_the_others(network, notary):
    network.filter("v1", f"in ip saddr {network.address('v2')} drop")
    for _ in range(3):
        commits_go_on(notary, *NAMES, within_s=TWO_VIEWS_S)
    heals_within(notary, network, HEAL_S)


def test_lossy_and_slow_lines_slow_the_chain_and_stop_nobody(network, notary, record_property):
    how = {network.disturb(name) for name in NAMES}
    print(how)
    record_property("how", sorted(how))
    for name in (*NAMES, *NAMES):
        result, _ = notary.commit(name)
        assert result["status"] == "committed"
    assert sum(map(network.lost, NAMES)) > 0
    network.mend()
    network.wait_level(timeout_ms=LEVEL_MS)
