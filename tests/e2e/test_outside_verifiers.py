"""What a running network hands out holds for software that we did not write, and nothing else does."""

import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chainnode.model.commitment import Digest
from chainnode.model.suites import libcrypto
from chainnode.model.suites.sm3 import sm3
from chainnode.model.tlog_tiles import TILE_WIDTH
from chainnode.pki.pem import parse_bundle
from chainnode.rpc.client import RpcClient
from chainnode.tsp.reading import decode_response
from chainnode.tsp.request import make_request
from devnet import homes
from devnet.bench.timestamp_check import check_issued
from devnet.bench.workload import Number, transaction
from devnet.network import Devnet
from tests.support.alliance import Alliance
from tests.support.certificates import run_openssl
from tests.support.network import Notary, chainnode, wait_until
from tests.support.outside import go_verifier, java_timestamps, java_verifier
from tests.support.timestamps import post

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("outside")]

ACCEPTED, REFUSED = 0, 1
"""Exit statuses of the outside verifiers; 2 is: cannot be read."""

CONTENTS = {
    "notice.txt": "关于公布许可目录的通知\n".encode(),
    "empty": b"",
    "scan.pdf": bytes(range(256)) * 512,
}


@dataclass(frozen=True)
class Notarized:
    """Files with their proofs, and the policy that the chain gave for them."""

    network: Devnet
    files: tuple[Path, ...]
    proofs: tuple[Path, ...]
    policy: Path


def done(home, *arguments):
    """Run a command that must succeed; return its JSON."""
    ran = chainnode(home, "--json", *map(str, arguments))
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def notarized_on(network, directory):
    files = []
    for name, content in CONTENTS.items():
        files.append(directory / name)
        files[-1].write_bytes(content)
    out = directory / "proofs"
    entries = done(network.client_home, "notarize", *files, "--out", out)["notarized"]
    # From a validator that neither took the transaction nor gave the proofs.
    rpc, policy = network.node("v3").rpc, directory / "policy"
    done(network.client_home, "--rpc", rpc, "policy", "--out", policy)
    return Notarized(
        network=network,
        files=tuple(files),
        proofs=tuple(Path(entry["proof"]) for entry in entries),
        policy=policy,
    )


@pytest.fixture(scope="module")
def notarized(module_network, tmp_path_factory):
    return notarized_on(module_network, tmp_path_factory.mktemp("notarized"))


@pytest.fixture(scope="module")
def sm2_notarized(tmp_path_factory):
    with Devnet.create(tmp_path_factory.mktemp("sm2") / "net", suite="sm2-sm3") as network:
        network.up()
        yield notarized_on(network, tmp_path_factory.mktemp("notarized"))


def checkpoint_of(network, name, least_size):
    """Return a validator's newest signed checkpoint, once it has at least that many records."""

    def newest():
        found = network.ask(name, RpcClient.log_checkpoint)
        return found if found["size"] >= least_size else None

    wait_until(newest, f"{name} has a cosigned checkpoint of {least_size} records")
    return newest()


# -- proofs --------------------------------------------------------------------------------------------------


