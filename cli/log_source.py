"""A log as anybody reads it: checkpoint, tiles and entries under one URL prefix (C2SP tlog-tiles).

Nothing that comes from there is believed here; only its form is checked. An answer that no log gives is `Unavailable`: it
is no proof of anything, and another attempt may find the log itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from chainnode.model.checkpoint import Checkpoint, parse_checkpoint
from chainnode.model.errors import DecodeError, Unavailable
from chainnode.model.note import MAX_NOTE_BYTES, Note, parse_note
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_tiles import TILE_WIDTH, TilePath, decode_entries

if TYPE_CHECKING:
    from chainnode.rpc.client import RpcClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A signed checkpoint as somebody showed it; none of its signatures is verified."""

    url: str
    """The prefix of whoever served it."""

    note: Note
    checkpoint: Checkpoint
    """What the note's text says."""


class LogSource:
    """Reads one log prefix."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """The prefix."""
        return self._client.url

    async def checkpoint(self) -> Seen:
        """Return the newest signed checkpoint that is served.

        Raises:
            Unavailable: there is no answer, or it is no signed checkpoint.
        """
        status, body = await self._client.get("/checkpoint")
        if status != HTTPStatus.OK:
            said = body[:200].decode(errors="replace").strip()
            raise Unavailable(
                f"{self.url} has no checkpoint to show (HTTP {status}: {said})",
                code="no_checkpoint",
            )
        try:
            note = parse_note(body[: MAX_NOTE_BYTES + 1])
            return Seen(url=self.url, note=note, checkpoint=parse_checkpoint(note.text))
        except DecodeError as error:
            raise self._bad_answer("checkpoint", error.message) from error

    async def tile(self, path: TilePath) -> bytes:
        """Return a tile of hashes, exactly as wide as its path says.

        Raises:
            Unavailable: there is none, or it has another length.
        """
        data = await self._wide_enough(path)
        if len(data) % HASH_BYTES or len(data) < path.width * HASH_BYTES:
            raise self._bad_answer(path.text(), f"{len(data)} bytes")
        return data[: path.width * HASH_BYTES]

    async def entries(self, path: TilePath) -> tuple[bytes, ...]:
        """Return a bundle of records, exactly as many as its path says.

        Raises:
            Unavailable: there is none, or it is malformed.
        """
        try:
            records = decode_entries(await self._wide_enough(path))
        except DecodeError as error:
            raise self._bad_answer(path.text(), error.message) from error
        if len(records) < path.width:
            raise self._bad_answer(path.text(), f"{len(records)} records")
        return records[: path.width]

    async def _wide_enough(self, path: TilePath) -> bytes:
        """Return a tile at least as wide; a log may have dropped a partial one once it is full."""
        status, body = await self._client.get(f"/{path.text()}")
        if status != HTTPStatus.OK and path.width < TILE_WIDTH:
            full = TilePath(level=path.level, index=path.index)
            status, body = await self._client.get(f"/{full.text()}")
        if status != HTTPStatus.OK:
            raise Unavailable(
                f"{self.url} does not serve {path.text()} (HTTP {status}), which its checkpoint "
                "needs; a log without its tiles cannot be checked",
                code="tile_missing",
            )
        return body

    def _bad_answer(self, what: str, found: str) -> Unavailable:
        return Unavailable(f"what {self.url} serves as {what} is none: {found}", code="bad_answer")
