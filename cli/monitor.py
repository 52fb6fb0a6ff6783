"""`chainnode monitor`: follow a log from outside, trusting no node, and raise an alarm when its history changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.clock import SystemClock
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import CannotTell, ChainError, DecodeError, Refused
from cli.command import pass_session
from cli.exit_status import ExitStatus, exit_status_of
from cli.log_memory import MAX_PREFIXES, load_memory, save_memory
from cli.log_source import LogSource
from cli.log_watch import Alarm, Watch
from cli.output import note, print_error, time_text, visible
from cli.proofs import POLICY_FILE, read_policy

if TYPE_CHECKING:
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from cli.log_source import Seen
    from cli.log_watch import Round, Sighting
    from cli.output import Json
    from cli.session import Session

STATE_FILE: Final = "monitor.json"
"""In the home, what was seen."""

ALARM_NAME: Final = "alarm-{}.json"
"""Beside the state; named after what is in it, so that the same alarm is written once."""

MAX_ALARM_FILES: Final = 100
"""Beside one state: whoever can forge answers could otherwise fill the disk. The first ones tell the most."""

SHORT_ROOT: Final = 16
"""Hex digits of a root in a line for people."""


@click.command()
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="POLICY",
    help="Whose signatures count.  [default: HOME/policy]",
)
@click.option(
    "--also",
    multiple=True,
    metavar="URL",
    help="Another server of the same log, to compare with; may be given again.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to keep what was seen.  [default: HOME/monitor.json]",
)
@click.option("--once", is_flag=True, help="Look once and exit, for cron or Nagios.")
@click.option(
    "--every",
    "every_s",
    type=click.IntRange(1, 86_400),
    default=10,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
@click.option(
    "--max-age",
    "max_age_s",
    type=click.IntRange(1, 31_536_000),
    default=900,
    show_default=True,
    metavar="S",
    help="Seconds since a quorum cosigned, beyond which a checkpoint is stale.",
)
@click.option("--entries", is_flag=True, help="Read the log's entries too, and hash them.")
@pass_session
def monitor(
    session: Session,
    *,
    policy_file: Path | None,
    also: tuple[str, ...],
    state: Path | None,
    once: bool,
    every_s: int,
    max_age_s: int,
    entries: bool,
) -> None:
    """Follow the log that --rpc serves, and see that nobody rewrites it."""
    policy = _policy(session, policy_file)
    path = session.home / STATE_FILE if state is None else state
    memory = load_memory(path)
    clients = [session.client(), *(session.client(url) for url in also)]
    if len({client.url for client in clients}) != len(clients) or len(clients) > MAX_PREFIXES:
        raise click.UsageError(f"name up to {MAX_PREFIXES} servers, each once")
    watch = Watch(
        policy=policy,
        sources=[LogSource(client) for client in clients],
        memory=memory,
        keep=lambda changed: save_memory(path, changed),
        max_age_ms=max_age_s * 1_000,
        reads_entries=entries,
    )
    report = _Report(session)
    context = click.get_current_context()
    try:
        asyncio.run(_follow(watch, clients, report, every_s=None if once else every_s))
    except Alarm as alarm:
        report.alarm(alarm, _keep_evidence(path, alarm))
        context.exit(ExitStatus.NOT_SO)
    except ChainError as error:
        if isinstance(error, CannotTell):
            kept = session.home / POLICY_FILE
            report.end(f"{error.message}: `chainnode policy --out {kept}`", error)
        else:
            report.end(error.message, error)
        context.exit(exit_status_of(error))


async def _follow(
    watch: Watch, clients: list[RpcClient], report: _Report, *, every_s: int | None
) -> None:
    """Look once, or again and again until an alarm. Raises as `Watch.look`; looking once, Unavailable too."""
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        for client in clients:
            await opened.enter_async_context(client)
        is_first = True
        while True:
            found = await watch.look(clock.now_ms())
            report.sightings(found, says_all=is_first)
            if every_s is None:
                if found.lost:
                    raise found.lost[0][1]
                return
            report.lost(found)
            is_first = False
            await asyncio.sleep(every_s)


class _Report:
    """Says what was found: a line for people, or one of JSON."""

    def __init__(self, session: Session) -> None:
        self._json = session.json

    def sightings(self, found: Round, *, says_all: bool) -> None:
        """Tell of every new tree; if `says_all`, of every tree."""
        for sighting in found.sightings:
            if says_all or sighting.is_news:
                self._sighting(sighting)

    def lost(self, found: Round) -> None:
        """Tell of servers that could not be asked, and will be again."""
        for url, error in found.lost:
            if self._json:
                self._line({"event": "unreachable", "url": url, **_error(error.message, error)})
            else:
                note(f"not checked, to be tried again: {error.message}")

    def alarm(self, alarm: Alarm, evidence: str) -> None:
        """Tell of an alarm, and where the evidence is."""
        if self._json:
            found = {"url": alarm.now.url, **_error(alarm.message, alarm), "evidence": evidence}
            self._line({"event": "alarm", **found})
        else:
            note(f"alarm {alarm.error_code}: {alarm.message}; evidence: {evidence}")

    def end(self, message: str, error: ChainError) -> None:
        """Tell of what ended the command."""
        if self._json:
            self._line({"event": "error", **_error(message, error)})
        else:
            print_error(ChainError(message), as_json=False)

    def _sighting(self, sighting: Sighting) -> None:
        seen, trusted = sighting.seen, sighting.trusted
        checkpoint = seen.checkpoint
        before = 0 if sighting.before is None else sighting.before.checkpoint.size
        if self._json:
            self._line(
                {
                    "event": "checkpoint",
                    "url": seen.url,
                    "origin": checkpoint.origin,
                    "size": checkpoint.size,
                    "root": checkpoint.root.hex(),
                    "old_size": before,
                    "cosigners": [c.name for c in trusted.cosigners],
                    "quorum_ms": trusted.quorum_s * 1_000,
                }
            )
            return
        click.echo(
            visible(
                f"{time_text(trusted.quorum_s * 1_000)}  {seen.url}  {checkpoint.size} records "
                f"(+{checkpoint.size - before})  root {checkpoint.root.hex()[:SHORT_ROOT]}  "
                f"{len(trusted.cosigners)} cosigned"
            )
        )
        sys.stdout.flush()

    @staticmethod
    def _line(document: dict[str, Json]) -> None:
        click.echo(json.dumps(document, ensure_ascii=False))
        sys.stdout.flush()


def _policy(session: Session, path: Path | None) -> Policy:
    if path is not None:
        return read_policy(path)
    kept = session.home / POLICY_FILE
    if not kept.exists():
        raise DecodeError(
            f"there is no {kept}; name a policy with --policy, or write the chain's there with "
            f"`chainnode policy --out {kept}`",
            code="no_policy",
        )
    return read_policy(kept)


def _keep_evidence(state: Path, alarm: Alarm) -> str:
    """Write down the checkpoints of an alarm; return where, or why not."""
    document = {
        "version": 1,
        "alarm": alarm.error_code,
        "message": alarm.message,
        "seen_ms": SystemClock().now_ms(),
        "now": _as_json(alarm.now),
        "before": None if alarm.before is None else _as_json(alarm.before),
    }
    shown = json.dumps([document["alarm"], document["now"], document["before"]]).encode()
    path = state.with_name(ALARM_NAME.format(hashlib.sha256(shown).hexdigest()[:16]))
    if len(list(state.parent.glob(ALARM_NAME.format("*")))) >= MAX_ALARM_FILES:
        return f"not written, {state.parent} has {MAX_ALARM_FILES} alarms already"
    try:
        content = json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
        write_new_file(path, content, mode=PUBLIC)
    except Refused:
        # The same checkpoints contradicted each other before; what was written then stays.
        return str(path)
    except ChainError as error:
        return f"not written, {error.message}"
    return str(path)


def _error(message: str, error: ChainError) -> dict[str, Json]:
    return {"code": error.error_code, "message": message}


def _as_json(seen: Seen) -> dict[str, Json]:
    return {"url": seen.url, "checkpoint": seen.note.encode().decode()}
