"""`chainnode init`: make a node's home, and the member's public file that the other members need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from chainnode.clock import SystemClock
from chainnode.config import DEFAULT_RPC_PORT, FILE_NAME, render
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.keystore.tls import TlsFiles, create_tls_identity
from chainnode.model.errors import Refused
from chainnode.model.genesis import (
    GenesisAccount,
    GenesisValidator,
    Organisation,
    check_address,
)
from chainnode.model.ids import check_name, organisation_of
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_TITLE_BYTES
from chainnode.model.member import Member, decode_member, verify_member
from chainnode.model.roles import Role
from chainnode.model.suites import ED25519_SHA256, SUITE_NAMES, suite_named
from cli.command import parse_account, pass_session, passphrase_option
from cli.keynames import (
    CONSENSUS_KEY,
    COSIGNER_KEY,
    LOG_KEY,
    account_key_name,
    timestamp_units,
)
from cli.output import print_fields, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.keystore.signer import Signer
    from chainnode.model.suites import Suite
    from cli.session import Session

TLS_CERTIFICATE = "tls.pem"
TLS_KEY = "tls.key"

NODE_ROLES = (Role.NOTARY.value, Role.TIMESTAMPER.value)
"""What the node's own account may do, unless --account says otherwise."""


def parse_account_roles(text: str) -> tuple[str, tuple[str, ...]]:
    """Read `organisation/account:role,role`; without a colon an account without roles.

    Returns:
        The account and its roles in rising order.

    Raises:
        click.BadParameter: it is something else.
    """
    account, colon, names = text.partition(":")
    parse_account(account)
    roles = tuple(sorted(set(names.split(",")))) if colon else ()
    for role in roles:
        if role not in tuple(Role):
            raise click.BadParameter(f"found role {role!r}; known are {', '.join(Role)}")
    return account, roles


@click.command()
@click.option(
    "--organisation", required=True, help="Short name of the member, for example justice."
)
@click.option("--title", required=True, help="Full name for people, in any language.")
@click.option("--validator", required=True, help="Name of its validator, for example justice-1.")
@click.option(
    "--address", required=True, metavar="HOST:PORT", help="Where the other validators reach it."
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    type=parse_account_roles,
    metavar="ORGANISATION/NAME[:ROLE,...]",
    help=f"An account to begin with; repeatable. Roles: {', '.join(Role)}.",
)
@click.option("--suite", type=click.Choice(SUITE_NAMES), default=ED25519_SHA256, show_default=True)
@click.option(
    "--rpc-port",
    type=click.IntRange(1, 65_535),
    default=DEFAULT_RPC_PORT,
    show_default=True,
    help="Port of the RPC listener on 127.0.0.1.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to accept peers.  [default: 0.0.0.0 and the port of --address]",
)
@passphrase_option
@pass_session
def init(
    session: Session,
    *,
    organisation: str,
    title: str,
    validator: str,
    address: str,
    accounts: tuple[tuple[str, tuple[str, ...]], ...],
    suite: str,
    rpc_port: int,
    listen: str | None,
    passphrase_file: Path | None,
) -> None:
    """Make a validator's home: keys, TLS identity, configuration, and the member's public file.

    The public file, HOME/ORGANISATION.member.json, goes to the other members. Everything else stays here.
    The node itself signs for an account of its own, ORGANISATION/VALIDATOR, with the roles notary and timestamper.
    """
    check_name(organisation, "organisation")
    check_name(validator, "validator")
    check_address(address)
    listen = f"0.0.0.0:{address.rpartition(':')[2]}" if listen is None else listen
    check_address(listen, "listen")
    for account, _ in accounts:
        if organisation_of(account) != organisation:
            raise click.UsageError(
                f"--account {account}: expected an account of {organisation}, as {organisation}/name"
            )
        # Refused before the first key is made: a home that was begun cannot be begun again.
        account_key_name(account)
    if not 1 <= len(title.encode("utf-8", "replace")) <= MAX_TITLE_BYTES:
        raise click.UsageError(f"--title: expected 1 to {MAX_TITLE_BYTES} bytes of UTF-8")
    if len({account for account, _ in accounts}) != len(accounts):
        raise click.UsageError("--account: one account is named twice; name it once with all roles")
    node_account = f"{organisation}/{validator}"
    account_key_name(node_account)
    home = session.home.absolute()
    if (home / FILE_NAME).exists():
        raise Refused(
            f"{home} is a home already; name another one with --home, or move it away",
            code="exists",
        )
    member_file = home / f"{organisation}.member.json"
    passphrase = session.passphrase(passphrase_file, confirm=True)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"cannot make {home}: {error.strerror}", code="unwritable") from error
    member = _make_member(
        session,
        suite=suite_named(suite),
        organisation=Organisation(name=organisation, title=title),
        validator=validator,
        address=address,
        accounts=_with_node_account(accounts, node_account),
        passphrase=passphrase,
    )
    settings: dict[str, str | int] = {
        "node.validator": validator,
        "node.account": node_account,
        "p2p.listen": listen,
        "rpc.port": rpc_port,
        "client.rpc": f"http://127.0.0.1:{rpc_port}",
    }
    if accounts:
        settings["client.account"] = _speaker(accounts)
    write_new_file(member_file, member.encode(), mode=PUBLIC)
    # The configuration comes last: a home without it was not finished, and does not start.
    write_new_file(home / FILE_NAME, render(settings).encode(), mode=PUBLIC)
    if session.json:
        print_json({"home": str(home), "member_file": str(member_file), "validator": validator})
    else:
        print_fields(
            [
                ("home", home),
                ("validator", validator),
                ("member file", member_file),
                ("next", "send the member file to the other members, and collect theirs"),
            ]
        )


