"""A folder is notarized on a real network, by processes that are killed and by way of a node that is lost."""

import json
import subprocess
import time

import pytest

from devnet import homes
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


def registered(network):
    """How many records the log holds beside the first of each block."""

    async def look(client):
        status = await client.chain_status()
        return status["log_size"] - status["tip_height"]

    return network.ask(network.nodes[1].name, look)


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
