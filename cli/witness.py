"""`chainnode witness`: what the operators of other logs need to know of this home's witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chainnode.config import DEFAULT_RPC_URL, FILE_NAME, load_witness_config
from chainnode.model.errors import DecodeError
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import cosigner_key
from chainnode.model.suites import suite_named
from cli.command import pass_session
from cli.output import note, print_json
from cli.proofs import read_policy

if TYPE_CHECKING:
    from cli.session import Session


@click.command()
@click.option(
    "--url",
    metavar="URL",
    help=f"Where other logs reach this node's RPC listener.  [default: client.rpc, else {DEFAULT_RPC_URL}]",
)
@pass_session
def witness(session: Session, url: str | None) -> None:
    """Print the `witness` line by which others know this node, for their configuration and their policies."""
    config = load_witness_config(session.home)
    if config is None:
        raise DecodeError(
            f"{session.home / FILE_NAME} names no witness.key; this node witnesses no other logs",
            code="no_witness",
            field="witness.key",
        )
    info = session.keystore().show(config.key)
    if info.purpose is not KeyPurpose.WITNESS:
        raise DecodeError(
            f"the key {config.key!r} is of purpose {info.purpose}; expected {KeyPurpose.WITNESS}",
            code="wrong_purpose",
            field="witness.key",
        )
    vkey = cosigner_key(suite_named(info.suite), config.name, info.public_key).vkey()
    prefix = (session.config().rpc if url is None else url).rstrip("/")
    origins = sorted(
        origin for path in config.logs.glob("*.policy") for origin in read_policy(path).origins()
    )
    if session.json:
        print_json({"name": config.name, "vkey": vkey, "url": prefix, "logs": origins})
        return
    click.echo(f"witness {config.name} {vkey} {prefix}")
    note(f"witnesses {', '.join(origins) or 'nothing yet'} (policies in {config.logs})")
