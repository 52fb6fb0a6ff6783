"""What this validator has said in consensus, so that it never says the opposite after a crash.

    file    = magic 7 | version u8 | binding 32 | crc32 u32 of what precedes      44 bytes
              frame ...
    frame   = length u32 | crc32 u32 | kind u8 | height u64 | payload
              length and crc32 are of kind, height and payload together; integers are big-endian

`binding` is the hash of the chain's genesis. `append` returns only when its records are synced, and only
then does the caller send what they promise. A crash during an append leaves some first bytes of it,
perhaps followed by zeros. So of a log that is read again:

    torn     the last append is incomplete, and nothing valid follows the tear. Nothing that depends on
             it was ever sent. It is cut off, and the log says how many bytes that were.
    damaged  anything else: a bad frame with a valid one behind it, more bytes behind it than one append
             can have, a bad header, another chain's header. The node must not vote: whatever it lost, it
             may have promised. Every such case raises VoteLogDamaged; nothing is cut off or guessed.

Damage within the very last append looks like a tear, and a file cut at the end of a frame looks whole.
No format can tell these apart by itself; the caller compares with the height of its chain.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import InvariantViolation, StorageFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.storage.append_file import AppendFile

MAX_PAYLOAD_BYTES: Final = 2 * 1024 * 1024
"""One record. The largest is a proposal: 10,000 hashes (320 KiB) and a new-view certificate of
100 validators, each of which shows a certificate of 7 KiB."""

MAX_APPEND_BYTES: Final = 4 * 1024 * 1024
"""All records of one step of consensus; bounds what a tear can leave, and the search behind it."""

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Read as a whole at start. Reached only if no height is decided for thousands of views."""

REWRITE_BYTES: Final = 4 * 1024 * 1024
"""`forget_below` leaves a smaller file alone. At 1 KiB a height it rewrites once in 4,000 heights."""

_MAGIC: Final = b"cnvotes\x01"
"""Seven letters and the version of the format."""

_BINDING_BYTES: Final = 32
_CRC: Final = struct.Struct(">I")
_PREFIX: Final = struct.Struct(">II")
_HEAD: Final = struct.Struct(">BQ")
_HEADER_BYTES: Final = len(_MAGIC) + _BINDING_BYTES + _CRC.size
_ADVICE: Final = (
    "do not delete it and do not vote on a guess: find out what damaged it, move it aside and start again; "
    "the node then observes until it can no longer contradict what it has said"
)


class VoteLogDamaged(StorageFault):
    """Votes may have been lost; the node must not vote until a person has decided what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRecord:
    """One thing said or promised, opaque to this module."""

    kind: int
    """0 to 255; the writer's own numbering."""

    height: int
    """The block height it is about, 0 to 2^64 - 1; older heights are forgotten once decided."""

    payload: bytes
    """At most MAX_PAYLOAD_BYTES."""


