"""A real network for end-to-end tests: brought up once per module, whole again before each test, gone in the end."""

from __future__ import annotations

import asyncio
import subprocess
import time

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import ChainError
from chainnode.model.genesis import decode_genesis
from chainnode.rpc.client import RpcClient
from devnet import homes
from devnet.bench.workload import Number, transaction

GO_ON_S = 3
"""How long commits may pause when one of four validators is lost."""

RESUME_S = 5
"""How long commits may take to resume when a quorum is back."""

LEVEL_MS = 60_000
PATIENCE_S = 60
"""For what must happen without a promised time; a small machine may be busy."""


class Notary:
    """Signs and submits transactions of one network; each is another."""

    def __init__(self, network, client=0):
        self.network = network
        self._client = client
        self._sequence = 0
        keys = KeyStore(network.client_home / homes.KEYS)
        (info,) = keys.list()
        passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
        self._signer = keys.open(info.name, passphrase)
        self.genesis = decode_genesis(network.genesis.read_bytes())

    def next(self):
        """A fresh signed transaction, valid up to block 5,000."""
        self._sequence += 1
        number = Number(self._client, self._sequence)
        return transaction(self.genesis, homes.NOTARY_ACCOUNT, self._signer, number, 1)

    def commit(self, name, *, timeout_s=PATIENCE_S):
        """Submit through validator `name`; return what became of it, and the seconds that it took."""
        envelope = self.next().envelope
        began = time.monotonic()
        result = self.network.ask(
            name,
            lambda client: client.tx_submit_and_wait(envelope, timeout_ms=timeout_s * 1000),
        )
        return result, time.monotonic() - began

    def try_commit(self, name, *, timeout_s):
        """As `commit`, but None if it was not decided in time or nobody answered."""
        try:
            result, _ = self.commit(name, timeout_s=timeout_s)
        except ChainError:
            return None
        return result


class Load:
    """Keeps submitting through every validator that answers; remembers what was acknowledged."""

    def __init__(self, network, *, per_validator=8, first_client=1):
        self._network = network
        self._per_validator = per_validator
        self.acknowledged = {}
        self._notary = Notary(network, first_client)
        self._stop = False

    def run(self):
        """Submit until `stop`; to be called on a thread."""
        asyncio.run(self._run())

    def stop(self):
        """Ask `run` to return."""
        self._stop = True

    async def _run(self):
        async with asyncio.TaskGroup() as tasks:
            for node in self._network.nodes:
                for _ in range(self._per_validator):
                    tasks.create_task(self._submit(node.rpc))

    async def _submit(self, url):
        async with RpcClient(url, timeout_ms=2_000) as client:
            while not self._stop:
                tx = self._notary.next()
                try:
                    result = await client.tx_submit_and_wait(tx.envelope, timeout_ms=3_000)
                except ChainError:
                    await asyncio.sleep(0.05)
                    continue
                if result["status"] == "committed":
                    self.acknowledged[result["tx_id"]] = result["height"]


def wait_until(condition, what, *, patience_s=PATIENCE_S):
    """Poll until `condition()` is true."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.05)


def make_whole(network):
    """Undo every fault: all validators run, reach each other and are level."""
    for node in network.nodes:
        network.heal(node.name)
        if network.process_state(node.name) == "stopped":
            network.cont(node.name)
    network.up()
    network.wait_level(timeout_ms=LEVEL_MS)


def check_acknowledged(network, acknowledged):
    """Every validator has every acknowledged transaction in the block that was named."""
    for node in network.nodes:

        async def look(client):
            return {tx_id: await client.tx_get(tx_id) for tx_id in acknowledged}

        for tx_id, found in network.ask(node.name, look).items():
            assert found["status"] == "committed", f"{node.name}: {tx_id} is {found['status']}"
            assert found["height"] == acknowledged[tx_id], f"{node.name}: {tx_id}"


def chainnode(home, *arguments, has_keys=False, timeout_s=PATIENCE_S):
    """Run a command as a user would; return the completed process."""
    return subprocess.run(
        homes.command(home, *arguments, has_keys=has_keys),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=homes.environment(),
        timeout=timeout_s,
        check=False,
    )
