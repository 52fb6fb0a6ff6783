"""The journal of a folder: which transaction covers which files, on disk before it is sent.

    0  head      [0, chain_id, genesis_hash]
    1  begun     [1, number, envelope, [[path, size, mtime_ns], ...]]
    2  finished  [2, number, [height, time_ms, not_before_ms, not_after_ms, first_record], [item, ...]]
    3  dropped   [3, number]

Each is canonical MessagePack in a frame of `chainnode.storage.journal`. A list that has begun and is neither finished
nor dropped may have been sent: only its very bytes may be sent again, until its outcome is known. *Finished* is written
after its proofs are on disk, and names the items that have none because their files had changed. *Dropped* is written
when the chain has said that the list is in no block and never will be, or has failed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.client.journal_file import JOURNAL_NAME, JournalFile
from chainnode.client.lists import DocumentList, decode_list
from chainnode.model import codec
from chainnode.model.errors import ChainError, DecodeError, Refused
from chainnode.model.limits import (
    MAX_CHAIN_ID_BYTES,
    MAX_DOCUMENTS_PER_CALL,
    MAX_TRANSACTION_BYTES,
)
from chainnode.model.suites import HASH_BYTES
from cli.folder.manifest import Entry
from cli.folder.walk import MAX_PATH_BYTES, FoundFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain

MAGIC: Final = b"cnfold\x00\x01"
_MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
_HEAD, _BEGUN, _FINISHED, _DROPPED = range(4)
_MAX_NUMBER: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A list that may have been sent."""

    number: int
    """From 0 on since the journal was empty."""

    envelope: bytes
    """The exact bytes of its transaction."""

    files: tuple[FoundFile, ...]
    """In the order of its documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the chain has a list."""

    height: int
    time_ms: int
    not_before_ms: int
    not_after_ms: int
    first_record: int
    """Log index of its first document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A list whose proofs are on disk."""

    number: int
    place: Place
    without_proof: tuple[int, ...]
    """Items whose files had changed or gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A list that had no effect."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Which chain the journal is about."""

    chain_id: str
    genesis_hash: bytes


Line = Head | Begun | Finished | Dropped


def encode_line(line: Line) -> bytes:
    """Return the payload of a record."""
    value: Value
    match line:
        case Head():
            value = (_HEAD, line.chain_id, line.genesis_hash)
        case Begun():
            files = tuple((os.fsencode(f.path), f.size, f.mtime_ns) for f in line.files)
            value = (_BEGUN, line.number, line.envelope, files)
        case Finished():
            p = line.place
            place = (p.height, p.time_ms, p.not_before_ms, p.not_after_ms, p.first_record)
            value = (_FINISHED, line.number, place, line.without_proof)
        case Dropped():
            value = (_DROPPED, line.number)
    return codec.encode(value)


def decode_line(payload: bytes) -> Line:
    """Read the payload of a record.

    Raises:
        DecodeError: it is none.
    """
    fields = codec.array(codec.decode(payload, max_bytes=_MAX_RECORD_BYTES), "record")
    kind = codec.integer(fields[0] if fields else None, "kind", most=_DROPPED)
    if kind == _HEAD:
        _, chain_id, genesis_hash = codec.array(fields, "head", arity=3)
        return Head(
            chain_id=codec.text(chain_id, "chain_id", most_bytes=MAX_CHAIN_ID_BYTES),
            genesis_hash=codec.binary(genesis_hash, "genesis_hash", size=HASH_BYTES),
        )
    if kind == _BEGUN:
        _, number, envelope, files = codec.array(fields, "begun", arity=4)
        return Begun(
            number=codec.integer(number, "number", most=_MAX_NUMBER),
            envelope=codec.binary(envelope, "envelope", most=MAX_TRANSACTION_BYTES),
            files=tuple(
                _file(file)
                for file in codec.array_up_to(files, "files", least=1, most=MAX_DOCUMENTS_PER_CALL)
            ),
        )
    if kind == _FINISHED:
        _, number, place, without = codec.array(fields, "finished", arity=4)
        numbers = [codec.integer(n, "place") for n in codec.array(place, "place", arity=5)]
        items = codec.array_up_to(without, "items", most=MAX_DOCUMENTS_PER_CALL)
        return Finished(
            number=codec.integer(number, "number", most=_MAX_NUMBER),
            place=Place(
                height=numbers[0],
                time_ms=numbers[1],
                not_before_ms=numbers[2],
                not_after_ms=numbers[3],
                first_record=numbers[4],
            ),
            without_proof=tuple(
                codec.integer(item, "item", most=MAX_DOCUMENTS_PER_CALL - 1) for item in items
            ),
        )
    _, number = codec.array(fields, "dropped", arity=2)
    return Dropped(number=codec.integer(number, "number", most=_MAX_NUMBER))


