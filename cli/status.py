"""`chainnode status`: where the chain stands, for whom it waits and since when, and how the node is."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

import click

from cli.command import pass_session
from cli.output import print_fields, print_json, print_table, size_text, time_text

if TYPE_CHECKING:
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import (
        ClockResult,
        PeerResult,
        StandingResult,
        StatusResult,
        TimestampUnitResult,
    )
    from cli.output import Json
    from cli.session import Session

WATCH_S: Final = 1
"""Seconds between two looks of `--watch`."""

SHORT_DIGEST: Final = 8
"""Hex digits of a block's hash that tell the blocks of one height apart."""

_SAID: Final = MappingProxyType(
    {"propose": "proposed", "prepare": "prepared", "commit": "committed"}
)


@click.command()
@click.option("--watch", is_flag=True, help="Look again every second until interrupted.")
@pass_session
def status(session: Session, *, watch: bool) -> None:
    """Show height, view, peers, who is awaited since when, clock offsets, pool and disk."""
    if watch and session.json:
        raise click.UsageError("--watch is for people; with --json ask once, as often as needed")

    async def ask(node: RpcClient) -> None:
        while True:
            found = await node.chain_status()
            if session.json:
                print_json(cast("Json", found))
            else:
                if watch:
                    click.clear()
                show(found)
            if not watch:
                return
            await asyncio.sleep(WATCH_S)

    session.ask(ask)


def show(found: StatusResult) -> None:
    """Print a status for people."""
    ready = "yes" if found["is_ready"] else f"no: {found['not_ready_reason']}"
    votes = "yes" if found["is_voting"] else f"no: observes, {_why_quiet(found)}"
    print_fields(
        [
            ("chain", f"{found['chain_id']} ({found['suite']})"),
            ("genesis", found["genesis_hash"]),
            ("validator", f"{found['validator']}, software {found['software_version']}"),
            ("ready", ready),
            ("votes", votes),
            ("height", f"{found['tip_height']} at {time_text(found['tip_time_ms'])}"),
            ("cosigned", found["cosigned_height"]),
            ("log", f"{found['log_size']} records, root {found['log_root']}"),
            ("view", f"{found['view']} of height {found['open_height']}"),
            ("waits for", waiting(found)),
            ("skipped", ", ".join(found["skipped"]) or "nobody"),
            ("why", found["explanation"] or "-"),
            ("quorum", f"{found['quorum']} of {len(found['validators'])}"),
            (
                "pool",
                (
                    f"{found['pool_count']} transactions, {size_text(found['pool_bytes'])}, "
                    f"{found['unverified']} being verified"
                ),
            ),
            ("clock", clock_text(found["clock"])),
            ("sources", _sources(found["clock"])),
            *(("timestamps", _timestamps(unit)) for unit in found["timestamp_units"]),
            ("disk", size_text(found["disk_bytes"])),
            ("up", f"{found['uptime_ms'] // 1_000} s, {found['view_changes']} view changes"),
        ]
    )
    click.echo()
    print_table(
        ("validator", "link", "heard", "height", "view", "asked for", "voted", "awaited for"),
        [_standing(standing, found) for standing in found["standings"]],
    )
    click.echo()
    print_table(
        ("peer", "clock", "round trip", "judged"),
        [_clock(peer) for peer in found["peers"]],
    )


def _timestamps(unit: TimestampUnitResult) -> str:
    said = f"until {time_text(unit['end_ms'])}" if unit["problem"] is None else unit["problem"]
    return f"{unit['name']}: {said}"


def _why_quiet(found: StatusResult) -> str:
    quarantine = found["quarantine"]
    if quarantine is None:
        return "as it is no validator of this height"
    seconds = max(0, found["now_ms"] - quarantine["since_ms"]) // 1_000
    return f"in quarantine since {seconds} s ({quarantine['code']}): {quarantine['sentence']}"


def waiting(found: StatusResult) -> str:
    """Return what the node waits for, whose word it lacks, and how long it has."""
    if found["is_syncing"]:
        return "blocks that the others have decided"
    if found["step"] == "idle":
        return "nothing: no transaction is pending"
    awaited = ", ".join(found["awaited"]) or "itself"
    waited_ms = max(0, found["now_ms"] - found["waiting_since_ms"])
    return f"{found['step']} of {awaited}, since {waited_ms / 1_000:.1f} s"


def _standing(standing: StandingResult, found: StatusResult) -> tuple[str, ...]:
    is_own = standing["name"] == found["validator"]
    heard, height = standing["last_heard_ms"], standing["tip_height"]
    stated = found["view"] if is_own else standing["stated_view"]
    link = "itself" if is_own else "up" if standing["is_linked"] else "down"
    return (
        standing["name"],
        link,
        "-"
        if is_own
        else f"{max(0, found['now_ms'] - heard) // 1_000} s ago"
        if heard
        else "never",
        "-" if height is None else str(height),
        "-" if stated is None or not standing["is_linked"] else str(stated),
        _asked(standing),
        _voted(standing, found["view"]),
        standing["awaited_for"] or "-",
    )


def _asked(standing: StandingResult) -> str:
    """Return for which view it asked with its signature, and with which lock."""
    if standing["asked_view"] is None:
        return "-"
    if standing["locked_digest"] is None:
        return f"view {standing['asked_view']}"
    lock = f"{standing['locked_digest'][:SHORT_DIGEST]} of view {standing['locked_view']}"
    return f"view {standing['asked_view']}, locked on {lock}"


def _voted(standing: StandingResult, view: int) -> str:
    """Return what it voted for in the current view, or in which lower or higher one it voted last."""
    votes = [
        f"{_SAID[vote['kind']]} {vote['digest'][:SHORT_DIGEST]}"
        + ("" if vote["view"] == view else f" in view {vote['view']}")
        for vote in standing["votes"]
    ]
    return ", ".join(votes) or "-"


def _clock(peer: PeerResult) -> tuple[str, ...]:
    offset, round_trip = peer["clock_offset_ms"], peer["round_trip_ms"]
    return (
        peer["name"],
        "-" if offset is None else f"{offset:+d} ms",
        "-" if round_trip is None else f"{round_trip} ms",
        {None: "-", True: "OFF", False: "right"}[peer["clock_is_off"]],
    )


def clock_text(clock: ClockResult) -> str:
    """Return what the node thinks of its own clock, why, and what has happened to it."""
    alarm = clock["verdict"] in {"wrong", "disputed"}
    verdict = f"{clock['verdict'].upper() if alarm else clock['verdict']}: {clock['sentence']}"
    lines = [verdict, "can vouch for a time" if clock["vouches"] else "cannot vouch for a time"]
    if clock["declined"]:
        lines.append(f"{clock['declined']} turns to propose were given up since it was wrong")
    if clock["jumps"]:
        lines.append(
            f"{clock['jumps']} jumps since start, the last by {clock['last_jump_ms']:+d} ms "
            f"to {time_text(clock['last_jump_at_ms'])}"
        )
    return "\n".join(lines)


def _sources(clock: ClockResult) -> str:
    declared = ", ".join(clock["declared"]) or "none declared"
    source = clock["source"]
    if source is None:
        return declared
    if source["offset_ms"] is None:
        return f"{declared}\n{source['server']} is not known: {source['problem']}"
    measured = f"{source['server']} is {source['offset_ms']:+d} ms from this clock, to within {source['error_ms']} ms"
    return f"{declared}\n{measured}" + (f"; {source['problem']}" if source["problem"] else "")
