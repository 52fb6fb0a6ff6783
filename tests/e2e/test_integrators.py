"""Folders and systems without keys on a real network: processes are killed, and nodes are lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import Verifier, parse_proof
from devnet import homes
from tests.support.missing import missing
from tests.support.network import Notary, chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FILES = 1_200
LOCKS = Path("/proc/locks")


@pytest.fixture
def docs(tmp_path):
    for number in range(FILES):
        path = tmp_path / "docs" / f"{number % 7}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{tmp_path} {number}")
    return tmp_path / "docs"


def begin(network, docs, *options):
    """Start notarizing the folder, as a process of its own."""
    command = homes.command(network.client_home, "--json", "notarize", str(docs), "-r", *options)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=homes.environment(),
    )


def await_work(process, docs):
    """Wait until the process has the folder's journal."""
    lock = docs / ".chainnode-folder" / "lock"

    def is_held():
        if process.poll() is not None:
            return True
        # Taking the lock to see would keep the process from it.
        held = {word.rpartition(":")[2] for word in LOCKS.read_text().split()}
        return lock.exists() and str(lock.stat().st_ino) in held

    wait_until(is_held, "the folder is worked on")


def registered(network, number=1):
    """How many records the log of a node holds beside the first of each block."""

    async def look(client):
        status = await client.chain_status()
        return status["log_size"] - status["tip_height"]

    return network.ask(network.nodes[number].name, look)


def await_proofs(process, docs, count):
    """Wait until so many proofs are in their places: then others are being written."""

    def are_there():
        return process.poll() is not None or len(proofs_in(docs)) >= count

    wait_until(are_there, f"{count} proofs are written")


def proofs_in(out):
    return [path for path in out.rglob("*.tlog-proof") if path.is_file()]


def check_whole(network, out):
    """Check that whatever has the name of a proof holds, whatever stopped the run; return how many there are."""
    verifier = Verifier(parse_policy((network.directory / "policy").read_bytes()))
    found = proofs_in(out)
    for path in found:
        proof = parse_proof(path.read_bytes())
        notarization = parse_notarization(proof.extra)
        own = digest_map(notarization.opening.digests)
        verify_notarization(proof, verifier, notarization, own)
    return len(found)


