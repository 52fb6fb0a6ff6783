"""The built-in contract `history`, version 1: versions, owners, annotations and withdrawals of notarized documents.

Its methods, arguments and records are those of `chainnode.model.mark_calls` and `chainnode.model.marks`. Nothing is ever
deleted: a mark is one more record of the log, and what the marks of a record come to is one key of the state.

A record is named by what its leaf says of itself, together with its salt, and nobody checks that there is such a record.
Nobody needs to: the name contains the account that registered it, so whoever claims a record that is another's, or none
at all, writes under a key that no reader of a real record ever computes. What a record's marks are is found from
the record, never the other way round.

Owners act on what they own; a record that has no marks yet is owned by who registered it. Its first mark takes the role
`notary`, so that who may not write into the register cannot fill the state either. Administrators may annotate any record,
by order of an authority, which the mark says; they do nothing else to what is not theirs.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model.commitment import PUBLIC_SALT
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.limits import MAX_ANNOTATIONS, MAX_OWNERS
from chainnode.model.mark_calls import (
    CONTRACT,
    MarkCall,
    SaltedRecord,
    parse_mark_call,
    parse_supersede,
)
from chainnode.model.marks import (
    KIND,
    STATE_PREFIX,
    MarkOpening,
    MarkSummary,
    RecordReference,
    Withdrawal,
    decode_summary,
    unmarked,
)
from chainnode.model.roles import Role
from contracts.api import IDENTITY, ContractError
from contracts.identity.records import account_key
from contracts.owners import acquired_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method

NAME: Final = CONTRACT


def lookup_key(subject: bytes) -> bytes:
    """Return the key of the local index under which the marks of a record are found."""
    return STATE_PREFIX + subject


def summary_in(data: bytes | None, reference: RecordReference) -> MarkSummary:
    """Return what a record's marks come to, as the state holds it.

    Raises:
        InvariantViolation: the state, which is of our own making, cannot be read.
    """
    if data is None:
        return unmarked(reference)
    try:
        return decode_summary(data)
    except DecodeError as error:
        raise InvariantViolation(
            f"a summary of marks in the state cannot be read: {error}"
        ) from error


class _Target:
    """A record whose marks are read and written."""

    __slots__ = ("_context", "_data", "reference", "subject", "summary")

    def __init__(self, context: Context, record: SaltedRecord) -> None:
        self.reference = record.reference
        self.subject = record.reference.subject(context.block.domain.suite, record.salt)
        self._context = context
        self._data = context.state.get(self.subject)
        self.summary = summary_in(self._data, record.reference)

    def check_owner(self) -> None:
        """Refuse unless the sender owns the record, and may write the first mark if this is it."""
        self._context.require(
            self._context.sender in self.summary.owners,
            "not_owner",
            f"{self._context.sender} does not own the record; its owners do this",
        )
        if self._data is None:
            self._context.require_role(Role.NOTARY)

    def check_not_withdrawn(self) -> None:
        """Refuse with `record_withdrawn`."""
        self._context.require(
            self.summary.withdrawn is None,
            "record_withdrawn",
            "the record is withdrawn; it can be annotated, offers of it retracted or declined, and ownership "
            "renounced, and nothing else",
        )

    def put(self, summary: MarkSummary) -> None:
        """Set what the marks come to."""
        self._context.state.put(self.subject, summary.encode())


def supersede(context: Context, args: tuple[Value, ...]) -> None:
    """Link a newer version to an older one; it gets the older one's owners beside its own.

    Raises:
        ContractError: `not_owner`, `missing_role`, `record_withdrawn`, `record_superseded`, `already_succeeds`,
            `same_record`, `other_blinding`, `too_many_owners`.
        DecodeError: an argument has another shape.
    """
    asked, newer = parse_supersede(args, context.tx_id)
    old = _owned(context, asked.record)
    new = _owned(context, newer)
    context.require(
        old.subject != new.subject, "same_record", "a record is no newer version of itself"
    )
    context.require(
        (asked.record.salt == PUBLIC_SALT) == (newer.salt == PUBLIC_SALT),
        "other_blinding",
        "one record is public and the other blinded; the link would tell of the blinded one",
    )
    for target in (old, new):
        target.check_not_withdrawn()
        # A successor without successor closes no circle.
        context.require(
            target.summary.successor is None,
            "record_superseded",
            "the record is superseded already; link to its newest version",
        )
    context.require(
        new.summary.predecessor is None,
        "already_succeeds",
        "the newer record is a version after another one already",
    )
    owners = tuple(sorted({*old.summary.owners, *new.summary.owners}))
    offered = tuple(name for name in new.summary.offered if name not in owners)
    _check_number_of_owners(context, owners, offered)
    old.put(replace(old.summary, successor=new.reference))
    new.put(replace(new.summary, owners=owners, offered=offered, predecessor=old.reference))
    added = tuple(name for name in owners if name not in new.summary.owners)
    _record(context, asked, old, also=new, new_owners=added)


def withdraw(context: Context, args: tuple[Value, ...]) -> None:
    """Withdraw a record.

    Raises:
        ContractError: `not_owner`, `missing_role`, `record_withdrawn`.
        DecodeError: an argument has another shape, `bad_reason`.
    """
    asked = parse_mark_call("withdraw", args, context.tx_id)
    target = _owned(context, asked.record)
    target.check_not_withdrawn()
    withdrawal = Withdrawal(
        code=asked.code or "", height=context.block.height, account=context.sender
    )
    target.put(replace(target.summary, withdrawn=withdrawal))
    _record(context, asked, target)


def annotate(context: Context, args: tuple[Value, ...]) -> None:
    """Add an owner's annotation.

    Raises:
        ContractError: `not_owner`, `missing_role`, `empty_annotation`, `too_many_annotations`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    asked = parse_mark_call("annotate", args, context.tx_id)
    target = _owned(context, asked.record)
    context.require(
        (asked.code, asked.facts.note_hash, asked.facts.note) != (None, None, None),
        "empty_annotation",
        "an annotation has a code, a hash or a note; found none",
    )
    count = target.summary.annotations
    _check_annotations(context, count)
    target.put(replace(target.summary, annotations=count + 1))
    _record(context, asked, target)


