"""`archive check`: the four checks of DA/T 70 on a bag, each with what was examined, what was found, and what no machine can see.

A check passes if something was examined and nothing is wrong with it; it fails if something is; otherwise it is `not_shown`.
"""

from __future__ import annotations

import codecs
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, DecodeError, ProofInvalid
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from cli.archive.bag import (
    DECLARATION,
    EVIDENCE,
    MANIFEST_ALGORITHMS,
    MAX_MANIFEST_BYTES,
    PAYLOAD,
    PROOFS,
    SM3_DIGESTS,
    oxum,
    parse_manifest,
)
from cli.archive.files import RECORD_SUFFIX, TOKEN_FOLDER, read_record
from cli.archive.judging import judge
from cli.hashing import digests_of_file
from cli.proofs import SUFFIX, read_proof
from cli.session import read_input

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.tlog_policy import Policy
    from cli.archive.judging import Judged, Trust

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_SHOWN: Final = "not_shown"
MAX_FINDINGS: Final = 1_000
"""Findings that a report lists of one check; further ones are counted."""

_HEAD_BYTES: Final = 16
_SIGNATURES: Final = {
    ".pdf": (b"%PDF-",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".tif": (b"II*\0", b"MM\0*"),
    ".tiff": (b"II*\0", b"MM\0*"),
    ".zip": (b"PK\x03\x04",),
    ".ofd": (b"PK\x03\x04",),
    ".docx": (b"PK\x03\x04",),
    ".xlsx": (b"PK\x03\x04",),
}
"""How files of a kind begin."""

_TEXTS: Final = frozenset({".txt", ".csv", ".md", ".json", ".xml", ".html", ".htm"})
_ENCODINGS: Final = ("utf-8", "gb18030")
"""That text files are written in here."""

_CHUNK_BYTES: Final = 1024 * 1024

_PROGRAMS: Final = (b"\x7fELF", b"MZ", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs begin: ELF, Windows, scripts, macOS, Java."""


@dataclass(slots=True)
class Check:
    """One of the four; filled as the bag is gone through."""

    name: str
    chinese: str
    examined: int = 0
    failures: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """What could not be shown either way."""

    notes: list[str] = field(default_factory=list)
    """What was shown, by less than it could have been."""

    @property
    def result(self) -> str:
        """`passed`, `failed` or `not_shown`."""
        if self.failures:
            return FAILED
        return NOT_SHOWN if self.unknown or not self.examined else PASSED


def check_bag(bag: Path, trust: Trust, now_ms: int) -> tuple[Check, ...]:
    """Return the four checks of a bag: authentic, complete, usable, safe.

    Raises:
        DecodeError: it is no bag at all.
    """
    if read_input(bag / "bagit.txt", max_bytes=4_096) != DECLARATION:
        raise DecodeError(f"{bag}: expected a bag of BagIt 1.0 in UTF-8", code="no_bag")
    authentic, complete = Check("authentic", "真实性"), Check("complete", "完整性")
    usable, safe = Check("usable", "可用性"), Check("safe", "安全性")
    present = _walk(bag, safe)
    payload = sorted(path for path in present if path.startswith(f"{PAYLOAD}/"))
    _check_complete(bag, present, payload, complete)
    for path in payload:
        _check_authentic(bag, path.removeprefix(f"{PAYLOAD}/"), trust, now_ms, authentic)
        _check_form(bag, path, usable, safe)
    return authentic, complete, usable, safe


def _walk(bag: Path, safe: Check) -> set[str]:
    """Return the regular files of the bag; whatever else there is, is not safe."""
    found = set()
    for path in sorted(bag.rglob("*")):
        name, mode = path.relative_to(bag).as_posix(), path.lstat().st_mode
        if stat.S_ISREG(mode):
            found.add(name)
        elif not stat.S_ISDIR(mode):
            safe.failures.append(f"{name}: a link or special file, which can lead out of the bag")
    return found


def _check_complete(bag: Path, present: set[str], payload: list[str], check: Check) -> None:
    # A tag manifest lists all tag files but the tag manifests, and these are two.
    manifests_of_tags = {f"tagmanifest-{algorithm}.txt" for algorithm in MANIFEST_ALGORITHMS}
    tags = set(present) - set(payload) - manifests_of_tags
    wanted: list[tuple[str, str, set[str]]] = [(SM3_DIGESTS, "sm3", set(payload))]
    for algorithm in MANIFEST_ALGORITHMS:
        wanted.append((f"manifest-{algorithm}.txt", algorithm, set(payload)))
        wanted.append((f"tagmanifest-{algorithm}.txt", algorithm, tags))
    manifests: dict[str, dict[str, bytes]] = {}
    for name, algorithm, paths in wanted:
        try:
            listed = parse_manifest(read_input(bag / name, max_bytes=MAX_MANIFEST_BYTES), algorithm)
        except DecodeError as error:
            check.failures.append(f"{name}: {error.message}")
            continue
        check.failures += [
            f"{path}: {name} lists it, and it is missing" for path in sorted(set(listed) - paths)
        ]
        check.failures += [
            f"{path}: {name} does not list it" for path in sorted(paths - set(listed))
        ]
        for path in set(listed) & paths:
            manifests.setdefault(path, {})[algorithm] = listed[path]
    for path, expected in sorted(manifests.items()):
        check.examined += 1
        try:
            found = {d.algorithm: d.value for d in digests_of_file(bag / path, expected)}
        except DecodeError as error:
            check.failures.append(error.message)
            continue
        check.failures += [
            f"{path}: its {name} is not that of the manifest"
            for name in expected
            if found[name] != expected[name]
        ]
    stated = f"Payload-Oxum: {oxum({path: (bag / path).stat().st_size for path in payload})}"
    try:
        info = read_input(bag / "bag-info.txt", max_bytes=MAX_MANIFEST_BYTES).splitlines()
    except DecodeError as error:
        check.failures.append(error.message)
        return
    if stated.encode() not in info:
        check.failures.append(f"bag-info.txt: expected {stated}")


def _check_authentic(bag: Path, name: str, trust: Trust, now_ms: int, check: Check) -> None:
    document = bag / PAYLOAD / name
    record, proof = bag / EVIDENCE / f"{name}{RECORD_SUFFIX}", bag / PROOFS / f"{name}{SUFFIX}"
    shown = False
    try:
        if record.is_file() and not trust.is_empty:
            judged = _judge_record(document, record, bag / EVIDENCE / TOKEN_FOLDER, trust, now_ms)
            if trust.policy is not None and judged.by_root_count:
                check.notes.append(
                    f"{name}: of {judged.by_root_count} of its tokens nothing shows that the chain issued them; "
                    "their certificates alone vouch for them"
                )
            shown = True
        if proof.is_file() and trust.policy is not None:
            _check_proof(document, proof, trust.policy)
            shown = True
    except (ProofInvalid, DecodeError) as error:
        check.examined += 1
        check.failures.append(f"{name}: {error.message}")
        return
    except ChainError as error:
        check.unknown.append(f"{name}: {error.message}")
        return
    if shown:
        check.examined += 1
    else:
        check.unknown.append(
            f"{name}: there is no evidence that the given policy or roots vouch for"
        )


def _judge_record(document: Path, record: Path, tokens: Path, trust: Trust, now_ms: int) -> Judged:
    read = read_record(record)
    digests = digests_of_file(document, read.algorithms)
    return judge(read, digests, tokens, trust, now_ms)


def _check_proof(document: Path, path: Path, policy: Policy) -> None:
    proof = read_proof(path)
    notarization = parse_notarization(proof.extra)
    digests = digests_of_file(document, [d.algorithm for d in notarization.opening.digests])
    verify_notarization(proof, policy, notarization, digest_map(digests))


def _check_form(bag: Path, path: str, usable: Check, safe: Check) -> None:
    try:
        with (bag / path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        usable.failures.append(f"{path}: cannot be read ({error.strerror})")
        return
    safe.examined += 1
    if head.startswith(_PROGRAMS):
        safe.failures.append(f"{path}: begins like a program")
    kind = (bag / path).suffix.lower()
    begins = _SIGNATURES.get(kind)
    if not head:
        usable.failures.append(f"{path}: is empty")
    elif kind in _TEXTS:
        if any(_is_text(bag / path, encoding) for encoding in _ENCODINGS):
            usable.examined += 1
        else:
            usable.unknown.append(f"{path}: is no text in UTF-8 or GB 18030")
    elif begins is None:
        usable.unknown.append(f"{path}: is of a kind whose form is not known here")
    else:
        usable.examined += 1
        if not head.startswith(begins):
            usable.failures.append(f"{path}: does not begin as such files do")


def _is_text(path: Path, encoding: str) -> bool:
    """Whether a file is text in an encoding. Raises OSError."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK_BYTES):
                if "\0" in decoder.decode(data):
                    return False
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
