"""What the gateway has accepted, on disk before anybody is told, and in memory by id and by idempotency key.

    0  list    [0, number, envelope, [entry, ...]]       accepted; or signed anew, under the same number, after it expired
    1  ended   [1, number, status, height, first_record, code, message]
    2  kept    [2, number, tx_id, [status, height, first_record, code, message], [entry, ...]]   an ended list, when the
               file is written anew
    3  told    [3, id]      its webhook was told, or told in vain for long enough

    entry = [id (16 bytes), token, key or nil, request hash (32 bytes), webhook or nil]

Canonical MessagePack in frames of `chainnode.storage.journal`. A list that has not ended is sent again after a restart,
byte for byte, until the chain says what became of it. docs/formats/storage.md
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, StorageFault
from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL, MAX_NAME_BYTES, MAX_TRANSACTION_BYTES
from chainnode.model.suites import HASH_BYTES
from chainnode.model.transaction import decode_transaction
from chainnode.services.outcome import Status
from chainnode.services.untold import UntoldQueue
from chainnode.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.storage.append_file import AppendFile

MAGIC: Final = b"cngate\x00\x01"
ID_BYTES: Final = 16
MAX_KEY_BYTES: Final = 256
"""An `Idempotency-Key`."""

MAX_KEPT: Final = 100_000
"""Records that are remembered after their list ended, some 60 MiB. Beyond it the lists that ended longest ago are forgotten:
their ids read `unknown`, their keys are new, and their webhooks are told no more."""

MAX_TOLD: Final = MAX_DOCUMENTS_PER_CALL
"""Documents in one record that says whose webhooks are told no more: those of one list, in a file that is written anew."""

_MAX_RECORD_BYTES: Final = 1024 * 1024
_MAX_MESSAGE_BYTES: Final = 1_024
_REWRITE_BYTES: Final = 4 * 1024 * 1024
"""The file is written anew when it has twice as many bytes as after the last time, and so many more: so writing anew costs
less than what was appended in between, whatever the records are. One that is larger is written anew when it is opened."""

_LIST, _ENDED, _KEPT, _TOLD = range(4)
_FINAL: Final = {Status.COMMITTED.value: Status.COMMITTED, Status.FAILED.value: Status.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted document."""

    id: bytes
    """16 random bytes, by which its submitter asks for it."""

    token: str
    """Name of the token under which it came; nobody else sees it."""

    key: str | None
    """Its idempotency key, which is that token's alone."""

    request_hash: bytes
    """Of what was asked, so that a key is not used for something else."""

    webhook: str | None
    """Name of the target that is told how it ended; None if nobody is, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A record: the webhooks of documents are told of them no more."""

    ids: tuple[bytes, ...]
    """1 to `MAX_TOLD`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a list ended; final."""

    status: Status
    """`COMMITTED` or `FAILED`."""

    height: int
    first_record: int
    """Log index of its first document."""

    code: str
    message: str

    def as_value(self) -> tuple[Value, ...]:
        """Return the array form."""
        return (self.status.value, self.height, self.first_record, self.code, self.message)


@dataclass(slots=True, kw_only=True, eq=False)
class GatewayList:
    """Documents in one transaction."""

    number: int
    entries: tuple[Entry, ...]
    envelope: bytes
    """The transaction's bytes; empty once it has ended, for the chain has them."""

    tx_id: bytes

    ending: Ending | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A record: a list was accepted, or signed anew."""

    number: int
    envelope: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A record: a list has ended."""

    number: int
    ending: Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptList:
    """A record: a list that has ended, in a file that was written anew."""

    number: int
    tx_id: bytes
    ending: Ending
    entries: tuple[Entry, ...]


Line = Listed | Ended | KeptList | Told


def encode_line(line: Line) -> bytes:
    """Return the payload of a record."""
    match line:
        case Listed():
            return codec.encode((_LIST, line.number, line.envelope, _entries_value(line.entries)))
        case Ended():
            return codec.encode((_ENDED, line.number, *line.ending.as_value()))
        case KeptList():
            entries = _entries_value(line.entries)
            return codec.encode((_KEPT, line.number, line.tx_id, line.ending.as_value(), entries))
        case Told():
            return codec.encode((_TOLD, *line.ids))


