r"""Checkpoints: what a log commits to, as the text of a signed note (C2SP tlog-checkpoint).

    <origin>\n<tree size>\n<base64 of the root hash>\n

The origin is the chain id. There are no extension lines: they are not part of what members check when they cosign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model.errors import DecodeError
from chainnode.model.merkle import MAX_TREE_SIZE
from chainnode.model.note import check_key_name, decode_base64, encode_base64, parse_decimal
from chainnode.model.suites import HASH_BYTES

_LINES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state of a log."""

    origin: str
    """Name of the log; the key name of its signatures."""

    size: int
    """Leaves, 0 to 2**63 - 1."""

    root: bytes
    """32 bytes; the root of the tree."""

    def text(self) -> str:
        """Return the text that the log signs and that cosignatures cover."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note.

    Raises:
        DecodeError: not exactly the three lines.
    """
    origin, *rest = text.split("\n")
    if len(rest) != _LINES or rest[-1]:
        raise DecodeError(
            f"checkpoint: found {text.count(chr(10))} lines; expected origin, size and root, "
            "each ending in a newline",
            field="checkpoint",
            code="bad_checkpoint",
        )
    check_key_name(origin)
    size = parse_decimal(rest[0], "tree size", MAX_TREE_SIZE)
    root = decode_base64(rest[1], "root hash")
    if len(root) != HASH_BYTES:
        raise DecodeError(
            f"root hash: found {len(root)} bytes; expected {HASH_BYTES}",
            field="root",
            code="bad_checkpoint",
        )
    return Checkpoint(origin=origin, size=size, root=root)