def annotate_by_order(context: Context, args: tuple[Value, ...]) -> None:
    """Add an administrator's annotation, by order of an authority.

    Raises:
        ContractError: `missing_role`, `too_many_annotations`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    asked = parse_mark_call("annotate_by_order", args, context.tx_id)
    target = _Target(context, asked.record)
    count = target.summary.orders
    _check_annotations(context, count)
    target.put(replace(target.summary, orders=count + 1))
    _record(context, asked, target)


def offer(context: Context, args: tuple[Value, ...]) -> None:
    """Offer an account to become an owner too.

    Raises:
        ContractError: `not_owner`, `missing_role`, `record_withdrawn`, `unknown_account`, `already_owner`,
            `already_offered`, `too_many_owners`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    asked = parse_mark_call("offer", args, context.tx_id)
    target = _owned(context, asked.record)
    target.check_not_withdrawn()
    summary, name = target.summary, asked.facts.account or ""
    if context.read(IDENTITY).get(account_key(name)) is None:
        raise ContractError(f"there is no account {name}", code="unknown_account", field="account")
    context.require(name not in summary.owners, "already_owner", f"{name} is an owner already")
    context.require(
        name not in summary.offered, "already_offered", f"{name} is offered ownership already"
    )
    offered = tuple(sorted((*summary.offered, name)))
    _check_number_of_owners(context, summary.owners, offered)
    target.put(replace(summary, offered=offered))
    _record(context, asked, target)


