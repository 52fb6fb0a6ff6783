"""From what services return to what clients read: the results of `results`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.rpc.base64_text import to_base64

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from chainnode.model.marks import RecordReference
    from chainnode.model.parameters import Parameters
    from chainnode.model.receipt import Receipt
    from chainnode.model.transaction import Transaction
    from chainnode.rpc import results
    from chainnode.rpc.results import Json
    from chainnode.services.chain import CertifiedHeader, ChainService, Governors, StateValue
    from chainnode.services.evidence import Recorded
    from chainnode.services.history import FoundMark, History
    from chainnode.services.log import RecordProof, SignedCheckpoint
    from chainnode.services.outcome import Outcome
    from chainnode.services.ports import ClockStatus, PeerStatus, Standing
    from chainnode.services.registrations import Found, FoundPage
    from contracts.query import (
        AccountView,
        AuthorityRecord,
        AuthorityView,
        CertificateRecord,
        KeyRecord,
        PublishedList,
    )


def peer(status: PeerStatus) -> results.PeerResult:
    """Render what is known of a peer."""
    return {
        "name": status.name,
        "connected": status.connected,
        "last_heard_ms": status.last_heard_ms,
        "tip_height": status.tip_height,
        "view": status.view,
        "clock_offset_ms": status.clock_offset_ms,
        "round_trip_ms": status.round_trip_ms,
        "clock_is_off": status.clock_is_off,
    }


def clock(status: ClockStatus) -> results.ClockResult:
    """Render what the node knows of its own clock."""
    earliest_ms, latest_ms = (None, None) if status.agreed_ms is None else status.agreed_ms
    source = status.source
    return {
        "verdict": status.verdict.value,
        "sentence": status.sentence,
        "vouches": status.vouches,
        "since_ms": status.since_ms,
        "bound_ms": status.bound_ms,
        "agreed_earliest_ms": earliest_ms,
        "agreed_latest_ms": latest_ms,
        "judges": status.judges,
        "jumps": status.jumps,
        "last_jump_ms": status.last_jump_ms,
        "last_jump_at_ms": status.last_jump_at_ms,
        "declined": status.declined,
        "declared": list(status.declared),
        "source": None
        if source is None
        else {
            "server": source.server,
            "offset_ms": source.offset_ms,
            "error_ms": source.error_ms,
            "measured_ms": source.measured_ms,
            "problem": source.problem,
        },
    }


def standing(status: Standing) -> results.StandingResult:
    """Render where a validator stands."""
    locked = status.locked_digest
    return {
        "name": status.name,
        "is_linked": status.is_linked,
        "last_heard_ms": status.last_heard_ms,
        "tip_height": status.tip_height,
        "stated_view": status.stated_view,
        "asked_view": status.asked_view,
        "locked_view": status.locked_view,
        "locked_digest": None if locked is None else locked.hex(),
        "votes": [
            {"kind": vote.kind, "view": vote.view, "digest": vote.digest.hex()}
            for vote in status.votes
        ],
        "awaited_for": status.awaited_for,
    }


def header(found: CertifiedHeader, parameters: Parameters) -> results.HeaderResult:
    """Render a decided header."""
    h = found.header
    not_before_ms, not_after_ms = parameters.interval_ms(h.time_ms, h.first_view)
    return {
        "height": h.height,
        "block_hash": found.block_hash.hex(),
        "rules_version": h.rules_version,
        "chain_id": h.chain_id,
        "parent_hash": h.parent_hash.hex(),
        "time_ms": h.time_ms,
        "not_before_ms": not_before_ms,
        "not_after_ms": not_after_ms,
        "first_view": h.first_view,
        "params_hash": h.params_hash.hex(),
        "proposer": h.proposer,
        "parent_certificate_hash": h.parent_certificate_hash.hex(),
        "tx_root": h.tx_root.hex(),
        "tx_count": h.tx_count,
        "receipts_root": h.receipts_root.hex(),
        "log_size": h.log_size,
        "log_root": h.log_root.hex(),
        "state_root": h.state_root.hex(),
        "validators_hash": h.validators_hash.hex(),
        "next_validators_hash": h.next_validators_hash.hex(),
        "header": to_base64(found.header_bytes),
        "certificate": to_base64(found.certificate.encode()),
    }


def receipt(found: Receipt) -> results.ReceiptResult:
    """Render a receipt."""
    return {
        "tx_id": found.tx_id.hex(),
        "succeeded": found.succeeded,
        "code": found.code,
        "message": found.message,
        "first_record": found.first_record,
        "record_count": found.record_count,
    }


def outcome(found: Outcome) -> results.TransactionResult:
    """Render what became of a transaction."""
    return {
        "tx_id": found.tx_id.hex(),
        "status": found.status.value,
        "height": found.height,
        "position": found.position,
        "time_ms": found.time_ms,
        "receipt": None if found.receipt is None else receipt(found.receipt),
    }


def accepted(transaction: Transaction) -> results.AcceptedResult:
    """Render that a transaction was taken."""
    return {
        "tx_id": transaction.id.hex(),
        "status": "pending",
        "last_valid_height": transaction.body.last_valid_height,
    }


def validators(
    found: Governors, validators_hash: bytes, have_second: AbstractSet[str]
) -> results.ValidatorsResult:
    """Render a validator set; `have_second` are the names of those who have registered a second key."""
    return {
        "height": found.height,
        "validators_hash": validators_hash.hex(),
        "quorum": found.validators.quorum,
        "validators": [
            {
                "name": v.name,
                "consensus_key": to_base64(v.consensus_key),
                "cosigner_key": to_base64(v.cosigner_key),
                "log_key": to_base64(v.log_key),
                "tls_key": to_base64(v.tls_key),
                "has_second_key": v.name in have_second,
            }
            for v in found.validators.members
        ],
        "encoded": to_base64(found.validators.encode()),
        "change_heights": list(found.change_heights),
    }


def key(public_key: bytes, record: KeyRecord) -> results.KeyResult:
    """Render a public key with its record."""
    return {
        "public_key": to_base64(public_key),
        "purpose": record.purpose.value,
        "not_before_ms": record.not_before_ms,
        "not_after_ms": record.not_after_ms,
        "revoked_ms": record.revoked_ms,
    }


def account(found: AccountView, organisation_title: str) -> results.AccountResult:
    """Render an account."""
    return {
        "name": found.name,
        "organisation": found.organisation,
        "organisation_title": organisation_title,
        "roles": list(found.roles),
        "suspended": found.suspended,
        "keys": [key(public_key, record) for public_key, record in found.keys],
    }


def lookup(page: FoundPage, *, as_member: bool) -> results.LookupResult:
    """Render registrations."""
    return {
        "records": [_registration(found) for found in page.found],
        "next_after": page.next_after,
        "as_member": as_member,
    }


def _registration(found: Found) -> results.NotaryRecordResult:
    record, registration = found.record, found.registration
    metadata_hash = registration.metadata_hash
    return {
        "index": found.index,
        "leaf": to_base64(found.leaf),
        "opening": to_base64(codec.encode(registration.opening.as_value())),
        "height": record.height,
        "time_ms": record.time_ms,
        "account": record.account,
        "tx_id": record.tx_id.hex(),
        "call": record.call,
        "item": record.item,
        "title": registration.title,
        "metadata_hash": None if metadata_hash is None else metadata_hash.hex(),
        "is_public": found.is_public,
        "withdrawn": None if found.marks.withdrawn is None else found.marks.withdrawn.code,
        "is_superseded": found.marks.successor is not None,
    }


def history(found: History, height: int) -> results.HistoryResult:
    """Render what became of a registration."""
    marks = found.found.marks
    gone = marks.withdrawn
    return {
        "record": _registration(found.found),
        "height": height,
        "state_key": to_base64(found.state_key),
        "owners": list(marks.owners),
        "offered": list(marks.offered),
        "withdrawn": None
        if gone is None
        else {"code": gone.code, "height": gone.height, "account": gone.account},
        "predecessor": _reference(marks.predecessor),
        "predecessor_index": found.predecessor_index,
        "successor": _reference(marks.successor),
        "successor_index": found.successor_index,
        "annotations": marks.annotations,
        "orders": marks.orders,
        "marks": [_mark(mark) for mark in found.marks],
        "next_after": found.next_after,
    }


def _mark(found: FoundMark) -> results.MarkResult:
    mark = found.mark
    record, facts = mark.record, mark.opening.facts
    about = mark.opening.reference
    return {
        "index": found.index,
        "height": record.height,
        "time_ms": record.time_ms,
        "tx_id": record.tx_id.hex(),
        "account": record.account,
        "event": mark.event.value,
        "code": mark.code,
        "leaf": to_base64(mark.leaf),
        "opening": to_base64(codec.encode(mark.opening.as_value())),
        "about": _named(about),
        "successor": _reference(facts.successor),
        "to_account": facts.account,
        "note_hash": None if facts.note_hash is None else facts.note_hash.hex(),
        "note": facts.note,
        "order": facts.order,
    }


def _reference(reference: RecordReference | None) -> results.ReferenceResult | None:
    return None if reference is None else _named(reference)


def _named(reference: RecordReference) -> results.ReferenceResult:
    return {
        "account": reference.account,
        "tx_id": reference.tx_id.hex(),
        "call": reference.call,
        "item": reference.item,
    }


def evidence(found: Recorded) -> results.EvidenceResult:
    """Render recorded evidence."""
    record, finding = found.record, found.finding
    return {
        "id": record.tx_id.hex(),
        "index": found.index,
        "height": record.height,
        "time_ms": record.time_ms,
        "validator": finding.validator,
        "offence": finding.offence.value,
        "offence_height": finding.evidence.height,
        "view": finding.evidence.first.view,
        "evidence": to_base64(finding.evidence.encode()),
        "leaf": to_base64(found.leaf),
    }


def proof(index: int, found: RecordProof) -> results.ProofResult:
    """Render a proof."""
    return {
        "index": index,
        "height": found.height,
        "leaf": to_base64(found.leaf),
        "proof": found.proof.encode().decode(),
    }


def checkpoint(signed: SignedCheckpoint) -> results.CheckpointResult:
    """Render a checkpoint."""
    described = signed.cosigned.checkpoint
    return {
        "height": signed.cosigned.height,
        "size": described.size,
        "root": described.root.hex(),
        "checkpoint": signed.note.encode().decode(),
    }


def state(state_key: bytes, found: StateValue) -> results.StateResult:
    """Render a value of the state."""
    return {
        "key": to_base64(state_key),
        "value": None if found.value is None else to_base64(found.value),
        "height": found.height,
        "state_root": found.state_root.hex(),
        "proof": None if found.proof is None else to_base64(found.proof.encode()),
    }


def authority(name: str, found: AuthorityView) -> dict[str, Json]:
    """A certificate authority."""
    record = found.record
    return {
        "name": name,
        "title": record.title,
        "standing": record.standing,
        "operator": record.operator,
        "dismissed_ms": record.dismissed_ms,
        "chain": [to_base64(certificate) for certificate in found.chain],
        "former": [to_base64(certificate) for certificate in found.former],
    }


def published_list(found: PublishedList) -> dict[str, Json]:
    """A revocation list, and under which number it was published."""
    return {"number": found.number, "crl": to_base64(found.encoded)}


def certificate(chain: ChainService, fingerprint: bytes) -> dict[str, Json]:
    """What the chain's authorities have entered of an X.509 certificate."""
    entries = chain.certificates(fingerprint)
    return {
        "is_entered": bool(entries),
        "entries": [_entry(record, chain.authority(record.authority).record) for record in entries],
    }


def _entry(record: CertificateRecord, of: AuthorityRecord) -> dict[str, Json]:
    return {
        "authority": record.authority,
        "standing": of.standing,
        "purpose": record.purpose,
        "owner": record.owner,
        "not_before_ms": record.not_before_ms,
        "not_after_ms": record.not_after_ms,
        "revoked_ms": record.revoked_ms,
        "reason": record.reason,
        "authority_dismissed_ms": of.dismissed_ms,
    }
