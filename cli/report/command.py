"""`chainnode report FILE PROOF --policy POLICY`: a technical verification report (技术核验报告), offline."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.clock import SystemClock
from chainnode.keystore.files import PUBLIC, write_new_file
from cli.command import pass_session
from cli.exit_status import ExitStatus
from cli.hashing import digests_of_file
from cli.output import print_fields, print_json
from cli.proofs import check_free
from cli.report.checks import Examined, Inputs, Result, examine
from cli.report.page import conclusion, page
from cli.report.words import WORDS
from cli.trust import crl_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.output import Json
    from cli.session import Session

_PATH: Final = click.Path(path_type=Path)
_STATUS: Final = {
    Result.HOLDS: ExitStatus.DONE,
    Result.FAILS: ExitStatus.NOT_SO,
    Result.CANNOT_TELL: ExitStatus.CANNOT_TELL,
}


@click.command()
@click.argument("file", type=_PATH)
@click.argument("proof", type=_PATH)
@click.option("--policy", required=True, type=_PATH, help="Whose signatures count.")
@click.option(
    "--tsr", type=_PATH, help="A timestamp token of FILE; its .tlog-proof lies beside it."
)
@click.option("--certificate", type=_PATH, help="PEM, for tokens that do not bring their own.")
@click.option("--root", type=_PATH, help="PEM; check the token's certificate up to this root.")
@crl_option
@click.option("--context", type=_PATH, help="The capture record registered with FILE.")
@click.option("--marks", type=_PATH, help="What `record marks` wrote of the record.")
@click.option(
    "--out", type=_PATH, metavar="FILE.md", help="Write the report here.  [default: print]"
)
@pass_session
def report(
    session: Session,
    *,
    file: Path,
    proof: Path,
    policy: Path,
    tsr: Path | None,
    certificate: Path | None,
    root: Path | None,
    list_files: tuple[Path, ...],
    context: Path | None,
    marks: Path | None,
    out: Path | None,
) -> int:
    """Make every offline check of FILE and PROOF, and write down what each examined, how, and with which result.

    The status is that of `verify`: 0 all hold, 1 one does not, 2 a file cannot be read (then there is no report), 5 one
    cannot be told. What was not examined, for want of a file, is said and changes nothing.
    """
    if list_files and root is None:
        raise click.UsageError("--crl says nothing without --root")
    if out is not None:
        check_free(out)
    inputs = Inputs(
        file=file,
        proof=proof,
        policy=policy,
        token=tsr,
        certificate=certificate,
        root=root,
        crls=list_files,
        context=context,
        marks=marks,
    )
    examined = examine(inputs)
    files = [
        (what, path.name, digests_of_file(path, ["sha256"])[0].value.hex())
        for what, path in inputs.paths()
    ]
    text = page(
        examined,
        files,
        now_ms=SystemClock().now_ms(),
        version=importlib.metadata.version("chainnode"),
    )
    ending = conclusion(examined)
    if out is not None:
        write_new_file(out, text.encode(), mode=PUBLIC)
    if session.json:
        print_json(_document(examined, files, ending))
    elif out is None:
        click.echo(text, nl=False)
    else:
        rows = [(check.name, f"{check.result}: {check.found}") for check in examined.checks]
        print_fields([("result", ending), *rows, ("report", out)])
    return _STATUS[ending]


def _document(
    examined: Examined, files: Sequence[tuple[str, str, str]], ending: Result
) -> dict[str, Json]:
    record = examined.notarization.record
    return {
        "result": ending.value,
        "files": [{"what": what, "name": name, "sha256": digest} for what, name, digest in files],
        "record": {
            "account": record.account,
            "height": record.height,
            "time_ms": record.time_ms,
            "not_before_ms": record.not_before_ms,
            "not_after_ms": record.not_after_ms,
            "tx_id": record.tx_id.hex(),
            "index": examined.proof.index,
        },
        "checks": [
            {
                "name": check.name,
                "examined": WORDS[check.name].examined,
                "method": WORDS[check.name].method,
                "repeat": check.repeat or WORDS[check.name].otherwise,
                "result": check.result.value,
                "code": check.code,
                "found": check.found,
            }
            for check in examined.checks
        ],
    }