def retract(context: Context, args: tuple[Value, ...]) -> None:
    """Take an offer back.

    Raises:
        ContractError: `not_owner`, `missing_role`, `not_offered`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    asked = parse_mark_call("retract", args, context.tx_id)
    target = _owned(context, asked.record)
    target.put(_without_offer(context, target.summary, asked.facts.account or ""))
    _record(context, asked, target)


def accept(context: Context, args: tuple[Value, ...]) -> None:
    """Become an owner, as was offered: the only way to become one.

    Raises:
        ContractError: `not_offered`, `record_withdrawn`.
        DecodeError: an argument has another shape.
    """
    asked = parse_mark_call("accept", args, context.tx_id)
    target = _Target(context, asked.record)
    summary = _without_offer(context, target.summary, context.sender)
    target.check_not_withdrawn()
    owners = tuple(sorted((*summary.owners, context.sender)))
    target.put(replace(summary, owners=owners))
    _record(context, asked, target, new_owners=(context.sender,))


def decline(context: Context, args: tuple[Value, ...]) -> None:
    """Refuse an offer.

    Raises:
        ContractError: `not_offered`.
        DecodeError: an argument has another shape.
    """
    asked = parse_mark_call("decline", args, context.tx_id)
    target = _Target(context, asked.record)
    target.put(_without_offer(context, target.summary, context.sender))
    _record(context, asked, target)


def renounce(context: Context, args: tuple[Value, ...]) -> None:
    """Cease to be an owner.

    Raises:
        ContractError: `not_owner`, `missing_role`, `last_owner`.
        DecodeError: an argument has another shape.
    """
    asked = parse_mark_call("renounce", args, context.tx_id)
    target = _owned(context, asked.record)
    owners = tuple(name for name in target.summary.owners if name != context.sender)
    context.require(
        owners,
        "last_owner",
        f"{context.sender} is the last owner; offer ownership to another first",
    )
    target.put(replace(target.summary, owners=owners))
    _record(context, asked, target)


def _owned(context: Context, record: SaltedRecord) -> _Target:
    target = _Target(context, record)
    target.check_owner()
    return target


def _without_offer(context: Context, summary: MarkSummary, account: str) -> MarkSummary:
    context.require(
        account in summary.offered,
        "not_offered",
        f"{account} is not offered ownership of the record",
    )
    return replace(summary, offered=tuple(name for name in summary.offered if name != account))


def _check_number_of_owners(
    context: Context, owners: tuple[str, ...], offered: tuple[str, ...]
) -> None:
    context.require(
        len(owners) + len(offered) <= MAX_OWNERS,
        "too_many_owners",
        f"owners and offers would be {len(owners) + len(offered)}; at most {MAX_OWNERS} are allowed",
    )


def _check_annotations(context: Context, count: int) -> None:
    context.require(
        count < MAX_ANNOTATIONS,
        "too_many_annotations",
        f"the record has {count} of these annotations; no more are allowed",
    )


def _record(
    context: Context,
    asked: MarkCall,
    target: _Target,
    *,
    also: _Target | None = None,
    new_owners: tuple[str, ...] = (),
) -> None:
    """Emit the mark: one for each call, so its item is 0."""
    opening = MarkOpening(
        salt=asked.record.salt, reference=asked.record.reference, facts=asked.facts
    )
    commitment = opening.commitment(context.block.domain.suite, context.tx_id, context.call, 0)
    subjects = (target.subject,) if also is None else (target.subject, also.subject)
    context.emit(
        KIND,
        (commitment, asked.event.value, asked.code),
        (*(lookup_key(subject) for subject in subjects), *acquired_keys(new_owners)),
    )


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "supersede": supersede,
        "withdraw": withdraw,
        "annotate": annotate,
        "annotate_by_order": annotate_by_order,
        "offer": offer,
        "retract": retract,
        "accept": accept,
        "decline": decline,
        "renounce": renounce,
    }
)
