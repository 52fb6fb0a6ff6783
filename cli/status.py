"""`chainnode status`: where the chain stands, for whom it waits and since when, and how the node is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import click

from cli.command import pass_session
from cli.output import print_fields, print_json, print_table, size_text, time_text

if TYPE_CHECKING:
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import PeerResult, StatusResult
    from cli.output import Json
    from cli.session import Session

WATCH_S: Final = 1
"""Seconds between two looks of `--watch`."""


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
    now_ms = found["now_ms"]
    ready = "yes" if found["is_ready"] else f"no: {found['not_ready_reason']}"
    votes = "yes" if found["is_voting"] else "no: observes until it cannot contradict itself"
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
            ("quorum", f"{found['quorum']} of {len(found['validators'])}"),
            (
                "pool",
                (
                    f"{found['pool_count']} transactions, {size_text(found['pool_bytes'])}, "
                    f"{found['unverified']} being verified"
                ),
            ),
            ("disk", size_text(found["disk_bytes"])),
            ("up", f"{found['uptime_ms'] // 1_000} s, {found['view_changes']} view changes"),
        ]
    )
    click.echo()
    print_table(
        ("peer", "link", "heard", "height", "view", "clock", "round trip"),
        [_peer(peer, now_ms) for peer in found["peers"]],
    )


def waiting(found: StatusResult) -> str:
    """Return what the node waits for, whose word it lacks, and how long it has."""
    if found["is_syncing"]:
        return "blocks that the others have decided"
    if found["step"] == "idle":
        return "nothing: no transaction is pending"
    awaited = ", ".join(found["awaited"]) or "itself"
    waited_ms = max(0, found["now_ms"] - found["waiting_since_ms"])
    return f"{found['step']} of {awaited}, since {waited_ms / 1_000:.1f} s"


def _peer(peer: PeerResult, now_ms: int) -> tuple[str, ...]:
    heard = peer["last_heard_ms"]
    offset, round_trip = peer["clock_offset_ms"], peer["round_trip_ms"]
    is_up = peer["connected"]
    return (
        peer["name"],
        "up" if is_up else "down",
        f"{max(0, now_ms - heard) // 1_000} s ago" if heard else "never",
        str(peer["tip_height"]) if is_up else "-",
        str(peer["view"]) if is_up else "-",
        "-" if offset is None else f"{offset:+d} ms",
        "-" if round_trip is None else f"{round_trip} ms",
    )
