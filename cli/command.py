"""The global options, taken at any place of the command line, and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chainnode.model.errors import ChainError
from chainnode.model.ids import check_account_name
from cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

Decorated = TypeVar("Decorated", bound="Callable[..., Any]")

DEFAULT_HOME = "~/.chainnode"

pass_session = click.make_pass_decorator(Session)


def take_global_options(root: click.Group) -> None:
    """Let the root take `--home`, `--rpc` and `--json`, and show them in its help."""
    root.params.extend(_global_options(hidden=False))


def take_hidden_options(command: click.Command) -> None:
    """Let a command, and every command below it, take the global options too, without showing them."""
    below = [command]
    while below:
        one = below.pop()
        one.params.extend(_global_options(hidden=True))
        if isinstance(one, click.Group):
            below.extend(one.commands.values())


def _global_options(*, hidden: bool) -> list[click.Option]:
    def option(name: str, help_: str, metavar: str | None) -> click.Option:
        return click.Option(
            [name],
            metavar=metavar,
            is_flag=metavar is None,
            help=help_,
            expose_value=False,
            callback=_keep,
            hidden=hidden,
            is_eager=True,
        )

    return [
        option("--home", f"Keys and configuration.  [default: {DEFAULT_HOME}]", "DIR"),
        option(
            "--rpc",
            "A node's RPC listener.  [default: client.rpc of the home, else http://127.0.0.1:8545]",
            "URL",
        ),
        option("--json", "One JSON document on stdout, nothing else.", None),
    ]


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a global option where all commands find it."""
    root = context.find_root()
    if root.obj is None:
        root.obj = Session(home=Path(DEFAULT_HOME).expanduser())
    session = root.ensure_object(Session)
    if parameter.name == "home" and isinstance(value, str):
        session.home = Path(value).expanduser()
    elif parameter.name == "rpc" and isinstance(value, str):
        session.rpc = value
    elif parameter.name == "json" and value is True:
        session.json = True


def passphrase_option(command: Decorated) -> Decorated:
    """Add `--passphrase-file`."""
    return click.option(
        "--passphrase-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Passphrase of the keys (mode 0600); else CHAINNODE_PASSPHRASE, else a prompt.",
    )(command)


def policy_option(command: Decorated) -> Decorated:
    """Add `--policy`, which is required."""
    return click.option(
        "--policy",
        required=True,
        type=click.Path(path_type=Path),
        metavar="POLICY",
        help="Whose signatures count: the chain's tlog-policy, from a source that you trust.",
    )(command)


def as_option(command: Decorated) -> Decorated:
    """Add `--as ACCOUNT`."""
    return click.option(
        "--as",
        "as_account",
        metavar="ACCOUNT",
        type=parse_account,
        help="organisation/account that signs.  [default: client.account of the home]",
    )(command)


def parse_account(text: str) -> str:
    """Return an account's name from the command line. Raises click.BadParameter."""
    try:
        check_account_name(text)
    except ChainError as error:
        raise click.BadParameter(error.message) from error
    return text
