"""What a monitor has seen of a log, kept in one file so that no later run can be told another history.

    {"version": 1,
     "seen":    [{"url": <prefix>, "checkpoint": <signed note>}, ...],
     "entries": {"size": <leaves>, "hashes": [<base64>, ...]}}

`seen` has the newest checkpoint of each prefix that is followed, and the largest of any. `entries` is the frontier of the
tree up to which the log's entries themselves were read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import PUBLIC, replace_file
from chainnode.model.checkpoint import parse_checkpoint
from chainnode.model.errors import DecodeError
from chainnode.model.merkle import EMPTY, Frontier
from chainnode.model.note import decode_base64, encode_base64, parse_note
from cli.log_source import Seen
from cli.session import read_input

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1

MAX_PREFIXES: Final = 32
"""Prefixes that one monitor follows: a chain's validators, or a log and its mirrors."""

MAX_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""A checkpoint of the longest notes for each prefix and one more; with 7 cosignatures each it is 40 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was seen and found to be one history."""

    seen: tuple[Seen, ...] = ()
    """No two of one URL; all of one origin."""

    entries: Frontier = EMPTY
    """Of the tree whose entries were read; not larger than the largest that was seen."""

    def at(self, url: str) -> Seen | None:
        """Return the newest that this prefix served, or None."""
        return next((seen for seen in self.seen if seen.url == url), None)

    @property
    def largest(self) -> Seen | None:
        """The largest tree that any prefix served, or None before the first."""
        return max(self.seen, key=lambda seen: seen.checkpoint.size, default=None)


def load_memory(path: Path) -> Memory:
    """Return what an earlier run kept; nothing if there is no such file.

    Raises:
        DecodeError: it cannot be read, or is no such file.
    """
    if not path.exists():
        return Memory()
    try:
        return decode_memory(read_input(path, max_bytes=MAX_MEMORY_BYTES))
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}; if it cannot be restored, name a new one with --state: "
            "what this one had seen can then not be compared with any more",
            code="bad_state",
        ) from error


def save_memory(path: Path, memory: Memory) -> None:
    """Keep it; durable on return. A crash leaves what was kept before, or this. Raises ChainError."""
    replace_file(path, encode_memory(memory), mode=PUBLIC)


def encode_memory(memory: Memory) -> bytes:
    """Return the file's bytes."""
    document = {
        "version": VERSION,
        "seen": [{"url": s.url, "checkpoint": s.note.encode().decode()} for s in memory.seen],
        "entries": {
            "size": memory.entries.size,
            "hashes": [encode_base64(h) for h in memory.entries.hashes],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def decode_memory(data: bytes) -> Memory:
    """Read the file's bytes.

    Raises:
        DecodeError: they are not what `encode_memory` writes.
    """
    try:
        document = json.loads(data)
        seen = tuple(_seen(item["url"], item["checkpoint"]) for item in document["seen"])
        size, hashes = document["entries"]["size"], document["entries"]["hashes"]
        entries = Frontier(size=size, hashes=tuple(decode_base64(h, "hash") for h in hashes))
        memory = Memory(seen=seen, entries=entries)
        same = type(size) is int and encode_memory(memory) == data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DecodeError(f"not a monitor's state: {error}", code="bad_state") from error
    largest = 0 if memory.largest is None else memory.largest.checkpoint.size
    if (
        not same
        or len({s.url for s in seen}) != len(seen)
        or len({s.checkpoint.origin for s in seen}) > 1
        or entries.size > largest
    ):
        raise DecodeError("not a monitor's state of this version", code="bad_state")
    return memory


def _seen(url: object, text: str) -> Seen:
    note = parse_note(text.encode())
    if not isinstance(url, str):
        raise TypeError("a URL is text")
    return Seen(url=url, note=note, checkpoint=parse_checkpoint(note.text))
