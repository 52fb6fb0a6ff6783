"""`chainnode tx show`, `block show`, `validators`: reading what the chain holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from chainnode.model.errors import NotFound
from chainnode.model.suites import HASH_BYTES, ML_DSA_44
from cli.command import pass_session
from cli.output import print_fields, print_json, print_table, time_text

if TYPE_CHECKING:
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import BlockResult, TransactionResult, ValidatorsResult
    from cli.output import Json
    from cli.session import Session


def parse_tx_id(text: str) -> str:
    """Return a transaction id from the command line, in lower case. Raises click.BadParameter."""
    text = text.lower()
    if len(text) != 2 * HASH_BYTES or set(text) - set("0123456789abcdef"):
        raise click.BadParameter(f"found {text[:80]!r}; expected {2 * HASH_BYTES} hex digits")
    return text


@click.group()
def tx() -> None:
    """Transactions."""


@tx.command("show")
@click.argument("tx_id", metavar="ID", type=parse_tx_id)
@click.option(
    "--last-valid-height",
    type=click.IntRange(min=0),
    help="Of the transaction; once the chain is above it, a lost one reads expired.",
)
@pass_session
def tx_show(session: Session, tx_id: str, last_valid_height: int | None) -> None:
    """Show what became of transaction ID."""

    async def ask(node: RpcClient) -> TransactionResult:
        return await node.tx_get(tx_id, last_valid_height=last_valid_height)

    found = session.ask(ask)
    if found["status"] == "unknown":
        raise NotFound(
            f"this node knows no transaction {tx_id}; if it was submitted elsewhere, ask there, or again "
            "once it is decided"
        )
    if session.json:
        print_json(cast("Json", found))
        return
    rows: list[tuple[str, object]] = [("transaction", tx_id), ("status", found["status"])]
    if found["height"] is not None:
        rows += [
            ("block", f"{found['height']}, position {found['position']}"),
            ("time", time_text(found["time_ms"])),
        ]
    receipt = found["receipt"]
    if receipt is not None and not receipt["succeeded"]:
        rows.append(("failed", f"{receipt['code']}: {receipt['message']}"))
    if receipt is not None and receipt["record_count"]:
        last = receipt["first_record"] + receipt["record_count"] - 1
        rows.append(("log records", f"{receipt['first_record']} .. {last}"))
    print_fields(rows)


@click.group()
def block() -> None:
    """Blocks."""


@block.command("show")
@click.argument("height", type=click.IntRange(min=1))
@pass_session
def block_show(session: Session, height: int) -> None:
    """Show block HEIGHT and what became of its transactions."""

    async def ask(node: RpcClient) -> BlockResult:
        return await node.chain_block(height)

    found = session.ask(ask)
    if session.json:
        print_json(cast("Json", found))
        return
    header = found["header"]
    print_fields(
        [
            ("block", header["height"]),
            ("hash", header["block_hash"]),
            ("parent", header["parent_hash"]),
            ("time", time_text(header["time_ms"])),
            (
                "certified",
                f"{time_text(header['not_before_ms'])} .. {time_text(header['not_after_ms'])}",
            ),
            ("proposer", f"{header['proposer']} in view {header['first_view']}"),
            ("log", f"size {header['log_size']} root {header['log_root']}"),
            ("state root", header["state_root"]),
            ("transactions", header["tx_count"]),
        ]
    )
    if found["receipts"]:
        click.echo()
        print_table(
            ("transaction", "outcome", "records"),
            [
                (r["tx_id"], "committed" if r["succeeded"] else r["code"], r["record_count"])
                for r in found["receipts"]
            ],
        )


@click.command()
@click.option("--height", type=click.IntRange(min=1), help="[default: the next block's]")
@pass_session
def validators(session: Session, height: int | None) -> None:
    """List the validators that govern a height, as the node says."""

    async def ask(node: RpcClient) -> ValidatorsResult:
        return await node.chain_validators(height)

    found = session.ask(ask)
    if session.json:
        print_json(cast("Json", found))
        return
    click.echo(f"height {found['height']}: quorum {found['quorum']} of {len(found['validators'])}")
    print_table(
        ("validator", "consensus key", "cosigner key", "second key"),
        [
            (
                v["name"],
                v["consensus_key"],
                v["cosigner_key"],
                ML_DSA_44 if v["has_second_key"] else "-",
            )
            for v in found["validators"]
        ],
    )
