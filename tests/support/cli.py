"""Running the command line in this process, against homes and nodes of a synthetic chain."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.clock import SystemClock
from chainnode.config import FILE_NAME
from chainnode.keystore.files import write_new_file
from chainnode.keystore.key_file import MIN_SCRYPT_N, KeyInfo, encode_key_file, seal
from chainnode.model.keys import KeyPurpose
from cli.main import run
from tests.support.chain import CLERK
from tests.support.rpc import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.chain import Chain
    from tests.support.rpc import Node

PASSPHRASE = "correct horse"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on stdout."""
        return json.loads(self.out)


def chainnode(*arguments: object) -> Ran:
    """Run `chainnode` with these arguments; stdin is no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    assert "Traceback" not in err.getvalue()
    return Ran(int(status), out.getvalue(), err.getvalue())


def make_client_home(
    home: Path, chain: Chain, *, accounts=(CLERK,), account=CLERK, genesis=True, rpc=None
) -> Path:
    """Make a home with the keys of these accounts, one of them the default, and the genesis if wanted."""
    for name in accounts:
        keys = chain.accounts[name]
        key_name = name.replace("/", ".")
        info = KeyInfo(
            name=key_name,
            suite=keys.suite.name,
            purpose=KeyPurpose.ACCOUNT,
            public_key=keys.public,
        )
        sealed = seal(
            info,
            keys.private,
            PASSPHRASE.encode(),
            scrypt_n=MIN_SCRYPT_N,
            salt=bytes(16),
            nonce=bytes(12),
        )
        write_new_file(home / "keys" / f"{key_name}.key", encode_key_file(sealed))
    lines = ["[client]", *([] if account is None else [f'account = "{account}"'])]
    lines += [] if rpc is None else [f'rpc = "{rpc}"']
    home.mkdir(exist_ok=True)
    (home / FILE_NAME).write_text("\n".join(lines) + "\n")
    if genesis:
        (home / "genesis").write_bytes(chain.genesis.encoded)
    return home


@dataclass(frozen=True)
class RunningNode:
    """A node that serves in a thread of its own, and decides whatever it accepts."""

    node: Node
    url: str


@contextlib.contextmanager
def running_node(prepare=None) -> Iterator[RunningNode]:
    """Serve a node that commits and cosigns each transaction at once; `prepare(node)` changes it before."""
    started: list[RunningNode] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def work():
        async with serve() as served:
            node = served.node
            # Members sign the time of a request by the machine's clock.
            node.clock.wall_ms = SystemClock().now_ms()
            _decide_at_once(node, loop)
            if prepare is not None:
                prepare(node)
            started.append(RunningNode(node, served.url))
            ready.set()
            await stop.wait()
            # Connections that the last client closed must be seen closed, or they are leaked.
            await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(timeout=20)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
        loop.close()


def _decide_at_once(node, loop):
    accept = node.engine.submit

    def submit(envelope, done):
        accept(envelope, done)
        loop.call_soon(decide)

    def decide():
        if node.engine.pool:
            node.engine.commit()
            node.engine.cosign()

    node.engine.submit = submit
