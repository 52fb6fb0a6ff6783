"""One of four may be lost in any way; two may not, and when one returns, all goes on. Real processes, real disks."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
MOMENTS_MS = (None, 0, 10, 25, 60)
"""After a client began to submit; None is before. A height takes about 50 ms then."""


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


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_two_of_four_that_are_lost_and_return_let_commits_go_on_within_two_views(
    network, notary, how
):
    lose = {"killed": network.kill, "stopped": network.stop, "cut off": network.cut}[how]
    return_ = {"killed": network.start, "stopped": network.cont, "cut off": network.heal}[how]
    lost = ("v2", "v3")
    for name in lost:
        lose(name)
    height = network.status("v1")["tip_height"]
    pending = threading.Thread(target=notary.try_commit, args=("v1",), kwargs={"timeout_s": 60})
    pending.start()
    wait_until(lambda: set(lost) <= set(network.status("v1")["awaited"]), "v1 awaits both")
    for name in lost:
        return_(name)
    # From when a quorum talks again; nobody's timer ran while none did, so no view is a long one.
    network.wait_ready()
    returned = time.monotonic()
    pending.join()
    assert time.monotonic() - returned < RESUME_S
    assert network.status("v1")["tip_height"] > height
    network.wait_level(timeout_ms=LEVEL_MS)


def next_leader(network):
    """Who leads view 0 of the open height: in rotation, but whoever's turn has failed comes last."""

    async def ask(client):
        return await client.chain_validators(), (await client.chain_status())["skipped"]

    found, skipped = network.ask("v1", ask)
    names = [validator["name"] for validator in found["validators"]]
    turns = [names[(found["height"] + turn) % len(names)] for turn in range(len(names))]
    return next(name for name in turns if name not in skipped)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_leader_may_be_lost_at_any_moment_of_its_height(network, notary, how):
    """Before it has heard of work, while it builds, while it is voted on, when it is decided."""
    for moment_ms in MOMENTS_MS:
        network.wait_level(timeout_ms=LEVEL_MS)
        leader = next_leader(network)
        with ThreadPoolExecutor(max_workers=1) as thread:
            if moment_ms is None:
                getattr(network, how)(leader)
            pending = thread.submit(notary.commit, other_than(leader))
            if moment_ms is not None:
                time.sleep(moment_ms / 1000)
                getattr(network, how)(leader)
            result, seconds = pending.result()
        assert result["status"] == "committed"
        assert seconds < GO_ON_S, f"{leader} was lost {moment_ms} ms after the submission"
        if how == "stop":
            network.cont(leader)
        else:
            network.start(leader)
            network.wait_ready(leader)


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
