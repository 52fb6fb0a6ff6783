"""`chainnode verify DIR --manifest M --policy P`: every file of a manifest against its proof, offline."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from chainnode.client.digesting import digests_of_stream
from chainnode.clock import SystemClock
from chainnode.model.errors import CannotTell, ChainError, DecodeError, ProofInvalid
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_proof import Verifier
from cli.exit_status import ExitStatus
from cli.folder.manifest import MAX_MANIFEST_BYTES, decode_manifest
from cli.folder.progress import FolderProgress
from cli.folder.walk import walk
from cli.output import note, print_fields, print_json
from cli.proofs import read_proof
from cli.session import read_input

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.tlog_policy import Policy
    from cli.folder.manifest import Entry
    from cli.session import Session

_SHOWN: Final = 20
"""Files that a person is shown; `--json` has all."""


class Finding(Enum):
    """What was found of one file; each value is a word of the output."""

    HOLDS = "holds"
    FALSE = "false"
    """Proven not to hold: altered, of another document, forged."""

    MISSING = "missing"
    """The file or its proof is not there, or cannot be read."""

    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A file of the manifest, checked."""

    path: str
    finding: Finding
    code: str = ""
    sentence: str = ""


class FolderCheck:
    """Checks the files below `root` that a manifest names, by proofs that lie where the manifest lies."""

    def __init__(self, root: Path, manifest: Path, policy: Policy) -> None:
        self._root, self._manifest = root, manifest
        self._verifier = Verifier(policy)
        self._progress = FolderProgress("verifying", SystemClock())

    def run(self) -> tuple[tuple[Checked, ...], int]:
        """Return what was found of each file, and how many files of the folder the manifest does not name.

        Raises:
            DecodeError: the manifest or the folder cannot be read.
            Refused: with code `too_many_files`.
        """
        manifest = decode_manifest(read_input(self._manifest, max_bytes=MAX_MANIFEST_BYTES))
        entries = manifest.entries
        out = self._manifest.parent
        is_apart = out.resolve() != self._root.resolve()
        found = walk(self._root, skip_hidden=False, besides=out if is_apart else None)
        named = {entry.path for entry in entries}
        self._progress.expect(len(entries), sum(entry.size for entry in entries))
        checked: list[Checked] = []
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as threads:
            for one in threads.map(self._check, entries):
                checked.append(one)
                self._progress.done(1)
                self._progress.draw()
        self._progress.wipe()
        return tuple(checked), sum(file.path not in named for file in found.files)

    def _check(self, entry: Entry) -> Checked:
        try:
            self._verify(entry)
        except ProofInvalid as error:
            return _checked(entry, Finding.FALSE, error)
        except CannotTell as error:
            return _checked(entry, Finding.CANNOT_TELL, error)
        except ChainError as error:
            return _checked(entry, Finding.MISSING, error)
        return Checked(path=entry.path, finding=Finding.HOLDS)

    def _verify(self, entry: Entry) -> None:
        proof = read_proof(self._manifest.parent / entry.proof)
        notarization = parse_notarization(proof.extra)
        path = self._root / entry.path
        algorithms = [digest.algorithm for digest in notarization.opening.digests]
        try:
            with path.open("rb") as file:
                digests = digests_of_stream(file, algorithms, self._progress.read)
        except OSError as error:
            raise DecodeError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
        verify_notarization(proof, self._verifier, notarization, digest_map(digests))
        record = notarization.record
        if (proof.index, record.tx_id, record.item) != (entry.index, entry.tx_id, entry.item):
            raise ProofInvalid(
                f"the proof is of record {proof.index}; the manifest names record {entry.index}",
                code="other_record",
            )


def verify_folder(session: Session, root: Path, manifest: Path, policy: Policy) -> int:
    """Check a folder, report, and return the exit status. Raises as `FolderCheck.run`."""
    checked, unnamed = FolderCheck(root, manifest, policy).run()
    counts = {finding: sum(c.finding is finding for c in checked) for finding in Finding}
    bad = [c for c in checked if c.finding is not Finding.HOLDS]
    if session.json:
        print_json(
            {
                "holds": not bad,
                "files": len(checked),
                **{
                    finding.value: counts[finding]
                    for finding in Finding
                    if finding.value != "holds"
                },
                "not_in_manifest": unnamed,
                "findings": [
                    {
                        "path": c.path,
                        "finding": c.finding.value,
                        "code": c.code,
                        "reason": c.sentence,
                    }
                    for c in bad
                ],
            }
        )
        return _status(counts)
    for one in bad[:_SHOWN]:
        note(f"{one.path}: {one.finding.value}: {one.sentence}")
    if len(bad) > _SHOWN:
        note(f"and {len(bad) - _SHOWN} more; --json lists all")
    print_fields(
        [
            ("result", "every proof holds" if not bad else "not every proof holds"),
            ("files", len(checked)),
            ("hold", counts[Finding.HOLDS]),
            ("false", counts[Finding.FALSE]),
            ("missing", counts[Finding.MISSING]),
            ("cannot tell", counts[Finding.CANNOT_TELL]),
            ("not in manifest", unnamed),
        ]
    )
    return _status(counts)


def _status(counts: dict[Finding, int]) -> ExitStatus:
    """What is worst decides: false, then what could not be looked at, then what cannot be told."""
    if counts[Finding.FALSE]:
        return ExitStatus.NOT_SO
    if counts[Finding.MISSING]:
        return ExitStatus.USAGE
    return ExitStatus.CANNOT_TELL if counts[Finding.CANNOT_TELL] else ExitStatus.DONE


def _checked(entry: Entry, finding: Finding, error: ChainError) -> Checked:
    return Checked(path=entry.path, finding=finding, code=error.error_code, sentence=error.message)