def _make_member(
    session: Session,
    *,
    suite: Suite,
    organisation: Organisation,
    validator: str,
    address: str,
    accounts: tuple[tuple[str, tuple[str, ...]], ...],
    passphrase: bytes,
) -> Member:
    keystore, now_ms = session.keystore(), SystemClock().now_ms()

    def make(name: str, purpose: KeyPurpose) -> Signer:
        keystore.new(name, suite, purpose, passphrase)
        return keystore.open(name, passphrase)

    consensus = make(CONSENSUS_KEY, KeyPurpose.CONSENSUS)
    cosigner = make(COSIGNER_KEY, KeyPurpose.COSIGNER)
    log = make(LOG_KEY, KeyPurpose.LOG)
    for unit, unit_suite in timestamp_units(suite):
        keystore.new(unit, unit_suite, KeyPurpose.TIMESTAMP, passphrase)
    signers = {a: make(account_key_name(a), KeyPurpose.ACCOUNT) for a, _ in accounts}
    files = TlsFiles(certificate=session.home / TLS_CERTIFICATE, key=session.home / TLS_KEY)
    unsigned = Member(
        suite=suite,
        made_ms=now_ms,
        organisation=organisation,
        validator=GenesisValidator(
            name=validator,
            organisation=organisation.name,
            consensus_key=consensus.public_key,
            cosigner_key=cosigner.public_key,
            log_key=log.public_key,
            tls_certificate=create_tls_identity(files, validator, passphrase, now_ms=now_ms),
            address=address,
        ),
        accounts=tuple(
            GenesisAccount(name=name, roles=roles, public_keys=(signers[name].public_key,))
            for name, roles in sorted(accounts)
        ),
        proofs={},
    )
    statement = unsigned.statement()
    member = replace(
        unsigned,
        proofs={
            s.public_key: s.sign(statement) for s in (consensus, cosigner, log, *signers.values())
        },
    )
    # What the others will do first.
    verify_member(decode_member(member.encode()))
    return member


def _speaker(accounts: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """The account that commands act for by default: the first notary, else the first one named."""
    return next((name for name, roles in accounts if Role.NOTARY in roles), accounts[0][0])


def _with_node_account(
    accounts: tuple[tuple[str, tuple[str, ...]], ...], name: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Add the account that the node itself signs for, unless it is named among them, with roles that it shall have."""
    if any(account == name for account, _ in accounts):
        return accounts
    return (*accounts, (name, NODE_ROLES))
