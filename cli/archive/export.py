"""`archive export`: documents and all their evidence as one bag, whole or not there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused
from cli.archive.bag import (
    DECLARATION,
    EVIDENCE,
    MANIFEST_ALGORITHMS,
    PAYLOAD,
    POLICY,
    PROOFS,
    README,
    ROOTS,
    SM3_DIGESTS,
    encode_manifest,
    is_portable,
    oxum,
)
from cli.archive.files import RECORD_SUFFIX, TOKEN_FOLDER, documents_in
from cli.hashing import digests_of_file
from cli.proofs import SUFFIX, check_free

if TYPE_CHECKING:
    from pathlib import Path

_README: Final = """\
How to check this bag. What you trust comes from elsewhere: get policy and roots from the alliance, not from here.
如何检验本包。信任依据须另行取得: 验证策略与根证书请向联盟索取, 勿用包内副本。

1. Complete 完整: any BagIt software (RFC 8493), or in this folder: sha256sum -c manifest-sha256.txt
2. Authentic 真实: chainnode archive check . --policy POLICY --root ROOTS.pem
   One document 单份文件: chainnode archive verify data/F evidence/F.er --policy POLICY --root ROOTS.pem
   Evidence records are RFC 4998 and tokens RFC 3161: other software reads them too.
   openssl ts -reply -in evidence/chainnode-tokens/N.tsr -text shows what a token says.
3. SM3 国密杂凑: chainnode-digests.txt has the SM3 digest of each document.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What went into the bag."""

    documents: int
    records: int
    proofs: int
    without_evidence: int
    """Documents with neither record nor proof."""

    size_bytes: int


def export(
    root: Path,
    bag: Path,
    *,
    records: tuple[Path, ...],
    policy: Path | None,
    roots: Path | None,
    date: str,
) -> Exported:
    """Write a bag of a folder. Killed, it leaves a hidden folder that the next run replaces.

    Files are not synced one by one: after a loss of power, `archive check` tells whether the bag is whole.

    Args:
        root: The documents.
        bag: Where it goes; must not exist.
        records: Folders of evidence records and proofs, by document; what none of them has is looked for beside the document.
        policy: Copied if given.
        roots: Copied if given.
        date: Bagging-Date, as in 2026-11-27.

    Raises:
        Refused: `exists`, `no_documents`, or `not_portable` for a path that BagIt software disagrees on.
        DecodeError: the folder or a document cannot be read.
        OSError: the file system refuses.
    """
    check_free(bag)
    places = tuple(dict.fromkeys((*records, root)))
    found = documents_in((root,), places[0], is_folder=True)
    if found.problems or not found.items:
        first = found.problems[0] if found.problems else None
        raise Refused(
            f"{root}: nothing to export"
            if first is None
            else f"{first.path}: {first.sentence}; nothing was exported",
            code="no_documents",
        )
    fresh = bag.with_name(f".{bag.name}.unfinished")
    shutil.rmtree(fresh, ignore_errors=True)
    counts = {EVIDENCE: 0, PROOFS: 0}
    sizes: dict[str, int] = {}
    bare = 0
    for item in found.items:
        path = f"{PAYLOAD}/{item.name}"
        if not is_portable(path):
            raise Refused(
                f"{item.name!a}: no two programs agree on such a name in a bag; rename the file",
                code="not_portable",
            )
        sizes[path] = _copy(item.document, fresh / path)
        kept = [
            (folder, name, source)
            for folder, name in (
                (EVIDENCE, f"{item.name}{RECORD_SUFFIX}"),
                (PROOFS, f"{item.name}{SUFFIX}"),
            )
            if (source := _first(places, name)) is not None
        ]
        for folder, name, source in kept:
            _copy(source, fresh / folder / name)
            counts[folder] += 1
        bare += not kept
    for tokens in (place / TOKEN_FOLDER for place in reversed(places)):
        if tokens.is_dir():
            shutil.copytree(tokens, fresh / EVIDENCE / TOKEN_FOLDER, dirs_exist_ok=True)
    for anchor, name in ((policy, POLICY), (roots, ROOTS)):
        if anchor is not None:
            _copy(anchor, fresh / name)
    _write_tags(fresh, sizes, date)
    fresh.rename(bag)
    return Exported(
        documents=len(sizes),
        records=counts[EVIDENCE],
        proofs=counts[PROOFS],
        without_evidence=bare,
        size_bytes=sum(sizes.values()),
    )


def _first(places: tuple[Path, ...], name: str) -> Path | None:
    """Return the file of that name in the first place that has one."""
    return next((path for place in places if (path := place / name).exists()), None)


def _write_tags(bag: Path, sizes: dict[str, int], date: str) -> None:
    (bag / "bagit.txt").write_bytes(DECLARATION)
    info = f"Bagging-Date: {date}\nBag-Software-Agent: chainnode\nPayload-Oxum: {oxum(sizes)}\n"
    (bag / "bag-info.txt").write_text(info)
    (bag / README).write_text(_README)
    payload = {
        path: {
            d.algorithm: d.value for d in digests_of_file(bag / path, (*MANIFEST_ALGORITHMS, "sm3"))
        }
        for path in sizes
    }
    for algorithm, name in (
        *((a, f"manifest-{a}.txt") for a in MANIFEST_ALGORITHMS),
        ("sm3", SM3_DIGESTS),
    ):
        written = {path: digests[algorithm] for path, digests in payload.items()}
        (bag / name).write_bytes(encode_manifest(written))
    tags = [
        path
        for path in sorted(bag.rglob("*"))
        if path.is_file() and path.relative_to(bag).parts[0] != PAYLOAD
    ]
    for algorithm in MANIFEST_ALGORITHMS:
        digests = {
            path.relative_to(bag).as_posix(): digests_of_file(path, [algorithm])[0].value
            for path in tags
        }
        (bag / f"tagmanifest-{algorithm}.txt").write_bytes(encode_manifest(digests))


def _copy(source: Path, target: Path) -> int:
    """Copy a file; return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target.stat().st_size
