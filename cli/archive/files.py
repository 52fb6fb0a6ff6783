"""Which documents there are, and where their evidence records lie.

OUT/a/b.pdf.er                                       the record of DIR/a/b.pdf
OUT/chainnode-tokens/<serial>.tsr                    each token once, as any RFC 3161 software reads it
OUT/chainnode-tokens/<serial>.tsr.tlog-proof         that the chain issued it
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chainnode.ers.record import MAX_RECORD_BYTES, EvidenceRecord, decode_evidence_record
from chainnode.model.errors import DecodeError, Refused
from cli.folder.walk import MAX_FILES, Problem, walk
from cli.session import read_input

RECORD_SUFFIX: Final = ".er"
TOKEN_FOLDER: Final = "chainnode-tokens"  # noqa: S105  a folder's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A document and its record; either may be missing."""

    name: str
    """For people: the path below the folder, or the file's name."""

    document: Path
    record: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """What a command is about."""

    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()


def documents_in(paths: tuple[Path, ...], out: Path | None, *, is_folder: bool) -> Items:
    """Return the documents that the user named; their records go to `out`, by default beside them.

    Raises:
        DecodeError: a folder cannot be read.
        Refused: `too_many_files`, or `same_name` if two records would have one name.
    """
    if is_folder:
        (root,) = paths
        target = root if out is None else out
        found = walk(root, skip_hidden=False, besides=None if target == root else target)
        names = [f.path for f in found.files if _is_document(f.path)]
        return Items(
            items=tuple(_item(name, root / name, target / name) for name in names),
            problems=found.problems,
        )
    items = tuple(
        _item(path.name, path, path if out is None else out / path.name) for path in paths
    )
    if len({item.record for item in items}) != len(items):
        raise Refused("two of the files have one name; seal them apart", code="same_name")
    return Items(items=items)


def records_in(paths: tuple[Path, ...], documents: Path | None) -> Items:
    """Return the records in files and folders; their documents lie in `documents`, by default beside them.

    Raises:
        DecodeError: a folder cannot be read.
        Refused: `too_many_files`.
    """
    items: list[Item] = []
    for path in paths:
        root = path if path.is_dir() else path.parent
        files = _records_below(path) if path.is_dir() else [path.name]
        for name in files:
            bare = name.removesuffix(RECORD_SUFFIX)
            document = (root if documents is None else documents) / bare
            items.append(Item(name=bare, document=document, record=root / name))
    return Items(items=tuple(items))


def token_folder_of(record: Path) -> Path | None:
    """Return the folder of tokens that belongs to a record: in its own folder or the nearest one above, or None."""
    for folder in record.absolute().parents:
        if (folder / TOKEN_FOLDER).is_dir():
            return folder / TOKEN_FOLDER
    return None


def read_record(path: Path) -> EvidenceRecord:
    """Return the record in a file. Raises DecodeError."""
    try:
        return decode_evidence_record(read_input(path, max_bytes=MAX_RECORD_BYTES))
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}", code=error.error_code, field=error.field
        ) from error


def _item(name: str, document: Path, record: Path) -> Item:
    return Item(name=name, document=document, record=record.with_name(record.name + RECORD_SUFFIX))


def _is_document(path: str) -> bool:
    return not path.endswith(RECORD_SUFFIX) and TOKEN_FOLDER not in path.split("/")


def _records_below(root: Path) -> list[str]:
    found: list[str] = []
    for folder, _, files in os.walk(root, onerror=_unreadable):
        for name in files:
            if name.endswith(RECORD_SUFFIX) and not name.startswith("."):
                found.append(str((Path(folder) / name).relative_to(root)))
                if len(found) > MAX_FILES:
                    raise Refused(
                        f"more than {MAX_FILES} records; renew the folders in it one by one",
                        code="too_many_files",
                    )
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise DecodeError(
        f"cannot read {error.filename}: {error.strerror}", code="unreadable"
    ) from error
