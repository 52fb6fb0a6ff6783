"""`chainnode policy`: the `tlog-policy` in force, followed from genesis so that no node need be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.client.trusted_chain import follow, second_keys
from chainnode.model.tlog_policy import with_outside, with_second_keys
from cli.command import pass_session
from cli.output import note, print_json, time_text
from cli.proofs import read_policy, write_result

if TYPE_CHECKING:
    from chainnode.client.trusted_chain import TrustedHeight
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from cli.session import Session


@click.command()
@click.option("--height", type=click.IntRange(min=0), help="Block height.  [default: the newest]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it there, not to stdout; an existing file is replaced.",
)
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trust anchor.  [default: HOME/genesis]",
)
@click.option(
    "--witness",
    "witness_file",
    type=click.Path(path_type=Path),
    metavar="POLICY",
    help="Outside witnesses and their quorum, to be asked for as well.",
)
@click.option(
    "--ml-dsa-44",
    "is_twice",
    is_flag=True,
    help="Ask for a quorum of post-quantum cosignatures as well.",
)
@pass_session
def policy(
    session: Session,
    *,
    height: int | None,
    out: Path | None,
    genesis_file: Path | None,
    witness_file: Path | None,
    is_twice: bool,
) -> None:
    """Print whose signatures make a checkpoint trustworthy, now or at a height."""
    genesis = session.genesis(genesis_file)
    outside = None if witness_file is None else read_policy(witness_file)

    async def ask(node: RpcClient) -> tuple[TrustedHeight, Policy]:
        trusted = await follow(node, genesis, height)
        once = trusted.policy(genesis)
        if not is_twice:
            return trusted, once
        keys = await second_keys(node, genesis, trusted)
        return trusted, with_second_keys(once, keys)

    found, asked = session.ask(ask)
    text = (asked if outside is None else with_outside(asked, outside)).encode()
    number = 0 if found.header is None else found.header.height
    time_ms = genesis.time_ms if found.header is None else found.header.time_ms
    if out is not None:
        write_result(out, text)
    if session.json:
        print_json(
            {
                "chain_id": genesis.chain_id,
                "height": number,
                "time_ms": time_ms,
                "changes": found.changes,
                "policy": text.decode(),
                "file": None if out is None else str(out),
            }
        )
        return
    if out is None:
        click.echo(text.decode(), nl=False)
    note(
        f"in force at height {number} ({time_text(time_ms)}); checked from genesis "
        f"{genesis.domain.genesis_hash.hex()[:16]} through {found.changes} changes of validators"
    )
