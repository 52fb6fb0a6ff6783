"""One of four validators has a wrong wall clock (libfaketime; monotonic time is left alone): no block is dated by it."""

import threading
import time
from pathlib import Path

import pytest

from devnet.network import Devnet
from tests.support.missing import missing
from tests.support.network import GO_ON_S, LEVEL_MS, Notary, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("clocks")]

WRONG = "v4"
RIGHT = ("v1", "v2", "v3")
WRONG_BY_MS = 10_000
MEASURED_WITHIN_MS = 500
"""Offsets are measured over loopback, but processes on a busy machine answer late."""

SPAN_S = 4
"""Longer than a first proposal may take, and clocks be wrong."""

UNHURRIED_MS = 2_000
"""Between asking for the time and hearing it."""


def faketime():
    """Variables under which a process has the wall clock that a file tells; the file."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        missing("libfaketime (Debian package faketime)", so="no clock was wrong")
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "NO_FAKE_STAT": "1",
    }


class WrongClock:
    """A network whose `WRONG` validator reads a clock that is set at will."""

    def __init__(self, network, directory):
        self.network = network
        self._file = directory / "clock"
        self._environment = {**faketime(), "FAKETIME_TIMESTAMP_FILE": str(self._file)}
        self.notary = Notary(network)
        self.headers = {}
        """Of the blocks that `commit` has made, by height."""

    def set(self, seconds):
        """Let it be wrong by that much from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}s\n")
        fresh.replace(self._file)

    def start(self):
        self.network.start(WRONG, environment=self._environment)

    def commit(self, name):
        """Commit; the block's certified interval must hold a moment at which the transaction was under way."""
        began_ms = time.time_ns() // 1_000_000
        result, seconds = self.notary.commit(name)
        ended_ms = time.time_ns() // 1_000_000
        assert result["status"] == "committed"
        header = self.network.ask(name, lambda client: client.chain_header(result["height"]))
        assert header["not_before_ms"] <= ended_ms
        assert header["not_after_ms"] >= began_ms
        self.headers[header["height"]] = header
        return seconds

    def commits_go_on(self, rounds):
        for _ in range(rounds):
            for name in RIGHT:
                assert self.commit(name) < GO_ON_S

    def offsets(self):
        """What the others have measured of it; None before the first sample."""
        return {
            name: next(
                peer["clock_offset_ms"]
                for peer in self.network.status(name)["peers"]
                if peer["name"] == WRONG
            )
            for name in RIGHT
        }

    def is_measured(self, offset_ms):
        return all(
            found is not None and abs(found - offset_ms) < MEASURED_WITHIN_MS
            for found in self.offsets().values()
        )

    def verdict(self):
        """What it thinks of its own clock."""
        return self.network.status(WRONG)["clock"]["verdict"]

    def is_seen_off(self):
        """Whether each of the others marks its clock, and no other one."""
        marks = [
            {peer["name"] for peer in self.network.status(name)["peers"] if peer["clock_is_off"]}
            for name in RIGHT
        ]
        return marks == [{WRONG}] * len(RIGHT)

    def proposers(self):
        return {header["proposer"] for header in self.headers.values()}


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clocks")
    with Devnet.create(directory / "net", can_cut=False) as network:
        clock = WrongClock(network, directory)
        clock.set(0)
        clock.start()
        network.up()
        clock.commits_go_on(1)
        yield clock


@pytest.mark.parametrize("seconds", [10, -10])
def test_one_clock_that_is_wrong_dates_no_block_and_everybody_sees_it(clock, seconds):
    clock.network.terminate(WRONG)
    clock.set(seconds)
    clock.headers.clear()
    clock.start()
    clock.network.wait_ready(WRONG)
    own_ms = clock.network.status(WRONG)["now_ms"]
    assert abs(own_ms - time.time_ns() // 1_000_000 - seconds * 1000) < UNHURRIED_MS
    clock.commits_go_on(1)
    began = time.monotonic()
    wait_until(lambda: clock.is_measured(seconds * 1000), "the others have measured its clock")
    wait_until(lambda: clock.verdict() == "wrong", "it knows that its clock is wrong")
    wait_until(clock.is_seen_off, "the others say whose clock is wrong")
    assert not clock.network.status(WRONG)["clock"]["vouches"]
    assert all(clock.network.status(name)["clock"]["vouches"] for name in RIGHT)
    # After so long without a block, even the least time above its parent's is too old to be timely.
    time.sleep(max(0, SPAN_S - (time.monotonic() - began)))
    clock.commits_go_on(2)
    if seconds > 0:
        # Its turn has failed, so the others lead before it.
        assert WRONG not in clock.proposers()
        assert clock.network.status("v1")["skipped"] == [WRONG]
    clock.network.wait_level(timeout_ms=LEVEL_MS)


def test_clock_that_jumps_to_and_fro_dates_no_block_and_counts_again_once_it_is_right(clock):
    over = threading.Event()

    def jump():
        for seconds in (10, 0, -10, 20, -3_600, 3_600, 1, 0) * 2:
            clock.set(seconds)
            if over.wait(0.7):
                return

    thread = threading.Thread(target=jump)
    thread.start()
    try:
        while thread.is_alive():
            clock.commits_go_on(1)
    finally:
        over.set()
        thread.join()
    clock.network.wait_level(timeout_ms=LEVEL_MS)
    assert clock.network.status(WRONG)["clock"]["jumps"] >= len({10, 0, -10, 20, -3_600, 3_600})
    assert [clock.network.status(name)["clock"]["jumps"] for name in RIGHT] == [0, 0, 0]
    wait_until(lambda: clock.verdict() == "right", "its clock is right again, and it knows that")
    # Its votes make blocks again: without them and another's, there is no quorum.
    clock.network.stop("v1")
    try:
        for _ in range(4):
            assert clock.commit("v2") < GO_ON_S
    finally:
        clock.network.cont("v1")
