"""`chainnode evidence`: what proves that a validator broke the protocol; listed, shown, and checked offline."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from chainnode.model.errors import CannotTell, DecodeError
from chainnode.model.evidence import MAX_EVIDENCE_BYTES, decode_evidence, verify_evidence
from chainnode.model.forensics import (
    MAX_TESTIMONY_BYTES,
    check_one_height,
    culprits,
    decode_testimony,
)
from chainnode.model.transaction import make_report
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, VIEW_CHANGE
from chainnode.rpc.base64_text import from_base64, to_base64
from cli.command import pass_session
from cli.output import print_fields, print_json, print_table, time_text
from cli.proofs import write_result
from cli.session import UNREADABLE, read_input
from cli.show import parse_tx_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.model.evidence import Statement
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import EvidenceResult
    from cli.output import Json
    from cli.session import Session

_KINDS: Final = {
    PROPOSE: "PROPOSE",
    PREPARE: "PREPARE",
    COMMIT: "COMMIT",
    VIEW_CHANGE: "VIEW-CHANGE",
}


@click.group()
def evidence() -> None:
    """Proof that a validator broke the protocol."""


@evidence.command("list")
@click.option("--validator", metavar="NAME", help="Only evidence against this one.")
@pass_session
def evidence_list(session: Session, validator: str | None) -> None:
    """List the evidence that the chain has recorded."""

    async def ask(node: RpcClient) -> list[EvidenceResult]:
        found: list[EvidenceResult] = []
        after: int | None = None
        while True:
            page = await node.evidence_list(validator, after=after)
            found += page["evidence"]
            after = page["next_after"]
            if after is None:
                return found

    found = session.ask(ask)
    if session.json:
        print_json({"evidence": cast("Json", found)})
        return
    if not found:
        click.echo("none is recorded")
        return
    print_table(
        ("id", "validator", "offence", "height", "recorded"),
        [
            (e["id"], e["validator"], e["offence"], e["offence_height"], time_text(e["time_ms"]))
            for e in found
        ],
    )


@evidence.command("show")
@click.argument("tx_id", metavar="ID", type=parse_tx_id)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write its bytes there, for `evidence verify`; an existing file is replaced.",
)
@pass_session
def evidence_show(session: Session, tx_id: str, out: Path | None) -> None:
    """Show the evidence that report ID recorded."""

    async def ask(node: RpcClient) -> EvidenceResult:
        return await node.evidence_get(tx_id)

    found = session.ask(ask)
    data = from_base64(found["evidence"])
    decoded = decode_evidence(data)
    if out is not None:
        write_result(out, data)
    if session.json:
        print_json(cast("Json", found))
        return
    print_fields(
        [
            ("evidence", found["id"]),
            ("validator", found["validator"]),
            ("offence", f"{found['offence']} at height {found['offence_height']}"),
            ("first", _said(decoded.first)),
            ("second", _said(decoded.second)),
            ("recorded", f"block {found['height']}, {time_text(found['time_ms'])}"),
            ("log index", found["index"]),
        ]
    )


@evidence.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trust anchor.  [default: HOME/genesis]",
)
@pass_session
def evidence_verify(session: Session, file: Path, genesis_file: Path | None) -> None:
    """Check offline that FILE proves an offence of one of genesis's validators.

    Where the set of validators has changed since genesis, evidence against a later one is not proven by this.
    """
    genesis = session.genesis(genesis_file)
    with _named(file, "no evidence, as `chainnode evidence show ID --out FILE` writes it"):
        decoded = decode_evidence(read_input(file, max_bytes=MAX_EVIDENCE_BYTES))
    accused, offence = verify_evidence(decoded, genesis.domain, genesis.validator_set)
    report = make_report(genesis.domain, genesis.chain_id, decoded)
    if session.json:
        print_json(
            {
                "holds": True,
                "id": report.id.hex(),
                "validator": accused.name,
                "offence": offence.value,
                "height": decoded.height,
                "statements": [_said(decoded.first), _said(decoded.second)],
            }
        )
        return
    print_fields(
        [
            ("result", "the evidence holds"),
            ("validator", accused.name),
            ("offence", f"{offence} at height {decoded.height}"),
            ("first", _said(decoded.first)),
            ("second", _said(decoded.second)),
            ("report", report.id.hex()),
        ]
    )


@evidence.command("accuse")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trust anchor.  [default: HOME/genesis]",
)
@pass_session
def evidence_accuse(session: Session, files: tuple[Path, ...], genesis_file: Path | None) -> None:
    """Name, offline, whom the testimonies FILE... of nodes that met a fork convict together."""
    genesis = session.genesis(genesis_file)
    statements: list[Statement] = []
    for file in files:
        with _named(file, "no testimony, as a node that met a fork leaves fork-HEIGHT.testimony"):
            data = read_input(file, max_bytes=MAX_TESTIMONY_BYTES)
            statements += decode_testimony(data)
    check_one_height(statements)
    validators = genesis.validator_set
    found = culprits(genesis.domain, validators, statements)
    if not found:
        raise CannotTell(
            "these testimonies convict nobody; add those of nodes that decided the other block"
        )
    named = [(validators.members[e.signer].name, e) for e in found]
    if session.json:
        print_json(
            {
                "height": found[0].height,
                "needed": validators.faulty + 1,
                "guilty": sorted({name for name, _ in named}),
                "evidence": [to_base64(e.encode()) for _, e in named],
            }
        )
        return
    print_table(
        ("validator", "first", "second"),
        [(name, _said(e.first), _said(e.second)) for name, e in named],
    )


@contextlib.contextmanager
def _named(file: Path, what: str) -> Iterator[None]:
    """Say of a file that cannot be decoded which file, and what was expected in it."""
    try:
        yield
    except DecodeError as error:
        if error.error_code == UNREADABLE:
            raise
        raise DecodeError(
            f"{file} is {what}: {error.message}", code=error.error_code, field=error.field
        ) from error


def _said(statement: Statement) -> str:
    what = f"{_KINDS[statement.kind]} view {statement.view}"
    if statement.kind != VIEW_CHANGE:
        return f"{what} for {(statement.digest or b'').hex()}"
    if statement.prepared_view is None:
        return f"{what} without a lock"
    return f"{what} with the lock of view {statement.prepared_view} on {(statement.digest or b'').hex()}"
