"""Following a log as an outsider: each round, what its servers show must continue what was seen before.

    bad_signature ...    a checkpoint that the policy does not trust (codes of `chainnode.model.signatories`)
    stale                its quorum cosigned too long ago
    smaller_tree         a server shows fewer records than it has shown before
    rewritten            a server shows another history than it has shown before
    split_view           two servers show histories of which neither extends the other
    entries_differ       the entries that are served are not those of the tree

Each of these is an alarm. Everything is checked from checkpoints, tiles and entries alone, so any server of C2SP tlog-tiles
can be followed; a server that cannot be asked, or withholds tiles, is unreachable and no more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, ProofInvalid, Unavailable
from chainnode.model.log_extension import Tree, tiles_between, verify_extension
from chainnode.model.merkle import leaf_hashes
from chainnode.model.signatories import verify_checkpoint
from chainnode.model.tlog_tiles import TILE_WIDTH, TilePath, tile_width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.checkpoint import Checkpoint
    from chainnode.model.signatories import TrustedCheckpoint
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from cli.log_memory import Memory
    from cli.log_source import LogSource, Seen

ENTRIES_AT_ONCE: Final = TILE_WIDTH * TILE_WIDTH
"""Entries after which what was read is compared with the tree and kept: at most as many are read twice."""


class Alarm(ProofInvalid):
    """The log, or a server of it, is proven not to keep its word; with the checkpoints that show it."""

    def __init__(self, message: str, *, code: str, now: Seen, before: Seen | None) -> None:
        super().__init__(message, code=code)
        self.now = now
        self.before = before
        """What it contradicts; None if it stands for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one server shows in one round, found to continue what was seen before."""

    seen: Seen
    trusted: TrustedCheckpoint
    before: Seen | None
    """What it showed before, in this run or an earlier one."""

    @property
    def is_news(self) -> bool:
        """Whether the tree is another one than before."""
        return self.before is None or self.before.checkpoint != self.seen.checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of looking once."""

    sightings: tuple[Sighting, ...]
    lost: tuple[tuple[str, Unavailable], ...]
    """URLs that could not be asked, and why."""


