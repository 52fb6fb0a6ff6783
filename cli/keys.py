"""`chainnode keys`: make, list, show, export and import encrypted key files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.keystore.files import OWNER_ONLY, write_new_file
from chainnode.keystore.key_file import MAX_KEY_FILE_BYTES
from chainnode.model.keys import KeyPurpose, check_suite_of_purpose, suites_for
from chainnode.model.note import encode_base64
from chainnode.model.suites import KEY_SUITE_NAMES, key_suite_named
from cli.command import pass_session, passphrase_option
from cli.output import print_fields, print_json, print_table
from cli.session import Session, read_input

if TYPE_CHECKING:
    from chainnode.keystore.key_file import KeyInfo
    from cli.output import Json

_PURPOSES = tuple(purpose.value for purpose in KeyPurpose if purpose is not KeyPurpose.TLS)


@click.group()
def keys() -> None:
    """Encrypted private keys of this home."""


@keys.command()
@click.argument("name")
@click.option(
    "--suite",
    type=click.Choice(KEY_SUITE_NAMES),
    help="Crypto suite.  [default: that of the home's genesis if the purpose allows it, else "
    "ed25519-sha256, or p256-sha256 for timestamp, authority, seal-maker and seal-user]",
)
@click.option(
    "--purpose",
    type=click.Choice(_PURPOSES),
    default=KeyPurpose.ACCOUNT.value,
    show_default=True,
    help="The one thing that the key may sign.",
)
@passphrase_option
@pass_session
def new(
    session: Session, name: str, suite: str | None, purpose: str, passphrase_file: Path | None
) -> None:
    """Make a key called NAME."""
    if suite is None:
        suite = _default_suite(session, KeyPurpose(purpose))
    check_suite_of_purpose(suite, KeyPurpose(purpose))
    passphrase = session.passphrase(passphrase_file, confirm=True)
    info = session.keystore().new(name, key_suite_named(suite), KeyPurpose(purpose), passphrase)
    _print_key(session, info)


@keys.command("list")
@pass_session
def list_(session: Session) -> None:
    """List all keys by name."""
    infos = session.keystore().list()
    if session.json:
        print_json({"keys": [_as_json(info) for info in infos]})
    else:
        print_table(
            ("name", "purpose", "suite", "public key"),
            [(i.name, i.purpose.value, i.suite, encode_base64(i.public_key)) for i in infos],
        )


@keys.command()
@click.argument("name")
@pass_session
def show(session: Session, name: str) -> None:
    """Show what may be known of key NAME without its passphrase."""
    _print_key(session, session.keystore().show(name))


@keys.command()
@click.argument("name")
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to; an existing file is not overwritten.",
)
@pass_session
def export(session: Session, name: str, out: Path) -> None:
    """Write the encrypted file of key NAME, for a backup or another machine."""
    write_new_file(out, session.keystore().export(name), mode=OWNER_ONLY)
    _print_key(session, session.keystore().show(name), file=out)


@keys.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@pass_session
def import_(session: Session, file: Path) -> None:
    """Keep the key in FILE, which was exported elsewhere, under its own name."""
    data = read_input(file, max_bytes=MAX_KEY_FILE_BYTES)
    _print_key(session, session.keystore().import_(data))


def _default_suite(session: Session, purpose: KeyPurpose) -> str:
    genesis, allowed = session.genesis_if_any(), suites_for(purpose)
    return genesis.suite.name if genesis and genesis.suite.name in allowed else allowed[0]


def _as_json(info: KeyInfo) -> dict[str, Json]:
    return {
        "name": info.name,
        "purpose": info.purpose.value,
        "suite": info.suite,
        "public_key": encode_base64(info.public_key),
    }


def _print_key(session: Session, info: KeyInfo, *, file: Path | None = None) -> None:
    if session.json:
        print_json(_as_json(info) | ({} if file is None else {"file": str(file)}))
        return
    rows = [
        ("name", info.name),
        ("purpose", info.purpose.value),
        ("suite", info.suite),
        ("public key", encode_base64(info.public_key)),
    ]
    print_fields(rows if file is None else [*rows, ("file", file)])
