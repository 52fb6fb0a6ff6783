"""`chainnode devnet`: local networks of real validator processes, for trying, testing and measuring."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import ChainError, Refused
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.suites import ED25519_SHA256, SUITE_NAMES
from cli.command import pass_session
from cli.output import note, print_fields, print_json, print_table
from devnet.bench import growth, long_chain, one_dead, overload, reading
from devnet.bench.plan import (
    CATCH_UP,
    DEFAULT_RECORDS,
    GROWTH,
    MAX_BATCH,
    MAX_DELAY_MS,
    MAX_DURATION_S,
    MAX_RECORDS,
    NOTARIZE,
    NOTARIZE_BATCH,
    ONE_DEAD,
    OVERLOAD,
    PROOF,
    QUERY,
    RESTART,
    WORKLOADS,
    Plan,
)
from devnet.bench.report import FUNCTION_HEADS, MOST_FUNCTIONS, as_json, function_table, rows
from devnet.bench.run import run as run_bench
from devnet.demo import run as run_demo
from devnet.fault_proxy import MAX_SLOW_MS
from devnet.forecast import report as forecasts
from devnet.forecast.report import APART, study
from devnet.network import MAX_LOCAL_VALIDATORS, Devnet, has_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
_VALIDATORS: Final = click.option(
    "--validators",
    type=click.IntRange(1, MAX_LOCAL_VALIDATORS),
    default=4,
    show_default=True,
    help="How many.",
)
_SUITE: Final = click.option(
    "--suite", type=click.Choice(SUITE_NAMES), default=ED25519_SHA256, show_default=True
)

_FAULTS: Final = ("kill", "stop", "cont", "start", "cut", "mute", "deafen", "slow", "heal")


@click.group("devnet")
def devnet_group() -> None:
    """Local networks: real processes, real TLS, real disks, on this machine."""


@devnet_group.command()
@_DIRECTORY
@_VALIDATORS
@_SUITE
@click.option("--detach", is_flag=True, help="Leave the network running; else Ctrl-C ends it.")
@pass_session
def up(session: Session, *, directory: Path, validators: int, suite: str, detach: bool) -> None:
    """Bring a network up: a new one, or the one that DIR holds."""
    if has_network(directory):
        network = Devnet.open(directory)
        _check_same(network, validators=validators, suite=suite)
    else:
        network = Devnet.create(directory, validators=validators, suite=suite)
    _end_as_by_ctrl_c()
    try:
        network.up()
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
def down(*, directory: Path) -> None:
    """End exactly the processes that the network started; its data stays."""
    Devnet.open(directory).down()


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
def fault(*, directory: Path, delay_ms: int, action: str, name: str) -> None:
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


@devnet_group.command()
@_SUITE
@_VALIDATORS
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
    _end_as_by_ctrl_c()
    out = Path(tempfile.mkdtemp(prefix="chainnode-demo-")) if out is None else out
    run_demo(files, out=out, suite=suite, validators=validators, say=click.echo)


@devnet_group.command()
@_VALIDATORS
@_SUITE
@click.option(
    "--workload", default="notarize", show_default=True, help=f"One of: {', '.join(WORKLOADS)}."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, MAX_BATCH),
    default=500,
    show_default=True,
    help="Documents in one transaction of notarize-batch.",
)
@click.option(
    "--duration",
    type=click.IntRange(1, MAX_DURATION_S),
    default=20,
    show_default=True,
    help="Seconds measured.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 1_000_000),
    help=(
        "Transactions a second, sent on time whatever comes back.  "
        "[default: saturation; for one-dead half of it]"
    ),
)
@click.option(
    "--clients",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Processes that send.",
)
@click.option(
    "--records",
    type=click.IntRange(1_000, MAX_RECORDS),
    help=(
        "Documents of a chain that is made first.  "
        f"[default: none; for proof, query, restart, catch-up and growth {DEFAULT_RECORDS:,}]"
    ),
)
@click.option(
    "--delay",
    "delay_ms",
    type=click.IntRange(0, MAX_DELAY_MS),
    metavar="MS",
    help=(
        "Milliseconds later, one way, that validators hear each other under notarize or notarize-batch; "
        "0 has the relay without delay.  [default: no relay]"
    ),
)
@click.option(
    "--digests",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Digests of each document: SHA-256, and SM3.",
)
@click.option(
    "--top",
    type=click.IntRange(0, MOST_FUNCTIONS),
    default=0,
    help="Name so many functions in which the nodes' processor time went.",
)
@pass_session
def bench(
    session: Session,
    *,
    validators: int,
    suite: str,
    workload: str,
    batch_size: int,
    duration: int,
    rate: int | None,
    clients: int,
    records: int | None,
    delay_ms: int | None,
    digests: int,
    top: int,
) -> None:
    """Measure a fresh network under load, check every acknowledged record afterwards, and print a table."""
    if workload not in WORKLOADS:
        raise Refused(
            f"workload: found {workload!r}; this version measures {', '.join(WORKLOADS)}",
            code="unknown_workload",
            field="workload",
        )
    if delay_ms is not None:
        _check_workload("delay", workload, (NOTARIZE, NOTARIZE_BATCH))
    if records is not None:
        _check_workload(
            "records", workload, [name for name in WORKLOADS if name not in {ONE_DEAD, OVERLOAD}]
        )
    elif workload in {PROOF, QUERY, RESTART, CATCH_UP, GROWTH}:
        records = DEFAULT_RECORDS
    plan = Plan(
        validators=validators,
        suite=suite,
        batch_size=batch_size if workload == NOTARIZE_BATCH else 1,
        workload=workload,
        duration_s=duration,
        rate=rate,
        clients=clients,
        digests=digests,
        records=records or 0,
        delay_ms=delay_ms,
    )
    _end_as_by_ctrl_c()
    if workload == ONE_DEAD:
        _bench_one_dead(session, plan)
        return
    if workload == OVERLOAD:
        _bench_overload(session, plan)
        return
    if workload == GROWTH:
        _bench_growth(session, plan)
        return
    if workload in {PROOF, QUERY}:
        found = reading.read_while_writing(plan, say=note)
        if session.json:
            print_json(reading.as_json(found))
        else:
            print_fields(reading.rows(found))
        return
    if workload in {RESTART, CATCH_UP}:
        _bench_long_chain(session, plan)
        return
    report = run_bench(plan, say=note)
    if session.json:
        print_json(as_json(report))
    else:
        print_fields(rows(report))
        if top:
            click.echo()
            print_table(FUNCTION_HEADS, function_table(report, top))


@devnet_group.command()
@_SUITE
@click.option(
    "--validators",
    multiple=True,
    type=click.IntRange(1, MAX_VALIDATORS),
    help=f"Of a network on machines of its own; may be given often.  [default: {', '.join(map(str, APART))}]",
)
@click.option(
    "--cores",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Of each of those machines.",
)
@click.option(
    "--delay",
    "delay_ms",
    type=click.FloatRange(0, MAX_DELAY_MS),
    default=1.0,
    show_default=True,
    metavar="MS",
    help="Milliseconds between any two of them, one way.",
)
@click.option(
    "--mbit",
    type=click.FloatRange(1, 1_000_000),
    default=1_000.0,
    show_default=True,
    help="Megabits a second that each of them can send.",
)
@click.option(
    "--check", is_flag=True, help="Measure 7, 10 and 16 validators here too, and compare."
)
@pass_session
def forecast(
    session: Session,
    *,
    suite: str,
    validators: tuple[int, ...],
    cores: int,
    delay_ms: float,
    mbit: float,
    check: bool,
) -> None:
    """Measure what things cost here, and simulate networks that this machine cannot hold."""
    _end_as_by_ctrl_c()
    found = study(
        suite,
        validators=validators or APART,
        cores=cores,
        delay_ms=delay_ms,
        mbit_per_s=mbit,
        is_checked=check,
        say=note,
    )
    if session.json:
        print_json(forecasts.as_json(found))
        return
    click.echo("costs")
    print_fields(forecasts.costs_rows(found))
    click.echo(f"\non this machine of {found.calibration.cores} cores, all validators together")
    print_table(forecasts.HERE_HEADS, forecasts.here_table(found))
    click.echo(
        f"\non machines of their own, {cores} cores each, {delay_ms:g} ms apart, {mbit:g} Mbit/s"
    )
    print_table(forecasts.APART_HEADS, forecasts.apart_table(found))


def _check_workload(option: str, workload: str, expected: Sequence[str]) -> None:
    """Refuse an option that does not concern this workload."""
    if workload not in expected:
        raise Refused(
            f"{option}: found workload {workload!r}; expected {' or '.join(expected)}", field=option
        )


def _bench_overload(session: Session, plan: Plan) -> None:
    found = overload.run(plan, say=note)
    if session.json:
        print_json(overload.as_json(found))
    else:
        print_fields(overload.rows(found))


def _bench_growth(session: Session, plan: Plan) -> None:
    if plan.records < growth.LEAST_RECORDS:
        raise Refused(
            f"records: found {plan.records}; growth begins at {growth.LEAST_RECORDS}",
            field="records",
        )
    found = growth.run(plan, say=note)
    if session.json:
        print_json(growth.as_json(found))
    else:
        print_table(growth.HEADS, growth.table(found))


def _bench_long_chain(session: Session, plan: Plan) -> None:
    plan = long_chain.plan_of(plan)
    if plan.workload == RESTART:
        restarts = long_chain.restart(plan, say=note)
        document = long_chain.restart_json(plan, restarts)
        table = long_chain.restart_rows(restarts)
    else:
        caught_up = long_chain.catch_up(plan, say=note)
        document = long_chain.catch_up_json(plan, caught_up)
        table = long_chain.catch_up_rows(caught_up)
    if session.json:
        print_json(document)
    else:
        print_fields(table)


def _bench_one_dead(session: Session, plan: Plan) -> None:
    found = one_dead.run(plan, say=note)
    if session.json:
        print_json(one_dead.as_json(found))
        return
    print_fields(one_dead.rows(found))
    click.echo()
    print_table(one_dead.HEADS, one_dead.table(found))


def _end_as_by_ctrl_c() -> None:
    """Let SIGTERM end the network too, not only this command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


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
            ("try", f"chainnode --home {network.client_home} notarize FILE"),
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
        # The alliance has no certificate authority of its own.
        "ca": None,
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
