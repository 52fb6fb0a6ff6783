"""Records as anybody may see them: what is on the public log, and of public registrations what opens them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chainnode.model import codec, timestamp
from chainnode.model.cosignature import TIME_BYTES, cosignature_time_s
from chainnode.model.cosigned import is_second
from chainnode.model.errors import NotFound, Unavailable
from chainnode.model.notarization import KIND as NOTARY
from chainnode.model.record import decode_record
from chainnode.model.signatories import Cosigner
from chainnode.model.suites import ML_DSA_44
from chainnode.services.registrations import RegistrationReader

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.record import Record
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_proof import Proof
    from chainnode.services.chain import ChainService
    from chainnode.services.log import LogService
    from chainnode.services.registrations import Found
    from contracts.query import CertificateRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicRecord:
    """One record, with what may be said of it to anybody."""

    index: int
    record: Record
    block_hash: bytes
    organisation_title: str | None
    """Full name of the account's organisation; None if the record has no account."""

    registration: Found | None
    """What was registered, if the record is of a document and the registration is public."""

    certificate: CertificateRecord | None
    """That of the timestamp unit, if the record is of a timestamp."""

    proof: Proof | None
    """With [leaf, opening] as `extra`, the opening nil where it is not public; None while no quorum has cosigned."""

    cosigners: tuple[Cosigner, ...]
    """Who cosigned the proof's checkpoint."""


class PublicRecords:
    """Answers from the ledger and the log."""

    def __init__(self, *, ledger: Ledger, chain: ChainService, log: LogService) -> None:
        self._ledger = ledger
        self._chain = chain
        self._log = log

    def by_transaction(self, tx_id: bytes, call: int, item: int) -> int:
        """Return the log index of a transaction's record. Raises NotFound."""
        return self._log.find_record(tx_id, call, item)

    def show(self, index: int) -> PublicRecord:
        """Return a record. Raises NotFound with code `unknown_record`."""
        leaf = self._ledger.leaf(index)
        record = decode_record(leaf)
        registration = self._public_registration(index, record)
        proof = self._proof(index, leaf, registration)
        return PublicRecord(
            index=index,
            record=record,
            block_hash=self._chain.header(record.height).block_hash,
            organisation_title=self._title(record.account),
            registration=registration,
            certificate=self._unit(record),
            proof=proof,
            cosigners=() if proof is None else _cosigners(proof, self._ledger.genesis.suite),
        )

    def _public_registration(self, index: int, record: Record) -> Found | None:
        if record.kind != NOTARY:
            return None
        found = RegistrationReader(self._ledger).find(index)
        return found if found.is_public else None

    def _proof(self, index: int, leaf: bytes, registration: Found | None) -> Proof | None:
        opening = None if registration is None else registration.registration.opening.as_value()
        try:
            bare = self._log.prove(index).proof
        except Unavailable:
            return None
        return replace(bare, extra=codec.encode((leaf, opening)))

    def _title(self, account: str) -> str | None:
        if not account:
            return None
        try:
            return self._chain.organisation_title(account.partition("/")[0])
        except NotFound:
            return None

    def _unit(self, record: Record) -> CertificateRecord | None:
        if record.kind != timestamp.KIND:
            return None
        unit = timestamp.unit_of(record)
        return self._chain.certificate(unit.authority, unit.fingerprint)


def _cosigners(proof: Proof, suite: Suite) -> tuple[Cosigner, ...]:
    """Return whoever signed but the log itself; the node has checked them all."""
    return tuple(
        Cosigner(
            witness=s.name,
            name=s.name,
            time_s=cosignature_time_s(s),
            suite=ML_DSA_44 if is_second(s) else suite.name,
        )
        for s in proof.note.signatures
        if s.name != proof.checkpoint.origin and len(s.value) > TIME_BYTES
    )
