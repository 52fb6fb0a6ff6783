"""`chainnode devnet bench` and `chainnode devnet forecast`: what networks do under load, measured and foretold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import Refused
from chainnode.model.limits import MAX_VALIDATORS
from cli.command import pass_session
from cli.networks import SUITE, VALIDATORS, end_as_by_ctrl_c
from cli.output import note, print_fields, print_json, print_table
from devnet.bench import gateway, growth, long_chain, one_dead, overload, reading, timestamp
from devnet.bench.plan import (
    CATCH_UP,
    DEFAULT_RECORDS,
    GATEWAY,
    GROWTH,
    HTTP,
    MAX_BATCH,
    MAX_DELAY_MS,
    MAX_DURATION_S,
    MAX_RECORDS,
    NOTARIZE,
    NOTARIZE_BATCH,
    ONE_DEAD,
    OVERLOAD,
    PATHS,
    PROOF,
    QUERY,
    RESTART,
    TIMESTAMP,
    WORKLOADS,
    Plan,
)
from devnet.bench.report import FUNCTION_HEADS, MOST_FUNCTIONS, as_json, function_table, rows
from devnet.bench.run import run as run_bench
from devnet.forecast import report as forecasts
from devnet.forecast.report import APART, study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cli.session import Session
    from devnet.bench.one_asked import Served


@click.command()
@VALIDATORS
@SUITE
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
    "--path",
    type=click.Choice(PATHS),
    help="How proofs are got: one by one over HTTP or a WebSocket, or lists from tiles.  [default: http]",
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
    path: str | None,
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
    if rate is not None:
        unrated = {RESTART, CATCH_UP, GROWTH}
        _check_workload("rate", workload, [name for name in WORKLOADS if name not in unrated])
    if records is not None:
        _check_workload(
            "records",
            workload,
            [name for name in WORKLOADS if name not in {ONE_DEAD, OVERLOAD, TIMESTAMP, GATEWAY}],
        )
    elif workload in {PROOF, QUERY, RESTART, CATCH_UP, GROWTH}:
        records = DEFAULT_RECORDS
    if path is not None:
        _check_workload("path", workload, (PROOF,))
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
        path=path or HTTP,
    )
    end_as_by_ctrl_c()
    if workload == TIMESTAMP:
        _bench_timestamp(session, plan, top)
        return
    if workload == GATEWAY:
        _bench_gateway(session, plan, top)
        return
    if workload in _OTHERS:
        _OTHERS[workload](session, plan)
        return
    report = run_bench(plan, say=note)
    if session.json:
        print_json(as_json(report))
        return
    print_fields(rows(report))
    if top:
        click.echo()
        figures = report.figures
        print_table(FUNCTION_HEADS, function_table(figures.functions, figures.sampled, top))


@click.command()
@SUITE
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
    end_as_by_ctrl_c()
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


def _bench_reading(session: Session, plan: Plan) -> None:
    found = reading.read_while_writing(plan, say=note)
    if session.json:
        print_json(reading.as_json(found))
    else:
        print_fields(reading.rows(found))


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


def _bench_timestamp(session: Session, plan: Plan, top: int) -> None:
    found = timestamp.measure(plan, say=note)
    if session.json:
        print_json(timestamp.as_json(found))
    else:
        _print_served(timestamp.rows(found), found.served, top)


def _bench_gateway(session: Session, plan: Plan, top: int) -> None:
    found = gateway.measure(plan, say=note)
    if session.json:
        print_json(gateway.as_json(found))
    else:
        _print_served(gateway.rows(found), found.served, top)


def _print_served(table: Sequence[tuple[str, object]], served: Served, top: int) -> None:
    print_fields(table)
    if top:
        click.echo()
        print_table(FUNCTION_HEADS, function_table(served.functions, served.sampled, top))


def _bench_one_dead(session: Session, plan: Plan) -> None:
    found = one_dead.run(plan, say=note)
    if session.json:
        print_json(one_dead.as_json(found))
        return
    print_fields(one_dead.rows(found))
    click.echo()
    print_table(one_dead.HEADS, one_dead.table(found))


_OTHERS: Final[Mapping[str, Callable[[Session, Plan], None]]] = {
    ONE_DEAD: _bench_one_dead,
    OVERLOAD: _bench_overload,
    GROWTH: _bench_growth,
    PROOF: _bench_reading,
    QUERY: _bench_reading,
    RESTART: _bench_long_chain,
    CATCH_UP: _bench_long_chain,
}
"""How workloads are measured and shown that are not one network under one load."""
