"""`chainnode verify`: FILE + PROOF + POLICY, and nothing else: no node, no network, no home, unless told to ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from chainnode.model.notarization import (
    Notarization,
    digest_map,
    verify_metadata,
    verify_notarization,
)
from chainnode.model.proven_state import parse_proven_state, verify_proven_state
from cli.capture import read_capture
from cli.command import pass_session, policy_option
from cli.exit_status import ExitStatus
from cli.folder.check import verify_folder
from cli.folder.names import MANIFEST_NAME
from cli.hashing import digests_of_file
from cli.marks import check_not_withdrawn, marks_json, marks_rows
from cli.output import print_fields, print_json, second_text, time_text
from cli.proofs import read_notarization, read_policy, read_proof
from cli.proven_state import fetch_marks, marks_in

if TYPE_CHECKING:
    from chainnode.model.capture import Capture
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Verdict
    from chainnode.rpc.client import RpcClient
    from cli.output import Json
    from cli.proven_state import MarksAnswer, RecordMarks
    from cli.session import Session

_MANIFEST_WITHIN: Final = ""
"""What `--manifest` without a file says."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("proof", required=False, type=click.Path(path_type=Path))
@click.option(
    "--manifest",
    is_flag=False,
    flag_value=_MANIFEST_WITHIN,
    metavar="[MANIFEST]",
    help="FILE is a folder: check all files that this manifest of `notarize -r` names; instead of PROOF.  "
    f"[default: FILE/{MANIFEST_NAME}]",
)
@policy_option
@click.option(
    "--marks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What became of the record as of a block: a file that `record marks` wrote.",
)
@click.option(
    "--context",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The capture record that was registered with the document: checks that it is this one.",
)
@click.option(
    "--ask", is_flag=True, help="Ask a node what became of the record, and check its answer."
)
@pass_session
def verify(
    session: Session,
    *,
    file: Path,
    proof: Path | None,
    manifest: str | None,
    policy: Path,
    marks: Path | None,
    context: Path | None,
    ask: bool,
) -> int:
    """Check offline that FILE was notarized as PROOF says, by the validators of POLICY.

    With --manifest FILE is a folder, and every file of the manifest is checked by the proof that it names.

    Whether the record was withdrawn or superseded since then no proof of the past can know: --marks or --ask tells,
    and a withdrawn record ends with status 1.
    """
    if marks is not None and ask:
        raise click.UsageError("--marks and --ask: found both; expected one")
    trusted = read_policy(policy)
    if manifest is not None and proof is None:
        if marks is not None or context is not None or ask:
            raise click.UsageError(
                "--marks, --context and --ask are about one PROOF, not a manifest"
            )
        within = manifest == _MANIFEST_WITHIN
        return verify_folder(
            session, file, file / MANIFEST_NAME if within else Path(manifest), trusted
        )
    if proof is None or manifest is not None:
        raise click.UsageError(
            "name either the PROOF of FILE, or with --manifest a folder that `notarize -r` notarized"
        )
    parsed, notarization = read_notarization(proof)
    digests = digests_of_file(file, [d.algorithm for d in notarization.opening.digests])
    verdict = verify_notarization(parsed, trusted, notarization, digest_map(digests))
    capture = None if context is None else read_capture(context)
    if capture is not None:
        suite = trusted.logs[0].key.type.suite
        verify_metadata(suite, notarization, capture.hash(suite))
    known = _known_marks(session, trusted, notarization, marks, ask=ask)
    if known is not None:
        check_not_withdrawn(known)
    if session.json:
        _print_json(notarization, verdict, known, capture)
    else:
        _print_text(notarization, verdict, known, capture)
    return ExitStatus.DONE


def _known_marks(
    session: Session, policy: Policy, notarization: Notarization, marks: Path | None, *, ask: bool
) -> RecordMarks | None:
    """Return what became of the record, checked against the policy; None if nobody is asked."""
    suite = policy.logs[0].key.type.suite
    answer: MarksAnswer | None = None
    if ask:

        async def fetch(node: RpcClient) -> MarksAnswer:
            return await fetch_marks(node, notarization, suite)

        answer = session.ask(fetch)
        state = answer.proof
    elif marks is not None:
        state = read_proof(marks)
    else:
        return None
    verify_proven_state(state, policy, parse_proven_state(state.extra))
    known = marks_in(state, notarization, suite)
    if answer is not None:
        answer.note_what_is_not_proven(known)
    return known


def _print_text(
    notarization: Notarization,
    verdict: Verdict,
    known: RecordMarks | None,
    capture: Capture | None,
) -> None:
    record, checkpoint = notarization.record, verdict.checkpoint
    print_fields(
        [
            ("result", "the proof holds"),
            *((d.algorithm, d.value.hex()) for d in notarization.opening.digests),
            ("record", f"a document, notarized by {record.account}"),
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
                "\n".join(f"{c.label} at {second_text(c.time_s)}" for c in verdict.cosigners),
            ),
            *_context_rows(notarization, capture),
            *(_UNASKED if known is None else marks_rows(known)),
        ]
    )


def certified_text(not_before_ms: int, not_after_ms: int) -> str:
    """Return what a certified interval says, for whoever reads it in years."""
    seconds = f"{(not_after_ms - not_before_ms) / 1_000:.3f}"
    return (
        f"between {time_text(not_before_ms)} and {time_text(not_after_ms)}, {seconds} s\n"
        "the document existed by the later of the two times; it may be years older than the earlier one\n"
        "between the two the record reached more validators than may lie, by clocks that were right"
    )


def _print_json(
    notarization: Notarization,
    verdict: Verdict,
    known: RecordMarks | None,
    capture: Capture | None,
) -> None:
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
            "cosigners": [
                {"name": c.name, "suite": c.suite, "time_s": c.time_s} for c in verdict.cosigners
            ],
            "has_context": notarization.has_metadata,
            "context": None if capture is None else cast("Json", capture.value),
            "marks": None if known is None else marks_json(known),
        }
    )


def _context_rows(notarization: Notarization, capture: Capture | None) -> list[tuple[str, object]]:
    if capture is None:
        unseen = "registered with the document, and not looked at: --context FILE checks it"
        return [("context", unseen)] if notarization.has_metadata else []
    stated_ms = cast("int", capture.value["captured_ms"])
    return [("context", f"the one registered with the document; it says {time_text(stated_ms)}")]


_UNASKED = [("marks", "not looked at: --marks FILE or --ask tells of a withdrawal since")]
