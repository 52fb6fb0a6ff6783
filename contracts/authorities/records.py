"""What `authorities` keeps in the state: keys, values, and how they are read back.

    authorities/names                                [name, ...]            of all authorities, in rising order
    authorities/authority/<name>                     [1, title, standing, operator, dismissed_ms]
    authorities/chain/<name>                         [certificate (DER), ...]      issuing authority first, root last
    authorities/certificate/<name>/<fingerprint>     [1, authority, purpose, owner, not_before_ms, not_after_ms,
                                                      revoked_ms, reason]
    authorities/former/<name>                        [certificate (DER), ...]      that it issued by before, oldest first
    authorities/crl/<name>/<issuer>                  [1, number, list (DER)]       its certificate revocation list
    authorities/root-crl/<name>/<issuer>             [1, number, list (DER)]       that of its root

A fingerprint is the chain's hash of the certificate's DER; an issuer is that of the certificate whose key signs the list:
the one that the authority issues by, or its root's. So the lists of each are counted for themselves, and found again. The
contract cannot tell who signed a certificate, so each authority has entries of its own: what one of them enters and
revokes is its word, and changes no other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CRL_NUMBER,
    MAX_NAME_BYTES,
    MAX_TITLE_BYTES,
)

if TYPE_CHECKING:
    from contracts.overlay import StateReader

VERSION: Final = 1

PREFIX: Final = b"authorities/"
"""Where the contract's state lies in the whole state."""

MAX_CERTIFICATE_BYTES: Final = 4_096
"""An X.509 certificate in DER; those of authorities have under 1 KiB with P-256, under 2 KiB with RSA."""

MAX_CHAIN: Final = 5
"""Certificates of one authority, from the one that issues to its root; they fit one leaf of the log."""

MAX_FORMER: Final = 7
"""Certificates that an authority ever issued by before its present one. It changes its key every few years, and whoever
asks who has issued a certificate tries them all."""

MAX_AUTHORITIES: Final = 64
"""Authorities that an alliance ever admits, dismissed ones included: whoever asks about a certificate asks them all."""

MAX_CRL_BYTES: Final = 65_000
"""A revocation list in DER: some 1,500 entries. It travels in a transaction and is kept in the state."""

_MAX_RECORD_BYTES: Final = 32_768
_MAX_LIST_BYTES: Final = MAX_CRL_BYTES + 64
_MEMORISED: Final = 1_024
_FEW: Final = 4
NAMES_KEY: Final = b"names"
"""Where the names of all authorities are kept, relative to `authorities`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityRecord:
    """A certificate authority."""

    title: str
    """Full name for people."""

    standing: str
    """`internal`: the alliance's own; `licensed`: of an authority that the law licenses."""

    operator: str
    """Account that enters and revokes its certificates."""

    dismissed_ms: int
    """Block time since which nothing of it counts any more; 0 while it is in force."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode((VERSION, self.title, self.standing, self.operator, self.dismissed_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """An X.509 certificate that an authority has issued."""

    authority: str
    """Who entered it, and by whose word it counts."""

    purpose: str
    """What its key is for, a `KeyPurpose`: `timestamp`, for example."""

    owner: str
    """Account whose it is."""

    not_before_ms: int
    not_after_ms: int
    """Validity by block time, both ends included, as in the certificate."""

    revoked_ms: int
    """Block time of its revocation; 0 if it is not revoked."""

    reason: str
    """Why it was revoked; empty if it is not."""

    def is_valid(self, time_ms: int) -> bool:
        """Whether it is in force in a block of that time."""
        return self.revoked_ms == 0 and self.not_before_ms <= time_ms <= self.not_after_ms

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                VERSION,
                self.authority,
                self.purpose,
                self.owner,
                self.not_before_ms,
                self.not_after_ms,
                self.revoked_ms,
                self.reason,
            )
        )


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A certificate revocation list."""

    number: int
    """Above those of all lists of the same key that were published before; what the list calls itself is for its readers."""

    encoded: bytes
    """DER, as far as the chain knows."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode((VERSION, self.number, self.encoded))


def authority_key(name: str) -> bytes:
    """Return where an authority is kept, relative to `authorities`."""
    return b"authority/" + name.encode("ascii")


def chain_key(name: str) -> bytes:
    """Return where an authority's own certificates are kept."""
    return b"chain/" + name.encode("ascii")


def certificate_key(name: str, fingerprint: bytes) -> bytes:
    """Return where an authority's entry of a certificate is kept."""
    return b"certificate/" + name.encode("ascii") + b"/" + fingerprint


def former_key(name: str) -> bytes:
    """Return where the certificates are kept that an authority issued by before."""
    return b"former/" + name.encode("ascii")


def crl_key(name: str, issuer: bytes) -> bytes:
    """Return where an authority's newest revocation list is kept, by the fingerprint of the certificate that it issues by."""
    return b"crl/" + name.encode("ascii") + b"/" + issuer


