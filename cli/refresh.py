"""`chainnode refresh`: the same record, proven under today's checkpoint by today's validators."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import Unavailable
from cli.command import pass_session
from cli.output import note, print_fields, print_json
from cli.proofs import (
    NOT_CHECKED,
    check_no_loss,
    check_proof,
    complete_proof,
    fetch_policy,
    policy_at_hand,
    read_notarization,
    write_result,
)
from cli.senders import WAIT_MS, chain_domain

if TYPE_CHECKING:
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ProofResult, StatusResult
    from cli.session import Session


POLL_MS: Final = 500
"""Between two questions whether outside witnesses have cosigned; they are asked about once a second."""


@click.command()
@click.argument("proof", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to; an existing file is replaced.  [default: PROOF itself]",
)
@click.option(
    "--witnessed",
    is_flag=True,
    help="Wait until outside witnesses have cosigned too, as far as the node has any.",
)
@pass_session
def refresh(session: Session, proof: Path, out: Path | None, *, witnessed: bool) -> None:
    """Replace PROOF by a new one of the same record, once the new one is found to hold."""
    old, notarization = read_notarization(proof)
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)

    async def ask(node: RpcClient) -> tuple[StatusResult, ProofResult, Policy | None]:
        status = await node.chain_status()
        answer = await _proof(node, old.index, witnessed=witnessed)
        return status, answer, await fetch_policy(node, genesis, kept)

    status, answer, policy = session.ask(ask)
    domain = chain_domain(status, genesis)
    new = complete_proof(answer, notarization)
    if policy is None:
        note(NOT_CHECKED)
    check_proof(new, notarization, policy, domain.suite)
    target = proof if out is None else out
    # Also under another spelling, or through a link.
    if target.resolve() == proof.resolve():
        check_no_loss(old, new, notarization, kept)
    write_result(target, new.encode())
    if session.json:
        print_json(
            {
                "proof": str(target),
                "index": new.index,
                "old_size": old.checkpoint.size,
                "new_size": new.checkpoint.size,
            }
        )
    else:
        print_fields(
            [
                ("proof", target),
                ("log index", new.index),
                ("checkpoint", f"size {new.checkpoint.size}, before {old.checkpoint.size}"),
            ]
        )


async def _proof(node: RpcClient, index: int, *, witnessed: bool) -> ProofResult:
    """Return the proof of a record; with outside cosignatures only after their next round. Raises Unavailable."""
    for _ in range(WAIT_MS // POLL_MS if witnessed else 0):
        try:
            return await node.log_proof(index, witnessed=True)
        except Unavailable as error:
            if error.error_code != "not_yet_witnessed":
                raise
        await asyncio.sleep(POLL_MS / 1_000)
    return await node.log_proof(index, wait_ms=WAIT_MS, witnessed=witnessed)
