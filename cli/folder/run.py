"""Notarizing a folder, from the first look to the manifest; begun anew it goes on where it was.

    walk -> examine (threads) -> lists, signed and written to the journal -> chain -> proofs -> manifest

Whatever stops it, each file is in one of three states: not registered; in a list of the journal, whose very bytes are
sent again by the next run until the chain says what became of them; or with its proof in its place.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from chainnode.client.lists import ListStatus, make_list, most_documents
from chainnode.client.outcomes import settle
from chainnode.client.proving import prove_list
from chainnode.client.tasks import task_group
from chainnode.clock import SystemClock
from chainnode.model.calls import Document
from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import CannotTell, DecodeError, NotFound, ProofInvalid, Refused
from cli.exit_status import ChainRefused
from cli.folder.examine import Examiner, Hashed, Kept, Lost
from cli.folder.journal import FolderJournal, OpenList, Place, finished_entries
from cli.folder.manifest import MAX_MANIFEST_BYTES, Entry, decode_manifest, make_manifest
from cli.folder.names import JOURNAL_FOLDER, MANIFEST_NAME, SUMS_NAME, proof_name
from cli.folder.place import Missed, Placer, file_error, sync_folder, write_whole
from cli.folder.progress import REDRAW_MS, FolderProgress
from cli.folder.restore import fetch_again
from cli.folder.walk import FoundFile, Problem, Walk, walk
from cli.session import read_input

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from chainnode.client.nodes import Nodes
    from chainnode.client.sender import Sender
    from chainnode.client.trust import Trust

IN_FLIGHT: Final = 4
"""Lists that are under way at once: while one waits for its block, others are hashed, proven and written."""

CHUNK_FILES: Final = 32
CHUNK_BYTES: Final = 16 * 1024 * 1024
"""What a thread takes at a time: enough to make handing over cheap, little enough for all threads to end together."""

PLACING_THREADS: Final = 8
"""Proofs that are synced to disk at once; a disk makes several syncs for little more than the price of one."""

ROUNDS: Final = 3
"""How often files that changed meanwhile are taken up again, or such whose list expired."""

_Work: TypeAlias = "OpenList | Lost | tuple[Hashed, ...]"
_Found: TypeAlias = "Hashed | Kept | Lost | Problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOrder:
    """What is to be notarized, and how."""

    root: Path
    out: Path
    """Where proofs, manifest and journal go; `root` itself, or a folder that mirrors it."""

    skip_hidden: bool
    is_public: bool
    title: str | None
    algorithms: tuple[str, ...]
    """Of the digests, such as the chain takes; at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReport:
    """What a run has found and done."""

    files: int
    """Regular files in the folder."""

    notarized: int
    """Registered in this run, or proven now after an earlier run had sent them."""

    adopted: int
    """With a genuine proof already, which the manifest did not know."""

    restored: int
    """Whose proof was gone and is there again."""

    unchanged: int
    others: int
    """Symbolic links and the like, passed over."""

    gone: int
    """In the manifest, and no longer in the folder."""

    lists: int
    """Transactions that this run has carried to their end."""

    problems: tuple[Problem, ...]
    elapsed_ms: int


class _Stopped(Exception):
    """The run has ended while a thread was still reading."""


