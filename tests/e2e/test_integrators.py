"""Folders and systems without keys on a real network: processes are killed, and nodes are lost."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from devnet import homes
from tests.support.missing import missing
from tests.support.network import chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FILES = 1_200
KILLS = 2


@pytest.fixture
def docs(tmp_path):
    for number in range(FILES):
        path = tmp_path / "docs" / f"{number % 7}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{tmp_path} {number}")
    return tmp_path / "docs"


def begin(network, docs):
    """Start notarizing the folder, as a process of its own."""
    command = homes.command(network.client_home, "--json", "notarize", str(docs), "-r")
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=homes.environment(),
    )


def await_journal(process, docs, size):
    """Wait until more than `size` bytes are in the journal: then a list may be under way, or sent."""
    path = docs / ".chainnode-folder" / "journal"

    def is_longer():
        return process.poll() is not None or (path.exists() and path.stat().st_size > size)

    wait_until(is_longer, "a list is begun")
    return path.stat().st_size


def registered(network, number=1):
    """How many records the log of a node holds beside the first of each block."""

    async def look(client):
        status = await client.chain_status()
        return status["log_size"] - status["tip_height"]

    return network.ask(network.nodes[number].name, look)


def test_a_folder_survives_kills_of_its_process_and_the_loss_of_its_node(network, docs, tmp_path):
    before, size = registered(network), 100
    for _ in range(KILLS):
        process = begin(network, docs)
        size = await_journal(process, docs, size)
        time.sleep(0.02)
        process.kill()
        process.communicate()
    process = begin(network, docs)
    await_journal(process, docs, 100)
    network.kill(network.nodes[0].name)
    network.up()
    out, err = process.communicate(timeout=90)
    if process.returncode == 3:
        # It was just starting when its node was lost.
        process = begin(network, docs)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err.decode() + out.decode()
    made = json.loads((docs / "chainnode-manifest.json").read_text())["files"]
    assert len(made) == len({entry["index"] for entry in made}) == FILES
    # Nothing was registered twice.
    assert registered(network) - before == FILES
    ran = chainnode(
        tmp_path, "--json", "verify", str(docs), "--manifest",
        str(docs / "chainnode-manifest.json"), "--policy", str(network.directory / "policy"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert json.loads(ran.stdout)["files"] == FILES


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
    assert 'chainnode_gateway_documents_total{outcome="committed"} 1.0' in metrics
    assert "chainnode_gateway_open_documents 0.0" in metrics
    assert "# TYPE chainnode_webhooks_owed gauge" in metrics