def decode_line(payload: bytes) -> Line:
    """Read the payload of a record.

    Raises:
        DecodeError: it is none.
    """
    fields = codec.array(codec.decode(payload, max_bytes=_MAX_RECORD_BYTES), "record")
    kind = codec.integer(fields[0] if fields else None, "kind", most=_TOLD)
    if kind == _LIST:
        _, number, envelope, entries = codec.array(fields, "list", arity=4)
        return Listed(
            number=codec.integer(number, "number"),
            envelope=codec.binary(envelope, "envelope", most=MAX_TRANSACTION_BYTES),
            entries=_parse_entries(entries),
        )
    if kind == _ENDED:
        codec.array(fields, "ended", arity=7)
        return Ended(number=codec.integer(fields[1], "number"), ending=_ending(fields[2:]))
    if kind == _TOLD:
        ids = codec.array_up_to(fields[1:], "told", least=1, most=MAX_TOLD)
        return Told(ids=tuple(codec.binary(id_, "id", size=ID_BYTES) for id_ in ids))
    _, number, tx_id, ending, entries = codec.array(fields, "kept", arity=5)
    return KeptList(
        number=codec.integer(number, "number"),
        tx_id=codec.binary(tx_id, "tx_id", size=HASH_BYTES),
        ending=_ending(ending),
        entries=_parse_entries(entries),
    )


def _entries_value(entries: tuple[Entry, ...]) -> Value:
    return tuple((e.id, e.token, e.key, e.request_hash, e.webhook) for e in entries)


def _parse_entries(value: Value) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for element in codec.array_up_to(value, "entries", least=1, most=MAX_DOCUMENTS_PER_CALL):
        id_, token, key, request_hash, webhook = codec.array(element, "entry", arity=5)
        found.append(
            Entry(
                id=codec.binary(id_, "id", size=ID_BYTES),
                token=codec.text(token, "token", most_bytes=MAX_NAME_BYTES),
                key=None if key is None else codec.text(key, "key", most_bytes=MAX_KEY_BYTES),
                request_hash=codec.binary(request_hash, "request_hash", size=HASH_BYTES),
                webhook=None
                if webhook is None
                else codec.text(webhook, "webhook", most_bytes=MAX_NAME_BYTES),
            )
        )
    return tuple(found)


def _ending(value: Value) -> Ending:
    status, height, first_record, code, message = codec.array(value, "ending", arity=5)
    found = _FINAL.get(codec.text(status, "status", most_bytes=MAX_NAME_BYTES))
    if found is None:
        raise DecodeError(f"status: found {status!r}; expected a final one", field="status")
    return Ending(
        status=found,
        height=codec.integer(height, "height"),
        first_record=codec.integer(first_record, "first_record"),
        code=codec.text(code, "code", most_bytes=MAX_NAME_BYTES),
        message=codec.text(message, "message", most_bytes=_MAX_MESSAGE_BYTES),
    )


_NOTHING: Final = UntoldQueue()


