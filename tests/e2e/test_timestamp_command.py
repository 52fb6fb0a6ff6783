"""`chainnode timestamp` as a user types it; and a thief with a unit's key, whose tokens only openssl believes."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from chainnode.clock import SystemClock
from chainnode.keystore.keystore import KeyStore
from chainnode.model.timestamp import Serial, parse_serial
from chainnode.pki.pem import parse_bundle
from chainnode.tsp.reading import decode_response
from chainnode.tsp.request import decode_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from devnet import homes
from tests.support.certificates import run_openssl
from tests.support.network import chainnode, wait_until
from tests.support.outside import go_verifier

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stamps")]

POLICY_OID = "2.999.3161.1"
LAW_PAGE = Path(__file__).parents[2] / "docs" / "evidence-law.md"
PAGE = LAW_PAGE.with_name("timestamps.md")


@pytest.fixture(scope="module")
def network(stamping_network):
    return stamping_network


@pytest.fixture(scope="module")
def stamped(network, tmp_path_factory):
    """A document with its token and proof, and the answer of the command."""
    document = tmp_path_factory.mktemp("documents") / "contract.txt"
    document.write_text("a contract")
    ran = chainnode(network.client_home, "--json", "timestamp", str(document))
    assert ran.returncode == 0, ran.stderr
    return document, json.loads(ran.stdout)


def verify(home, document, *arguments):
    token = f"{document}.tsr"
    return chainnode(home, "--json", "timestamp", "verify", str(document), token, *arguments)


def test_token_and_proof_verify_offline_and_in_openssl(network, stamped, tmp_path):
    document, answer = stamped
    assert answer["record"]["not_before_ms"] < answer["time_ms"] < answer["record"]["not_after_ms"]
    assert answer["record"]["account"] == "agency-1/v1"
    # Any folder will do as a home, and no node answers there.
    ran = verify(tmp_path, document, "--policy", str(network.policy), "--root", str(network.ca))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["index"] == answer["index"]
    said = run_openssl(
        *("ts", "-verify", "-in", answer["token"], "-data", document, "-CAfile", network.ca)
    )
    assert "Verification: OK" in said.stdout + said.stderr


def test_under_a_root_of_others_a_genuine_token_is_not_disproven(network, stamped, tmp_path):
    document, _ = stamped
    passphrase = ("--passphrase-file", str(network.directory / homes.PASSPHRASE))
    made = chainnode(tmp_path / "other", "ca", "root", "--subject", "CN=another root", *passphrase)
    assert made.returncode == 0, made.stderr
    other = ("--root", str(tmp_path / "other" / "authority.pem"))
    ran = verify(tmp_path, document, "--policy", str(network.policy), *other)
    assert (ran.returncode, json.loads(ran.stdout)["error"]["code"]) == (5, "no_path")
    copy = tmp_path / document.name
    for name in (document.name, f"{document.name}.tsr", f"{document.name}.tsr.tlog-proof"):
        shutil.copy(document.with_name(name), tmp_path)
    ran = chainnode(network.client_home, "notarize", str(copy))
    assert ran.returncode == 0, ran.stderr
    status, checks = report(copy, network, tmp_path, *other)
    assert (status, checks["token"]["code"]) == (5, "no_path")
    # What is disproven stays that, whatever root is lacking.
    copy.write_text("another contract")
    assert report(copy, network, tmp_path, *other)[0] == 1


def test_what_the_page_begins_with_works_as_typed(network, tmp_path):
    shutil.copytree(network.client_home, tmp_path / ".chainnode")
    for name, source in (("policy", network.policy), ("ca.pem", network.ca)):
        shutil.copy(source, tmp_path / name)
    (tmp_path / "contract.pdf").write_text("a contract")
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for block in blocks[:2]:
        shown = block.replace("http://127.0.0.1:8545", network.nodes[0].rpc)
        ran = run_as_typed(shown, tmp_path, HOME=str(tmp_path))
        assert ran.returncode == 0, block + ran.stdout + ran.stderr


def run_as_typed(block, folder, **variables):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-ec", block],
        cwd=folder,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def report(document, network, folder, *options):
    policy, proof = str(network.policy), f"{document}.tlog-proof"
    arguments = (str(document), proof, "--policy", policy, "--tsr", f"{document}.tsr", *options)
    ran = chainnode(folder, "--json", "report", *arguments)
    said = json.loads(ran.stdout)
    return ran.returncode, {c["name"]: c for c in said["checks"]}


def test_the_page_for_courts_and_a_report_of_it_all(network, stamped, tmp_path):
    document, _ = stamped
    shutil.copytree(document.parent, tmp_path, dirs_exist_ok=True)
    copy = tmp_path / document.name
    shutil.copy(network.policy, tmp_path / "policy")
    shutil.copy(network.ca, tmp_path / "root.pem")
    ran = chainnode(network.client_home, "notarize", str(copy))
    assert ran.returncode == 0, ran.stderr
    outside = Path(go_verifier().argv[0]).parent
    blocks = re.findall(r"```sh\n(.*?)```", LAW_PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        ran = run_as_typed(f"PATH='{outside}':$PATH\n{block}", tmp_path)
        assert ran.returncode == 0, block + ran.stdout + ran.stderr
    written = (tmp_path / "report.md").read_text()
    assert "**成立 holds**" in written
    status, checks = report(copy, network, tmp_path, "--root", str(network.ca))
    assert status == 0
    assert checks["token"]["result"] == checks["token-record"]["result"] == "holds"
    copy.write_text("another contract")
    status, checks = report(copy, network, tmp_path)
    assert status == 1
    assert checks["digests"]["code"] == "other_document"
    assert checks["token"]["result"] == "fails"
    assert checks["token-record"]["result"] == "holds"
    assert checks["inclusion"]["result"] == "holds"


def test_the_roots_list_takes_back_what_an_authority_has_certified(network, stamped, tmp_path):
    document, _ = stamped
    # The root's own home stays as it is: other tests need its authority.
    root, issuing = tmp_path / "root", network.directory / "ca" / "authority.pem"
    shutil.copytree(network.directory / "ca-root", root)
    passphrase = ("--passphrase-file", str(network.directory / homes.PASSPHRASE))
    trust = ("--policy", str(network.policy), "--root", str(network.ca))
    listed = ("--crl", str(root / "crl.pem"))
    for is_revoked in (False, True):
        if is_revoked:
            back = ("ca", "revoke-authority", str(issuing), "--reason", "compromised")
            assert chainnode(root, *back).returncode == 0
        assert chainnode(root, "ca", "crl", *passphrase).returncode == 0
        ran = verify(tmp_path, document, *trust, *listed)
        assert ran.returncode == is_revoked, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["error"]["code"] == "revoked"
    assert verify(tmp_path, document, *trust[:2], *listed).returncode == 2
    copy = tmp_path / document.name
    for name in (document.name, f"{document.name}.tsr", f"{document.name}.tsr.tlog-proof"):
        shutil.copy(document.with_name(name), tmp_path)
    ran = chainnode(network.client_home, "notarize", str(copy))
    assert ran.returncode == 0, ran.stderr
    status, checks = report(copy, network, tmp_path, *trust[2:], *listed)
    assert (status, checks["token"]["code"]) == (1, "revoked")
    # Of genuine tokens the record still says that the chain issued them.
    assert checks["token-record"]["result"] == "holds"


def test_a_certificate_page_takes_a_token_along_that_is_about_its_document(
    network, stamped, tmp_path
):
    original, answer = stamped
    document, other = tmp_path / original.name, tmp_path / "other.txt"
    shutil.copy(original, document)
    other.write_text("another contract")
    ran = chainnode(network.client_home, "notarize", str(document), str(other))
    assert ran.returncode == 0, ran.stderr

    def write_page(notarized, out):
        proof, policy = f"{notarized}.tlog-proof", ("--policy", str(network.policy))
        to = ("--tsr", answer["token"], "--out", str(out))
        return chainnode(tmp_path, "certificate", "page", proof, *policy, *to)

    page = tmp_path / "page.html"
    assert write_page(document, page).returncode == 0
    found = re.search(r'<a id="token"[^>]*base64,([^"]+)', page.read_text())
    assert found is not None
    assert base64.b64decode(found[1]) == Path(answer["token"]).read_bytes()
    command = "openssl ts -verify -data contract.txt -in contract.txt.tsr -CAfile root.pem"
    assert command in page.read_text()
    assert write_page(other, tmp_path / "never.html").returncode == 1
    assert not (tmp_path / "never.html").exists()


def test_every_node_shows_a_timestamp_and_its_authority_to_anybody(network, stamped):
    _, answer = stamped

    def page(node, name):
        try:
            with urllib.request.urlopen(f"{node.rpc}/v/{name}", timeout=10) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return "" if error.code == 404 else error.read().decode()

    for node in network.nodes:
        wait_until(lambda node=node: page(node, answer["index"]), "the record at every node")
        shown = page(node, answer["index"])
        for said in ("a timestamp", "agency-1/v1", "alliance"):
            assert said in shown
        assert answer["digest"] not in shown
    events = [page(network.nodes[0], index) for index in range(answer["index"])]
    assert any("issued alliance timestamp agency-1/v1" in text for text in events)
    assert any("crl alliance" in text for text in events)


def test_nothing_is_overwritten_and_a_lost_proof_is_fetched_again(network, stamped, tmp_path):
    document, answer = stamped
    assert re.fullmatch("01[0-9a-f]{38}", answer["serial_number"])
    again = chainnode(network.client_home, "timestamp", str(document))
    assert (again.returncode, "--out" in again.stderr) == (2, True)
    copy = tmp_path / document.name
    shutil.copy(document, copy)
    shutil.copy(f"{document}.tsr", f"{copy}.tsr")
    ran = verify(network.client_home, copy)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # Where nobody answers, it is said what was asked and why.
    nobody = ("--rpc", "http://127.0.0.1:1")
    ran = verify(tmp_path, copy, "--policy", str(network.policy), *nobody)
    assert ran.returncode == 3
    assert f"found no {copy}.tsr.tlog-proof, so a node was asked" in ran.stdout
    proof = chainnode(network.client_home, "timestamp", "proof", f"{copy}.tsr")
    assert proof.returncode == 0, proof.stderr
    assert verify(tmp_path, copy, "--policy", str(network.policy)).returncode == 0
    copy.write_text("another contract")
    assert verify(tmp_path, copy, "--policy", str(network.policy)).returncode == 1


def test_without_a_trust_anchor_it_is_said_which_command_checks_the_signatures(network, tmp_path):
    (tmp_path / "contract.pdf").write_text("a contract")
    node = ("--rpc", network.nodes[0].rpc)
    for command, checks in (("timestamp", "timestamp verify"), ("archive seal", "archive verify")):
        ran = chainnode(tmp_path / "home", *node, *command.split(), str(tmp_path / "contract.pdf"))
        assert ran.returncode == 0, ran.stderr
        assert f"`chainnode {checks}` does that" in ran.stderr


def test_a_folder_without_trust_anchor_and_a_file_that_is_no_token_are_named(
    network, stamped, tmp_path
):
    document, _ = stamped
    ran = verify(tmp_path, document)
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["error"]["code"] == "no_policy"
    policy = ("--policy", str(network.policy))
    ran = chainnode(tmp_path, "timestamp", "verify", str(document), str(network.policy), *policy)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "case", ["another record", "beyond the log", "no record at all", "a later time"]
)
def test_a_token_made_with_a_stolen_key_passes_openssl_and_fails_here(
    network, stamped, tmp_path, case
):
    document, answer = stamped
    genuine = decode_response(Path(answer["token"]).read_bytes())
    serial = parse_serial(genuine.serial_number)
    forged_serial = {
        "another record": Serial(index=1, blinding=serial.blinding).as_integer(),
        "beyond the log": Serial(index=10_000, blinding=serial.blinding).as_integer(),
        "no record at all": 2**100 + 7,
        "a later time": genuine.serial_number,
    }[case]
    home = network.nodes[0].home
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes().strip()
    unit = KeyStore(home / "keys").open("timestamp", passphrase)
    certificate, *chain = parse_bundle((home / "timestamp.pem").read_bytes())
    template = TokenTemplate(
        signer=unit, certificate=certificate, chain=tuple(chain), policy=POLICY_OID
    )
    query = tmp_path / "query"
    run_openssl("ts", "-query", "-data", document, "-sha256", "-cert", "-out", query)
    time_ms = genuine.time_ms
    if case == "a later time":
        time_ms += 1
    facts = TokenFacts(serial_number=forged_serial, time_ms=time_ms, accuracy_ms=2_500)
    copy = tmp_path / document.name
    shutil.copy(document, copy)
    token = granted(template.token(decode_request(query.read_bytes()), facts))
    (tmp_path / f"{document.name}.tsr").write_bytes(token)
    said = run_openssl(
        *("ts", "-verify", "-in", f"{copy}.tsr", "-data", copy, "-CAfile", network.ca)
    )
    assert "Verification: OK" in said.stdout + said.stderr
    if case == "beyond the log":
        # Cosigned after the token's time, so the log cannot have grown to the record in time.
        wait_until(lambda: SystemClock().now_ms() > time_ms + 4_000, "the token is old")
        chainnode(network.client_home, "notarize", str(document), "--out", str(tmp_path / "o"))
    ran = verify(network.client_home, copy)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    shutil.copy(f"{document}.tsr.tlog-proof", f"{copy}.tsr.tlog-proof")
    ran = verify(tmp_path, copy, "--policy", str(network.policy))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    # A report says which of the two it is: the signature is the unit's, and the chain did not issue the token.
    ran = chainnode(network.client_home, "notarize", str(copy))
    assert ran.returncode == 0, ran.stderr
    status, checks = report(copy, network, tmp_path, "--root", str(network.ca))
    assert (status, checks["token"]["result"], checks["token-record"]["result"]) == (
        1,
        "holds",
        "fails",
    )