def root_crl_key(name: str, issuer: bytes) -> bytes:
    """Return where the newest revocation list of an authority's root is kept, by the fingerprint of the root's certificate."""
    return b"root-crl/" + name.encode("ascii") + b"/" + issuer


def names_in(state: StateReader) -> tuple[str, ...]:
    """Return the names of all authorities in rising order, dismissed ones included; `state` is relative to `authorities`."""
    data = state.get(NAMES_KEY)
    return () if data is None else decode_names(data)


def encode_names(names: tuple[str, ...]) -> bytes:
    """Return the canonical bytes of the authorities' names."""
    return codec.encode(names)


@lru_cache(maxsize=_FEW)
def decode_names(data: bytes) -> tuple[str, ...]:
    """Read the authorities' names from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        values = codec.array(codec.decode(data, max_bytes=_MAX_RECORD_BYTES), "names")
        return tuple(codec.text(v, "name", most_bytes=MAX_NAME_BYTES) for v in values)
    except DecodeError as error:
        raise _damaged(error) from error


def authority_in(state: StateReader, name: str) -> AuthorityRecord | None:
    """Return an authority, or None; `state` is relative to `authorities`."""
    data = state.get(authority_key(name))
    return None if data is None else decode_authority(data)


def certificate_in(state: StateReader, name: str, fingerprint: bytes) -> CertificateRecord | None:
    """Return what an authority has entered of a certificate, or None; `state` is relative to `authorities`."""
    data = state.get(certificate_key(name, fingerprint))
    return None if data is None else decode_certificate(data)


def encode_chain(certificates: tuple[bytes, ...]) -> bytes:
    """Return the canonical bytes of an authority's own certificates, present or former."""
    return codec.encode(certificates)


def chain_in(state: StateReader, name: str) -> tuple[bytes, ...]:
    """Return an authority's own certificates (DER), the issuing one first; none if there is no such authority."""
    data = state.get(chain_key(name))
    return () if data is None else decode_chain(data)


def former_in(state: StateReader, name: str) -> tuple[bytes, ...]:
    """Return the certificates (DER) that an authority issued by before, oldest first."""
    data = state.get(former_key(name))
    return () if data is None else decode_chain(data)


def list_in(state: StateReader, key: bytes) -> PublishedList | None:
    """Return the revocation list under a `crl_key` or `root_crl_key`, or None."""
    data = state.get(key)
    return None if data is None else decode_list(data)


def decode_list(data: bytes) -> PublishedList:
    """Read a published list from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, number, encoded = codec.decode_array(
            data, max_bytes=_MAX_LIST_BYTES, arity=3, what="list"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return PublishedList(
            codec.integer(number, "number", most=MAX_CRL_NUMBER),
            codec.binary(encoded, "list", most=MAX_CRL_BYTES),
        )
    except DecodeError as error:
        raise _damaged(error) from error


def decode_chain(data: bytes) -> tuple[bytes, ...]:
    """Read an authority's own certificates from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        values = codec.array(codec.decode(data, max_bytes=_MAX_RECORD_BYTES), "chain")
        return tuple(codec.binary(value, "certificate") for value in values)
    except DecodeError as error:
        raise _damaged(error) from error


@lru_cache(maxsize=_MEMORISED)
def decode_authority(data: bytes) -> AuthorityRecord:
    """Read an authority from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, title, standing, operator, dismissed = codec.decode_array(
            data, max_bytes=_MAX_RECORD_BYTES, arity=5, what="authority"
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return AuthorityRecord(
            title=codec.text(title, "title", most_bytes=MAX_TITLE_BYTES),
            standing=codec.text(standing, "standing", most_bytes=MAX_NAME_BYTES),
            operator=codec.text(operator, "operator", most_bytes=MAX_ACCOUNT_NAME_BYTES),
            dismissed_ms=codec.integer(dismissed, "dismissed_ms"),
        )
    except DecodeError as error:
        raise _damaged(error) from error


@lru_cache(maxsize=_MEMORISED)
def decode_certificate(data: bytes) -> CertificateRecord:
    """Read a certificate's record from the state. Raises InvariantViolation: the state is of our own making."""
    try:
        version, authority, purpose, owner, not_before, not_after, revoked, reason = (
            codec.decode_array(data, max_bytes=_MAX_RECORD_BYTES, arity=8, what="certificate")
        )
        codec.integer(version, "version", least=VERSION, most=VERSION)
        return CertificateRecord(
            authority=codec.text(authority, "authority", most_bytes=MAX_NAME_BYTES),
            purpose=codec.text(purpose, "purpose", most_bytes=MAX_NAME_BYTES),
            owner=codec.text(owner, "owner", most_bytes=MAX_ACCOUNT_NAME_BYTES),
            not_before_ms=codec.integer(not_before, "not_before_ms"),
            not_after_ms=codec.integer(not_after, "not_after_ms"),
            revoked_ms=codec.integer(revoked, "revoked_ms"),
            reason=codec.text(reason, "reason", most_bytes=MAX_NAME_BYTES),
        )
    except DecodeError as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> InvariantViolation:
    return InvariantViolation(f"a record of authorities in the state cannot be read: {error}")
