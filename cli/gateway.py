"""`chainnode gateway`: tokens of the systems that a node's gateway serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from chainnode.clock import SystemClock
from chainnode.config import load_settings
from chainnode.keystore.gateway_tokens import (
    DEFAULT_PER_MINUTE,
    MAX_PER_MINUTE,
    Token,
    encode_tokens,
    fresh_token,
    hash_of,
    read_tokens,
    with_token,
)
from chainnode.logs import utc
from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.ids import check_name
from cli.command import pass_session
from cli.output import note, print_fields, print_json, print_table
from cli.proofs import replace_secret_file

if TYPE_CHECKING:
    from pathlib import Path

    from cli.session import Session

_SETTING: Final = "gateway.tokens"


@click.group()
def gateway() -> None:
    """The gateway of this home's node: systems without keys submit digests over /v1/."""


@gateway.group()
def token() -> None:
    """Tokens of the systems that may submit."""


@token.command()
@click.argument("name")
@click.option(
    "--per-minute",
    type=click.IntRange(1, MAX_PER_MINUTE),
    default=DEFAULT_PER_MINUTE,
    show_default=True,
    help="Requests that it may make in a minute.",
)
@pass_session
def new(session: Session, name: str, per_minute: int) -> None:
    """Make a token for the system NAME and print it; it is shown this once and kept as a hash."""
    check_name(name, "name")
    path = _file(session)
    text = fresh_token()
    made = Token(
        name=name,
        sha256=hash_of(text),
        per_minute=per_minute,
        created_ms=SystemClock().now_ms(),
    )
    replace_secret_file(path, encode_tokens(with_token(read_tokens(path), made)))
    if session.json:
        print_json({"name": name, "token": text, "per_minute": per_minute})
    else:
        print_fields([("name", name), ("token", text), ("per minute", per_minute)])
        note("give it to the system by a private way; it is not shown again")


@token.command(name="list")
@pass_session
def list_tokens(session: Session) -> None:
    """List the tokens by name, without their texts."""
    tokens = read_tokens(_file(session))
    if session.json:
        print_json(
            {
                "tokens": [
                    {"name": t.name, "per_minute": t.per_minute, "created_ms": t.created_ms}
                    for t in tokens
                ]
            }
        )
    else:
        print_table(
            ("name", "per minute", "made"),
            [(t.name, t.per_minute, utc(t.created_ms)) for t in tokens],
        )


@token.command()
@click.argument("name")
@pass_session
def revoke(session: Session, name: str) -> None:
    """Refuse the token NAME from now on; a running node notices within a second."""
    path = _file(session)
    tokens = read_tokens(path)
    left = tuple(t for t in tokens if t.name != name)
    if len(left) == len(tokens):
        raise NotFound(f"there is no token {name}; `chainnode gateway token list` shows all")
    replace_secret_file(path, encode_tokens(left))
    if session.json:
        print_json({"revoked": name})
    else:
        print_fields([("revoked", name)])


def _file(session: Session) -> Path:
    path = load_settings(session.home).path(session.home, _SETTING)
    if path is None:
        raise DecodeError(
            f"{session.home / 'config.toml'}: {_SETTING} is empty; set it to a file name such as "
            '"gateway-tokens.json", and node.account to the account that signs',
            code="no_gateway",
            field=_SETTING,
        )
    return path
