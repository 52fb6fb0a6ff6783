"""The devnet's own commands, as scripts call them."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from chainnode.model.suites import SUITE_NAMES
from devnet import homes, processes
from devnet.network import Devnet
from tests.support.network import chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]


def devnet(directory, *arguments, json_=False):
    """Run `chainnode devnet ...`; any home will do."""
    return chainnode(
        directory.parent / "home",
        *(("--json",) if json_ else ()),
        "devnet",
        *arguments,
        timeout_s=200,
    )


def at(directory):
    return ("--dir", str(directory))


def pids_alive(pids):
    found = [processes.find(pid) for pid in pids]
    return [p.pid for p in found if p is not None and processes.is_running(p)]


@pytest.fixture
def directory(tmp_path):
    """A folder for a network; what runs in it is ended."""
    yield tmp_path / "net"
    if (tmp_path / "net" / "devnet.json").exists():
        Devnet.open(tmp_path / "net").down()


def test_detached_network_is_up_notarizes_at_once_and_goes_down(directory, tmp_path):
    up = devnet(directory, "up", *at(directory), "--detach", json_=True)
    assert up.returncode == 0, up.stderr
    network = json.loads(up.stdout)
    assert set(network) == {"validators", "client_home", "admin_home", "policy", "genesis", "ca"}
    assert [set(v) for v in network["validators"]] == [{"name", "rpc", "home", "pid"}] * 4
    pids = [v["pid"] for v in network["validators"]]
    assert pids_alive(pids) == pids

    document = tmp_path / "document"
    document.write_text("a document")
    rpc = network["validators"][2]["rpc"]
    done = chainnode(Path(network["client_home"]), "--rpc", rpc, "notarize", str(document))
    assert done.returncode == 0, done.stdout + done.stderr
    policy = ("--policy", network["policy"])
    proof = tmp_path / "document.tlog-proof"
    assert chainnode(tmp_path, "verify", str(document), str(proof), *policy).returncode == 0
    document.write_text("another document")
    assert chainnode(tmp_path, "verify", str(document), str(proof), *policy).returncode == 1

    name = network["validators"][0]["name"]
    assert devnet(directory, "fault", *at(directory), "kill", name).returncode == 0
    shown = json.loads(devnet(directory, "status", *at(directory), json_=True).stdout)
    assert [v["process"] for v in shown["validators"]] == ["ended", *["running"] * 3]
    assert devnet(directory, "fault", *at(directory), "kill", name).returncode == 2
    assert devnet(directory, "fault", *at(directory), "start", name).returncode == 0
    again = devnet(directory, "up", *at(directory), "--detach", json_=True)
    assert again.returncode == 0, again.stderr
    for action in ("mute", "slow", "heal", "deafen", "cut", "heal"):
        told = devnet(directory, "fault", *at(directory), "--delay-ms", "50", action, name)
        assert told.returncode == 0, told.stderr
        assert action in told.stdout
    after = [v["pid"] for v in json.loads(again.stdout)["validators"]]
    # Up on a network that is up starts nothing anew.
    assert after[1:] == pids[1:]

    ended = devnet(directory, "down", *at(directory))
    assert (ended.returncode, "v1, v2, v3, v4" in ended.stdout) == (0, True)
    assert pids_alive(after) == []
    ended = devnet(directory, "down", *at(directory), json_=True)
    assert (ended.returncode, json.loads(ended.stdout)["ended"]) == (0, [])


def test_network_in_the_foreground_ends_with_its_command(directory, tmp_path):
    argv = homes.command(tmp_path, "--json", "devnet", "up", *at(directory), has_keys=False)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        try:
            wait_until(
                lambda: b"Ctrl-C" in command.stderr.readline() or command.poll() is not None,
                "the network is up",
            )
            nodes = Devnet.open(directory).nodes
            assert len(pids_alive([n.process.pid for n in nodes])) == 4
        finally:
            command.send_signal(signal.SIGINT)
        assert command.wait(60) == 0
    assert pids_alive([n.process.pid for n in nodes]) == []


def test_folder_of_another_network_is_left_alone(directory):
    directory.mkdir()
    (directory / "precious").write_text("data")
    refused = devnet(directory, "up", *at(directory), "--detach")
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert [path.name for path in directory.iterdir()] == ["precious"]


def test_command_on_a_folder_without_a_network_says_what_to_do(directory):
    missing = devnet(directory, "status", *at(directory))
    assert missing.returncode == 6
    assert "devnet up" in missing.stderr


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_demo_holds(suite, directory, tmp_path):
    document = tmp_path / "document"
    document.write_bytes(bytes(range(256)))
    out = tmp_path / "out"
    done = devnet(directory, "demo", "--suite", suite, "--out", str(out), str(document))
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("ready", "notarized", "verified", "refused", "killed", "level", "all of it held"):
        assert part in done.stdout, part
    proof, policy = out / "document.tlog-proof", out / "policy"
    kept = chainnode(tmp_path, "verify", str(document), str(proof), "--policy", str(policy))
    assert kept.returncode == 0, kept.stderr


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)]
)
def test_demo_that_is_interrupted_leaves_nothing_running(number, directory, tmp_path):
    document = tmp_path / "document"
    document.write_text("x")
    place = tmp_path / "place"
    place.mkdir()
    argv = homes.command(tmp_path, "devnet", "demo", str(document), has_keys=False)
    environment = homes.environment() | {"TMPDIR": str(place), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as demo:
        ready = next(line for line in demo.stdout if "ready" in line)
        pids = [int(pid) for pid in re.findall(r"pid (\d+)", ready)]
        demo.send_signal(number)
        assert demo.wait(60) == 130
    assert len(pids) == 4
    assert pids_alive(pids) == []
    assert not list(place.glob("chainnode-devnet-*"))


def test_demo_without_a_validator_to_spare_is_refused(directory, tmp_path):
    (tmp_path / "document").write_text("x")
    refused = devnet(directory, "demo", "--validators", "3", str(tmp_path / "document"))
    assert refused.returncode == 2
    assert "expected" in refused.stderr or "takes 4" in refused.stderr


@pytest.mark.parametrize(
    "load",
    [
        ("--workload", "notarize", "--rate", "100"),
        pytest.param(
            ("--workload", "notarize-batch", "--batch-size", "50"), marks=pytest.mark.soak
        ),
    ],
)
def test_bench_measures_and_checks(load, directory):
    done = devnet(directory, "bench", *load, "--duration", "2", json_=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["tps"] > 0
    assert figures["records_per_s"] == pytest.approx(
        figures["tps"] * figures["batch_size"], rel=0.01
    )
    latency = figures["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert figures["ceiling_tps"] > 0
    assert figures["share_of_ceiling"] > 0
    assert figures["cpu_us_per_tx"] > 0
    assert figures["checked_records"] > 0
    assert figures["checked_proofs"] > 0


@pytest.mark.soak
def test_bench_on_a_long_chain_with_delay_says_so_and_takes_at_least_two_ways(directory):
    load = ("--rate", "50", "--duration", "2", "--records", "3000", "--delay", "50")
    done = devnet(directory, "bench", *load, json_=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["delay_ms"] == 50
    # Each of the two clients makes whole lists.
    assert 3_000 <= figures["records"] <= 4_000
    assert figures["refused"] == {}
    assert figures["checked_records"] >= 50 * 2
    # A proposal out and votes back.
    assert figures["latency_ms"]["p50"] > 2 * 50
    assert figures["home_bytes"] > 0
    assert figures["wire_bytes_per_tx"] > 0


def test_bench_of_the_gateway_measures_and_checks(directory):
    load = ("--workload", "gateway", "--validators", "1", "--rate", "50", "--duration", "2")
    done = devnet(directory, "bench", *load, json_=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["refused"] == {}
    assert figures["records_per_s"] > 0
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["max"]
    assert figures["checked_records"] == 50 * (3 + 2)
    assert figures["checked_proofs"] == 50


@pytest.mark.parametrize(
    ("option", "workload"),
    [
        ("delay", "one-dead"),
        ("records", "gateway"),
        ("delay", "proof"),
        ("delay", "restart"),
        ("records", "one-dead"),
        ("rate", "growth"),
        ("rate", "catch-up"),
    ],
)
def test_bench_refuses_an_option_that_its_workload_does_not_heed(directory, option, workload):
    refused = devnet(directory, "bench", "--workload", workload, f"--{option}", "1000")
    assert refused.returncode == 2
    assert f"{option}: found workload '{workload}'; expected notarize or" in refused.stderr


@pytest.mark.soak
def test_bench_with_one_dead_compares_three_networks_at_one_rate(directory):
    load = ("--workload", "one-dead", "--rate", "50", "--duration", "2")
    done = devnet(directory, "bench", *load, json_=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rate"], figures["saturation_tps"]) == (50, None)
    assert list(figures["cases"]) == ["all_alive", "one_dead_unskipped", "one_dead_skipped"]
    for case in figures["cases"].values():
        assert case["latency_ms"]["p50"] > 0
        assert case["checked_records"] >= 50 * 2
        assert case["checked_proofs"] > 0
    assert set(figures["ratio_to_all_alive"]) == {"one_dead_unskipped", "one_dead_skipped"}


@pytest.mark.soak
def test_bench_of_overload_tells_who_was_refused_and_how_probes_fared(directory):
    load = ("--workload", "overload", "--rate", "12000", "--duration", "2")
    done = devnet(directory, "bench", *load, json_=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rate"], figures["saturation_tps"]) == (12_000, None)
    assert figures["refused"]["overloaded"] > 0
    assert figures["refused_without_hint"] == figures["unanswered"] == 0
    assert figures["tps"] > 0
    assert figures["calm_latency_ms"]["p50"] > 0
    assert len(figures["p50_ms_by_second_after"]) == 15
    assert figures["memory_bytes"]["second_half"] > 0
    assert figures["checked_records"] > 0
    assert figures["checked_proofs"] > 0


def test_bench_of_an_unknown_workload_is_refused(directory):
    refused = devnet(directory, "bench", "--workload", "divination")
    assert refused.returncode == 2
    assert "notarize-batch" in refused.stderr
