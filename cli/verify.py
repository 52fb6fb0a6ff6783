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
from cli.exit_status import ExitStatus
from cli.folder.check import verify_folder
from cli.hashing import digests_of_file
from cli.output import print_fields, print_json, time_text
from cli.proofs import read_policy, read_proof

if TYPE_CHECKING:
    from chainnode.model.tlog_proof import Verdict
    from cli.session import Session


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("proof", required=False, type=click.Path(path_type=Path))
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    metavar="MANIFEST",
    help="FILE is a folder: check all files that this manifest of `notarize -r` names; instead of PROOF.",
)
@click.option(
    "--policy",
    required=True,
    type=click.Path(path_type=Path),
    metavar="POLICY",
    help="Whose signatures count: the chain's tlog-policy, from a source that you trust.",
)
@pass_session
def verify(
    session: Session, *, file: Path, proof: Path | None, manifest: Path | None, policy: Path
) -> int:
    """Check offline that FILE was notarized as PROOF says, by the validators of POLICY.

    With --manifest FILE is a folder, and every file of the manifest is checked by the proof that it names.
    """
    trusted = read_policy(policy)
    if manifest is not None and proof is None:
        return verify_folder(session, file, manifest, trusted)
    if proof is None or manifest is not None:
        raise click.UsageError("name either PROOF, or with --manifest a manifest")
    parsed = read_proof(proof)
    notarization = parse_notarization(parsed.extra)
    digests = digests_of_file(file, [d.algorithm for d in notarization.opening.digests])
    verdict = verify_notarization(parsed, trusted, notarization, digest_map(digests))
    if session.json:
        _print_json(notarization, verdict)
    else:
        _print_text(notarization, verdict)
    return ExitStatus.DONE


def _print_text(notarization: Notarization, verdict: Verdict) -> None:
    record, checkpoint = notarization.record, verdict.checkpoint
    print_fields(
        [
            ("result", "the proof holds"),
            *((d.algorithm, d.value.hex()) for d in notarization.opening.digests),
            ("record", f"{record.kind} by {record.account}"),
            ("block", record.height),
            ("time", time_text(record.time_ms)),
            ("certified", f"{time_text(record.not_before_ms)} .. {time_text(record.not_after_ms)}"),
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
