"""Marks: what owners and administrators say of a record afterwards. The record itself never changes.

    reference  = [account, tx_id, call, item]           of a record of kind `notary`, as in its leaf
    subject    = HMAC(salt, canonical bytes of reference)
    commitment = HMAC(salt, canonical bytes of [tx_id, call, item, reference, facts])     the mark's own first three
    body       = [commitment, event, code | nil]        of a record of kind `mark`
    facts      = [successor | nil, account | nil, note_hash | nil, note | nil, order | nil]
    opening    = [salt, reference, facts]

`salt` is that of the record's own opening, HMAC is over the chain's hash. So whoever can open a record finds its marks
and can check them, and nobody else can tell which record a mark is about, nor which marks are about the same one.

What the marks of a record come to is kept in the state, for proofs that it is withdrawn or superseded, or not:

    key    history/ || subject
    value  [1, [owner, ...], [offered, ...], predecessor | nil, successor | nil,
            [code, height, account] | nil (withdrawn), annotations, orders]

A record without such a key has no marks: its owner is the account that registered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import SALT_BYTES
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.ids import TransactionId, check_account_name
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CALLS,
    MAX_NAME_BYTES,
    MAX_NOTE_BYTES,
    MAX_OWNERS,
    MAX_RECORD_BYTES,
    MAX_RECORDS_PER_TRANSACTION,
)
from chainnode.model.record import Record, decode_record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.suites import Suite

KIND: Final = "mark"
"""Kind of the records."""

STATE_PREFIX: Final = b"history/"
VERSION: Final = 1
_MAX_SUMMARY_BYTES: Final = 8_192


class Event(StrEnum):
    """What a mark says happened; public."""

    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    ANNOTATED = "annotated"
    ANNOTATED_BY_ORDER = "annotated-by-order"
    """An administrator's, by order of a court or another authority."""

    OWNERSHIP_OFFERED = "ownership-offered"
    OFFER_RETRACTED = "offer-retracted"
    OFFER_DECLINED = "offer-declined"
    OWNERSHIP_ACCEPTED = "ownership-accepted"
    OWNERSHIP_RENOUNCED = "ownership-renounced"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReference:
    """Names a record of kind `notary` by what its leaf says of itself."""

    account: str
    """Who registered it."""

    tx_id: TransactionId
    call: int
    item: int

    def as_value(self) -> Value:
        """Return the array form."""
        return (self.account, self.tx_id, self.call, self.item)

    def subject(self, suite: Suite, salt: bytes) -> bytes:
        """Return the 32 bytes by which the state knows the record; only who has its salt can."""
        return suite.hmac(salt, codec.encode(self.as_value()))


def reference_of(record: Record) -> RecordReference:
    """Return the reference to a record."""
    return RecordReference(
        account=record.account, tx_id=record.tx_id, call=record.call, item=record.item
    )


def parse_reference(value: Value) -> RecordReference:
    """Read a reference.

    Raises:
        DecodeError: of another shape, `bad_name`.
    """
    account, tx_id, call, item = codec.array(value, "reference", arity=4)
    return RecordReference(
        account=_account(account),
        tx_id=TransactionId(codec.binary(tx_id, "tx_id", size=HASH_BYTES)),
        call=codec.integer(call, "call", most=MAX_CALLS - 1),
        item=codec.integer(item, "item", most=MAX_RECORDS_PER_TRANSACTION - 1),
    )


