"""`chainnode refresh`: the same record, proven under today's checkpoint by today's validators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.model.notarization import parse_notarization
from cli.command import pass_session
from cli.output import note, print_fields, print_json
from cli.proofs import (
    NOT_CHECKED,
    check_proof,
    complete_proof,
    fetch_policy,
    policy_at_hand,
    read_proof,
    write_result,
)
from cli.senders import WAIT_MS, chain_domain

if TYPE_CHECKING:
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ProofResult, StatusResult
    from cli.session import Session


@click.command()
@click.argument("proof", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to; an existing file is replaced.  [default: PROOF itself]",
)
@pass_session
def refresh(session: Session, proof: Path, out: Path | None) -> None:
    """Replace PROOF by a new one of the same record, once the new one is found to hold."""
    old = read_proof(proof)
    notarization = parse_notarization(old.extra)
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)

    async def ask(node: RpcClient) -> tuple[StatusResult, ProofResult, Policy | None]:
        status = await node.chain_status()
        answer = await node.log_proof(old.index, wait_ms=WAIT_MS)
        return status, answer, await fetch_policy(node, genesis, kept)

    status, answer, policy = session.ask(ask)
    domain = chain_domain(status, genesis)
    new = complete_proof(answer, notarization)
    if policy is None:
        note(NOT_CHECKED)
    check_proof(new, notarization, policy, domain.suite)
    target = proof if out is None else out
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
