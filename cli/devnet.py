"""`chainnode devnet`: local networks of real validator processes, for trying, testing and measuring."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import ChainError, Refused
from cli.bench import bench, forecast
from cli.command import pass_session
from cli.networks import SUITE, VALIDATORS, end_as_by_ctrl_c
from cli.output import note, print_fields, print_json, print_table
from devnet.demo import run as run_demo
from devnet.fault_proxy import MAX_SLOW_MS
from devnet.homes import program
from devnet.network import Devnet, has_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.output import Json
    from cli.session import Session

_DIRECTORY: Final = click.option(
    "--dir",
    "directory",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the network.",
)
_FAULTS: Final = ("kill", "stop", "cont", "start", "cut", "mute", "deafen", "slow", "heal")


@click.group("devnet")
def devnet_group() -> None:
    """Local networks: real processes, real TLS, real disks, on this machine."""


devnet_group.add_command(bench)
devnet_group.add_command(forecast)


@devnet_group.command()
@_DIRECTORY
@VALIDATORS
@SUITE
@click.option("--detach", is_flag=True, help="Leave the network running; else Ctrl-C ends it.")
@pass_session
def up(session: Session, *, directory: Path, validators: int, suite: str, detach: bool) -> None:
    """Bring a network up: a new one, or the one that DIR holds."""
    if has_network(directory):
        network = Devnet.open(directory)
        _check_same(network, validators=validators, suite=suite)
    else:
        network = Devnet.create(directory, validators=validators, suite=suite)
    end_as_by_ctrl_c()
    try:
        network.up()
        network.establish_authority()
        _print_network(session, network)
    except BaseException:
        network.down()
        raise
    if detach:
        return
    try:
        note("Ctrl-C ends the network")
        while True:
            # Not `pause`: a signal that comes just before it would be waited for in vain.
            time.sleep(1)
    except KeyboardInterrupt:
        note("stopping")
    finally:
        network.down()


@devnet_group.command()
@_DIRECTORY
@pass_session
def down(session: Session, *, directory: Path) -> None:
    """End exactly the processes that the network started; its data stays."""
    ended = Devnet.open(directory).down()
    if session.json:
        print_json({"ended": ended, "directory": str(directory)})
    else:
        print_fields([("ended", ", ".join(ended) or "nothing ran"), ("data", directory)])


@devnet_group.command()
@_DIRECTORY
@pass_session
def status(session: Session, *, directory: Path) -> None:
    """Show every validator: its process, height, view, and whom it waits for."""
    network = Devnet.open(directory)
    found = [_status_of(network, node.name) for node in network.nodes]
    if session.json:
        print_json({"validators": found})
        return
    print_table(
        ("name", "process", "pid", "rpc", "height", "view", "waits for"),
        [tuple("-" if value is None else _text(value) for value in row.values()) for row in found],
    )


@devnet_group.command()
@_DIRECTORY
@click.option(
    "--delay-ms",
    type=click.IntRange(0, MAX_SLOW_MS),
    default=200,
    show_default=True,
    help="By how much `slow` slows.",
)
@click.argument("action", type=click.Choice(_FAULTS))
@click.argument("name")
@pass_session
def fault(session: Session, *, directory: Path, delay_ms: int, action: str, name: str) -> None:
    """Do to validator NAME: kill (SIGKILL), stop (SIGSTOP), cont (SIGCONT), start again, cut from, mute or deafen to, slow or heal to the network."""
    network = Devnet.open(directory)
    actions: dict[str, Callable[[str], None]] = {
        "kill": network.kill,
        "stop": network.stop,
        "cont": network.cont,
        "start": network.start,
        "cut": network.cut,
        "mute": network.mute,
        "deafen": network.deafen,
        "slow": lambda slowed: network.slow(slowed, delay_ms),
        "heal": network.heal,
    }
    actions[action](name)
    if session.json:
        print_json({"validator": name, "action": action})
    else:
        print_fields([("validator", name), ("done", action)])


@devnet_group.command()
@SUITE
@VALIDATORS
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to leave proofs and policy.  [default: a new folder under the system's temporary one]",
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
def demo(*, suite: str, validators: int, out: Path | None, files: tuple[Path, ...]) -> None:
    """Notarize FILES on a fresh network, prove it offline, lose a validator and go on. Exit 0 only if all of it held."""
    end_as_by_ctrl_c()
    out = Path(tempfile.mkdtemp(prefix="chainnode-demo-")) if out is None else out
    run_demo(files, out=out, suite=suite, validators=validators, say=click.echo)


def _check_same(network: Devnet, *, validators: int, suite: str) -> None:
    if (len(network.nodes), network.record.suite) != (validators, suite):
        raise Refused(
            f"{network.directory} holds a network of {len(network.nodes)} validators on "
            f"{network.record.suite}; ask for that, or name another folder",
            code="other_network",
            field="dir",
        )


def _print_network(session: Session, network: Devnet) -> None:
    if session.json:
        print_json(_network_json(network))
        return
    print_table(
        ("validator", "rpc", "pid"),
        [(n.name, n.rpc, "-" if n.process is None else n.process.pid) for n in network.nodes],
    )
    click.echo()
    print_fields(
        [
            ("client home", network.client_home),
            ("admin home", network.admin_home),
            ("policy", network.policy),
            ("genesis", network.genesis),
            ("ca", "-" if network.ca is None else network.ca),
            ("try", f"{program()} --home {network.client_home} notarize FILE"),
        ]
    )


def _network_json(network: Devnet) -> dict[str, Json]:
    return {
        "validators": [
            {
                "name": node.name,
                "rpc": node.rpc,
                "home": str(node.home),
                "pid": None if node.process is None else node.process.pid,
            }
            for node in network.nodes
        ],
        "client_home": str(network.client_home),
        "admin_home": str(network.admin_home),
        "policy": str(network.policy),
        "genesis": str(network.genesis),
        "ca": None if network.ca is None else str(network.ca),
    }


def _status_of(network: Devnet, name: str) -> dict[str, Json]:
    node, process = network.node(name), network.process_state(name)
    height = view = awaited = None
    if process == "running":
        try:
            found = network.status(name)
        except ChainError:
            process = "not answering"
        else:
            height, view, awaited = found["tip_height"], found["view"], found["awaited"]
    return {
        "name": name,
        "process": process,
        "pid": None if node.process is None else node.process.pid,
        "rpc": node.rpc,
        "height": height,
        "view": view,
        "awaited": awaited,
    }


def _text(value: Json) -> str:
    return (", ".join(map(str, value)) or "-") if isinstance(value, list) else str(value)
