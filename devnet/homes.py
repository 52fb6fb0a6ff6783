"""The homes of a local network, made with the commands that agencies on machines of their own would use.

Each validator's agency runs `chainnode init` and, with everybody's member files, `chainnode genesis assemble`. Two
homes for people are added: `client` with an account that may notarize, `admin` with one that may administer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chainnode import config
from chainnode.keystore.files import OWNER_ONLY, PUBLIC, write_new_file
from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.genesis import Genesis, decode_genesis
from chainnode.model.tlog_policy import validators_policy
from devnet.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devnet.record import Node, Record

PROGRAM: Final = "chainnode"
CHAIN_ID: Final = "devnet.example/alliance"
CLIENT: Final = "client"
ADMIN: Final = "admin"
POLICY: Final = "policy"
GENESIS: Final = "genesis"
PASSPHRASE: Final = "passphrase"  # noqa: S105  a file's name
WIRES: Final = "wires.json"
KEYS: Final = "keys"

NOTARY_ACCOUNT: Final = "agency-1/notary"
ADMIN_ACCOUNT: Final = "agency-1/admin"
AUTHORITY_ACCOUNT: Final = "agency-1/ca"

_PASSPHRASE_BYTES: Final = 16
_COMMAND_TIMEOUT_S: Final = 60


def make(
    record: Record,
    wires: Sequence[tuple[str, str, int, int]],
    parameters: Mapping[str, int],
) -> None:
    """Make all homes of a network that is not there yet.

    Args:
        record: names and ports.
        wires: (who dials, who listens, port to dial, port behind it); empty if they reach each other directly.
        parameters: chain parameters, by name, that are to be other than their defaults.

    Raises:
        ChainError: a command failed; with what it said.
    """
    directory = record.directory
    write_new_file(
        directory / PASSPHRASE, fresh_bytes(_PASSPHRASE_BYTES).hex().encode(), mode=OWNER_ONLY
    )
    run_all([_init(record, number, node) for number, node in enumerate(record.nodes, start=1)])
    members = [
        str(node.home / f"agency-{number}.member.json")
        for number, node in enumerate(record.nodes, start=1)
    ]
    options = [part for name, n in parameters.items() for part in ("--parameter", f"{name}={n}")]
    assemble = ("genesis", "assemble", "--chain-id", record.chain_id, *options, *members)
    run_all([command(node.home, *assemble, has_keys=False) for node in record.nodes])
    found = {(node.home / GENESIS).read_bytes() for node in record.nodes}
    if len(found) != 1:
        raise ChainError("validators assembled different geneses", code="genesis_differs")
    (encoded,) = found
    write_new_file(directory / GENESIS, encoded, mode=PUBLIC)
    write_new_file(directory / POLICY, _policy(decode_genesis(encoded)), mode=PUBLIC)
    for node in record.nodes:
        _redirect(node, {high: port for low, high, port, _ in wires if low == node.name})
    for name, account in ((CLIENT, NOTARY_ACCOUNT), (ADMIN, ADMIN_ACCOUNT)):
        make_client(record, directory / name, account)


def command(home: Path, *arguments: str, has_keys: bool = True) -> tuple[str, ...]:
    """Return the `chainnode` command on one of a network's homes.

    Args:
        home: a folder within the network's.
        arguments: the sub-command and what belongs to it.
        has_keys: whether the sub-command opens keys.
    """
    passphrase = ("--passphrase-file", str(home.parent / PASSPHRASE)) if has_keys else ()
    # -P: whatever folder this runs in, nothing there is taken for a part of the program.
    program = (sys.executable, "-P", "-m", "cli.main")
    return (*program, "--home", str(home), *arguments, *passphrase)


def program() -> str:
    """Return what a person types for `chainnode`: just that if it is in the PATH, else where this one was started from."""
    started = sys.argv[0]
    is_typed = Path(started).name == PROGRAM and shutil.which(PROGRAM) is None
    return started if is_typed else PROGRAM


def environment() -> Mapping[str, str]:
    """Return the environment of a network's processes: ours, without what would overrule their homes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHAINNODE_")}


def _init(record: Record, number: int, node: Node) -> tuple[str, ...]:
    agency = f"agency-{number}"
    # The first agency brings the people.
    accounts = (
        (f"{NOTARY_ACCOUNT}:notary", f"{ADMIN_ACCOUNT}:admin", AUTHORITY_ACCOUNT)
        if number == 1
        else ()
    )
    return command(
        node.home,
        "init",
        *("--organisation", agency, "--title", f"Agency {number}", "--validator", node.name),
        *("--address", f"{LOOPBACK}:{node.peer_port}", "--listen", f"{LOOPBACK}:{node.peer_port}"),
        *("--rpc-port", str(node.rpc_port), "--suite", record.suite),
        *(part for account in accounts for part in ("--account", account)),
    )


def run_all(commands: Sequence[Sequence[str]]) -> None:
    """Run commands side by side; most of their time is Python's start and making keys safe.

    Raises:
        ChainError: one of them failed; with what it said.
        Unavailable: one of them takes too long.
    """
    running = [
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        for argv in commands
    ]
    try:
        outputs = [process.communicate(timeout=_COMMAND_TIMEOUT_S)[0] for process in running]
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"a command takes over {_COMMAND_TIMEOUT_S} s", code="slow") from error
    finally:
        for process in running:
            # Does nothing to those that have ended.
            process.kill()
            process.communicate()
    for process, argv, output in zip(running, commands, outputs, strict=True):
        if process.returncode != 0:
            said = output.decode(errors="replace").strip()
            raise ChainError(f"`chainnode {' '.join(argv[4:])}` failed: {said}", code="failed")


def _redirect(node: Node, addresses: Mapping[str, int]) -> None:
    """Have a validator dial others where their wires begin."""
    path = node.home / config.FILE_NAME
    heading = "[p2p.peers]\n"
    before, found, after = path.read_text(encoding="utf-8").partition(heading)
    lines = "".join(f'{name} = "{LOOPBACK}:{port}"\n' for name, port in addresses.items())
    path.write_text(before + (found or heading) + lines + after, encoding="utf-8")


def make_client(record: Record, home: Path, account: str) -> None:
    """Make the home of somebody who acts for an account of the first agency."""
    first = record.nodes[0]
    home.mkdir(mode=0o700)
    exported = KeyStore(first.home / KEYS).export(account.replace("/", "."))
    KeyStore(home / KEYS).import_(exported)
    write_new_file(home / GENESIS, (record.directory / GENESIS).read_bytes(), mode=PUBLIC)
    settings = {
        "client.account": account,
        "client.passphrase_file": str(Path("..") / PASSPHRASE),
        "client.rpc": first.rpc,
    }
    text = config.render(settings, sections=("client",))
    write_new_file(home / config.FILE_NAME, text.encode(), mode=PUBLIC)


def _policy(genesis: Genesis) -> bytes:
    return validators_policy(
        genesis.suite,
        genesis.chain_id,
        [(v.name, v.log_key, v.cosigner_key) for v in genesis.validators],
    ).encode()
