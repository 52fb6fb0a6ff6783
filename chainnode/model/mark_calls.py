"""Arguments of the methods of `history`, both ways: clients build calls, the contract and services read them.

    record = [salt, account, tx_id | nil, call, item]     what names a record and finds its marks; nil is this transaction

    supersede          [record, record]                                  the second is the newer version
    withdraw           [record, code]
    annotate           [record, code | nil, note_hash | nil, note | nil]
    annotate_by_order  [record, order, code | nil, note_hash | nil, note | nil]
    offer, retract     [record, account]
    accept, decline, renounce    [record]

Salts stay in the transaction, where those of lists are anyway: only members read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import SALT_BYTES
from chainnode.model.errors import DecodeError
from chainnode.model.ids import TransactionId, check_account_name, check_name
from chainnode.model.limits import MAX_ACCOUNT_NAME_BYTES, MAX_NAME_BYTES
from chainnode.model.marks import (
    Event,
    MarkFacts,
    RecordReference,
    parse_note_hash,
    parse_note_text,
    parse_reference,
)
from chainnode.model.transaction import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value

CONTRACT: Final = "history"

WITHDRAWAL_CODES: Final = (
    "consent-withdrawn",
    "disputed",
    "duplicate",
    "erroneous",
    "expired",
    "other",
)
"""Why a record may be withdrawn; public, so that they tell little."""

EVENTS: Final[Mapping[str, Event]] = MappingProxyType(
    {
        "supersede": Event.SUPERSEDED,
        "withdraw": Event.WITHDRAWN,
        "annotate": Event.ANNOTATED,
        "annotate_by_order": Event.ANNOTATED_BY_ORDER,
        "offer": Event.OWNERSHIP_OFFERED,
        "retract": Event.OFFER_RETRACTED,
        "accept": Event.OWNERSHIP_ACCEPTED,
        "decline": Event.OFFER_DECLINED,
        "renounce": Event.OWNERSHIP_RENOUNCED,
    }
)
"""By method, the event that it records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaltedRecord:
    """A record, with what finds its marks."""

    reference: RecordReference
    salt: bytes
    """Of the record's opening, 32 bytes."""

    def as_value(self) -> Value:
        """Return the array form."""
        r = self.reference
        return (self.salt, r.account, r.tx_id, r.call, r.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkCall:
    """What a call of `history` asks for."""

    event: Event
    record: SaltedRecord
    code: str | None = None
    facts: MarkFacts = field(default_factory=MarkFacts)


def parse_mark_call(method: str, args: tuple[Value, ...], tx_id: TransactionId) -> MarkCall:
    """Read the arguments of a method of `EVENTS` in the transaction `tx_id`.

    Raises:
        DecodeError: of another shape, `bad_name`, `bad_reason`.
    """
    event = EVENTS[method]
    if event is Event.SUPERSEDED:
        return parse_supersede(args, tx_id)[0]
    if event is Event.WITHDRAWN:
        record, code = codec.array(args, "args", arity=2)
        return MarkCall(event=event, record=_record(record, tx_id), code=_withdrawal_code(code))
    if event is Event.ANNOTATED:
        record, code, note_hash, note = codec.array(args, "args", arity=4)
        facts = MarkFacts(note_hash=parse_note_hash(note_hash), note=parse_note_text(note, "note"))
        return MarkCall(event=event, record=_record(record, tx_id), code=_code(code), facts=facts)
    if event is Event.ANNOTATED_BY_ORDER:
        record, order, code, note_hash, note = codec.array(args, "args", arity=5)
        facts = MarkFacts(
            order=parse_note_text(order, "order"),
            note_hash=parse_note_hash(note_hash),
            note=parse_note_text(note, "note"),
        )
        if not facts.order:
            raise DecodeError("order: found none; expected the order that is followed")
        return MarkCall(event=event, record=_record(record, tx_id), code=_code(code), facts=facts)
    if event in {Event.OWNERSHIP_OFFERED, Event.OFFER_RETRACTED}:
        record, account = codec.array(args, "args", arity=2)
        name = codec.text(account, "account", most_bytes=MAX_ACCOUNT_NAME_BYTES)
        check_account_name(name)
        return MarkCall(event=event, record=_record(record, tx_id), facts=MarkFacts(account=name))
    (record,) = codec.array(args, "args", arity=1)
    return MarkCall(event=event, record=_record(record, tx_id))


def parse_supersede(args: tuple[Value, ...], tx_id: TransactionId) -> tuple[MarkCall, SaltedRecord]:
    """Read the arguments of `supersede`; return the newer record as well. Raises as `parse_mark_call`."""
    old, new = codec.array(args, "args", arity=2)
    newer = _record(new, tx_id)
    asked = MarkCall(
        event=Event.SUPERSEDED,
        record=_record(old, tx_id),
        facts=MarkFacts(successor=newer.reference),
    )
    return asked, newer


def _record(value: Value, tx_id: TransactionId) -> SaltedRecord:
    salt, account, named, call, item = codec.array(value, "record", arity=5)
    return SaltedRecord(
        salt=codec.binary(salt, "salt", size=SALT_BYTES),
        reference=parse_reference((account, tx_id if named is None else named, call, item)),
    )


def _withdrawal_code(value: Value) -> str:
    code = codec.text(value, "code", most_bytes=MAX_NAME_BYTES)
    if code not in WITHDRAWAL_CODES:
        raise DecodeError(
            f"code: found {code!r}; expected one of {', '.join(WITHDRAWAL_CODES)}",
            field="code",
            code="bad_reason",
        )
    return code


def _code(value: Value) -> str | None:
    if value is None:
        return None
    code = codec.text(value, "code", most_bytes=MAX_NAME_BYTES)
    check_name(code, "code")
    return code


def supersede(old: SaltedRecord, new: SaltedRecord) -> Call:
    """Say that `new` is the version after `old`."""
    return _call("supersede", old.as_value(), new.as_value())


def supersede_by_first(old: SaltedRecord, *, account: str, salt: bytes) -> Call:
    """Say that the document which the first call of the same transaction registers first is the version after `old`."""
    return _call("supersede", old.as_value(), (salt, account, None, 0, 0))


def withdraw(record: SaltedRecord, code: str) -> Call:
    """Withdraw a record; `code` is one of `WITHDRAWAL_CODES`, and public."""
    return _call("withdraw", record.as_value(), code)


def annotate(
    record: SaltedRecord,
    *,
    code: str | None = None,
    note_hash: bytes | None = None,
    note: str | None = None,
) -> Call:
    """Annotate a record; `code` is public, the rest is for who can open the record."""
    return _call("annotate", record.as_value(), code, note_hash, note)


def annotate_by_order(
    record: SaltedRecord,
    order: str,
    *,
    code: str | None = None,
    note_hash: bytes | None = None,
    note: str | None = None,
) -> Call:
    """Annotate a record as an administrator, by order of an authority; `code` is public."""
    return _call("annotate_by_order", record.as_value(), order, code, note_hash, note)


def offer(record: SaltedRecord, account: str) -> Call:
    """Offer `account` to become an owner of a record beside the others."""
    return _call("offer", record.as_value(), account)


def retract(record: SaltedRecord, account: str) -> Call:
    """Take an offer back that was not accepted yet."""
    return _call("retract", record.as_value(), account)


def accept(record: SaltedRecord) -> Call:
    """Become an owner, as was offered."""
    return _call("accept", record.as_value())


def decline(record: SaltedRecord) -> Call:
    """Do not become an owner, though it was offered."""
    return _call("decline", record.as_value())


def renounce(record: SaltedRecord) -> Call:
    """Cease to be an owner; another one must remain."""
    return _call("renounce", record.as_value())


def _call(method: str, *args: Value) -> Call:
    return Call(contract=CONTRACT, method=method, args=args)
