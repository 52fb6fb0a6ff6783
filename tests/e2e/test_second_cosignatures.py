"""An alliance switches second cosignatures on while it runs: policies, proofs and checkpoints, judged by us and by Go."""

from __future__ import annotations

import base64
import json

import pytest

from chainnode.model.note import parse_note
from chainnode.model.tlog_policy import parse_policy
from devnet.network import Devnet
from tests.support.network import LEVEL_MS, Notary, chainnode, wait_until
from tests.support.outside import go_verifier

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("outside")]

SECOND_BYTES = 8 + 2_420
MAKE_KEY = ("keys", "new", "second", "--purpose", "cosigner", "--suite", "ml-dsa-44")


def run(network, *arguments):
    return chainnode(network.client_home, *map(str, arguments))


def done(network, *arguments):
    """Run a command that must succeed; return its JSON."""
    ran = run(network, "--json", *arguments)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def configure(node, key):
    """Write `node.second_key` of a validator."""
    path = node.home / "config.toml"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("second_key")]
    at = lines.index("[node]") + 1
    lines.insert(at, f'second_key = "{key}"')
    path.write_text("\n".join(lines) + "\n")


def restart(network, *names):
    for name in names:
        network.terminate(name)
    network.up()
    network.wait_level(timeout_ms=LEVEL_MS)


def policy_twice(network, path):
    """Return whether the chain has a policy that asks for both kinds; write it."""
    ran = run(network, "policy", "--ml-dsa-44", "--out", path)
    assert ran.returncode == 0 or "too_few_second_keys" in ran.stderr or "quorum is 3" in ran.stderr
    return ran.returncode == 0


def checkpoint(network, name, least_size, path):
    """Write a validator's newest checkpoint once it has a size; return its note."""

    def newest():
        found = network.ask(name, lambda node: node.log_checkpoint())
        return found if found["size"] >= least_size else None

    wait_until(newest, f"{name} has a cosigned checkpoint of {least_size} records")
    found = newest()
    path.write_bytes(found["checkpoint"].encode())
    return found["size"], parse_note(path.read_bytes())


def seconds(note):
    return {s.name.rpartition("/")[2] for s in note.signatures if len(s.value) == SECOND_BYTES}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four validators that have not started yet."""
    with Devnet.create(tmp_path_factory.mktemp("second") / "net", can_cut=False) as network:
        yield network


def test_a_key_of_another_kind_and_a_missing_one_keep_a_node_from_starting(made):
    node = made.node("v1")
    for key, said in (("second", "keys new second"), ("cosigner", "expected one made with")):
        configure(node, key)
        ran = chainnode(node.home, "start", has_keys=True)
        assert ran.returncode == 2, ran.stderr
        assert said in ran.stderr
    configure(node, "")


def test_second_cosignatures_are_switched_on_asked_for_and_switched_off(made, tmp_path):
    file, twice, go = tmp_path / "notice.txt", tmp_path / "twice", go_verifier()
    file.write_bytes("关于公布许可目录的通知\n".encode())
    network = made
    network.up()
    notary = Notary(network)
    notary.commit("v1")
    assert not policy_twice(network, twice)
    assert not twice.exists()
    for node in network.nodes:
        ran = chainnode(node.home, *MAKE_KEY, has_keys=True)
        assert ran.returncode == 0, ran.stderr
        configure(node, "second")
    restart(network, *(node.name for node in network.nodes))
    wait_until(lambda: policy_twice(network, twice), "a quorum has registered its keys")
    wait_until(
        lambda: (
            policy_twice(network, twice) and len(parse_policy(twice.read_bytes()).witnesses) == 8
        ),
        "all have registered their keys",
    )
    listed = done(network, "validators")["validators"]
    assert [v["has_second_key"] for v in listed] == [True] * 4
    assert run(network, "validators").stdout.count("ml-dsa-44") == 4
    assert " second_key_registered height=" in network.log("v1").read_text()

    # A record from now on is proven under a quorum of both kinds, for us and for others.
    (entry,) = done(network, "notarize", file, "--out", tmp_path / "proofs")["notarized"]
    proof = entry["proof"]
    shown = done(network, "verify", file, proof, "--policy", twice)
    kinds = [c["suite"] for c in shown["cosigners"]]
    assert min(kinds.count("ml-dsa-44"), kinds.count("ed25519-sha256")) >= 3
    assert "(ml-dsa-44) at" in run(network, "verify", file, proof, "--policy", twice).stdout
    assert go.run("verify-proof", file, proof, twice).returncode == 0
    # Policies that do not ask for them hold as they did.
    assert run(network, "verify", file, proof, "--policy", network.policy).returncode == 0
    assert go.run("verify-proof", file, proof, network.policy).returncode == 0
    changed = tmp_path / "changed"
    changed.write_bytes(b"x" + file.read_bytes())
    assert run(network, "verify", changed, proof, "--policy", twice).returncode == 1

    # From a first checkpoint to a last one.
    size, note = checkpoint(network, "v2", 1, tmp_path / "old")
    assert len(seconds(note)) >= 3
    notary.commit("v3")
    new_size, _ = checkpoint(network, "v3", size + 1, tmp_path / "new")
    hashes = network.ask("v4", lambda node: node.log_consistency(size, new_size))["hashes"]
    (tmp_path / "hashes").write_text("".join(f"{h}\n" for h in hashes))
    assert all(len(base64.b64decode(h)) == 32 for h in hashes)
    last = [tmp_path / name for name in ("old", "new")]
    assert go.run("consistency", *last, twice, tmp_path / "hashes").returncode == 0

    # One that switches it off takes its key back; the others are still a quorum.
    configure(network.node("v4"), "")
    restart(network, "v4")
    wait_until(
        lambda: (
            policy_twice(network, twice) and len(parse_policy(twice.read_bytes()).witnesses) == 7
        ),
        "v4 has taken its key back",
    )
    notary.commit("v1")
    more, _ = checkpoint(network, "v1", new_size + 1, tmp_path / "new")
    _, note = checkpoint(network, "v1", more, tmp_path / "new")
    wait_until(
        lambda: seconds(checkpoint(network, "v1", more, tmp_path / "new")[1]) == {"v1", "v2", "v3"},
        "the other three cosign twice",
    )
