"""Reading what contracts keep, for services: nothing here takes part in execution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.algorithms import STATE_KEY as ALGORITHMS_KEY
from chainnode.model.calls import Document, parse_document
from chainnode.model.commitment import PUBLIC_SALT, Opening, derive_salt
from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.ids import organisation_of
from chainnode.model.mark_calls import EVENTS, parse_mark_call
from chainnode.model.marks import MarkOpening, MarkSummary, RecordReference, state_key
from contracts import history, notary
from contracts.algorithms import registry_in
from contracts.authorities.records import PREFIX as AUTHORITIES
from contracts.authorities.records import (
    AuthorityRecord,
    CertificateRecord,
    PublishedList,
    authority_in,
    certificate_in,
    certificate_key,
    chain_in,
    crl_key,
    former_in,
    list_in,
    names_in,
    root_crl_key,
)
from contracts.clocks import Declaration, declaration_key, decode_declaration
from contracts.cosigners import second_key_in
from contracts.evidence import LOOKUP_ALL as EVIDENCE_KEY
from contracts.evidence import Finding, parse_finding, report_key
from contracts.evidence import lookup_key as evidence_key
from contracts.identity.records import (
    PREFIX,
    AccountRecord,
    KeyRecord,
    account_key,
    decode_account,
    decode_key,
    decode_organisation,
    key_key,
    organisation_key,
)
from contracts.owners import acquired_key, registered_key

if TYPE_CHECKING:
    from chainnode.model.algorithms import AlgorithmRegistry
    from chainnode.model.domain import Domain
    from chainnode.model.suites import Suite
    from chainnode.model.transaction import Transaction
    from contracts.overlay import StateReader

__all__ = [
    "EVIDENCE_KEY",
    "AccountRecord",
    "AccountView",
    "AuthorityRecord",
    "AuthorityView",
    "CertificateRecord",
    "Document",
    "Finding",
    "KeyRecord",
    "OrganisationView",
    "PublishedList",
    "Registration",
    "account_state_key",
    "account_view",
    "acquired_key",
    "algorithm_registry",
    "authority_view",
    "certificate_state_key",
    "certificate_view",
    "certificate_views",
    "clock_declaration",
    "crl_of",
    "evidence_key",
    "history_key",
    "key_state_key",
    "key_view",
    "mark_opening_of",
    "mark_summary",
    "opening_of",
    "organisation_view",
    "parse_finding",
    "registered_key",
    "report_key",
    "root_crl_of",
    "second_key_in",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationView:
    """A member of the alliance."""

    name: str
    title: str
    """Full name for people, in any language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account with its keys."""

    name: str
    """`organisation/account`."""

    organisation: str
    roles: tuple[str, ...]
    """In rising order."""

    suspended: bool
    """Whether its transactions are refused."""

    keys: tuple[tuple[bytes, KeyRecord], ...]
    """Public keys with their records, in rising order; those that ended before the account's last change are
    not listed, but `key_view` knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a member may see of a notarized document."""

    opening: Opening
    """Salt and digests."""

    title: str | None
    metadata_hash: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityView:
    """A certificate authority with its own certificates."""

    record: AuthorityRecord
    chain: tuple[bytes, ...]
    """DER; the one that issues first, the root last."""

    former: tuple[bytes, ...]
    """DER; those that it issued by before, oldest first."""

    @property
    def issuers(self) -> tuple[bytes, ...]:
        """All that it ever issued by, newest first."""
        return (*self.chain[:1], *reversed(self.former))


def account_state_key(name: str) -> bytes:
    """Return the full state key of an account, for proofs of its presence or absence."""
    return PREFIX + account_key(name)


def key_state_key(public_key: bytes) -> bytes:
    """Return the full state key of a public key, for proofs that it is registered, or not revoked."""
    return PREFIX + key_key(public_key)


def organisation_view(state: StateReader, name: str) -> OrganisationView | None:
    """Return an organisation, or None if there is none of that name. `name` is ASCII."""
    data = state.get(PREFIX + organisation_key(name))
    return (
        None if data is None else OrganisationView(name=name, title=decode_organisation(data).title)
    )


def account_view(state: StateReader, name: str) -> AccountView | None:
    """Return an account, or None if there is none of that name. `name` is a checked account name."""
    data = state.get(account_state_key(name))
    if data is None:
        return None
    account = decode_account(data)
    keys = ((public_key, key_view(state, public_key)) for public_key in account.keys)
    return AccountView(
        name=name,
        organisation=organisation_of(name),
        roles=account.roles,
        suspended=account.suspended,
        keys=tuple((public_key, key) for public_key, key in keys if key is not None),
    )


def algorithm_registry(state: StateReader) -> AlgorithmRegistry:
    """Return what the alliance thinks of digest algorithms."""
    return registry_in(state.get(ALGORITHMS_KEY))


def key_view(state: StateReader, public_key: bytes) -> KeyRecord | None:
    """Return what is known of a public key, or None if it was never registered."""
    data = state.get(key_state_key(public_key))
    return None if data is None else decode_key(data)


def certificate_state_key(authority: str, fingerprint: bytes) -> bytes:
    """Return the full state key of an X.509 certificate, for proofs that an authority entered it, or did not revoke it."""
    return AUTHORITIES + certificate_key(authority, fingerprint)


def authority_view(state: StateReader, name: str) -> AuthorityView | None:
    """Return a certificate authority, or None. `name` is a checked name."""
    authorities = _Within(state, AUTHORITIES)
    record = authority_in(authorities, name)
    if record is None:
        return None
    return AuthorityView(
        record=record, chain=chain_in(authorities, name), former=former_in(authorities, name)
    )


def certificate_view(
    state: StateReader, authority: str, fingerprint: bytes
) -> CertificateRecord | None:
    """Return what an authority has entered of an X.509 certificate, or None if that is nothing."""
    return certificate_in(_Within(state, AUTHORITIES), authority, fingerprint)


def certificate_views(state: StateReader, fingerprint: bytes) -> tuple[CertificateRecord, ...]:
    """Return what the authorities have entered of an X.509 certificate, by their names; nothing if none has entered it."""
    authorities = _Within(state, AUTHORITIES)
    found = (certificate_in(authorities, name, fingerprint) for name in names_in(authorities))
    return tuple(record for record in found if record is not None)


def clock_declaration(state: StateReader, account: str) -> Declaration | None:
    """Return what an account has declared of its node's clock, or None. `account` is a checked account name."""
    data = state.get(declaration_key(account))
    return None if data is None else decode_declaration(data)


