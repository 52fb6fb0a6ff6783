"""The OpenTimestamps calendar of a real node, as the stock client (PyPI opentimestamps-client) and our own command see it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from devnet.network import Devnet
from tests.support.missing import missing
from tests.support.network import chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("ots")]

CLIENT = Path(sys.executable).with_name("ots")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    if not CLIENT.exists():
        missing("ots (pip install opentimestamps-client)", so="no stock client stamps here")
    with Devnet.create(tmp_path_factory.mktemp("ots") / "net") as made:
        config = made.nodes[0].home / "config.toml"
        text = config.read_text().replace('# calendar = ""', f'calendar = "{url(made)}"')
        assert url(made) in text
        config.write_text(text)
        made.up()
        yield made


def url(network):
    return f"{network.nodes[0].rpc}/ots/"


def ots(folder, *arguments):
    ran = subprocess.run(
        [CLIENT, "--no-cache", "--no-bitcoin", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def stamp(network, folder, *names):
    for name in names:
        (folder / name).write_text(f"the document {name}")
    status, said = ots(folder, "stamp", "-m", "1", "-c", url(network), *names)
    assert status == 0, said
    assert f"Submitting to remote calendar {url(network)}" in said


def upgrade(network, folder, name):
    """Upgrade until the attestation is there; the client never calls that complete."""
    said = ""

    def is_there():
        nonlocal said
        status, said = ots(folder, "-l", url(network), "upgrade", f"{name}.ots")
        assert status == 1, said
        assert "Failed! Timestamp not complete" in said
        return "Got 1 attestation(s)" in said

    wait_until(is_there, "an attestation of the chain")


def verify(network, folder, name, proof=None):
    policy = str(network.policy)
    proof = str(folder / f"{name}.ots") if proof is None else str(proof)
    # Any folder will do as a home; no node is asked.
    ran = chainnode(
        folder, "--json", "ots", "verify", str(folder / name), proof, "--policy", policy
    )
    return ran.returncode, json.loads(ran.stdout)


def test_stamped_upgraded_and_verified_offline(network, tmp_path):
    stamp(network, tmp_path, "a.txt", "b.txt")
    status, said = ots(tmp_path, "info", "a.txt.ots")
    assert status == 0
    assert f"PendingAttestation('{url(network)}')" in said
    status, answer = verify(network, tmp_path, "a.txt")
    assert (status, answer["error"]["code"]) == (5, "pending")
    # What the stock client says of our proofs, below, is announced.
    assert "Failed! Timestamp not complete" in answer["error"]["message"]

    upgrade(network, tmp_path, "a.txt")
    _, said = ots(tmp_path, "info", "a.txt.ots")
    assert "UnknownAttestation" in said
    assert f"PendingAttestation('{url(network)}')" in said
    status, answer = verify(network, tmp_path, "a.txt")
    assert status == 0, answer
    assert answer["account"] == "agency-1/v1"
    assert answer["not_before_ms"] <= answer["time_ms"] <= answer["not_after_ms"]
    assert answer["not_judged"] == [f"pending at {url(network)}"]
    files = (str(tmp_path / "a.txt"), str(tmp_path / "a.txt.ots"))
    ran = chainnode(tmp_path, "ots", "verify", *files, "--policy", str(network.policy))
    assert "(a promise stays in the file when it is kept)" in ran.stdout

    # Two files stamped together share the record, and neither proves the other.
    upgrade(network, tmp_path, "b.txt")
    assert verify(network, tmp_path, "b.txt")[1]["index"] == answer["index"]
    status, answer = verify(network, tmp_path, "b.txt", tmp_path / "a.txt.ots")
    assert (status, answer["error"]["code"]) == (1, "other_document")

    # A path that leads elsewhere ends at another message than the record is about.
    forged = bytearray((tmp_path / "a.txt.ots").read_bytes())
    forged[31 + 2 + 32 + 2] ^= 1  # the first byte that is appended to the digest
    (tmp_path / "forged.ots").write_bytes(forged)
    status, answer = verify(network, tmp_path, "a.txt", tmp_path / "forged.ots")
    assert (status, answer["error"]["code"]) == (1, "other_document")

    with urllib.request.urlopen(f"{network.nodes[0].rpc}/metrics", timeout=10) as answered:
        metrics = answered.read().decode()
    assert 'chainnode_calendar_digests_total{outcome="committed"} 1.0' in metrics
    assert "chainnode_calendar_pending_digests 0.0" in metrics

    # Anybody finds the record by its digest.
    message = verify(network, tmp_path, "a.txt")[1]["message"]
    ran = chainnode(network.client_home, "--json", "lookup", f"sha256:{message}")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_was_promised_outlives_a_killed_node(network, tmp_path):
    stamp(network, tmp_path, "c.txt")
    network.kill(network.nodes[0].name)
    network.up()
    network.wait_level(timeout_ms=60_000)
    upgrade(network, tmp_path, "c.txt")
    assert verify(network, tmp_path, "c.txt")[0] == 0


def test_a_commitment_that_nobody_made_and_other_files_are_named(network, tmp_path):
    stamp(network, tmp_path, "d.txt")
    proof = tmp_path / "d.txt.ots"
    # Of another tree: its path leads to a root that no calendar has promised.
    forged = bytearray(proof.read_bytes())
    forged[31 + 2 + 32 + 2] ^= 1
    proof.write_bytes(forged)
    status, said = ots(tmp_path, "-l", url(network), "upgrade", "d.txt.ots")
    assert status == 1
    assert "Commitment not found" in said
    status, answer = verify(network, tmp_path, "d.txt", network.policy)
    assert (status, answer["error"]["code"]) == (2, "bad_ots")
