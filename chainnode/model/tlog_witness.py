r"""What a log and a witness say to each other (C2SP tlog-witness 1.0.0).

    POST <submission prefix>/add-checkpoint

    old <size>\n
    <base64 of a hash>\n          the consistency proof from that size on; up to 63 of these lines
    \n
    <signed checkpoint>

The answer is one or more signature lines. To an `old` that is not the size which the witness cosigned last it says that
size, as `<size>\n`, with HTTP status 409.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.errors import ChainError, DecodeError
from chainnode.model.merkle import MAX_PROOF_HASHES, MAX_TREE_SIZE
from chainnode.model.note import (
    MAX_NOTE_BYTES,
    Note,
    decode_base64,
    encode_base64,
    parse_decimal,
    parse_note,
)
from chainnode.model.suites import HASH_BYTES

MAX_SUBMISSION_BYTES: Final = MAX_NOTE_BYTES + 4_096
"""A longest note behind the size and 63 hashes."""

SIZE_CONTENT_TYPE: Final = "text/x.tlog.size"
"""Of the answer that says a size."""

MAX_SIZE_BODY_BYTES: Final = 20
"""2**63 - 1 in decimal and a line end."""

_OLD: Final = "old "


class SizeConflict(ChainError):
    """A submission does not start from the tree that the witness cosigned last."""

    code = "size_conflict"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size
        """Leaves of that tree; 0 if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checkpoint with the proof that it continues an older one; nothing of it is verified."""

    old_size: int
    """Leaves of the tree that the witness is thought to have cosigned last; 0 if none."""

    proof: tuple[bytes, ...]
    """RFC 9162 consistency proof, at most 63 hashes."""

    note: Note
    checkpoint: Checkpoint
    """What the note's text says."""

    def encode(self) -> bytes:
        """Return the request's body."""
        lines = [f"{_OLD}{self.old_size}", *(encode_base64(h) for h in self.proof)]
        return "\n".join((*lines, "", "")).encode() + self.note.encode()


def parse_submission(data: bytes) -> Submission:
    """Read the body of `add-checkpoint`.

    Raises:
        DecodeError: not the one encoding of a submission, or over a limit.
    """
    if len(data) > MAX_SUBMISSION_BYTES:
        raise _bad(f"{len(data)} bytes; at most {MAX_SUBMISSION_BYTES} are read")
    head, separator, note_bytes = data.partition(b"\n\n")
    if not separator or not head.isascii():
        raise _bad("no ASCII lines followed by an empty line and a checkpoint")
    first, *lines = head.decode("ascii").split("\n", MAX_PROOF_HASHES + 1)
    if not first.startswith(_OLD):
        raise _bad("the first line is not `old <size>`")
    if len(lines) > MAX_PROOF_HASHES:
        raise _bad(f"more than {MAX_PROOF_HASHES} hashes")
    old_size = parse_decimal(first.removeprefix(_OLD), "old size", MAX_TREE_SIZE)
    proof = tuple(decode_base64(line, "consistency proof") for line in lines)
    if any(len(h) != HASH_BYTES for h in proof):
        raise _bad(f"a hash of the consistency proof is not {HASH_BYTES} bytes long")
    note = parse_note(note_bytes)
    return Submission(
        old_size=old_size, proof=proof, note=note, checkpoint=parse_checkpoint(note.text)
    )


def encode_size(size: int) -> bytes:
    """Return the body that says which size a witness cosigned last."""
    return f"{size}\n".encode()


def parse_size(data: bytes) -> int:
    """Read the body that says which size a witness cosigned last.

    Raises:
        DecodeError: it is none.
    """
    text = data[: MAX_SIZE_BODY_BYTES + 1].decode("ascii", "replace")
    if not text.endswith("\n"):
        raise _bad("the size that the witness answers does not end in a newline")
    return parse_decimal(text[:-1], "tree size", MAX_TREE_SIZE)


def origin_hash(origin: str) -> str:
    """Return the SHA-256 of an origin in hex: its place below a monitoring prefix, on every suite."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _bad(found: str) -> DecodeError:
    return DecodeError(f"add-checkpoint: {found}", field="body", code="bad_submission")