def crl_of(state: StateReader, suite: Suite, name: str) -> PublishedList | None:
    """Return the newest revocation list of an authority by the key that it has now, or None."""
    authorities = _Within(state, AUTHORITIES)
    certificates = chain_in(authorities, name)
    if not certificates:
        return None
    return list_in(authorities, crl_key(name, suite.hash(certificates[0])))


def root_crl_of(state: StateReader, suite: Suite, name: str) -> PublishedList | None:
    """Return the newest revocation list of an authority's root as it is now, or None."""
    authorities = _Within(state, AUTHORITIES)
    certificates = chain_in(authorities, name)
    if not certificates:
        return None
    return list_in(authorities, root_crl_key(name, suite.hash(certificates[-1])))


class _Within:
    """One contract's part of the state, as that contract sees it."""

    def __init__(self, state: StateReader, prefix: bytes) -> None:
        self._state, self._prefix = state, prefix

    def get(self, key: bytes) -> bytes | None:
        return self._state.get(self._prefix + key)


def opening_of(transaction: Transaction, call: int, item: int, domain: Domain) -> Registration:
    """Return what the `item`-th record of the `call`-th call of a transaction is about.

    Args:
        transaction: A transaction that succeeded.
        call: As in the record.
        item: As in the record.
        domain: The chain's.

    Raises:
        NotFound: `not_a_registration`: the transaction has no such document.
    """
    if call < 0 or item < 0:
        raise _no_document(transaction, call, item)
    try:
        wanted = transaction.body.calls[call]
        if (wanted.contract, wanted.method) != ("notary", "register"):
            raise _no_document(transaction, call, item)
        seed, documents = notary.parse_arguments(wanted.args)
        document = parse_document(documents[item])
    except (IndexError, DecodeError) as error:
        raise _no_document(transaction, call, item) from error
    salt = PUBLIC_SALT if seed is None else derive_salt(domain.suite, seed, item)
    return Registration(
        opening=Opening(salt=salt, digests=document.digests),
        title=document.title,
        metadata_hash=document.metadata_hash,
    )


def mark_opening_of(transaction: Transaction, call: int) -> MarkOpening:
    """Return what opens the mark that a call of a transaction that succeeded left.

    Raises:
        NotFound: `not_a_mark`: that call left none.
    """
    try:
        wanted = transaction.body.calls[call]
        if wanted.contract != history.NAME or wanted.method not in EVENTS:
            raise _no_mark(transaction, call)
        asked = parse_mark_call(wanted.method, wanted.args, transaction.id)
    except (IndexError, DecodeError) as error:
        raise _no_mark(transaction, call) from error
    return MarkOpening(salt=asked.record.salt, reference=asked.record.reference, facts=asked.facts)


def mark_summary(
    state: StateReader, domain: Domain, reference: RecordReference, salt: bytes
) -> MarkSummary:
    """Return what the marks of a record come to; `salt` is that of its opening."""
    data = state.get(state_key(domain.suite, reference, salt))
    return history.summary_in(data, reference)


def history_key(domain: Domain, reference: RecordReference, salt: bytes) -> bytes:
    """Return the key of the local index under which the marks of a record are found."""
    return history.lookup_key(reference.subject(domain.suite, salt))


def _no_mark(transaction: Transaction, call: int) -> NotFound:
    return NotFound(
        f"call {call} of transaction {transaction.id.hex()} marks no record", code="not_a_mark"
    )


def _no_document(transaction: Transaction, call: int, item: int) -> NotFound:
    return NotFound(
        f"transaction {transaction.id.hex()} registers no document {item} in call {call}",
        code="not_a_registration",
    )
