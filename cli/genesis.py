"""`chainnode genesis`: the document that a chain begins with, assembled by each member from the same files.

Nobody distributes it: every member assembles it alone, and they compare the hash by telephone. Same files, same
chain id and same parameters give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.config import load_config
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import ChainError, DecodeError, ProofInvalid, Refused
from chainnode.model.genesis import ContractActivation, Genesis, make_genesis
from chainnode.model.ids import Height
from chainnode.model.limits import MAX_GENESIS_BYTES
from chainnode.model.member import MAX_MEMBER_BYTES, Member, decode_member, verify_member
from chainnode.model.parameters import Parameters
from chainnode.model.roles import Role
from cli.certificate import pem_certificate
from cli.command import pass_session
from cli.init import TLS_CERTIFICATE
from cli.keynames import CONSENSUS_KEY, COSIGNER_KEY, LOG_KEY
from cli.output import print_fields, print_json, print_table, time_text
from cli.session import GENESIS_FILE, Session, read_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.output import Json

CONTRACTS = (
    ("algorithms", 1),
    ("authorities", 1),
    ("clocks", 1),
    ("cosigners", 1),
    ("evidence", 1),
    ("history", 1),
    ("identity", 1),
    ("notary", 1),
    ("timestamps", 1),
)
"""Built-in contracts that a new chain begins with, and their versions."""

_PARAMETERS = tuple(Parameters.__dataclass_fields__)


def parse_parameter(text: str) -> tuple[str, int]:
    """Read `name=value` of a chain parameter. Raises click.BadParameter."""
    name, _, number = text.partition("=")
    if name not in _PARAMETERS:
        raise click.BadParameter(f"found {name!r}; known are {', '.join(_PARAMETERS)}")
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(2**63))):
        raise click.BadParameter(f"{name}: found {number[:40]!r}; expected a whole number")
    return name, int(number)


@click.group()
def genesis() -> None:
    """The document that a chain begins with."""


@genesis.command()
@click.argument(
    "member_files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="MEMBER_FILE...",
)
@click.option(
    "--chain-id",
    required=True,
    metavar="NAME",
    help="What the chain and its log are called for ever, for example sz.gov.example/alliance.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    type=parse_parameter,
    metavar="NAME=VALUE",
    help="A chain parameter other than its default; repeatable. All members must give the same.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="[default: HOME/genesis]"
)
@pass_session
def assemble(
    session: Session,
    member_files: tuple[Path, ...],
    chain_id: str,
    parameters: tuple[tuple[str, int], ...],
    out: Path | None,
) -> None:
    """Make the genesis from all members' public files, and print its hash to compare by telephone.

    The order of the files does not matter. The latest of them gives genesis its time.
    """
    out = session.home / GENESIS_FILE if out is None else out
    if len(dict(parameters)) != len(parameters):
        raise click.UsageError("--parameter: one parameter is given twice")
    members = [_read_member(path) for path in member_files]
    document = assemble_genesis(
        members, chain_id=chain_id, parameters=Parameters(**dict(parameters))
    )
    _write_genesis(out, document)
    _print_genesis(session, document, file=out)


@genesis.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@pass_session
def show(session: Session, file: Path | None) -> None:
    """Show what FILE (by default the home's genesis) says."""
    _print_genesis(session, session.genesis(file), file=None)


@genesis.command("hash")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@pass_session
def hash_(session: Session, file: Path | None) -> None:
    """Print the hash of FILE (by default the home's genesis)."""
    digest = session.genesis(file).domain.genesis_hash.hex()
    if session.json:
        print_json({"genesis_hash": digest})
    else:
        click.echo(digest)


@genesis.command()
@pass_session
def check(session: Session) -> None:
    """Check that the home's keys, certificate and name are those that its genesis names."""
    document, config = session.genesis(), load_config(session.home)
    mine = next((v for v in document.validators if v.name == config.validator), None)
    if mine is None:
        names = ", ".join(v.name for v in document.validators)
        raise ProofInvalid(
            f"genesis has no validator {config.validator}; it has {names}; "
            "correct node.validator, or take the genesis that has it",
            code="not_a_validator",
        )
    keystore = session.keystore()
    for name, expected in (
        (CONSENSUS_KEY, mine.consensus_key),
        (COSIGNER_KEY, mine.cosigner_key),
        (LOG_KEY, mine.log_key),
    ):
        if keystore.show(name).public_key != expected:
            raise _other_key(f"{name} key", config.validator)
    if pem_certificate(session.home / TLS_CERTIFICATE) != mine.tls_certificate:
        raise _other_key("TLS certificate", config.validator)
    if session.json:
        print_json({"validator": mine.name, "genesis_hash": document.domain.genesis_hash.hex()})
    else:
        click.echo(f"this home is validator {mine.name} of {document.chain_id}")


def assemble_genesis(
    members: Sequence[Member], *, chain_id: str, parameters: Parameters
) -> Genesis:
    """Return the genesis of these members, whatever their order.

    Raises:
        DecodeError: they do not fit together; the message says which.
        ProofInvalid: a key's proof of possession does not hold.
        Refused: with code `other_suite`, `two_titles` or `no_admin`.
    """
    for member in members:
        try:
            verify_member(member)
        except ChainError as error:
            raise type(error)(
                f"member {member.organisation.name}: {error.message}", code=error.error_code
            ) from error
    suites = {member.suite.name for member in members}
    if len(suites) != 1:
        raise Refused(
            f"the members' files are for {' and '.join(sorted(suites))}; all must be made with one "
            "`chainnode init --suite`",
            code="other_suite",
        )
    organisations = {member.organisation.name: member.organisation for member in members}
    for member in members:
        if organisations[member.organisation.name] != member.organisation:
            raise Refused(
                f"{member.organisation.name} has two titles in two files; expected the same in both",
                code="two_titles",
            )
    accounts = [account for member in members for account in member.accounts]
    if not any(Role.ADMIN in account.roles for account in accounts):
        raise Refused(
            "no account has the role admin, so nobody could ever register another one; "
            "one member must `chainnode init` with --account organisation/name:admin",
            code="no_admin",
        )
    return make_genesis(
        chain_id=chain_id,
        suite=suites.pop(),
        time_ms=max(member.made_ms for member in members),
        parameters=parameters,
        organisations=tuple(organisations.values()),
        validators=[m.validator for m in members if m.validator is not None],
        accounts=accounts,
        contracts=[
            ContractActivation(name=name, version=version, from_height=Height(1))
            for name, version in CONTRACTS
        ],
    )


def _read_member(path: Path) -> Member:
    try:
        return decode_member(read_input(path, max_bytes=MAX_MEMBER_BYTES))
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}", code=error.error_code, field=error.field
        ) from error