def check_cases(outside, made, tmp_path):
    """Have genuine and other triples of file, proof and policy judged: by others, and by ours alike."""
    (file, second, third), (proof, second_proof, third_proof) = made.files, made.proofs
    suite = made.network.record.suite
    paths = {name: tmp_path / name for name in ("altered", "other-chain", "other-keys")}
    paths["altered"].write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    paths["other-chain"].write_bytes(Alliance(suite).policy().encode())
    namesakes = Alliance(suite, origin=homes.CHAIN_ID, names=("v1", "v2", "v3", "v4"))
    paths["other-keys"].write_bytes(namesakes.policy().encode())
    # Ours tells what is proven not to hold (1) from signatures of whom the policy does not know (5).
    cases = {
        "first": (file, proof, made.policy, 0),
        "second": (second, second_proof, made.policy, 0),
        "third": (third, third_proof, made.policy, 0),
        "changed-file": (paths["altered"], proof, made.policy, 1),
        "longer-file": (third, second_proof, made.policy, 1),
        "proof-of-another-file": (file, second_proof, made.policy, 1),
        "policy-of-another-chain": (file, proof, paths["other-chain"], 1),
        "policy-of-namesakes": (file, proof, paths["other-keys"], 5),
    }
    for name, case in cases.items():
        folder = tmp_path / "cases" / name
        folder.mkdir(parents=True)
        for part, path in zip(("file", "proof", "policy"), case[:3], strict=True):
            (folder / part).write_bytes(path.read_bytes())
    assert outside.batch(tmp_path / "cases") == {
        name: REFUSED if expected else ACCEPTED for name, (*_, expected) in cases.items()
    }
    for name, (*triple, expected) in cases.items():
        of_file, of_proof, policy = map(str, triple)
        ours = chainnode(tmp_path, "verify", of_file, of_proof, "--policy", policy)
        assert ours.returncode == expected, f"{name}: {ours.stderr}"
        assert (ours.stdout == "") == (expected != 0), name


def test_go_accepts_what_was_notarized_and_nothing_else(notarized, tmp_path):
    check_cases(go_verifier(), notarized, tmp_path)


def test_java_accepts_what_was_notarized_on_sm2_and_nothing_else(sm2_notarized, tmp_path):
    check_cases(java_verifier(), sm2_notarized, tmp_path)


def test_go_accepts_a_refreshed_proof(notarized, tmp_path):
    refreshed = tmp_path / "refreshed"
    Notary(notarized.network, client=70).commit("v2")
    home = notarized.network.client_home
    sizes = done(home, "refresh", notarized.proofs[0], "--out", refreshed)
    assert sizes["new_size"] >= sizes["old_size"]
    assert go_verifier().verify(notarized.files[0], refreshed, notarized.policy) == ACCEPTED


# -- the log -------------------------------------------------------------------------------------------------


def test_go_accepts_that_live_checkpoints_extend_one_another(notarized, tmp_path):
    network, go = notarized.network, go_verifier()
    notary = Notary(network, client=71)
    older = checkpoint_of(network, "v1", 1)
    for _ in range(3):
        notary.commit("v2")
    newer = checkpoint_of(network, "v4", older["size"] + 3)

    async def ask(node):
        return await node.log_consistency(older["size"], newer["size"])

    hashes = network.ask("v3", ask)["hashes"]
    (tmp_path / "old").write_text(older["checkpoint"])
    (tmp_path / "new").write_text(newer["checkpoint"])
    arguments = [tmp_path / name for name in ("old", "new")] + [
        notarized.policy,
        tmp_path / "hashes",
    ]

    def verdict(hashes):
        (tmp_path / "hashes").write_text("".join(f"{line}\n" for line in hashes))
        return go.run("consistency", *arguments).returncode

    assert verdict(hashes) == ACCEPTED
    assert verdict(hashes[:-1]) == REFUSED
    assert verdict([base64.b64encode(bytes(32)).decode(), *hashes[1:]]) == REFUSED


def test_go_recomputes_the_whole_log_from_its_live_tiles(notarized):
    network, notary = notarized.network, Notary(notarized.network)
    # Enough records that one tile is full and one is not.
    filled = transaction(
        notary.genesis, homes.NOTARY_ACCOUNT, notary._signer, Number(72, 1), TILE_WIDTH + 44
    )

    async def submit(node):
        return await node.tx_submit_and_wait(filled.envelope, timeout_ms=60_000)

    assert network.ask("v2", submit)["status"] == "committed"
    for name in ("v1", "v4"):
        checkpoint_of(network, name, TILE_WIDTH + 44)
        tiles = go_verifier().run("tiles", f"{network.node(name).rpc}/", notarized.policy)
        assert tiles.returncode == ACCEPTED, tiles.stderr


# -- timestamps on SM2 ---------------------------------------------------------------------------------------


def altered(response, position):
    return response[:position] + bytes([response[position] ^ 1]) + response[position + 1 :]