def check_finished(network, docs, out, tmp_path):
    made = json.loads((out / "chainnode-manifest.json").read_text())["files"]
    assert len(made) == len({entry["index"] for entry in made}) == FILES
    assert check_whole(network, out) == FILES
    ran = chainnode(
        tmp_path, "--json", "verify", str(docs), "--manifest",
        str(out / "chainnode-manifest.json"), "--policy", str(network.directory / "policy"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert json.loads(ran.stdout)["files"] == FILES


def pooled(network):
    async def look(client):
        return (await client.chain_status())["pool_count"]

    return network.ask(network.nodes[0].name, look)


def end(process, status):
    out, err = process.communicate(timeout=90)
    assert process.returncode == status, err.decode() + out.decode()
    return out.decode() + err.decode()


def test_a_folder_survives_whatever_stops_it(network, docs, tmp_path):
    before, node = registered(network), network.nodes[0].name
    for other in network.nodes[1:3]:
        network.kill(other.name)
    # Stopped by Ctrl-C when a node has accepted a list that no quorum decides.
    process = begin(network, docs)
    wait_until(lambda: pooled(network) > 0, "a list is accepted")
    process.send_signal(signal.SIGINT)
    assert "not yet: stopped; run the same command again" in end(process, 130)
    # Killed there.
    process = begin(network, docs)
    await_work(process, docs)
    process.kill()
    process.communicate()
    assert check_whole(network, docs) == 0

    # The node is killed between acceptance and proof, and comes back; the command waits for it.
    process = begin(network, docs)
    await_work(process, docs)
    wait_until(lambda: pooled(network) > 0, "a list is accepted")
    network.kill(node)
    network.up()
    await_proofs(process, docs, 50)

    # Killed while proofs are written; then stopped by Ctrl-C there.
    process.kill()
    process.communicate()
    whole = check_whole(network, docs)
    process = begin(network, docs)
    await_proofs(process, docs, min(whole + 20, FILES))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in {0, 130}
    assert check_whole(network, docs) >= whole

    end(begin(network, docs), 0)
    # Nothing was registered twice.
    assert registered(network) - before == FILES
    check_finished(network, docs, docs, tmp_path)


@contextmanager
def small_disk(folder, size):
    """A file system of the test's own, which becomes full."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        missing("root, to mount a small file system", so="no disk has been full")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"leave to mount: {done.stderr.strip()}", so="no disk has been full")
    try:
        yield lambda larger: subprocess.run(
            ["mount", "-o", f"remount,size={larger}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_leaves_whole_proofs_and_a_clean_not_yet(network, docs, tmp_path):
    before, out = registered(network), tmp_path / "proofs"
    with small_disk(out, "64k") as grow:
        # First there is no room for the journal, and nothing is sent; then not for all proofs.
        for size, least in (("64k", 0), ("2m", 100)):
            grow(size)
            said = end(begin(network, docs, "--out", str(out)), 2)
            assert "not yet: " in said
            assert "No space left on device" in said
            assert check_whole(network, out) >= least
            assert registered(network) - before in ({0} if least == 0 else {1_000, FILES})
        grow("64m")
        end(begin(network, docs, "--out", str(out)), 0)
        assert registered(network) - before == FILES
        check_finished(network, docs, out, tmp_path)


# -- systems without keys -----------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "integrators.md"


def example(language):
    """The gateway's example in that language."""
    section = PAGE.read_text().split("the gateway\n", 1)[1].split("\n## ")[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]


@pytest.fixture
def system(network):
    """A validator with a gateway: where it is, and a token."""
    home = network.nodes[1].home
    config = home / "config.toml"
    if "gateway-tokens.json" not in config.read_text():
        text = config.read_text().replace('# tokens = ""', 'tokens = "gateway-tokens.json"')
        assert "gateway-tokens.json" in text
        config.write_text(text)
        network.kill(network.nodes[1].name)
        network.up()
        network.wait_level(timeout_ms=60_000)
    chainnode(home, "gateway", "token", "revoke", "test")
    made = chainnode(home, "--json", "gateway", "token", "new", "test")
    assert made.returncode == 0, made.stderr
    # A node looks at its tokens once a second.
    time.sleep(1.1)
    return {"NODE": network.nodes[1].rpc, "TOKEN": json.loads(made.stdout)["token"]}


def check_example(network, tmp_path):
    file, proof = tmp_path / "contract.pdf", tmp_path / "contract.pdf.tlog-proof"
    policy = str(network.directory / "policy")
    ran = chainnode(tmp_path, "--json", "verify", str(file), str(proof), "--policy", policy)
    assert ran.returncode == 0, ran.stdout
    assert json.loads(ran.stdout)["record"]["account"] == "agency-2/v2"


@pytest.mark.parametrize("language", ["sh", "java"])
def test_the_examples_of_the_page_notarize_without_a_key(network, system, tmp_path, language):
    (tmp_path / "contract.pdf").write_bytes(os.urandom(64))
    if language == "sh":
        if shutil.which("curl") is None:
            missing("curl", so="the example in curl was not run")
        command = ["sh", "-eu", "-c", example("sh")]
    else:
        if shutil.which("java") is None:
            missing("java 17 or newer (default-jdk-headless)", so="the example in Java was not run")
        (tmp_path / "Notarize.java").write_text(example("java"))
        command = ["java", "Notarize.java", "contract.pdf"]
    before = registered(network)
    for _ in range(2):
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | system,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    check_example(network, tmp_path)
    assert registered(network) - before == 1


def test_an_error_of_the_gateway_is_not_taken_for_a_proof(network, system, tmp_path):
    if shutil.which("curl") is None:
        missing("curl", so="the example in curl was not run")
    (tmp_path / "contract.pdf").write_bytes(os.urandom(64))
    (tmp_path / "contract.pdf.tlog-proof").write_text("of yesterday")
    ran = subprocess.run(
        ["sh", "-c", example("sh")],
        cwd=tmp_path,
        env=os.environ | system | {"TOKEN": "no-token"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, '"code":"unauthorized"' in ran.stderr) == (1, True), ran.stderr
    assert (tmp_path / "contract.pdf.tlog-proof").read_text() == "of yesterday"


def test_what_the_gateway_accepted_outlives_its_node(network, system):
    """Killed at once after `accepted`: the restarted node commits it, once, and has its proof."""
    headers = {"Authorization": f"Bearer {system['TOKEN']}"}

    def ask(verb, path, body=None, **more):
        request = urllib.request.Request(
            system["NODE"] + path, data=body, headers=headers | more, method=verb
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.read()

    before = registered(network)
    body = json.dumps({"digests": {"sha256": os.urandom(32).hex()}}).encode()
    key = {"Idempotency-Key": os.urandom(8).hex()}
    made = [json.loads(ask("POST", "/v1/records", body, **key)) for _ in range(3)]
    network.kill(network.nodes[1].name)
    network.up()
    again = json.loads(ask("POST", "/v1/records", body, **key))
    assert {one["id"] for one in made} == {again["id"]}

    def committed():
        return json.loads(ask("GET", f"/v1/records/{again['id']}"))["status"] == "committed"

    wait_until(committed, "what was accepted is committed")
    wait_until(lambda: registered(network) - before == 1, "the record is counted at this node")
    waited = json.loads(body) | {"wait": "proof"}
    answer = json.loads(ask("POST", "/v1/records", json.dumps(waited).encode(), **key))
    assert answer["proof"].startswith("c2sp.org/tlog-proof@v1\n")
    metrics = ask("GET", "/metrics").decode()
    # Counted since the start: 0 if the process that was killed had heard of the decision.
    assert re.search(r'chainnode_gateway_documents_total\{outcome="committed"\} [01]\.0\n', metrics)
    assert "chainnode_gateway_open_documents 0.0" in metrics
    assert "# TYPE chainnode_webhooks_owed gauge" in metrics


# -- who asks a node what became of a record -----------------------------------------------------------------


def test_who_was_told_of_a_withdrawal_is_not_shown_a_proof_that_there_was_none(network, tmp_path):
    """Only the next block lets anybody prove what the newest one says; here it comes two seconds later."""
    home, file = network.client_home, tmp_path / "contract.pdf"
    proof = tmp_path / "contract.pdf.tlog-proof"
    file.write_bytes(os.urandom(64))
    assert chainnode(home, "notarize", str(file)).returncode == 0
    withdrawn = chainnode(home, "record", "withdraw", str(proof), "--reason", "erroneous")
    assert withdrawn.returncode == 0, withdrawn.stderr
    policy = str(network.directory / "policy")
    later = threading.Timer(2, Notary(network, client=2).commit, (network.nodes[1].name,))
    later.start()
    asked = chainnode(home, "verify", str(file), str(proof), "--policy", policy, "--ask")
    later.join()
    assert (asked.returncode, asked.stdout) == (1, ""), asked.stderr
    assert "waiting up to 75 s for the next block" in asked.stderr
    assert "was withdrawn by agency-1/notary" in asked.stderr
