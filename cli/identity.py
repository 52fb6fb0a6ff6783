"""`chainnode account` and `chainnode org`: members, accounts, keys and roles, through the `identity` contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model import calls
from chainnode.model.errors import ChainError, DecodeError
from chainnode.model.ids import check_name
from chainnode.model.note import decode_base64
from chainnode.model.roles import Role
from cli.acting import Acting, act, acting
from cli.command import parse_account, pass_session, passphrase_option
from cli.keynames import account_key_name
from cli.offers import make_offer, offer_line, read_offer
from cli.output import print_fields, print_json, print_table, time_text
from cli.senders import chain_domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.calls import KeyOffer
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import AccountResult, QueryResult, StatusResult
    from cli.output import Json
    from cli.senders import Sender
    from cli.session import Session

Decorated = TypeVar("Decorated", bound="Callable[..., Any]")

REASONS = ("compromised", "lost", "superseded", "ceased")
"""Why a key may be revoked; public for ever."""


def _account_argument(command: Decorated) -> Decorated:
    return click.argument("name", metavar="ACCOUNT", type=parse_account)(command)


def _key_options(command: Decorated) -> Decorated:
    """Add the two ways to name a key that is to be registered."""
    offer = click.option(
        "--offer",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A key that its owner offers with `account offer-key`.",
    )
    key = click.option(
        "--key",
        metavar="NAME",
        help="A key of this home, made if there is none.  [default: ORGANISATION.NAME]",
    )
    return offer(key(command))


def _parse_role(text: str) -> Role:
    if text not in tuple(Role):
        raise click.BadParameter(f"found {text!r}; known are {', '.join(Role)}")
    return Role(text)


def _parse_public_key(text: str) -> bytes:
    try:
        return decode_base64(text, "public key")
    except DecodeError as error:
        raise click.BadParameter(f"{error.message}, as `account show` prints it") from error


def _parse_organisation(text: str) -> str:
    try:
        check_name(text, "organisation")
    except ChainError as error:
        raise click.BadParameter(error.message) from error
    return text


@click.group()
def account() -> None:
    """Accounts, their keys and roles."""


@account.command("show")
@_account_argument
@pass_session
def show(session: Session, name: str) -> None:
    """Show ACCOUNT as the chain knows it."""

    async def ask(node: RpcClient) -> tuple[AccountResult, QueryResult]:
        found = await node.account_get(name)
        return found, await node.contract_query("clocks", "declared", {"account": name})

    found, clock = session.ask(ask)
    if session.json:
        print_json(cast("Json", found))
        return
    print_fields(
        [
            ("account", found["name"]),
            ("organisation", f"{found['organisation']} ({found['organisation_title']})"),
            ("roles", ", ".join(found["roles"]) or "-"),
            ("suspended", "yes" if found["suspended"] else "no"),
            *_clock_rows(clock["result"]),
        ]
    )
    click.echo()
    print_table(
        ("key", "purpose", "from", "until", "revoked"),
        [
            (
                key["public_key"],
                key["purpose"],
                time_text(key["not_before_ms"] or None),
                time_text(key["not_after_ms"] or None),
                time_text(key["revoked_ms"] or None),
            )
            for key in found["keys"]
        ],
    )


def _clock_rows(declared: object) -> tuple[tuple[str, str], ...]:
    """Return what a node's account has declared of its clock; nothing for others."""
    if not isinstance(declared, dict) or not declared["is_declared"]:
        return ()
    sources = ", ".join(declared["sources"]) or "none named"
    check = "" if declared["check"] is None else f"; measured against {declared['check']}"
    return (("time sources", f"{sources}{check} (validator {declared['validator']})"),)


@account.command("offer-key")
@_account_argument
@click.option(
    "--key", metavar="NAME", help="The key, made if there is none.  [default: ORGANISATION.NAME]"
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where to."
)
@passphrase_option
@pass_session
def offer_key(
    session: Session, name: str, key: str | None, out: Path, passphrase_file: Path | None
) -> None:
    """Make a key for ACCOUNT here, and a file with which another machine registers it."""
    genesis = session.genesis_if_any()
    if genesis is None:

        async def ask(node: RpcClient) -> StatusResult:
            return await node.chain_status()

        domain = chain_domain(session.ask(ask), None)
    else:
        domain = genesis.domain
    key = account_key_name(name) if key is None else key
    offer = make_offer(session, domain, name, key, session.passphrase(passphrase_file))
    write_new_file(out, offer_line(name, offer).encode("ascii"), mode=PUBLIC)
    if session.json:
        print_json({"account": name, "key": key, "file": str(out)})
    else:
        print_fields([("account", name), ("key", key), ("offer", out)])


