"""`chainnode timestamp` as a user types it; and a thief with a unit's key, whose tokens only openssl believes."""

from __future__ import annotations

import json
import shutil
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

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

POLICY_OID = "2.999.3161.1"


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


def test_nothing_is_overwritten_and_a_lost_proof_is_fetched_again(network, stamped, tmp_path):
    document, _ = stamped
    assert chainnode(network.client_home, "timestamp", str(document)).returncode == 2
    copy = tmp_path / document.name
    shutil.copy(document, copy)
    shutil.copy(f"{document}.tsr", f"{copy}.tsr")
    ran = verify(network.client_home, copy)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    proof = chainnode(network.client_home, "timestamp", "proof", f"{copy}.tsr")
    assert proof.returncode == 0, proof.stderr
    assert verify(tmp_path, copy, "--policy", str(network.policy)).returncode == 0
    copy.write_text("another contract")
    assert verify(tmp_path, copy, "--policy", str(network.policy)).returncode == 1


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
