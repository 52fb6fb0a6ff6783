"""`chainnode archive` on a real network: sealed, checked offline, renewed both ways, killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import bagit
import pytest

from chainnode.clock import SystemClock
from chainnode.ers.record import decode_evidence_record
from chainnode.ers.verifying import verify_evidence
from chainnode.pki.pem import parse_bundle
from cli.hashing import digests_of_file
from tests.support.certificates import run_openssl
from tests.support.cli import chainnode
from tests.support.network import wait_until
from tests.support.outside import java_evidence_records

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stamps")]

COUNT = 40


@pytest.fixture(scope="module")
def network(stamping_network):
    return stamping_network


def make_documents(folder, count):
    (folder / "documents" / "2026").mkdir(parents=True)
    for number in range(count):
        (folder / "documents" / "2026" / f"{number:03}.txt").write_text(f"document {number}")
    (folder / "documents" / "合同.txt").write_text("a contract")
    return folder / "documents"


def archive(network, *arguments):
    ran = chainnode("--home", network.client_home, "--json", "archive", *arguments)
    return ran.status, ran.document


def verify(network, home, document, record, *trust):
    """In a home that knows nothing, where no node answers."""
    trust = trust or ("--policy", network.policy, "--root", network.ca)
    ran = chainnode("--home", home, "--json", "archive", "verify", document, record, *trust)
    return ran.status, ran.document


def check_all(network, out, documents):
    """Every record holds by roots alone; return how many tokens each has."""
    roots = parse_bundle(network.ca.read_bytes())
    counts = []
    for path in sorted(out.rglob("*.er")):
        record = decode_evidence_record(path.read_bytes())
        document = documents / path.relative_to(out).with_suffix("")
        found = digests_of_file(document, record.algorithms)
        verdict = verify_evidence(record, found, at_ms=SystemClock().now_ms() + 60_000, roots=roots)
        counts.append(len(verdict.timestamps))
    return counts


def test_a_folder_is_sealed_renewed_both_ways_and_holds_for_us_and_for_bouncy_castle(
    network, tmp_path
):
    documents, out, home = make_documents(tmp_path, 10), tmp_path / "out", tmp_path
    seal = ("seal", documents, "-r", "--out", out)
    assert archive(network, *seal) == (
        0,
        {"sealed": 11, "had_record": 0, "out": str(out), "problems": []},
    )
    (token,) = (out / "chainnode-tokens").glob("*.tsr")
    assert Path(f"{token}.tlog-proof").exists()
    shown = run_openssl("ts", "-reply", "-in", token, "-text").stdout
    assert "Hash Algorithm: sha256" in shown

    document, record = documents / "合同.txt", out / "合同.txt.er"
    status, said = verify(network, home, document, record)
    assert status == 0
    assert [t["is_on_log"] for t in said["tokens"]] == [True]
    assert verify(network, home, document, record, "--policy", network.policy)[0] == 0
    assert verify(network, home, document, record, "--root", network.ca)[0] == 0
    assert verify(network, home, documents / "2026" / "001.txt", record)[0] == 1
    chain_only = ("--policy", network.policy, "--tokens", home)
    assert verify(network, home, document, record, *chain_only)[0] == 5
    # A root is no substitute for the chain's word, unless it is asked for.
    chain_only += ("--root", network.ca)
    assert verify(network, home, document, record, *chain_only)[0] == 5
    status, said = verify(network, home, document, record, *chain_only, "--by-root")
    assert (status, [t["is_on_log"] for t in said["tokens"]]) == (0, [False])
    ran = chainnode("--home", home, "--json", "archive", "verify", document, record)
    assert (ran.status, ran.document["error"]["code"]) == (2, "no_policy")

    # What has a record is left alone; what was altered since is named, and keeps its record.
    new = documents / "new.txt"
    new.write_text("new")
    altered = documents / "2026" / "002.txt"
    before = (out / "2026" / "002.txt.er").read_bytes()
    altered.write_text("altered")
    status, said = archive(network, *seal)
    assert (status, said["sealed"], said["had_record"]) == (2, 1, 10)
    assert [p["path"] for p in said["problems"]] == ["2026/002.txt"]
    assert (out / "2026" / "002.txt.er").read_bytes() == before
    altered.write_text("document 2")

    # Nothing is due by age; a devnet's units have certificates for years.
    assert archive(network, "renew", out, "--older-than", 1)[1]["not_due"] == 12
    status, said = archive(network, "renew", out, "--force")
    assert (status, said["renewed"], said["tokens"]) == (0, 12, 1)
    assert archive(network, "renew", out, "--older-than", 0)[1]["renewed"] == 12
    to_sha512 = ("renew", out, "--algorithm", "sha512", "--documents", documents)
    altered.write_text("altered")
    status, said = archive(network, *to_sha512)
    assert (status, said["renewed"], len(said["problems"])) == (2, 11, 1)
    altered.write_text("document 2")
    status, said = archive(network, *to_sha512)
    assert (status, said["renewed"], said["not_due"]) == (0, 1, 11)
    assert archive(network, "renew", out, "--force")[1]["renewed"] == 12
    assert check_all(network, out, documents) == [5] * 12
    status, said = verify(network, home, document, record)
    assert status == 0
    assert [t["algorithm"] for t in said["tokens"]] == ["sha256"] * 3 + ["sha512"] * 2
    assert all(t["is_on_log"] for t in said["tokens"])

    # The bag takes tokens and proofs along.
    bag, trust = tmp_path / "bag", ("--policy", network.policy, "--root", network.ca)
    exported = archive(network, "export", documents, "--records", out, "--out", bag)[1]
    assert (exported["documents"], exported["records"]) == (12, 12)
    status, said = archive(network, "check", bag, *trust)
    results = {check["name"]: check["result"] for check in said["checks"]}
    assert (status, set(results.values())) == (0, {"passed"})
    bagit.Bag(str(bag)).validate()

    cases = tmp_path / "cases"
    cases.mkdir()
    for name, content in (("good", b"a contract"), ("changed", b"a contract.")):
        (cases / name).write_bytes(content)
        (cases / f"{name}.er").write_bytes(record.read_bytes())
    found = java_evidence_records().batch(cases, SystemClock().now_ms() // 1000 + 60)
    assert found == {"good": 0, "changed": 1}


def test_whoever_kills_a_renewal_finds_each_record_old_or_new_and_whole(network, tmp_path):
    documents, out = make_documents(tmp_path, COUNT), tmp_path / "out"
    assert archive(network, "seal", documents, "-r", "--out", out)[0] == 0
    first = {path: path.read_bytes() for path in out.rglob("*.er")}
    running = subprocess.Popen(
        [
            sys.executable, "-m", "cli.main", "--home", network.client_home,
            "archive", "renew", out, "--force",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(
            lambda: any(path.read_bytes() != first[path] for path in first), "a record is new"
        )
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    counts = check_all(network, out, documents)
    assert len(counts) == COUNT + 1
    assert set(counts) <= {1, 2}
    assert archive(network, "renew", out, "--older-than", 0)[0] == 0
    assert all(count >= 2 for count in check_all(network, out, documents))