def test_bouncy_castle_accepts_sm2_timestamps_and_openssl_those_on_p256(sm2_notarized, tmp_path):
    network = sm2_notarized.network
    network.establish_authority()
    tsa = f"{network.node('v2').rpc}/tsa"
    document = CONTENTS["notice.txt"]
    roots = {
        unit: parse_bundle((network.directory / f"ca{suffix}.pem").read_bytes())[0].encoded
        for unit, suffix in (("sm2", "-sm2"), ("p256", ""))
    }
    cases = {}
    for algorithm, digest in (
        ("sm3", sm3(document)),
        ("sha256", hashlib.sha256(document).digest()),
    ):
        request = make_request(Digest(algorithm=algorithm, value=digest), nonce=2**62 + 1)
        answer = post(tsa, request)
        assert answer.failure is None
        case = {"document": document, "request": request, "response": answer.body}
        cases[algorithm] = (case | {"root": roots["sm2"]}, 0)
    case, _ = cases["sm3"]
    response = case["response"]
    token = decode_response(response)
    info, attributes = response.index(token.info), response.index(token.attributes[1:])
    signer, digest = response.index(token.signer.encoded), response.index(token.content_digest)
    cases |= {
        "another-document": (case | {"document": b"another"}, 1),
        "another-root": (case | {"root": roots["p256"]}, 1),
        "another-request": (case | {"request": cases["sha256"][0]["request"]}, 1),
    }
    for name, position in (
        ("imprint", response.index(token.imprint.value, info)),
        ("time", response.index(b"Z", info) - 2),
        ("attributes", attributes + len(token.attributes) - 3),
        ("digest", digest),
        ("named-certificate", response.index(token.certificate_digest)),
        ("certificate", signer + len(token.signer.encoded) - 1),
        ("signature", len(response) - 1),
    ):
        cases[f"altered-{name}"] = (case | {"response": altered(response, position)}, 1)
    for name, (files, _) in cases.items():
        folder = tmp_path / "cases" / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
    said = java_timestamps().batch(tmp_path / "cases")
    assert said.keys() == cases.keys()
    assert {name for name, status in said.items() if status == 0} == {"sm3", "sha256"}, said
    check_issued(network, token, by="v4")

    query, reply, file = (tmp_path / name for name in ("query", "reply", "file"))
    file.write_bytes(document)
    run_openssl("ts", "-query", "-data", file, "-sm3", "-cert", "-out", query)
    reply.write_bytes(post(f"{tsa}/p256", query.read_bytes()).body)
    verify = ("ts", "-verify", "-in", reply, "-queryfile", query, "-CAfile", network.ca)
    said = run_openssl(*verify)
    assert "Verification: OK" in said.stdout + said.stderr
    check_issued(network, decode_response(reply.read_bytes()), by="v4")


# -- without the second SM2 backend --------------------------------------------------------------------------

WITHOUT_GMSSL = """
import sys
sys.modules["gmssl_pyx"] = None
from chainnode.model.suites import gmssl, sm2_sm3
assert gmssl.load() is None
assert sm2_sm3.find_backend().description.startswith("libcrypto ")
from cli.main import main
main()
"""


def test_proofs_on_sm2_hold_where_gmssl_is_not_installed(sm2_notarized, tmp_path):
    if libcrypto.load() is None:
        pytest.skip("TOOL MISSING: no libcrypto with SM2 on this machine")
    altered = tmp_path / "altered"
    altered.write_bytes(b"another")
    for file, expected in ((sm2_notarized.files[0], ACCEPTED), (altered, REFUSED)):
        ran = subprocess.run(
            [
                *(sys.executable, "-P", "-c", WITHOUT_GMSSL, "--home", str(tmp_path)),
                *("verify", str(file), str(sm2_notarized.proofs[0])),
                *("--policy", str(sm2_notarized.policy)),
            ],
            capture_output=True,
            text=True,
            env=homes.environment(),
            timeout=60,
            check=False,
        )
        assert ran.returncode == expected, ran.stderr
        assert ("the proof holds" in ran.stdout) == (expected == ACCEPTED)
