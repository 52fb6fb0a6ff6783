"""What a network's folder remembers: `devnet.json`, so that any later command finds the network again.

DIR/devnet.json  DIR/passphrase  DIR/genesis  DIR/policy  DIR/<validator>/  DIR/<validator>.log  DIR/client/  DIR/admin/
"""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from chainnode.model.errors import DecodeError, NotFound
from devnet.ports import LOOPBACK
from devnet.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME: Final = "devnet.json"
_LOCK_NAME: Final = "devnet.lock"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One validator of the network."""

    name: str
    home: Path
    rpc_port: int
    peer_port: int
    """Where its own listener for peers is."""

    process: Process | None
    """The last one that was started; None if it was ended on purpose."""

    @property
    def rpc(self) -> str:
        """URL of its RPC listener."""
        return f"http://{LOOPBACK}:{self.rpc_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The process that can cut validators off."""

    control_port: int
    process: Process | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A network as its folder knows it."""

    directory: Path
    chain_id: str
    suite: str
    nodes: tuple[Node, ...]
    """In the order of their names' numbers."""

    proxy: Proxy | None
    """None if validators reach each other directly, and cannot be cut off."""

    def node(self, name: str) -> Node:
        """Return a validator by name. Raises NotFound."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise NotFound(f"there is no validator {name!r} here; there are {names}", field="name")

    def save(self) -> None:
        """Write the file; whoever reads it sees this record or the one before."""
        document: dict[str, Any] = {
            "version": _VERSION,
            "chain_id": self.chain_id,
            "suite": self.suite,
            "nodes": [
                {
                    "name": node.name,
                    "rpc_port": node.rpc_port,
                    "peer_port": node.peer_port,
                    "process": None if node.process is None else asdict(node.process),
                }
                for node in self.nodes
            ],
            "proxy": None if self.proxy is None else asdict(self.proxy),
        }
        path = self.directory / FILE_NAME
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)


def load(directory: Path) -> Record:
    """Return the network of a folder.

    Raises:
        NotFound: there is none.
        DecodeError: its file is damaged.
    """
    path = directory / FILE_NAME
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no network in {directory}; `chainnode devnet up --dir {directory}` makes one",
            code="no_devnet",
        ) from error
    except ValueError as error:
        raise DecodeError(f"{path} is damaged: {error}", code="bad_devnet") from error
    try:
        return _parse(directory, document)
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"{path} is damaged: {error!r}", code="bad_devnet") from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let one command at a time change the network of a folder."""
    with (directory / _LOCK_NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _process(value: dict[str, Any] | None) -> Process | None:
    return None if value is None else Process(pid=value["pid"], started=value["started"])


def _parse(directory: Path, document: dict[str, Any]) -> Record:
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']!r}")
    proxy = document["proxy"]
    return Record(
        directory=directory,
        chain_id=document["chain_id"],
        suite=document["suite"],
        nodes=tuple(
            Node(
                name=node["name"],
                home=directory / node["name"],
                rpc_port=node["rpc_port"],
                peer_port=node["peer_port"],
                process=_process(node["process"]),
            )
            for node in document["nodes"]
        ),
        proxy=None
        if proxy is None
        else Proxy(control_port=proxy["control_port"], process=_process(proxy["process"])),
    )