def state_key(suite: Suite, reference: RecordReference, salt: bytes) -> bytes:
    """Return the full state key of what the marks of a record come to."""
    return STATE_PREFIX + reference.subject(suite, salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFacts:
    """What a mark says and the public log does not; each event has its own of these."""

    successor: RecordReference | None = None
    account: str | None = None
    """To whom ownership is offered, or was."""

    note_hash: bytes | None = None
    """32 bytes over whatever the owner keeps about the annotation."""

    note: str | None = None
    """At most 256 bytes of UTF-8."""

    order: str | None = None
    """Which order of which authority, at most 256 bytes of UTF-8."""

    def as_value(self) -> Value:
        """Return the array form."""
        successor = None if self.successor is None else self.successor.as_value()
        return (successor, self.account, self.note_hash, self.note, self.order)


def parse_facts(value: Value) -> MarkFacts:
    """Read facts. Raises DecodeError if they are of another shape."""
    successor, account, note_hash, note, order = codec.array(value, "facts", arity=5)
    return MarkFacts(
        successor=None if successor is None else parse_reference(successor),
        account=None if account is None else _account(account),
        note_hash=parse_note_hash(note_hash),
        note=parse_note_text(note, "note"),
        order=parse_note_text(order, "order"),
    )


def parse_note_hash(value: Value) -> bytes | None:
    """Read the hash of a note, or nil. Raises DecodeError."""
    return None if value is None else codec.binary(value, "note_hash", size=HASH_BYTES)


def parse_note_text(value: Value, what: str) -> str | None:
    """Read a text of at most 256 bytes, or nil. Raises DecodeError."""
    return None if value is None else codec.text(value, what, most_bytes=MAX_NOTE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkOpening:
    """What opens a mark."""

    salt: bytes
    """32 bytes; that of the record that the mark is about."""

    reference: RecordReference
    facts: MarkFacts

    def as_value(self) -> Value:
        """Return the array that a proof carries."""
        return (self.salt, self.reference.as_value(), self.facts.as_value())

    def commitment(self, suite: Suite, tx_id: bytes, call: int, item: int) -> bytes:
        """Return the commitment in the leaf of the mark that has this transaction, call and item."""
        reference, facts = self.reference.as_value(), self.facts.as_value()
        return suite.hmac(self.salt, codec.encode((tx_id, call, item, reference, facts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark with what opens it. Decoded; nothing is verified."""

    leaf: bytes
    record: Record
    event: Event
    code: str | None
    """A short public word: why it was withdrawn, or of what kind an annotation is."""

    opening: MarkOpening

    def extra(self) -> bytes:
        """Return what a proof carries as `extra`."""
        return codec.encode((self.leaf, self.opening.as_value()))


def parse_mark(extra: bytes) -> Mark:
    """Read the `extra` of a mark's proof.

    Raises:
        DecodeError: it is of another shape, or the record is of another kind.
    """
    leaf_value, opening = codec.decode_array(
        extra, max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra"
    )
    salt, reference, facts = codec.array(opening, "opening", arity=3)
    return mark_of(
        codec.binary(leaf_value, "leaf", most=MAX_RECORD_BYTES),
        MarkOpening(
            salt=codec.binary(salt, "salt", size=SALT_BYTES),
            reference=parse_reference(reference),
            facts=parse_facts(facts),
        ),
    )


def mark_of(leaf: bytes, opening: MarkOpening) -> Mark:
    """Return the mark in a leaf, with what is said to open it. Raises DecodeError if the leaf is of another kind."""
    record = decode_record(leaf)
    if record.kind != KIND:
        raise DecodeError(
            f"the record is of kind {record.kind}; expected {KIND}", code="other_kind"
        )
    _, event, code = codec.array(record.body, "body", arity=3)
    return Mark(
        leaf=leaf,
        record=record,
        event=_event(event),
        code=None if code is None else codec.text(code, "code", most_bytes=MAX_NAME_BYTES),
        opening=opening,
    )


def verify_mark(suite: Suite, mark: Mark) -> None:
    """Check that the leaf commits to the opening; whether it is in the log its proof shows.

    Raises:
        ProofInvalid: with code `opening_mismatch`.
    """
    record = mark.record
    expected = mark.opening.commitment(suite, record.tx_id, record.call, record.item)
    if record.body[0] != expected:
        raise ProofInvalid(
            "the opening in the proof is not the one that the mark commits to",
            code="opening_mismatch",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """That a record was withdrawn."""

    code: str
    """Why; public."""

    height: int
    """Block that holds the mark."""

    account: str
    """Who did it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSummary:
    """What the marks of a record come to."""

    owners: tuple[str, ...]
    """1 to 16 accounts, in rising order."""

    offered: tuple[str, ...] = ()
    """Accounts that may become owners and have not accepted; with the owners at most 16; in rising order."""

    predecessor: RecordReference | None = None
    """The version before."""

    successor: RecordReference | None = None
    """The version after, which supersedes this one."""

    withdrawn: Withdrawal | None = None
    annotations: int = 0
    """How many there are by owners ..."""

    orders: int = 0
    """... and by administrators."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        gone = self.withdrawn
        return codec.encode(
            (
                VERSION,
                self.owners,
                self.offered,
                None if self.predecessor is None else self.predecessor.as_value(),
                None if self.successor is None else self.successor.as_value(),
                None if gone is None else (gone.code, gone.height, gone.account),
                self.annotations,
                self.orders,
            )
        )


def unmarked(reference: RecordReference) -> MarkSummary:
    """Return what holds of a record without marks."""
    return MarkSummary(owners=(reference.account,))


def decode_summary(data: bytes) -> MarkSummary:
    """Decode what the state holds of a record's marks.

    Raises:
        DecodeError: not the canonical bytes of any summary.
    """
    fields = codec.decode_array(
        data, max_bytes=_MAX_SUMMARY_BYTES, arity=8, what="summary of marks"
    )
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    return MarkSummary(
        owners=_accounts(fields[1], "owners", least=1),
        offered=_accounts(fields[2], "offered", least=0),
        predecessor=None if fields[3] is None else parse_reference(fields[3]),
        successor=None if fields[4] is None else parse_reference(fields[4]),
        withdrawn=None if fields[5] is None else _withdrawal(fields[5]),
        annotations=codec.integer(fields[6], "annotations"),
        orders=codec.integer(fields[7], "orders"),
    )


def _withdrawal(value: Value) -> Withdrawal:
    code, height, account = codec.array(value, "withdrawn", arity=3)
    return Withdrawal(
        code=codec.text(code, "code", most_bytes=MAX_NAME_BYTES),
        height=codec.integer(height, "height", least=1),
        account=_account(account),
    )


def _accounts(value: Value, what: str, *, least: int) -> tuple[str, ...]:
    elements = codec.array_up_to(value, what, least=least, most=MAX_OWNERS)
    names = tuple(_account(element) for element in elements)
    if any(before >= after for before, after in pairwise(names)):
        raise DecodeError(f"{what}: expected in rising order, each once", field=what)
    return names


def _account(value: Value) -> str:
    name = codec.text(value, "account", most_bytes=MAX_ACCOUNT_NAME_BYTES)
    check_account_name(name)
    return name


def _event(value: Value) -> Event:
    name = codec.text(value, "event", most_bytes=MAX_NAME_BYTES)
    try:
        return Event(name)
    except ValueError:
        raise DecodeError(f"event: found {name!r}; expected {', '.join(Event)}") from None