def _file(value: Value) -> FoundFile:
    path, size, mtime_ns = codec.array(value, "file", arity=3)
    return FoundFile(
        path=os.fsdecode(codec.binary(path, "path", most=MAX_PATH_BYTES)),
        size=codec.integer(size, "size"),
        mtime_ns=codec.integer(mtime_ns, "mtime_ns", least=-(2**63)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenList:
    """A list that is under way: on disk, perhaps sent."""

    number: int
    files: tuple[FoundFile, ...]
    made: DocumentList


class FolderJournal:
    """The lists of one folder that are not in its manifest yet."""

    def __init__(self, file: JournalFile, head: Head) -> None:
        self._file = file
        self._head = head
        self._next = 0
        self.open: dict[int, OpenList] = {}
        self.entries: dict[str, Entry] = {}
        """What finished lists have left, by path."""

    @classmethod
    def open_in(cls, folder: Path, domain: Domain, chain_id: str) -> FolderJournal:
        """Open the journal of a folder, or begin one.

        Raises:
            Refused: `in_use`, or `other_chain`: what is under way there belongs to another chain.
            ChainError: `file_error`, or the journal is damaged.
        """
        head = Head(chain_id=chain_id, genesis_hash=domain.genesis_hash)
        file, payloads = JournalFile.open(folder, MAGIC)
        try:
            journal = cls(file, head)
            lines = [decode_line(payload) for payload in payloads]
            if not lines:
                file.append(encode_line(head))
            elif lines[0] != head:
                raise Refused(
                    f"{folder} is about files of another chain; finish them there, or choose another folder "
                    "with --out",
                    code="other_chain",
                )
            for line in lines[1:]:
                journal._replay(line, domain)
        except DecodeError as error:
            file.close()
            raise ChainError(
                f"{folder / JOURNAL_NAME} cannot be read: {error.message}; restore it from a backup, or "
                "move it away: then files whose lists were under way are registered again",
                code="file_error",
            ) from error
        except ChainError:
            file.close()
            raise
        return journal

    def begin(self, files: Sequence[FoundFile], made: DocumentList) -> OpenList:
        """Write down a list; only after that may it be sent. Raises ChainError with code `file_error`."""
        begun = OpenList(number=self._next, files=tuple(files), made=made)
        self._next += 1
        self._file.append(
            encode_line(
                Begun(number=begun.number, envelope=made.transaction.envelope, files=begun.files)
            )
        )
        self.open[begun.number] = begun
        return begun

    def finish(self, number: int, place: Place, entries: Mapping[int, Entry]) -> None:
        """Write down that a list's proofs are on disk. Raises ChainError with code `file_error`.

        Args:
            number: Of the list.
            place: Where the chain has it.
            entries: What the manifest will say, by item; items that are missing have no proof.
        """
        count = len(self.open[number].files)
        without = tuple(item for item in range(count) if item not in entries)
        self._file.append(encode_line(Finished(number=number, place=place, without_proof=without)))
        # A crash before this finds the list open, and writes the same proofs again.
        del self.open[number]
        self.entries |= {entry.path: entry for entry in entries.values()}

    def drop(self, number: int) -> None:
        """Write down that a list had no effect. Raises ChainError with code `file_error`."""
        self._file.append(encode_line(Dropped(number=number)))
        del self.open[number]

    def clear(self) -> None:
        """Forget everything: the manifest has it, durably. Raises ChainError with code `file_error`."""
        if self._next:
            self._file.rewrite([encode_line(self._head)])
        self._next = 0
        self.entries = {}

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()

    def _replay(self, line: Line, domain: Domain) -> None:
        match line:
            case Head():
                raise DecodeError("a second head")
            case Begun():
                made = decode_list(domain, line.envelope)
                if line.number in self.open or len(made.documents) != len(line.files):
                    raise DecodeError(f"list {line.number} is there twice, or of other files")
                self.open[line.number] = OpenList(number=line.number, files=line.files, made=made)
                self._next = max(self._next, line.number + 1)
            case Finished():
                self.entries |= {
                    entry.path: entry
                    for entry in finished_entries(
                        self._take(line.number), line.place, line.without_proof
                    ).values()
                }
            case Dropped():
                self._take(line.number)

    def _take(self, number: int) -> OpenList:
        try:
            return self.open.pop(number)
        except KeyError:
            raise DecodeError(f"list {number} ended, but had not begun") from None


def finished_entries(
    of: OpenList, place: Place, without_proof: Sequence[int] = ()
) -> dict[int, Entry]:
    """Return what a manifest says of a list's files, by item."""
    transaction, left_out = of.made.transaction, frozenset(without_proof)
    return {
        item: Entry(
            path=file.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            digests=of.made.documents[item].digests,
            account=transaction.body.sender,
            tx_id=transaction.id,
            item=item,
            index=place.first_record + item,
            height=place.height,
            time_ms=place.time_ms,
            not_before_ms=place.not_before_ms,
            not_after_ms=place.not_after_ms,
        )
        for item, file in enumerate(of.files)
        if item not in left_out
    }
