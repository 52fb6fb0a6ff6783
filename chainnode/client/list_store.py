"""What a client remembers under each idempotency key: the very bytes that it sends, and how that ended.

A store is what makes a second call under one key the same call. `FileListStore` outlives the process; a service with
a database of its own, shared by its replicas, writes one of the protocol's three methods upon that.

    0  begun   [0, key, envelope]
    1  ended   [1, key, status, height, first_record, code, message]
    2  told    [2, key, status, height, first_record, code, message]      the same, not final

Each is canonical MessagePack in a frame of `chainnode.storage.journal`. docs/formats/folder.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from chainnode.client.journal_file import JOURNAL_NAME, JournalFile
from chainnode.client.lists import ListOutcome, ListStatus
from chainnode.model import codec
from chainnode.model.errors import ChainError, DecodeError
from chainnode.model.limits import MAX_NAME_BYTES, MAX_RECEIPT_MESSAGE_BYTES, MAX_TRANSACTION_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.codec import Value

MAX_KEY_BYTES: Final = 256
"""An idempotency key: a document's number, a UUID, a path; UTF-8."""

MAX_KEPT_BYTES: Final = 256 * 1024 * 1024
"""Bytes of all lists that are remembered, a million documents or more. Beyond it those that ended longest ago are forgotten;
a call under a forgotten key is a new one."""

MAGIC: Final = b"cnlists\x01"
_MAX_RECORD_BYTES: Final = 512 * 1024
_BEGUN, _ENDED, _TOLD = range(3)
_REWRITE_BYTES: Final = 1024 * 1024
"""The journal is written anew when it has twice as many bytes as there is to remember, and so many more."""

