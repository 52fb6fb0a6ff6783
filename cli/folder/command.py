"""What `chainnode notarize DIR -r` does and says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from chainnode.client.nodes import Nodes
from chainnode.client.trust import Trust
from chainnode.model.errors import ChainError, DecodeError, Refused, Unavailable
from cli.exit_status import ExitStatus
from cli.folder.names import MANIFEST_NAME, SUMS_NAME
from cli.folder.run import FolderOrder, FolderReport, FolderRun
from cli.output import note, print_fields, print_json
from cli.proofs import NOT_CHECKED, policy_at_hand
from cli.senders import find_sender

if TYPE_CHECKING:
    from pathlib import Path

    from cli.session import Session

_GO_ON = "run the same command again to go on: nothing is registered twice"
_SHOWN_PROBLEMS = 20
"""Problems that a person is shown; `--json` has all."""


def notarize_folder(
    session: Session,
    order: FolderOrder,
    *,
    as_account: str | None,
    passphrase_file: Path | None,
) -> int:
    """Notarize a folder, report, and return the exit status.

    Raises:
        ChainError: as `FolderRun.run`, and what finding the account raises.
        KeyboardInterrupt: the user has stopped it.
    """
    if not order.root.is_dir():
        raise DecodeError(f"{order.root} is no folder; -r notarizes folders", field="files")
    sender = find_sender(session, as_account, passphrase_file)
    trust = Trust(session.genesis_if_any(), policy_at_hand(session))
    if trust.is_blind:
        note(NOT_CHECKED)

    async def run() -> FolderReport:
        async with Nodes([session.client(member=sender.member())]) as nodes:
            return await FolderRun(nodes, sender, trust, order).run()

    try:
        report = asyncio.run(run())
    except KeyboardInterrupt:
        note(f"not yet: stopped; {_GO_ON}")
        raise
    except Unavailable as error:
        raise Unavailable(
            f"not yet: {error.message}; {_GO_ON}",
            code=error.error_code,
            retry_after_ms=error.retry_after_ms,
        ) from error
    except ChainError as error:
        if error.error_code != "file_error":
            raise
        raise Refused(f"not yet: {error.message}; {_GO_ON}", code="file_error") from error
    _print(session, order, report)
    return ExitStatus.USAGE if report.problems else ExitStatus.DONE


def _print(session: Session, order: FolderOrder, report: FolderReport) -> None:
    manifest = order.out / MANIFEST_NAME
    if session.json:
        print_json(
            {
                "folder": str(order.root),
                "manifest": str(manifest) if manifest.exists() else None,
                "files": report.files,
                "notarized": report.notarized,
                "adopted": report.adopted,
                "restored": report.restored,
                "unchanged": report.unchanged,
                "passed_over": report.others,
                "gone": report.gone,
                "transactions": report.lists,
                "problems": [{"path": p.path, "problem": p.sentence} for p in report.problems],
                "elapsed_ms": report.elapsed_ms,
            }
        )
        return
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        note(f"{problem.path}: {problem.sentence}")
    if len(report.problems) > _SHOWN_PROBLEMS:
        note(f"and {len(report.problems) - _SHOWN_PROBLEMS} more; --json lists all")
    is_idle = not (report.notarized or report.adopted or report.restored or report.problems)
    rows: list[tuple[str, object]] = [
        ("result", "nothing to do: every file is notarized" if is_idle else _result(report)),
        ("files", report.files),
        ("notarized", f"{report.notarized} in {report.lists} transactions"),
        ("unchanged", report.unchanged),
    ]
    if report.adopted:
        rows.append(("had a proof", report.adopted))
    if report.restored:
        rows.append(("proof was gone", f"{report.restored}, fetched again"))
    if report.others:
        rows.append(("passed over", f"{report.others} symbolic links and other special files"))
    if report.gone:
        rows.append(("gone", f"{report.gone} of the manifest are no longer in the folder"))
    if manifest.exists():
        rows += [("manifest", manifest), ("digests", order.out / SUMS_NAME)]
    rows.append(("took", f"{report.elapsed_ms} ms"))
    print_fields(rows)


def _result(report: FolderReport) -> str:
    if report.problems:
        return (
            f"not everything: {len(report.problems)} problems, named above; the rest is notarized"
        )
    return "every file is notarized"


def check_folder_arguments(files: tuple[Path, ...]) -> Path:
    """Return the one folder of the command line. Raises click.UsageError."""
    if len(files) != 1:
        raise click.UsageError("-r takes one folder")
    return files[0]