class FolderRun:
    """One run. Use once."""

    def __init__(self, nodes: Nodes, sender: Sender, trust: Trust, order: FolderOrder) -> None:
        self._nodes, self._sender, self._trust, self._order = nodes, sender, trust, order
        self._clock = SystemClock()
        self._progress = FolderProgress("notarizing", self._clock)
        self._stopping = threading.Event()
        self._known: dict[str, Entry] = {}
        self._fresh: dict[str, Entry] = {}
        """What the manifest does not say yet, beside what the journal has."""

        self._lost: list[Lost] = []
        """Whose proofs are gone, though the files are as the manifest says."""

        self._again: list[FoundFile] = []
        self._problems: list[Problem] = []
        self._notarized = self._adopted = self._restored = self._unchanged = self._lists = 0

    async def run(self) -> FolderReport:
        """Notarize what is not notarized.

        Raises:
            ChainRefused: the chain refused a list, or it failed.
            Unavailable: no node answered for long; what was begun is in the journal.
            Refused: `in_use`, `other_chain`, `too_many_files`.
            ChainError: with code `file_error`: the disk refuses; what was begun is in the journal.
        """
        begun_ms = self._clock.monotonic_ms()
        order, sender = self._order, self._sender
        journal = FolderJournal.open_in(order.out / JOURNAL_FOLDER, sender.domain, sender.chain_id)
        try:
            found = await asyncio.to_thread(
                walk,
                order.root,
                skip_hidden=order.skip_hidden,
                besides=None if order.out == order.root else order.out,
            )
            self._known = self._read_manifest() | journal.entries
            is_new = bool(journal.entries)
            self._problems += found.problems
            todo = self._plan(found.files, journal)
            for _ in range(ROUNDS):
                await self._carry(journal, todo)
                todo, self._again = self._again, []
                if not todo:
                    break
            self._problems += (
                Problem(path=file.path, sentence="is not registered: it keeps changing; run again")
                for file in todo
            )
            if is_new or journal.entries or self._fresh:
                self._write_manifest(journal)
                # A crash before this finds the lists in journal and manifest alike.
                journal.clear()
        finally:
            self._stopping.set()
            self._progress.wipe()
            journal.close()
        return self._report(found, begun_ms)

    def _report(self, found: Walk, begun_ms: int) -> FolderReport:
        root = self._order.root
        return FolderReport(
            files=len(found.files),
            notarized=self._notarized,
            adopted=self._adopted,
            restored=self._restored,
            unchanged=self._unchanged,
            others=found.others,
            gone=sum(not os.path.lexists(root / path) for path in self._known),
            lists=self._lists,
            problems=tuple(self._problems),
            elapsed_ms=self._clock.monotonic_ms() - begun_ms,
        )

    # -- what is to be done --------------------------------------------------------------------------------

    def _plan(self, files: Sequence[FoundFile], journal: FolderJournal) -> list[FoundFile]:
        """Return the files that must be looked at; those in lists under way are not among them."""
        under_way = {file.path for of in journal.open.values() for file in of.files}
        todo: list[FoundFile] = []
        for file in files:
            entry = self._known.get(file.path)
            if file.path in under_way:
                continue
            if entry is None or (entry.size, entry.mtime_ns) != (file.size, file.mtime_ns):
                todo.append(file)
            elif os.path.lexists(self._order.out / proof_name(file.path)):
                self._unchanged += 1
            else:
                self._lost.append(Lost(entry=entry))
        self._progress.expect(
            len(todo) + len(self._lost) + sum(len(of.files) for of in journal.open.values()),
            sum(file.size for file in todo),
        )
        return todo

    def _read_manifest(self) -> dict[str, Entry]:
        path = self._order.out / MANIFEST_NAME
        if not path.exists():
            return {}
        manifest = decode_manifest(read_input(path, max_bytes=MAX_MANIFEST_BYTES))
        if manifest.genesis_hash != self._sender.domain.genesis_hash:
            raise Refused(
                f"{path} is of the chain {manifest.chain_id} with another genesis; choose another folder "
                "with --out",
                code="other_chain",
            )
        return {entry.path: entry for entry in manifest.entries}

    def _write_manifest(self, journal: FolderJournal) -> None:
        entries = self._known | self._fresh | journal.entries
        manifest = make_manifest(
            self._sender.chain_id, self._sender.domain.genesis_hash, entries.values()
        )
        out = self._order.out
        try:
            for name, content in (
                (SUMS_NAME, manifest.sums()),
                (MANIFEST_NAME, manifest.encode()),
            ):
                write_whole(out / name, content)
            sync_folder(out)
        except OSError as error:
            raise file_error(error) from error

    # -- doing it ------------------------------------------------------------------------------------------

    async def _carry(self, journal: FolderJournal, todo: Sequence[FoundFile]) -> None:
        """Bring every list under way to its end, and those of `todo` that need it into lists."""
        order = self._order
        resumed: list[OpenList | Lost] = [*journal.open.values(), *self._lost]
        self._lost = []
        with (
            ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as reading,
            ThreadPoolExecutor(PLACING_THREADS) as placing,
        ):
            placer = Placer(
                root=order.root, out=order.out, threads=placing, advance=self._keep_going
            )
            queue: asyncio.Queue[_Work | None] = asyncio.Queue(maxsize=1)
            try:
                async with task_group() as drawing:
                    drawer = drawing.create_task(self._draw())
                    async with task_group() as senders:
                        for _ in range(IN_FLIGHT):
                            senders.create_task(self._send(queue, journal, placer))
                        for of in resumed:
                            await queue.put(of)
                        async for part in self._parts(todo, reading):
                            await queue.put(part)
                        for _ in range(IN_FLIGHT):
                            await queue.put(None)
                    drawer.cancel()
            except BaseException:
                self._stopping.set()
                raise

    async def _draw(self) -> None:
        while True:
            self._progress.draw()
            await asyncio.sleep(REDRAW_MS / 1_000)

    async def _parts(
        self, todo: Sequence[FoundFile], reading: ThreadPoolExecutor
    ) -> AsyncIterator[Lost | tuple[Hashed, ...]]:
        """Yield the files that must be registered, as many as fit a list at a time, and those whose proofs are gone."""
        most = most_documents(self._like())
        examiner = Examiner(
            root=self._order.root,
            out=self._order.out,
            algorithms=self._order.algorithms,
            suite=self._sender.domain.suite,
            verifier=await self._trust.verifier(self._nodes) if todo else None,
            advance=self._keep_going,
        )
        part: list[Hashed] = []
        async for found in self._examined(todo, examiner, reading):
            match found:
                case Problem():
                    self._problems.append(found)
                case Kept():
                    self._fresh[found.entry.path] = found.entry
                    self._adopted += found.is_adopted
                    self._unchanged += not found.is_adopted
                case Lost():
                    yield found
                    continue
                case Hashed():
                    part.append(found)
                    if len(part) == most:
                        yield tuple(part)
                        part = []
                    continue
            self._progress.done(1)
        if part:
            yield tuple(part)

    def _like(self) -> Document:
        """Return a document as long as those of this run."""
        digests = tuple(
            Digest(algorithm=name, value=bytes(DIGEST_BYTES[name]))
            for name in self._order.algorithms
        )
        return Document(digests=digests, title=self._order.title)

    async def _examined(
        self, todo: Sequence[FoundFile], examiner: Examiner, reading: ThreadPoolExecutor
    ) -> AsyncIterator[_Found]:
        """Yield what was found of each file, in order; a few chunks are read ahead."""

        def look_at(chunk: list[FoundFile]) -> list[_Found]:
            try:
                return [examiner.look_at(file, self._known.get(file.path)) for file in chunk]
            except _Stopped:
                return []

        loop = asyncio.get_running_loop()
        ahead = 2 * max(2, os.cpu_count() or 1)
        waiting: deque[asyncio.Future[list[_Found]]] = deque()
        for chunk in _chunks(todo):
            waiting.append(loop.run_in_executor(reading, look_at, chunk))
            if len(waiting) > ahead:
                for found in await waiting.popleft():
                    yield found
        while waiting:
            for found in await waiting.popleft():
                yield found

    async def _send(
        self, queue: asyncio.Queue[_Work | None], journal: FolderJournal, placer: Placer
    ) -> None:
        while (work := await queue.get()) is not None:
            if isinstance(work, Lost):
                await self._restore(work.entry, placer)
                continue
            of = work if isinstance(work, OpenList) else await self._begin(work, journal)
            await self._finish(of, journal, placer)

    async def _restore(self, entry: Entry, placer: Placer) -> None:
        try:
            proven = await fetch_again(self._nodes, self._sender, self._trust, entry)
        except (NotFound, DecodeError, ProofInvalid, CannotTell) as error:
            sentence = f"is registered, but its proof is gone and not to be had: {error.message}"
            self._problems.append(Problem(path=entry.path, sentence=sentence))
        else:
            await asyncio.to_thread(placer.restore, entry.path, proven)
            self._fresh[entry.path] = entry
            self._restored += 1
        self._progress.done(1)

    async def _begin(self, part: tuple[Hashed, ...], journal: FolderJournal) -> OpenList:
        tip_height = await self._nodes.ask(self._trust.tip_height)
        documents = [Document(digests=h.digests, title=self._order.title) for h in part]
        made = make_list(
            self._sender,
            documents,
            is_public=self._order.is_public,
            tip_height=tip_height,
        )
        return journal.begin([h.file for h in part], made)

    async def _finish(self, of: OpenList, journal: FolderJournal, placer: Placer) -> None:
        try:
            outcome = await settle(self._nodes, self._trust, of.made)
        except Refused as error:
            raise ChainRefused(error.message, code=error.error_code, field=error.field) from error
        if outcome.status is not ListStatus.COMMITTED:
            journal.drop(of.number)
            self._again += of.files
            if outcome.status is ListStatus.FAILED:
                raise ChainRefused(
                    f"transaction {of.made.transaction.id.hex()} failed in block {outcome.height}: "
                    f"{outcome.message}",
                    code=outcome.code,
                )
            return
        proven = await prove_list(self._nodes, self._sender, self._trust, of.made, outcome)
        placed = await asyncio.to_thread(placer.place, of, proven)
        record = proven[0].notarization.record
        place = Place(
            height=record.height,
            time_ms=record.time_ms,
            not_before_ms=record.not_before_ms,
            not_after_ms=record.not_after_ms,
            first_record=outcome.first_record,
        )
        entries: dict[int, Entry] = {}
        for item, entry in finished_entries(of, place).items():
            now = placed[item]
            if isinstance(now, FoundFile):
                entries[item] = replace(entry, size=now.size, mtime_ns=now.mtime_ns)
            elif now is Missed.CHANGED:
                self._again.append(of.files[item])
            else:
                sentence = "was registered, but has gone since"
                self._problems.append(Problem(path=entry.path, sentence=sentence))
        journal.finish(of.number, place, entries)
        self._lists += 1
        self._notarized += len(entries)
        self._progress.done(len(entries))

    def _keep_going(self, read_bytes: int) -> None:
        if self._stopping.is_set():
            raise _Stopped
        self._progress.read(read_bytes)


def _chunks(files: Sequence[FoundFile]) -> Iterator[list[FoundFile]]:
    chunk: list[FoundFile] = []
    size = 0
    for file in files:
        if chunk and (len(chunk) == CHUNK_FILES or size + file.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    if chunk:
        yield chunk