class GatewayJournal:
    """The accepted documents of one node. Raises StorageFault wherever the disk fails: then the node stops."""

    def __init__(self, file: AppendFile, domain: Domain, *, most_kept: int = MAX_KEPT) -> None:
        """Read a journal, or begin one. Raises StorageFault: the disk failed, or the journal is damaged."""
        self._domain = domain
        self._most_kept = most_kept
        self._open: dict[int, GatewayList] = {}
        """In the order in which they were accepted, by number."""

        self._ended: OrderedDict[int, tuple[GatewayList, Ending]] = OrderedDict()
        """In the order in which they ended, by number."""

        self._places: dict[bytes, tuple[GatewayList, int]] = {}
        """By id: the list, and which document of it."""

        self._keys: dict[tuple[str, str], Entry] = {}
        """By token and idempotency key."""

        self._untold: dict[str, UntoldQueue] = {}
        """By webhook; empty for none."""

        self._kept = 0
        self._next = 0
        self._journal, payloads = Journal.open(file, MAGIC)
        try:
            for payload in payloads:
                self._replay(decode_line(payload))
        except DecodeError as error:
            raise StorageFault(
                f"the gateway's journal is damaged: {error.message}; restore it from a backup"
            ) from error
        self._rewrite_above = _REWRITE_BYTES
        self._rewrite_if_large()

    @property
    def open_lists(self) -> tuple[GatewayList, ...]:
        """Lists that have not ended, in the order in which they were accepted."""
        return tuple(self._open.values())

    def place(self, id_: bytes) -> tuple[GatewayList, int] | None:
        """Return the list of an id, and which document of it."""
        return self._places.get(id_)

    def by_key(self, token: str, key: str) -> Entry | None:
        """Return what came under an idempotency key."""
        return self._keys.get((token, key))

    def accept(self, entries: Sequence[Entry], envelope: bytes, tx_id: bytes) -> GatewayList:
        """Write down a list; durable on return, and only then is anybody told that it is accepted."""
        one = GatewayList(number=self._next, entries=tuple(entries), envelope=envelope, tx_id=tx_id)
        line = Listed(number=one.number, envelope=envelope, entries=one.entries)
        self._journal.append(encode_line(line))
        self._add(one)
        return one

    def sign_anew(self, one: GatewayList, envelope: bytes, tx_id: bytes) -> None:
        """Write down other bytes for a list that expired; durable on return, and only then are they sent."""
        line = Listed(number=one.number, envelope=envelope, entries=one.entries)
        self._journal.append(encode_line(line))
        one.envelope, one.tx_id = envelope, tx_id
        self._rewrite_if_large()

    def end(self, one: GatewayList, ending: Ending) -> None:
        """Write down how a list ended. A crash that loses it has the chain asked again."""
        self._journal.append(encode_line(Ended(number=one.number, ending=ending)))
        self._finish(one, ending)
        self._rewrite_if_large()

    @property
    def untold_webhooks(self) -> tuple[str, ...]:
        """Names of the webhooks that are still to be told of something."""
        return tuple(self._untold)

    def untold(self, webhook: str) -> UntoldQueue:
        """Return the documents that have ended and of which a webhook is still to be told, oldest first after a start."""
        return self._untold.get(webhook, _NOTHING)

    def told(self, *ids: bytes) -> None:
        """Write down that webhooks are told no more of so many documents, at most `MAX_TOLD`, in one sync.

        A crash that loses it has them told again.
        """
        self._journal.append(encode_line(Told(ids=ids)))
        self._tell_no_more(ids)

    def close(self) -> None:
        """Release the file."""
        self._journal.close()

    def _rewrite_if_large(self) -> None:
        if self._journal.size_bytes > self._rewrite_above:
            self._journal.rewrite([encode_line(line) for line in self._lines()])
            self._rewrite_above = 2 * self._journal.size_bytes + _REWRITE_BYTES

    def _lines(self) -> Iterator[Line]:
        """Yield all that is remembered, so that reading it comes to the same."""
        for one, ending in self._ended.values():
            yield KeptList(number=one.number, tx_id=one.tx_id, ending=ending, entries=one.entries)
            told = tuple(
                entry.id
                for entry in one.entries
                if entry.webhook is not None and entry.id not in self.untold(entry.webhook)
            )
            if told:
                yield Told(ids=told)
        for one in self._open.values():
            yield Listed(number=one.number, envelope=one.envelope, entries=one.entries)

    def _replay(self, line: Line) -> None:
        match line:
            case Listed():
                tx_id = decode_transaction(self._domain, line.envelope).id
                known = self._open.get(line.number)
                if known is not None:
                    known.envelope, known.tx_id = line.envelope, tx_id
                    return
                self._add(
                    GatewayList(
                        number=line.number,
                        entries=line.entries,
                        envelope=line.envelope,
                        tx_id=tx_id,
                    )
                )
            case Ended():
                one = self._open.get(line.number)
                if one is None:
                    raise DecodeError(f"list {line.number} ended, and was not open")
                self._finish(one, line.ending)
            case KeptList():
                one = GatewayList(
                    number=line.number, entries=line.entries, envelope=b"", tx_id=line.tx_id
                )
                self._add(one)
                self._finish(one, line.ending)
            case Told():
                self._tell_no_more(line.ids)

    def _add(self, one: GatewayList) -> None:
        self._open[one.number] = one
        self._next = max(self._next, one.number + 1)
        for item, entry in enumerate(one.entries):
            self._places[entry.id] = (one, item)
            if entry.key is not None:
                self._keys[entry.token, entry.key] = entry

    def _finish(self, one: GatewayList, ending: Ending) -> None:
        one.ending, one.envelope = ending, b""
        # Behind all that ended before it, so that it is remembered for as long as any other, however late it ends.
        self._ended[one.number] = (self._open.pop(one.number), ending)
        for entry in one.entries:
            if entry.webhook is not None:
                self._untold.setdefault(entry.webhook, UntoldQueue()).add(entry)
        self._kept += len(one.entries)
        while self._kept > self._most_kept:
            self._forget_oldest()

    def _tell_no_more(self, ids: Iterable[bytes]) -> None:
        for id_ in ids:
            one, item = self._places.get(id_, (None, 0))
            webhook = None if one is None else one.entries[item].webhook
            if webhook is not None and webhook in self._untold:
                queue = self._untold[webhook]
                queue.drop(id_)
                if not queue:
                    del self._untold[webhook]

    def _forget_oldest(self) -> None:
        _, (one, _) = self._ended.popitem(last=False)
        self._kept -= len(one.entries)
        self._tell_no_more(entry.id for entry in one.entries)
        for entry in one.entries:
            self._places.pop(entry.id, None)
            if entry.key is not None:
                self._keys.pop((entry.token, entry.key), None)