_STATUSES: Final = tuple(ListStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A list under its key."""

    envelope: bytes
    """The exact bytes of its transaction."""

    outcome: ListOutcome | None
    """How it ended, perhaps by a node's word only (`is_final`); None while it may be under way."""


class ListStore(Protocol):
    """Remembers lists by their keys. Calls come from one event loop, one at a time for each key."""

    def get(self, key: str) -> Kept | None:
        """Return what is remembered."""

    def begin(self, key: str, envelope: bytes) -> None:
        """Remember a list, durably on return, in place of one that expired. Raises ChainError if that fails."""

    def end(self, key: str, outcome: ListOutcome) -> None:
        """Remember how it ended, in place of what was told of that before; if it is lost, the chain is asked again.

        Raises ChainError if it fails.
        """


class MemoryListStore:
    """A `ListStore` that ends with the process: calls are safe to repeat within it only."""

    def __init__(self, *, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Remember so many bytes of lists that ended."""
        self._kept: dict[str, Kept] = {}
        self._max_bytes = max_bytes
        self.size_bytes = 0
        """Of all that is remembered."""

    def get(self, key: str) -> Kept | None:
        """Return what is remembered."""
        return self._kept.get(key)

    def begin(self, key: str, envelope: bytes) -> None:
        """Remember a list in place of one that expired."""
        self._put(key, Kept(envelope=envelope, outcome=None))

    def end(self, key: str, outcome: ListOutcome) -> None:
        """Remember how it ended, and forget those that ended longest ago if there are too many."""
        self._put(key, Kept(envelope=self._kept[key].envelope, outcome=outcome))
        if self.size_bytes > self._max_bytes:
            for old in [k for k, kept in self._kept.items() if kept.outcome is not None]:
                self._drop(old)
                if self.size_bytes <= self._max_bytes:
                    break

    def items(self) -> tuple[tuple[str, Kept], ...]:
        """Return all that is remembered, in the order of the last news of each."""
        return tuple(self._kept.items())

    def _put(self, key: str, kept: Kept) -> None:
        self._drop(key)
        self._kept[key] = kept
        self.size_bytes += len(key) + len(kept.envelope)

    def _drop(self, key: str) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self.size_bytes -= len(key) + len(old.envelope)


class FileListStore:
    """A `ListStore` in a folder, for one process at a time."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Open the store of a folder, or begin one.

        Args:
            folder: for this alone; made if need be, for its owner only. It holds the seeds of the salts.
            max_bytes: of lists that are remembered after they ended.

        Raises:
            Refused: with code `in_use` if another process has it.
            ChainError: with code `file_error` if the disk refuses, or the store is damaged.
        """
        self._memory = MemoryListStore(max_bytes=max_bytes)
        self._file, payloads = JournalFile.open(folder, MAGIC)
        for number, payload in enumerate(payloads):
            try:
                self._replay(payload)
            except ChainError as error:
                self._file.close()
                raise ChainError(
                    f"{folder / JOURNAL_NAME}: record {number} cannot be read: {error.message}; restore the "
                    f"file from a backup, or move it away: then nothing is known of earlier keys, and what "
                    f"is submitted under them again is registered again",
                    code="file_error",
                ) from error

    def get(self, key: str) -> Kept | None:
        """Return what is remembered."""
        return self._memory.get(key)

    def begin(self, key: str, envelope: bytes) -> None:
        """Remember a list, durably on return. Raises ChainError with code `file_error`."""
        self._file.append(codec.encode((_BEGUN, key, envelope)))
        self._memory.begin(key, envelope)

    def end(self, key: str, outcome: ListOutcome) -> None:
        """Remember how it ended, durably on return. Raises ChainError with code `file_error`."""
        self._file.append(_ended(key, outcome))
        self._memory.end(key, outcome)
        if self._file.size_bytes > 2 * self._memory.size_bytes + _REWRITE_BYTES:
            self._rewrite()

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()

    def _rewrite(self) -> None:
        records: list[bytes] = []
        for key, kept in self._memory.items():
            records.append(codec.encode((_BEGUN, key, kept.envelope)))
            if kept.outcome is not None:
                records.append(_ended(key, kept.outcome))
        self._file.rewrite(records)

    def _replay(self, payload: bytes) -> None:
        key, news = decode_news(payload)
        if isinstance(news, bytes):
            self._memory.begin(key, news)
        elif self._memory.get(key) is None:
            raise DecodeError(f"{key!r} ended, but had not begun")
        else:
            self._memory.end(key, news)


def check_key(key: str) -> None:
    """Raise DecodeError, with code `bad_key`, unless a string can be an idempotency key."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= MAX_KEY_BYTES:
        raise DecodeError(
            f"idempotency key: found {key[:40]!r}; expected 1 to {MAX_KEY_BYTES} bytes of UTF-8",
            code="bad_key",
            field="key",
        )


def _ended(key: str, o: ListOutcome) -> bytes:
    kind = _ENDED if o.is_final else _TOLD
    value: Value = (kind, key, o.status.value, o.height, o.first_record, o.code, o.message)
    return codec.encode(value)


def decode_news(payload: bytes) -> tuple[str, bytes | ListOutcome]:
    """Read a record: a key with the bytes of the list that began, or with how it ended.

    Raises:
        DecodeError: it is none.
    """
    fields = codec.array(codec.decode(payload, max_bytes=_MAX_RECORD_BYTES), "record")
    kind = codec.integer(fields[0] if fields else None, "kind", most=_TOLD)
    if kind == _BEGUN:
        _, key, envelope = codec.array(fields, "begun", arity=3)
        return (
            codec.text(key, "key", most_bytes=MAX_KEY_BYTES),
            codec.binary(envelope, "envelope", most=MAX_TRANSACTION_BYTES),
        )
    _, key, status, height, first_record, code, message = codec.array(fields, "ended", arity=7)
    if status not in _STATUSES:
        raise DecodeError(f"status: found {status!r}", field="status")
    return codec.text(key, "key", most_bytes=MAX_KEY_BYTES), ListOutcome(
        status=ListStatus(str(status)),
        height=codec.integer(height, "height"),
        first_record=codec.integer(first_record, "first_record"),
        code=codec.text(code, "code", most_bytes=MAX_NAME_BYTES),
        message=codec.text(message, "message", most_bytes=MAX_RECEIPT_MESSAGE_BYTES),
        is_final=kind == _ENDED,
    )
