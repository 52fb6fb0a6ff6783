"""An append-only file of short records for whoever must go on after a crash: each is there as a whole or not at all.

    file  = magic (8) || frame ...
    frame = length u32 || crc32 u32 || payload              integers big-endian; crc32 that of zlib, over the payload

What a torn append leaves at the end is cut off by the next `open`: nothing that depended on it was done. Damage
anywhere else is refused, for a record that is skipped would let something be done twice.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.storage.append_file import AppendFile

MAGIC_BYTES: Final = 8

MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
"""One record: a list of 1,000 files with the longest paths and its transaction takes under 5 MiB."""

MAX_FILE_BYTES: Final = 1024 * 1024 * 1024
"""All records: lists of a million files take some 250 MiB. Beyond it nothing is appended."""

_PREFIX: Final = struct.Struct(">II")


class Journal:
    """The records of one file, which nobody else writes."""

    __slots__ = ("_file", "_magic")

    def __init__(self, file: AppendFile, magic: bytes) -> None:
        self._file = file
        self._magic = magic

    @classmethod
    def open(cls, file: AppendFile, magic: bytes) -> tuple[Journal, tuple[bytes, ...]]:
        """Read a journal; a new one is made of an empty file.

        Args:
            file: of this journal alone.
            magic: 8 bytes that name the kind and version of its records.

        Returns:
            The journal and the payloads of its records, in order.

        Raises:
            StorageFault: the disk failed, the file is another one, or it is damaged.
        """
        content = file.read_all(MAX_FILE_BYTES)
        if not content:
            file.replace(magic)
            return cls(file, magic), ()
        if content[:MAGIC_BYTES] != magic:
            raise StorageFault(
                f"the journal begins with {content[:MAGIC_BYTES]!r}; expected {magic!r}: it is none of "
                "this kind, or of another version"
            )
        payloads, end = _read_frames(content)
        if end < len(content):
            _check_torn(content, end)
            # A crash before, during or after this finds the same records.
            file.replace(content[:end])
        return cls(file, magic), payloads

    def append(self, payload: bytes) -> None:
        """Make a record durable. One at a time, so that only the last can be torn.

        Raises:
            StorageFault: the disk failed or the journal is full; nothing that depends on the record may be done.
        """
        data = _frame(payload)
        if len(payload) > MAX_PAYLOAD_BYTES or self._file.size_bytes + len(data) > MAX_FILE_BYTES:
            raise StorageFault(
                f"the journal has {self._file.size_bytes} bytes, and {len(data)} more do not fit: at most "
                f"{MAX_FILE_BYTES} in all, {MAX_PAYLOAD_BYTES} in one record"
            )
        self._file.append(data)
        # A crash here may leave a torn record; nothing has been done yet that depends on it.
        self._file.sync()

    def rewrite(self, payloads: Sequence[bytes]) -> None:
        """Make these all the records there are, in one step. Raises StorageFault."""
        self._file.replace(self._magic + b"".join(map(_frame, payloads)))

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return self._file.size_bytes

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _frame(payload: bytes) -> bytes:
    return _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def _frame_end(content: bytes, at: int) -> int:
    """Return where the frame at `at` ends, or 0 if there is no whole one."""
    start = at + _PREFIX.size
    if start > len(content):
        return 0
    length, crc = _PREFIX.unpack_from(content, at)
    end: int = start + length
    if not 0 < length <= MAX_PAYLOAD_BYTES or end > len(content):
        return 0
    return end if zlib.crc32(memoryview(content)[start:end]) == crc else 0


def _read_frames(content: bytes) -> tuple[tuple[bytes, ...], int]:
    payloads, at = [], MAGIC_BYTES
    while end := _frame_end(content, at):
        payloads.append(content[at + _PREFIX.size : end])
        at = end
    return tuple(payloads), at


def _check_torn(content: bytes, start: int) -> None:
    """Raise unless what begins at `start` can be the rest of one append, which only the last one can be.

    So nothing lies behind it: neither what its own length leaves over, nor, since a damaged length says anything, a
    whole record anywhere.
    """
    claimed = start + _PREFIX.size
    if claimed > len(content):
        return
    length, _ = _PREFIX.unpack_from(content, start)
    has_more = 0 < length <= MAX_PAYLOAD_BYTES and claimed + length < len(content)
    is_followed = any(
        _frame_end(content, at) for at in range(start + 1, len(content) - _PREFIX.size)
    )
    if has_more or is_followed or len(content) - claimed > MAX_PAYLOAD_BYTES:
        raise StorageFault(
            f"the journal is damaged at offset {start}: a record that is not as it was written, and more "
            f"behind it, of {len(content)} bytes in all; restore it from a backup"
        )
