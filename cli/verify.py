"""`chainnode verify`: FILE + PROOF + POLICY, and nothing else: no node, no network, no home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.model.notarization import (
    Notarization,
    digest_map,
    parse_notarization,
    verify_notarization,
)
from cli.command import pass_session
from cli.hashing import digests_of_file
from cli.output import print_fields, print_json, time_text
from cli.proofs import read_policy, read_proof

if TYPE_CHECKING:
    from chainnode.model.tlog_proof import Verdict
    from cli.session import Session


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("proof", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    required=True,
    type=click.Path(path_type=Path),
    metavar="POLICY",
    help="Whose signatures count: the chain's tlog-policy, from a source that you trust.",
)
@pass_session
def verify(session: Session, file: Path, proof: Path, policy: Path) -> None:
    """Check offline that FILE was notarized as PROOF says, by the validators of POLICY."""
    trusted, parsed = read_policy(policy), read_proof(proof)
    notarization = parse_notarization(parsed.extra)
    digests = digests_of_file(file, [d.algorithm for d in notarization.opening.digests])
    verdict = verify_notarization(parsed, trusted, notarization, digest_map(digests))
    if session.json:
        _print_json(notarization, verdict)
    else:
        _print_text(notarization, verdict)


def _print_text(notarization: Notarization, verdict: Verdict) -> None:
    record, checkpoint = notarization.record, verdict.checkpoint
    print_fields(
        [
            ("result", "the proof holds"),
            *((d.algorithm, d.value.hex()) for d in notarization.opening.digests),
            ("record", f"{record.kind} by {record.account}"),
            ("block", record.height),
            ("time", time_text(record.time_ms)),
            (
                "certified",
                certified_text(record.not_before_ms, record.not_after_ms),
            ),
            ("transaction", f"{record.tx_id.hex()} call {record.call} item {record.item}"),
            ("public", "yes" if notarization.is_public else "no"),
            ("log", checkpoint.origin),
            ("log index", verdict.index),
            ("checkpoint", f"size {checkpoint.size} root {checkpoint.root.hex()}"),
            (
                "cosigned by",
                "\n".join(f"{c.name} at {time_text(_ms(c.time_s))}" for c in verdict.cosigners),
            ),
        ]
    )


def certified_text(not_before_ms: int, not_after_ms: int) -> str:
    """Return what a certified interval says, for whoever reads it in years."""
    seconds = f"{(not_after_ms - not_before_ms) / 1_000:.3f}"
    return (
        f"between {time_text(not_before_ms)} and {time_text(not_after_ms)}\n"
        f"in these {seconds} s more validators than may lie, by clocks that were right, got the record\n"
        "so the document existed by the later of the two times; it may be older than the earlier one"
    )


def _print_json(notarization: Notarization, verdict: Verdict) -> None:
    record, checkpoint = notarization.record, verdict.checkpoint
    print_json(
        {
            "holds": True,
            "digests": {d.algorithm: d.value.hex() for d in notarization.opening.digests},
            "record": {
                "kind": record.kind,
                "account": record.account,
                "contract": record.contract,
                "height": record.height,
                "time_ms": record.time_ms,
                "not_before_ms": record.not_before_ms,
                "not_after_ms": record.not_after_ms,
                "tx_id": record.tx_id.hex(),
                "call": record.call,
                "item": record.item,
                "is_public": notarization.is_public,
            },
            "index": verdict.index,
            "checkpoint": {
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
            },
            "cosigners": [{"name": c.name, "time_s": c.time_s} for c in verdict.cosigners],
        }
    )


_LAST_SECOND = 253_402_300_799
"""Of the year 9999, where calendars end; a cosigner may name any time."""


def _ms(time_s: int) -> int:
    return min(time_s, _LAST_SECOND) * 1_000
