"""One of four may be lost in any way; two may not, and when one returns, all goes on. Real processes, real disks."""

import json
import threading
import time

import pytest

from chainnode.model.errors import ChainError
from devnet.network import Devnet
from tests.support.network import (
    GO_ON_S,
    LEVEL_MS,
    RESUME_S,
    Notary,
    chainnode,
    wait_until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

NAMES = ("v1", "v2", "v3", "v4")


def other_than(*names):
    return next(name for name in NAMES if name not in names)


def commits_go_on(notary, lost):
    """Three transactions in a row, so that every validator's turn to propose comes by; none may take long."""
    for _ in range(len(NAMES)):
        result, seconds = notary.commit(other_than(lost))
        assert result["status"] == "committed"
        assert seconds < GO_ON_S


@pytest.mark.parametrize("name", NAMES)
def test_commits_go_on_when_one_is_killed_and_it_comes_back_level(network, notary, name):
    network.kill(name)
    commits_go_on(notary, name)
    network.start(name)
    network.wait_ready(name)
    network.wait_level(timeout_ms=LEVEL_MS)
    result, _ = notary.commit(name)
    assert result["status"] == "committed"


@pytest.mark.parametrize("name", NAMES)
def test_commits_go_on_when_one_is_stopped_and_it_comes_back_level(network, notary, name):
    network.stop(name)
    commits_go_on(notary, name)
    network.cont(name)
    network.wait_level(timeout_ms=LEVEL_MS)


@pytest.mark.parametrize("name", NAMES)
def test_commits_go_on_when_one_is_cut_off_and_it_comes_back_level(network, notary, name):
    network.cut(name)
    commits_go_on(notary, name)
    # It is alive, in touch with nobody, and decides nothing.
    height = network.status(name)["tip_height"]
    assert notary.try_commit(name, timeout_s=3) is None
    assert network.status(name)["tip_height"] == height
    network.heal(name)
    network.wait_level(timeout_ms=LEVEL_MS)


def test_with_two_of_four_down_nothing_commits_and_status_names_them(network, notary):
    network.kill("v3")
    network.stop("v4")
    before = network.status("v1")["tip_height"]
    pending = threading.Thread(target=notary.try_commit, args=("v1",), kwargs={"timeout_s": 60})
    pending.start()
    try:
        wait_until(
            lambda: {"v3", "v4"} <= set(network.status("v1")["awaited"]), "v1 awaits v3 and v4"
        )
        shown = chainnode(network.client_home, "status")
        (line,) = (line for line in shown.stdout.splitlines() if line.startswith("waits for"))
        assert "v3" in line
        assert "v4" in line
        asked = json.loads(chainnode(network.client_home, "--json", "status").stdout)
        assert {"v3", "v4"} <= set(asked["awaited"])
        assert {network.status(name)["tip_height"] for name in ("v1", "v2")} == {before}
    finally:
        network.cont("v4")
        returned = time.monotonic()
        pending.join()
    assert time.monotonic() - returned < RESUME_S
    assert network.status("v1")["tip_height"] > before
    network.start("v3")
    network.wait_level(timeout_ms=LEVEL_MS)


def test_validator_that_was_away_for_many_blocks_catches_up(network, notary):
    network.kill("v2")
    for _ in range(50):
        notary.commit("v1")
    network.start("v2")
    network.wait_level(timeout_ms=LEVEL_MS)


def test_validator_that_lost_its_chain_but_not_its_keys_gets_it_back(network, notary):
    notary.commit("v1")
    network.terminate("v3")
    data = network.node("v3").home / "data"
    data.rename(data.with_name("data.lost"))
    network.start("v3")
    network.wait_ready("v3")
    network.wait_level(timeout_ms=LEVEL_MS)


def test_validator_that_never_voted_counts_from_its_restart_on(tmp_path):
    """It has seen blocks without its vote, which must not make it think that it lost some."""
    with Devnet.create(tmp_path / "net") as network:
        network.up()
        notary = Notary(network)
        network.kill("v1")
        for _ in range(3):
            notary.commit("v2")
        network.start("v1")
        network.wait_ready("v1")
        network.wait_level(timeout_ms=LEVEL_MS)
        network.kill("v2")
        commits_go_on(notary, "v2")


def test_graceful_stop_ends_with_a_line_and_status_0_without_residue(network):
    network.terminate("v4")
    assert not network.is_running("v4")
    assert "node_stopped" in network.last_words("v4")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_validator_that_was_stopped_for_a_minute_comes_back_level(network, notary, name):
    network.stop(name)
    resume = time.monotonic() + 60
    while time.monotonic() < resume:
        _, seconds = notary.commit(other_than(name))
        assert seconds < GO_ON_S
    network.cont(name)
    network.wait_level(timeout_ms=LEVEL_MS)


def test_fault_on_a_validator_that_is_not_there_is_refused(network):
    with pytest.raises(ChainError, match="there is no validator 'v9'"):
        network.kill("v9")