@account.command("register")
@_account_argument
@click.option(
    "--role", "roles", multiple=True, type=_parse_role, metavar="ROLE", help="Repeatable."
)
@_key_options
@acting
def register(
    by: Acting,
    *,
    name: str,
    roles: tuple[Role, ...],
    offer: Path | None,
    key: str | None,
) -> None:
    """Open ACCOUNT with a key and roles."""
    sender = by.sender()
    offered = _offered(by, sender, name, offer, key)
    act(by, sender, [calls.register_account(name, roles=sorted(set(roles)), keys=[offered])])


@account.command("add-key")
@_account_argument
@_key_options
@acting
def add_key(by: Acting, *, name: str, offer: Path | None, key: str | None) -> None:
    """Give ACCOUNT one more key."""
    sender = by.sender()
    offered = _offered(by, sender, name, offer, key)
    act(by, sender, [calls.add_key(name, offered)])


@account.command("rotate-key")
@_account_argument
@click.option(
    "--old", required=True, type=_parse_public_key, metavar="PUBLIC_KEY", help="The key that ends."
)
@click.option(
    "--retire-at-ms",
    type=click.IntRange(min=0),
    default=0,
    help="When it ends, milliseconds UTC.  [default: at once]",
)
@_key_options
@acting
def rotate_key(
    by: Acting,
    *,
    name: str,
    old: bytes,
    retire_at_ms: int,
    offer: Path | None,
    key: str | None,
) -> None:
    """Replace a key of ACCOUNT by another."""
    sender = by.sender()
    offered = _offered(by, sender, name, offer, key)
    act(by, sender, [calls.rotate_key(old, offered, retire_at_ms=retire_at_ms)])


@account.command("revoke-key")
@click.argument("public_key", metavar="PUBLIC_KEY", type=_parse_public_key)
@click.option("--reason", type=click.Choice(REASONS), help="Public for ever.")
@acting
def revoke_key(by: Acting, *, public_key: bytes, reason: str | None) -> None:
    """End PUBLIC_KEY at once and for ever."""
    act(by, by.sender(), [calls.revoke_key(public_key, reason=reason)])


@account.command("grant")
@_account_argument
@click.argument("role", type=_parse_role)
@acting
def grant(by: Acting, *, name: str, role: Role) -> None:
    """Let ACCOUNT do what ROLE may do."""
    act(by, by.sender(), [calls.grant_role(name, role)])


@account.command("revoke")
@_account_argument
@click.argument("role", type=_parse_role)
@acting
def revoke(by: Acting, *, name: str, role: Role) -> None:
    """Take ROLE from ACCOUNT."""
    act(by, by.sender(), [calls.revoke_role(name, role)])


@account.command("suspend")
@_account_argument
@acting
def suspend(by: Acting, *, name: str) -> None:
    """Refuse the transactions of ACCOUNT until it is resumed."""
    act(by, by.sender(), [calls.suspend_account(name)])


@account.command("resume")
@_account_argument
@acting
def resume(by: Acting, *, name: str) -> None:
    """Accept the transactions of ACCOUNT again."""
    act(by, by.sender(), [calls.resume_account(name)])


@click.group()
def org() -> None:
    """Members of the alliance."""


@org.command("register")
@click.argument("name", type=_parse_organisation)
@click.option("--title", required=True, help="Full name for people, in any language.")
@acting
def register_organisation(by: Acting, *, name: str, title: str) -> None:
    """Admit the member NAME."""
    act(by, by.sender(), [calls.register_organisation(name, title)])


def _offered(
    by: Acting,
    sender: Sender,
    account_name: str,
    offer: Path | None,
    key: str | None,
) -> KeyOffer:
    if offer is not None:
        if key is not None:
            raise click.UsageError("--offer and --key: found both; expected one")
        return read_offer(offer, account_name)
    key = account_key_name(account_name) if key is None else key
    passphrase = by.session.passphrase(by.passphrase_file)
    return make_offer(by.session, sender.domain, account_name, key, passphrase)
