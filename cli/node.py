"""`chainnode start`, `check-config`, `rebuild`, `reinstate`: what runs on the machine of a node itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.config import SETTINGS, load_config, load_settings
from cli.command import pass_session, passphrase_option
from cli.hashing import Progress
from cli.output import print_fields, print_json

if TYPE_CHECKING:
    from cli.session import Session


@click.command("check-config")
@pass_session
def check_config(session: Session) -> None:
    """Check the node's config.toml and print what is in force, defaults included."""
    load_config(session.home)
    settings = load_settings(session.home)
    if session.json:
        print_json({"settings": dict(settings.values), "p2p.peers": dict(settings.peers)})
        return
    rows = [(setting.name, settings.values[setting.name]) for setting in SETTINGS]
    rows += [(f"p2p.peers.{name}", address) for name, address in settings.peers.items()]
    print_fields([(name, value if value != "" else "-") for name, value in rows])


@click.command()
@passphrase_option
@click.option(
    "--profile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Sample what the node's processor time goes into, and write it here when it stops.",
)
@pass_session
def start(session: Session, passphrase_file: Path | None, profile: Path | None) -> int:
    """Run the node of this home until SIGTERM or SIGINT."""
    # Imported here because a node brings in LevelDB, consensus and the server: half a second that no other
    # command should pay, `verify` least of all.
    from chainnode.main import run  # noqa: PLC0415

    load_config(session.home)
    return run(session.home, session.passphrase(passphrase_file), profile)


@click.command()
@pass_session
def rebuild(session: Session) -> None:
    """Execute the chain of this stopped home again from its blocks, checking every root and signature.

    The old store is replaced only when everything came out equal.
    """
    from chainnode.main import rebuild as rebuild_home  # noqa: PLC0415  as in `start`

    progress = _Rebuilding()
    height = rebuild_home(session.home, progress.heard)
    progress.finish()
    if session.json:
        print_json({"height": height})
    else:
        click.echo(
            f"rebuilt up to block {height}; every root came out as the validators certified it"
        )


_DANGER: Final = """\
This validator has lost its memory of what it voted for. From height {height} on it shall vote again, as if it had never
voted there. That is safe only if all of this is so:

  - nobody in the alliance, on no machine and in no backup, has block {height}; ask all of them, compare their `status`
  - more validators have lost their vote logs than the chain bears, so that no block can come which would end this by itself
  - the machine that had this validator's keys before is gone, and cannot come back
  - all nodes are stopped, and all members of the alliance have agreed on this height

A block {height} that was decided on a machine that is lost now, and told to its clients, is given up by this."""


@click.command()
@click.option(
    "--height",
    type=click.IntRange(1),
    required=True,
    help="One above the newest block that anybody in the alliance still has.",
)
@click.option("--yes", is_flag=True, help="Do not ask; the alliance has agreed.")
@pass_session
def reinstate(session: Session, *, height: int, yes: bool) -> None:
    """Let the validator of this stopped home vote again, when a quorum has lost its vote logs.

    A last resort of the alliance as a whole; see "A quorum is lost for good" in docs/operations.md.
    """
    from chainnode.main import reinstate as reinstate_home  # noqa: PLC0415  as in `start`

    if not yes:
        click.echo(_DANGER.format(height=height), err=True)
        _confirm(f"vote again from {height}")
    reinstate_home(session.home, height)
    if session.json:
        print_json({"height": height})
    else:
        click.echo(f"this validator votes again from height {height}; start it")


def _confirm(sentence: str) -> None:
    try:
        typed = click.prompt(
            f"Type `{sentence}` to go on", default="", show_default=False, err=True
        )
    except click.Abort:
        typed = ""
    if typed.strip() != sentence:
        raise click.UsageError(
            "not confirmed, so nothing was changed; type the sentence, or give --yes"
        )


class _Rebuilding:
    """Draws how far a rebuild is; how high the tip is turns out with the first block."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._shown = 0

    def heard(self, done: int, tip: int) -> None:
        """Take (height done, height of the tip)."""
        if self._progress is None:
            self._progress = Progress("rebuilding", tip)
        self._progress.advance(done - self._shown)
        self._shown = done

    def finish(self) -> None:
        """Wipe the bar away."""
        if self._progress is not None:
            self._progress.finish()
