"""The commands of `chainnode archive`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chainnode.clock import SystemClock
from chainnode.model.errors import DecodeError, Refused
from chainnode.tsp.algorithms import IMPRINT_OIDS
from cli.archive.check import FAILED, check_bag
from cli.archive.export import export
from cli.archive.files import (
    TOKEN_FOLDER,
    documents_in,
    read_record,
    records_in,
    token_folder_of,
)
from cli.archive.judging import judge, trust_of, trust_options
from cli.archive.renew import Order, renew
from cli.archive.report import report_document, report_text, summary
from cli.archive.seal import seal
from cli.archive.tokens import TokenSource
from cli.command import pass_session
from cli.exit_status import ExitStatus
from cli.hashing import digests_of_file
from cli.output import note, print_fields, print_json, time_text
from cli.proofs import write_result

if TYPE_CHECKING:
    from cli.archive.files import Items
    from cli.archive.judging import Judged
    from cli.folder.walk import Problem
    from cli.session import Session

_PATH: Final = click.Path(path_type=Path)
_SHOWN_PROBLEMS: Final = 20
"""Problems that a person is shown; `--json` has all."""

_ALGORITHM: Final = click.Choice(tuple(IMPRINT_OIDS))


@click.group()
def archive() -> None:
    """Evidence that outlives its algorithms: RFC 4998 evidence records."""


@archive.command("seal")
@click.argument("paths", type=_PATH, nargs=-1, required=True, metavar="FILES...|DIR")
@click.option("-r", "is_folder", is_flag=True, help="Seal all files of the folder DIR.")
@click.option(
    "--out", type=_PATH, metavar="DIR", help="Where records go.  [default: beside the documents]"
)
@click.option(
    "--algorithm", type=_ALGORITHM, help="Digest.  [default: the chain's: sha256, or sm3]"
)
@pass_session
def archive_seal(
    session: Session,
    *,
    paths: tuple[Path, ...],
    is_folder: bool,
    out: Path | None,
    algorithm: str | None,
) -> int:
    """Make an evidence record FILE.er of each document, with one timestamp token for all of them.

    Documents stay here; only the root of their hash tree is sent. What has a record already is left alone.
    """
    if is_folder and (len(paths) != 1 or not paths[0].is_dir()):
        raise click.UsageError("-r takes one folder")
    items = documents_in(paths, out, is_folder=is_folder)
    target = out or (paths[0] if is_folder else paths[0].parent)
    done = seal(items, TokenSource(session, target / TOKEN_FOLDER), algorithm)
    document = {"sealed": done.sealed, "had_record": done.had_record, "out": str(target)}
    return _finish(session, document, done.problems)


@archive.command("verify")
@click.argument("file", type=_PATH)
@click.argument("record_file", type=_PATH, metavar="FILE.er")
@trust_options
@click.option(
    "--tokens",
    "tokens",
    type=_PATH,
    metavar="DIR",
    help=f"Where the proofs of the tokens are.  [default: the nearest {TOKEN_FOLDER}]",
)
@pass_session
def archive_verify(
    session: Session,
    /,
    *,
    file: Path,
    record_file: Path,
    tokens: Path | None,
    **options: Any,  # noqa: ANN401  those of `trust_options`
) -> int:
    """Check offline that FILE existed when FILE.er says, and that the record was renewed in time.

    With a policy each token needs its proof, unless --by-root is given. --weak judges as somebody will who believes an
    algorithm no more: from that date on something stronger must have taken over.
    """
    trust = trust_of(session, **options)
    if trust.is_empty:
        raise DecodeError(
            "nothing to trust: name a policy (--policy), a root (--root), or both", code="no_policy"
        )
    record = read_record(record_file)
    folder = token_folder_of(record_file) if tokens is None else tokens
    judged = judge(
        record,
        digests_of_file(file, record.algorithms),
        folder,
        trust,
        SystemClock().now_ms(),
    )
    _print_verdict(session, judged, has_policy=trust.policy is not None)
    return ExitStatus.DONE


@archive.command("renew")
@click.argument("paths", type=_PATH, nargs=-1, required=True, metavar="DIR|FILES.er...")
@click.option(
    "--algorithm",
    type=_ALGORITHM,
    help="Go over to this digest algorithm: a new hash tree, which needs the documents.",
)
@click.option(
    "--documents",
    type=_PATH,
    metavar="DIR",
    help="Where the documents are, for --algorithm.  [default: beside their records]",
)
@click.option("--force", is_flag=True, help="Renew all, due or not.")
@click.option(
    "--within",
    "within_days",
    type=click.IntRange(0, 3_650),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="Renew when a certificate ends within these.",
)
@click.option(
    "--older-than",
    "older_than_days",
    type=click.IntRange(0, 36_500),
    metavar="DAYS",
    help="Renew also when the last token is older.",
)
@pass_session
def archive_renew(
    session: Session,
    *,
    paths: tuple[Path, ...],
    algorithm: str | None,
    documents: Path | None,
    force: bool,
    within_days: int,
    older_than_days: int | None,
) -> int:
    """Put newer tokens over records before what they rest on grows weak; for cron or a systemd timer.

    Due is what --within and --older-than say, and tokens signed by a digest algorithm that the alliance is leaving.
    An interrupted run leaves each record old or new, and whole.
    """
    items = records_in(paths, documents)
    source = TokenSource(session, _one_token_folder(items, paths[0]))
    known = session.ask(lambda node: node.algorithm_list())
    order = Order(
        algorithm=algorithm,
        is_forced=force,
        within_days=within_days,
        older_than_days=older_than_days,
        leaving=frozenset(a["name"] for a in known["algorithms"] if a["status"] != "accepted"),
    )
    done = renew(items, source, order, SystemClock().now_ms())
    for name in done.weak_trees:
        note(f"the alliance is leaving {name}, and records rest on it: renew with --algorithm too")
    document = {
        "renewed": done.renewed,
        "not_due": done.not_due,
        "tokens": done.tokens,
        "weak_trees": list(done.weak_trees),
    }
    return _finish(session, document, done.problems)


@archive.command("export")
@click.argument("folder", type=_PATH, metavar="DIR")
@click.option("--out", "bag", type=_PATH, required=True, metavar="BAG", help="The new bag.")
@click.option(
    "--records",
    type=_PATH,
    multiple=True,
    metavar="DIR",
    help="Where records and proofs are, besides those beside the documents; may be given again.",
)
@click.option("--policy", type=_PATH, metavar="POLICY", help="Put a copy of the policy in.")
@click.option("--root", "roots", type=_PATH, metavar="PEM", help="Put a copy of the roots in.")
@pass_session
def archive_export(
    session: Session,
    *,
    folder: Path,
    bag: Path,
    records: tuple[Path, ...],
    policy: Path | None,
    roots: Path | None,
) -> int:
    """Write DIR and all its evidence as a bag (RFC 8493), which any BagIt software validates."""
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is no folder")
    try:
        done = export(
            folder,
            bag,
            records=records,
            policy=policy,
            roots=roots,
            date=time_text(SystemClock().now_ms())[:10],
        )
    except OSError as error:
        raise Refused(
            f"cannot write the bag: {error.filename}: {error.strerror}", code="file_error"
        ) from error
    document = {
        "bag": str(bag),
        "documents": done.documents,
        "records": done.records,
        "proofs": done.proofs,
        "without_evidence": done.without_evidence,
        "size_bytes": done.size_bytes,
    }
    return _finish(session, document, ())


@archive.command("check")
@click.argument("bag", type=_PATH)
@trust_options
@click.option(
    "--report", type=_PATH, metavar="STEM", help="Write STEM.json and STEM.md, over older ones."
)
@pass_session
def archive_check(
    session: Session,
    /,
    *,
    bag: Path,
    report: Path | None,
    **options: Any,  # noqa: ANN401  those of `trust_options`
) -> int:
    """Run the four checks of DA/T 70 on a bag: authentic, complete, usable, safe.

    The bag's own policy and roots are not believed: name yours. Status 1: a check failed; 5: none did, and something could
    not be shown. The report says what no machine can check.
    """
    trust = trust_of(session, **options)
    now_ms = SystemClock().now_ms()
    checks = check_bag(bag, trust, now_ms)
    document, text = report_document(bag, checks, now_ms), report_text(bag, checks, now_ms)
    if report is not None:
        shown = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        write_result(report.with_name(report.name + ".json"), shown.encode())
        write_result(report.with_name(report.name + ".md"), text.encode())
    if session.json:
        print_json(document)
    elif report is None:
        click.echo(text)
    else:
        print_fields(
            [
                *((check.name, summary(check)) for check in checks),
                ("report", f"{report}.md\n{report}.json"),
            ]
        )
    if any(check.result == FAILED for check in checks):
        return ExitStatus.NOT_SO
    return ExitStatus.DONE if document["passed"] else ExitStatus.CANNOT_TELL


def _one_token_folder(items: Items, first: Path) -> Path:
    folders = {token_folder_of(item.record) for item in items.items}
    if len(folders) > 1:
        raise Refused(
            "these records belong to several archives; renew them one by one",
            code="several_archives",
        )
    found = next(iter(folders), None)
    return (first if first.is_dir() else first.parent) / TOKEN_FOLDER if found is None else found


def _finish(session: Session, document: dict[str, Any], problems: tuple[Problem, ...]) -> int:
    """Print what was done, and return the exit status."""
    if session.json:
        shown = [{"path": p.path, "problem": p.sentence} for p in problems]
        print_json(document | {"problems": shown})
    else:
        for problem in problems[:_SHOWN_PROBLEMS]:
            note(f"{problem.path}: {problem.sentence}")
        if len(problems) > _SHOWN_PROBLEMS:
            note(f"and {len(problems) - _SHOWN_PROBLEMS} more; --json lists all")
        rows = [(name.replace("_", " "), value) for name, value in document.items() if value != []]
        print_fields([*rows, ("problems", len(problems))])
    return ExitStatus.USAGE if problems else ExitStatus.DONE


def _print_verdict(session: Session, found: Judged, *, has_policy: bool) -> None:
    verdict = found.verdict
    pairs = list(zip(verdict.timestamps, found.recorded, strict=True))
    if session.json:
        print_json(
            {
                "holds": True,
                "exists_since_ms": verdict.exists_since_ms,
                "tokens": [
                    {
                        "time_ms": judged.stamp.token.time_ms,
                        "accuracy_ms": judged.stamp.token.accuracy_ms,
                        "algorithm": judged.stamp.algorithm,
                        "unit": judged.certificate.subject.text(),
                        "judged_at_ms": judged.until_ms,
                        "certificate_ends_ms": judged.certificate.not_after_ms,
                        "is_on_log": recorded is not None,
                        "root": None if judged.path is None else judged.path.root.subject.text(),
                    }
                    for judged, recorded in pairs
                ],
            }
        )
        return
    rows: list[tuple[str, object]] = [
        ("result", "the record holds"),
        ("existed at", time_text(verdict.exists_since_ms)),
    ]
    for judged, recorded in pairs:
        token = judged.stamp.token
        by = [
            *(["the chain issued it"] if recorded is not None else []),
            *(
                ["nothing shows that the chain issued it"]
                if recorded is None and has_policy
                else []
            ),
            *([f"path to {judged.path.root.subject.text()}"] if judged.path is not None else []),
        ]
        over = f"{time_text(token.time_ms)} over {judged.stamp.algorithm}, {' and '.join(by)}"
        ends = time_text(judged.certificate.not_after_ms)
        rows.append(("token", f"{over}\n{judged.certificate.subject.text()}, until {ends}"))
    print_fields(rows)