class VoteLog:
    """An append-only file of VoteRecords, bound to one chain."""

    __slots__ = ("_file", "_header", "_rewrite_bytes", "is_new", "torn_bytes")

    is_new: bool
    """Nothing was ever appended. On a validator that has voted before, that is a lost log."""

    torn_bytes: int
    """What an append that a crash cut short had left, and `open` removed; 0 after a clean stop."""

    def __init__(self, file: AppendFile, *, header: bytes, torn_bytes: int) -> None:
        """Use `open`; this takes a file whose content has been checked, and the header if it has none."""
        self._file = file
        self._header = header
        self._rewrite_bytes = REWRITE_BYTES
        self.is_new = bool(header)
        self.torn_bytes = torn_bytes

    @classmethod
    def open(cls, file: AppendFile, binding: bytes) -> tuple[VoteLog, tuple[VoteRecord, ...]]:
        """Read the log. An empty `file` stays empty until the first append, so that the log stays new until then.

        Args:
            file: of this log alone.
            binding: 32 bytes, the hash of the chain's genesis.

        Returns:
            The log and all of its records, in the order in which they were appended.

        Raises:
            VoteLogDamaged: records may have been lost, or they are another chain's.
            StorageFault: the disk failed.
        """
        content = file.read_all(MAX_FILE_BYTES)
        if not content:
            return cls(file, header=_encode_header(binding), torn_bytes=0), ()
        _check_header(content, binding)
        records, end = _read_frames(content)
        torn_bytes = len(content) - end
        if torn_bytes:
            _check_torn(content, end)
            # A crash before, during or after this finds the same records: the cut bytes hold none.
            file.replace(content[:end])
        return cls(file, header=b"", torn_bytes=torn_bytes), records

    def append(self, records: Sequence[VoteRecord]) -> None:
        """Make `records` durable, with one write and one sync.

        Raises:
            StorageFault: the disk failed or the log is full; the records may or may not be found by the
                next `open`, and nothing that depends on them may be sent.
            InvariantViolation: more than MAX_APPEND_BYTES, or a record out of bounds.
        """
        if not records:
            return
        data = b"".join(map(_encode_frame, records))
        if len(data) > MAX_APPEND_BYTES:
            raise InvariantViolation(f"an append of {len(data)} bytes; at most {MAX_APPEND_BYTES}")
        if self._file.size_bytes + len(data) > MAX_FILE_BYTES:
            raise StorageFault(
                f"the vote log is full at {self._file.size_bytes} bytes: no height has been decided for "
                "thousands of views; find out why before this validator starts again",
            )
        if self._header:
            # All or nothing: a log whose header is there holds at least what was said first.
            self._file.replace(self._header + data)
            self._header = b""
            return
        self._file.append(data)
        # A crash here may leave a torn frame; nothing has been sent.
        self._file.sync()
        # A crash here finds the records; they may or may not have been sent.

    def forget_below(self, height: int) -> None:
        """Drop the records of heights below `height`, if the file has grown enough to be worth it.

        Raises:
            VoteLogDamaged: the file no longer holds what was appended; it is left as it is.
        """
        if self._file.size_bytes < self._rewrite_bytes:
            return
        content = self._file.read_all(MAX_FILE_BYTES)
        records, end = _read_frames(content)
        if end != len(content):
            raise _damaged(end, "a frame that was whole when written is not now")
        kept = b"".join(_encode_frame(record) for record in records if record.height >= height)
        # A crash finds the old file or the new one; both hold every record that still matters.
        self._file.replace(content[:_HEADER_BYTES] + kept)
        # Growth by half at least before the next time, or a log that stays long is rewritten each call.
        self._rewrite_bytes = max(REWRITE_BYTES, self._file.size_bytes * 3 // 2)

    def close(self) -> None:
        """Release the file; everything appended is durable already."""
        self._file.close()


def _encode_header(binding: bytes) -> bytes:
    if len(binding) != _BINDING_BYTES:
        raise InvariantViolation(f"a binding of {len(binding)} bytes; it is a hash of 32")
    header = _MAGIC + binding
    return header + _CRC.pack(zlib.crc32(header))


def _check_header(content: bytes, binding: bytes) -> None:
    expected = _encode_header(binding)
    header = content[:_HEADER_BYTES]
    if header == expected:
        return
    # The header is written by an atomic replace, so it is never torn: whatever differs is damage.
    body = header[: -_CRC.size]
    if len(header) < _HEADER_BYTES or _CRC.pack(zlib.crc32(body)) != header[-_CRC.size :]:
        raise _damaged(0, "the header is not one of a vote log")
    if not body.startswith(_MAGIC):
        raise _damaged(0, f"version {body[len(_MAGIC) - 1]} of the format, expected {_MAGIC[-1]}")
    raise VoteLogDamaged(
        f"the vote log is of another chain: genesis {body[len(_MAGIC) :].hex()}, "
        f"expected {binding.hex()}; give the node the home of its own chain",
    )


def _encode_frame(record: VoteRecord) -> bytes:
    if len(record.payload) > MAX_PAYLOAD_BYTES:
        raise InvariantViolation(f"a vote record of {len(record.payload)} bytes is too long")
    try:
        body = _HEAD.pack(record.kind, record.height) + record.payload
    except struct.error as error:
        raise InvariantViolation(
            f"kind {record.kind} or height {record.height}: {error}"
        ) from error
    return _PREFIX.pack(len(body), zlib.crc32(body)) + body


def _frame_end(content: bytes, at: int) -> int:
    """Where the frame that starts at `at` ends, or 0 if no valid frame starts there."""
    if len(content) - at < _PREFIX.size + _HEAD.size:
        return 0
    length, crc = _PREFIX.unpack_from(content, at)
    start = at + _PREFIX.size
    end: int = start + length
    if not _HEAD.size <= length <= _HEAD.size + MAX_PAYLOAD_BYTES or end > len(content):
        return 0
    return end if zlib.crc32(memoryview(content)[start:end]) == crc else 0


def _read_frames(content: bytes) -> tuple[tuple[VoteRecord, ...], int]:
    """The valid frames that follow the header without a gap, and where the last of them ends."""
    records, at = [], _HEADER_BYTES
    while end := _frame_end(content, at):
        kind, height = _HEAD.unpack_from(content, at + _PREFIX.size)
        payload = content[at + _PREFIX.size + _HEAD.size : end]
        records.append(VoteRecord(kind=kind, height=height, payload=payload))
        at = end
    return tuple(records), at


def _check_torn(content: bytes, start: int) -> None:
    """Raise unless the bytes from `start`, where a bad frame begins, can be the rest of one append."""
    if len(content) - start > MAX_APPEND_BYTES:
        raise _damaged(start, f"{len(content) - start} bytes that are no frame")
    # The bad frame's length cannot be trusted to say where the next one would begin: try each offset.
    for at in range(start + 1, len(content)):
        if _frame_end(content, at):
            raise _damaged(start, f"a bad frame, with a valid one behind it at offset {at}")


def _damaged(at: int, what: str) -> VoteLogDamaged:
    return VoteLogDamaged(f"the vote log is damaged at offset {at}: {what}; {_ADVICE}")