class Watch:
    """Follows one log at several servers."""

    def __init__(
        self,
        *,
        policy: Policy,
        sources: Sequence[LogSource],
        memory: Memory,
        keep: Callable[[Memory], None],
        max_age_ms: int,
        reads_entries: bool,
    ) -> None:
        """Prepare to follow; `look` does.

        Args:
            policy: whose signatures make a checkpoint trustworthy.
            sources: where the log is served.
            memory: what was seen before.
            keep: makes what was seen durable.
            max_age_ms: how long ago a quorum may have cosigned.
            reads_entries: whether the entries are read as well.
        """
        self._policy = policy
        self._sources = {source.url: source for source in sources}
        self._memory = memory
        self._keep = keep
        self._max_age_ms = max_age_ms
        self._reads_entries = reads_entries

    async def look(self, now_ms: int) -> Round:
        """Ask every server once; what they show is kept when all of it was found to be one history.

        Raises:
            Alarm: as the module says.
            CannotTell: with code `policy_retired`.
            DecodeError: a server serves another log than the one that was followed.
            ChainError: what was seen cannot be kept.
        """
        sightings: list[Sighting] = []
        lost: list[tuple[str, Unavailable]] = []
        for source, answer in zip(self._sources.values(), await self._ask_all(), strict=True):
            try:
                if isinstance(answer, Unavailable):
                    raise answer
                sightings.append(await self._check(answer, now_ms))
            except Unavailable as error:
                lost.append((source.url, error))
        try:
            await self._check_against_largest(sightings)
        except Unavailable as error:
            # The histories are not compared yet, so nothing of this round counts.
            return Round(sightings=(), lost=(*lost, (self._largest(sightings).url, error)))
        self._remember(sightings)
        if self._reads_entries and sightings:
            try:
                await self._read_entries(self._largest(sightings))
            except Unavailable as error:
                lost.append((self._largest(sightings).url, error))
        return Round(sightings=tuple(sightings), lost=tuple(lost))

    async def _ask_all(self) -> tuple[Seen | Unavailable, ...]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(source)) for source in self._sources.values()]
        return tuple(task.result() for task in tasks)

    async def _ask(self, source: LogSource) -> Seen | Unavailable:
        try:
            return await source.checkpoint()
        except Unavailable as error:
            return error

    # -- one server ----------------------------------------------------------------------------------------

    async def _check(self, seen: Seen, now_ms: int) -> Sighting:
        before = self._memory.at(seen.url)
        try:
            trusted = verify_checkpoint(seen.note, self._policy)
        except ProofInvalid as error:
            raise Alarm(
                f"{seen.url}: {error.message}", code=error.error_code, now=seen, before=before
            ) from error
        self._check_one_log(seen)
        self._check_age(seen, trusted, now_ms)
        if before is not None:
            await self._check_growth(before, seen)
        return Sighting(seen=seen, trusted=trusted, before=before)

    def _check_one_log(self, seen: Seen) -> None:
        largest = self._memory.largest
        if largest is not None and largest.checkpoint.origin != seen.checkpoint.origin:
            raise DecodeError(
                f"{seen.url} serves the log {seen.checkpoint.origin}; what was followed so far is "
                f"{largest.checkpoint.origin}; follow each log with a --state of its own",
                code="other_log",
            )

    def _check_age(self, seen: Seen, trusted: TrustedCheckpoint, now_ms: int) -> None:
        age_ms = now_ms - trusted.quorum_s * 1_000
        if trusted.cosigners and age_ms > self._max_age_ms:
            raise Alarm(
                f"{seen.url} shows a checkpoint that a quorum cosigned {age_ms // 1_000} s ago; "
                f"expected {self._max_age_ms // 1_000} s at most (--max-age): the chain stands "
                "still, this node hears nothing of it, or newer records are withheld",
                code="stale",
                now=seen,
                before=self._memory.at(seen.url),
            )

    async def _check_growth(self, before: Seen, now: Seen) -> None:
        old, new = before.checkpoint, now.checkpoint
        if new.size < old.size:
            raise Alarm(
                f"{now.url} shows a log of {new.size} records; it has shown {old.size} before, and a "
                "log never shrinks",
                code="smaller_tree",
                now=now,
                before=before,
            )
        if not await self._extends(old, new, self._sources[now.url]):
            raise Alarm(
                f"{now.url} shows a log of {new.size} records that does not continue the {old.size} "
                "that it has shown before: its history was rewritten",
                code="rewritten",
                now=now,
                before=before,
            )

    async def _extends(self, old: Checkpoint, new: Checkpoint, source: LogSource) -> bool:
        """Whether `new`, whose tiles `source` has, is `old` or continues it."""
        if old.size == new.size:
            return old.root == new.root
        suite = self._suite
        wanted = tiles_between(suite, old.size, new.size)
        tiles = {path: await source.tile(path) for path in wanted}
        try:
            verify_extension(suite, _tree(old), _tree(new), tiles)
        except ProofInvalid:
            return False
        return True

    # -- all servers ---------------------------------------------------------------------------------------

    async def _check_against_largest(self, sightings: Sequence[Sighting]) -> None:
        """Compare everything that is shown or was seen with the largest tree that can be asked for.

        A server that lags behind what was seen of others earlier is compared when somebody shows that much again.
        """
        if not sightings:
            return
        largest = self._largest(sightings)
        self._check_one_origin(sightings, largest)
        source = self._sources[largest.url]
        known = [*(s.seen for s in sightings), *self._memory.seen]
        for other in known:
            if other.url == largest.url or other.checkpoint.size > largest.checkpoint.size:
                continue
            if not await self._extends(other.checkpoint, largest.checkpoint, source):
                raise Alarm(
                    f"{largest.url} shows a log of {largest.checkpoint.size} records, and {other.url} "
                    f"one of {other.checkpoint.size} that is no part of it: two histories are shown",
                    code="split_view",
                    now=largest,
                    before=other,
                )

    @staticmethod
    def _check_one_origin(sightings: Sequence[Sighting], largest: Seen) -> None:
        for sighting in sightings:
            if sighting.seen.checkpoint.origin != largest.checkpoint.origin:
                raise DecodeError(
                    f"{sighting.seen.url} serves the log {sighting.seen.checkpoint.origin}, and "
                    f"{largest.url} {largest.checkpoint.origin}; follow each log by itself",
                    code="other_log",
                )

    @staticmethod
    def _largest(sightings: Sequence[Sighting]) -> Seen:
        return max((s.seen for s in sightings), key=lambda seen: seen.checkpoint.size)

    def _remember(self, sightings: Sequence[Sighting]) -> None:
        fresh = {s.seen.url: s.seen for s in sightings}
        known = {s.url: s for s in self._memory.seen} | fresh
        largest = max(known.values(), key=lambda s: s.checkpoint.size, default=None)
        kept = tuple(s for s in known.values() if s.url in self._sources or s is largest)
        if kept != self._memory.seen:
            self._store(replace(self._memory, seen=kept))

    def _store(self, memory: Memory) -> None:
        self._keep(memory)
        self._memory = memory

    # -- entries -------------------------------------------------------------------------------------------

    async def _read_entries(self, newest: Seen) -> None:
        """Read the entries that were not read yet, and compare them with the tree."""
        source, suite = self._sources[newest.url], self._suite
        size = newest.checkpoint.size
        frontier = self._memory.entries
        while frontier.size < size:
            first = frontier.size
            end = min(size, (first // ENTRIES_AT_ONCE + 1) * ENTRIES_AT_ONCE)
            while frontier.size < end:
                index, offset = divmod(frontier.size, TILE_WIDTH)
                width = tile_width(0, index, end)
                records = await source.entries(TilePath(level=None, index=index, width=width))
                frontier = frontier.extended(suite, leaf_hashes(suite, records[offset:]))
            read = replace(newest.checkpoint, size=end, root=frontier.root(suite))
            if not await self._extends(read, newest.checkpoint, source):
                raise Alarm(
                    f"the entries {first} to {end - 1} that {newest.url} serves are not those of its "
                    f"own tree of {size} records",
                    code="entries_differ",
                    now=newest,
                    before=None,
                )
            self._store(replace(self._memory, entries=frontier))

    @property
    def _suite(self) -> Suite:
        return self._policy.logs[0].key.type.suite


def _tree(checkpoint: Checkpoint) -> Tree:
    return Tree(size=checkpoint.size, root=checkpoint.root)