def _write_genesis(path: Path, document: Genesis) -> None:
    """Write a genesis; one that is there already is left if it is the same, and never replaced."""
    if path.exists():
        found = read_input(path, max_bytes=MAX_GENESIS_BYTES)
        if found == document.encoded:
            return
        raise Refused(
            f"{path} holds another genesis; a chain that has begun cannot change it: "
            "move it away, or write to another file with --out",
            code="exists",
        )
    write_new_file(path, document.encoded, mode=PUBLIC)


def _other_key(what: str, validator: str) -> ProofInvalid:
    return ProofInvalid(
        f"the {what} of this home is not the one that genesis names for {validator}; "
        "this is another validator's home, or the genesis was made from an older member file",
        code="other_key",
    )


def _print_genesis(session: Session, document: Genesis, *, file: Path | None) -> None:
    digest = document.domain.genesis_hash.hex()
    if session.json:
        print_json(_as_json(document) | ({} if file is None else {"file": str(file)}))
        return
    rows: list[tuple[str, object]] = [] if file is None else [("file", file)]
    parameters = document.parameters
    rows += [
        ("chain", document.chain_id),
        ("suite", document.suite.name),
        ("time", time_text(document.time_ms)),
        ("quorum", f"{document.validator_set.quorum} of {document.validator_set.size}"),
        ("contracts", ", ".join(f"{c.name} {c.version}" for c in document.contracts)),
        (
            "parameters",
            "\n".join(f"{name} = {getattr(parameters, name)}" for name in _PARAMETERS),
        ),
        # In groups of four it can be read out on the telephone.
        ("hash", digest),
        ("aloud", " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))),
    ]
    print_fields(rows)
    click.echo()
    titles = {o.name: o.title for o in document.organisations}
    print_table(
        ("validator", "address", "organisation"),
        [
            (v.name, v.address, f"{v.organisation} ({titles[v.organisation]})")
            for v in document.validators
        ],
    )
    click.echo()
    print_table(
        ("account", "roles"), [(a.name, ", ".join(a.roles) or "-") for a in document.accounts]
    )


def _as_json(document: Genesis) -> dict[str, Json]:
    return {
        "chain_id": document.chain_id,
        "genesis_hash": document.domain.genesis_hash.hex(),
        "suite": document.suite.name,
        "time_ms": document.time_ms,
        "quorum": document.validator_set.quorum,
        "parameters": {name: getattr(document.parameters, name) for name in _PARAMETERS},
        "organisations": [{"name": o.name, "title": o.title} for o in document.organisations],
        "validators": [
            {"name": v.name, "organisation": v.organisation, "address": v.address}
            for v in document.validators
        ],
        "accounts": [{"name": a.name, "roles": list(a.roles)} for a in document.accounts],
        "contracts": [
            {"name": c.name, "version": c.version, "from_height": c.from_height}
            for c in document.contracts
        ],
    }
