"""The methods of `authorities`, version 1: every X.509 certificate that counts stands on the log.

    admit(name, title, standing, operator, [certificate, ...])           by an admin
    dismiss(name)                                                        by an admin
    enter(authority, purpose, owner, not_before_ms, not_after_ms, certificate)   by the authority's operator
    revoke(authority, fingerprint, reason)                               by the operator, or an admin
    publish_crl(authority, number, crl)                                  by the operator
    publish_root_crl(authority, number, crl)                             by an admin

Certificates and lists are X.509 in DER, and opaque here: reading ASN.1 in every validator alike, for decades, would
make each library's reading of it a rule of consensus. Whoever relies on one reads it, follows its signatures to the
authority's root, and asks the chain whether it was entered and not revoked. So a certificate that was signed with a
stolen authority key, and never entered, counts for nothing; and one that was entered is there for everybody to see.

Each authority has entries of its own, so none can get in another's way by entering or revoking what the other issued.
The root's list is for an admin to publish, and in a dismissed authority's name too: it is what takes an authority back
whose machine, and with that its operator's key, may be a thief's.

Numbers of lists rise, so that nobody takes revocations back with an earlier list. Whether a list bears the number under
which it was published, its readers check.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.ids import check_account_name, check_name
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CRL_NUMBER,
    MAX_NAME_BYTES,
    MAX_TITLE_BYTES,
)
from chainnode.model.roles import Role
from chainnode.model.suites import HASH_BYTES
from contracts.api import IDENTITY, ContractError
from contracts.authorities.records import (
    MAX_AUTHORITIES,
    MAX_CERTIFICATE_BYTES,
    MAX_CHAIN,
    MAX_CRL_BYTES,
    MAX_FORMER,
    NAMES_KEY,
    AuthorityRecord,
    CertificateRecord,
    PublishedList,
    authority_in,
    authority_key,
    certificate_in,
    certificate_key,
    chain_in,
    chain_key,
    crl_key,
    encode_chain,
    encode_names,
    former_in,
    former_key,
    list_in,
    names_in,
    root_crl_key,
)
from contracts.identity.records import account_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method

KIND: Final = "authority"
"""Kind of the records."""

STANDINGS: Final = ("internal", "licensed")

PURPOSES: Final = (
    KeyPurpose.AUTHORITY,
    KeyPurpose.ENCRYPTION,
    KeyPurpose.SEAL_MAKER,
    KeyPurpose.SEAL_USER,
    KeyPurpose.TIMESTAMP,
)
"""What certificates are issued for. Spelled out, so that a purpose added for a later version changes no old block."""

REASONS: Final = ("affiliation_changed", "ceased", "compromised", "superseded", "unspecified")


def admit(context: Context, args: tuple[Value, ...]) -> None:
    """Admit a certificate authority, or replace the chain and operator of one: `[name, title, standing, operator, chain]`.

    Raises:
        ContractError: `missing_role`, `unknown_account`, `bad_standing`, `dismissed`, `too_many_authorities`,
            `too_many_keys`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    name_value, title_value, standing_value, operator_value, chain_value = codec.array(
        args, "args", arity=5
    )
    name = _name(name_value)
    standing = codec.text(standing_value, "standing", most_bytes=MAX_NAME_BYTES)
    context.require(
        standing in STANDINGS,
        "bad_standing",
        f"standing: found {standing!r}; expected one of {', '.join(STANDINGS)}",
    )
    chain = tuple(
        codec.binary(value, "certificate", most=MAX_CERTIFICATE_BYTES)
        for value in codec.array_up_to(chain_value, "chain", least=1, most=MAX_CHAIN)
    )
    # What a dismissed one has issued would count again, a thief's certificates among it.
    earlier = authority_in(context.state, name)
    context.require(
        earlier is None or earlier.dismissed_ms == 0,
        "dismissed",
        f"the certificate authority {name} was dismissed; admit its successor under another name",
    )
    if earlier is None:
        _add_name(context, name)
    record = AuthorityRecord(
        title=codec.text(title_value, "title", most_bytes=MAX_TITLE_BYTES),
        standing=standing,
        operator=_account(context, operator_value, "operator"),
        dismissed_ms=0,
    )
    _keep_former(context, name, chain[0])
    context.state.put(authority_key(name), record.encode())
    context.state.put(chain_key(name), encode_chain(chain))
    body = ("admitted", name, record.title, standing, record.operator, chain)
    context.emit(KIND, body, (lookup_key(name),))


def dismiss(context: Context, args: tuple[Value, ...]) -> None:
    """Let nothing of an authority count from now on: `[name]`.

    Raises:
        ContractError: `missing_role`, `unknown_authority`, `dismissed`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    (name_value,) = codec.array(args, "args", arity=1)
    name = _name(name_value)
    authority = _in_force(context, name)
    dismissed = replace(authority, dismissed_ms=context.block.time_ms)
    context.state.put(authority_key(name), dismissed.encode())
    context.emit(KIND, ("dismissed", name), (lookup_key(name),))


def enter(context: Context, args: tuple[Value, ...]) -> None:
    """Enter a certificate: `[authority, purpose, owner, not_before_ms, not_after_ms, certificate]`.

    Raises:
        ContractError: `unknown_authority`, `dismissed`, `not_the_operator`, `unknown_account`, `bad_purpose`,
            `bad_validity`, `already_entered`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    authority_value, purpose_value, owner_value, not_before, not_after, certificate_value = (
        codec.array(args, "args", arity=6)
    )
    name = _name(authority_value)
    _check_operator(context, _in_force(context, name), name)
    purpose = codec.text(purpose_value, "purpose", most_bytes=MAX_NAME_BYTES)
    context.require(
        purpose in PURPOSES,
        "bad_purpose",
        f"purpose: found {purpose!r}; expected one of {', '.join(PURPOSES)}",
    )
    record = CertificateRecord(
        authority=name,
        purpose=purpose,
        owner=_account(context, owner_value, "owner"),
        not_before_ms=codec.integer(not_before, "not_before_ms"),
        not_after_ms=codec.integer(not_after, "not_after_ms"),
        revoked_ms=0,
        reason="",
    )
    context.require(
        record.not_before_ms < record.not_after_ms and context.block.time_ms < record.not_after_ms,
        "bad_validity",
        f"the certificate would end at {record.not_after_ms}, before it is of any use",
    )
    certificate = codec.binary(certificate_value, "certificate", most=MAX_CERTIFICATE_BYTES)
    fingerprint = context.block.domain.suite.hash(certificate)
    context.require(
        certificate_in(context.state, name, fingerprint) is None,
        "already_entered",
        f"{name} entered the certificate {fingerprint.hex()} before",
    )
    context.state.put(certificate_key(name, fingerprint), record.encode())
    body = ("issued", name, purpose, record.owner, certificate)
    context.emit(KIND, body, (lookup_key(name), certificate_lookup_key(fingerprint)))


def revoke(context: Context, args: tuple[Value, ...]) -> None:
    """End a certificate of an authority at once and for ever: `[authority, fingerprint, reason]`.

    Raises:
        ContractError: `unknown_certificate`, `not_the_operator`, `certificate_revoked`, `bad_reason`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    authority_value, fingerprint_value, reason_value = codec.array(args, "args", arity=3)
    name = _name(authority_value)
    fingerprint = codec.binary(fingerprint_value, "fingerprint", size=HASH_BYTES)
    reason = codec.text(reason_value, "reason", most_bytes=MAX_NAME_BYTES)
    context.require(
        reason in REASONS,
        "bad_reason",
        f"reason: found {reason!r}; expected one of {', '.join(REASONS)}",
    )
    certificate = certificate_in(context.state, name, fingerprint)
    if certificate is None:
        raise ContractError(
            f"{name} has entered no certificate {fingerprint.hex()}",
            code="unknown_certificate",
            field="fingerprint",
        )
    authority = authority_in(context.state, name)
    if authority is not None and not context.has_role(Role.ADMIN):
        _check_operator(context, authority, name)
    context.require(
        certificate.revoked_ms == 0,
        "certificate_revoked",
        f"the certificate was revoked at {certificate.revoked_ms}",
    )
    revoked = replace(certificate, revoked_ms=context.block.time_ms, reason=reason)
    context.state.put(certificate_key(name, fingerprint), revoked.encode())
    body = ("revoked", name, fingerprint, reason, context.block.time_ms)
    context.emit(KIND, body, (lookup_key(name), certificate_lookup_key(fingerprint)))


def publish_crl(context: Context, args: tuple[Value, ...]) -> None:
    """Publish an authority's revocation list, which every node then serves: `[authority, number, crl]`.

    Raises:
        ContractError: `unknown_authority`, `dismissed`, `not_the_operator`, `not_newer`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    authority_value, number_value, crl_value = codec.array(args, "args", arity=3)
    name = _name(authority_value)
    _check_operator(context, _in_force(context, name), name)
    found = _published(number_value, crl_value)
    issuing = chain_in(context.state, name)[0]
    _publish(context, crl_key(name, context.block.domain.suite.hash(issuing)), found)
    _emit_list(context, "crl", name, found)


def publish_root_crl(context: Context, args: tuple[Value, ...]) -> None:
    """Publish the revocation list of an authority's root, which every node then serves: `[authority, number, crl]`.

    Raises:
        ContractError: `missing_role`, `unknown_authority`, `not_newer`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    authority_value, number_value, crl_value = codec.array(args, "args", arity=3)
    name = _name(authority_value)
    _admitted(context, name)
    found = _published(number_value, crl_value)
    root = chain_in(context.state, name)[-1]
    _publish(context, root_crl_key(name, context.block.domain.suite.hash(root)), found)
    _emit_list(context, "root-crl", name, found)


def lookup_key(authority: str) -> bytes:
    """Return the key of the local index under which everything of an authority is found."""
    return b"authority/" + authority.encode("ascii")


def certificate_lookup_key(fingerprint: bytes) -> bytes:
    """Return the key of the local index under which the records of a certificate are found."""
    return b"certificate/" + fingerprint


def _name(value: Value) -> str:
    name = codec.text(value, "authority", most_bytes=MAX_NAME_BYTES)
    check_name(name, "authority")
    return name


def _account(context: Context, value: Value, field: str) -> str:
    name = codec.text(value, field, most_bytes=MAX_ACCOUNT_NAME_BYTES)
    check_account_name(name, field)
    if context.read(IDENTITY).get(account_key(name)) is None:
        raise ContractError(f"there is no account {name}", code="unknown_account", field=field)
    return name


def _add_name(context: Context, name: str) -> None:
    names = names_in(context.state)
    context.require(
        len(names) < MAX_AUTHORITIES,
        "too_many_authorities",
        f"the alliance has admitted {len(names)} certificate authorities; at most {MAX_AUTHORITIES} are kept",
    )
    context.state.put(NAMES_KEY, encode_names(tuple(sorted((*names, name)))))


def _keep_former(context: Context, name: str, issuing: bytes) -> None:
    """Keep the certificate that an authority has issued by, if it is to issue by another one: that of earlier issues."""
    before = chain_in(context.state, name)
    if not before or before[0] == issuing:
        return
    former = tuple(c for c in (*former_in(context.state, name), before[0]) if c != issuing)
    context.require(
        len(former) <= MAX_FORMER,
        "too_many_keys",
        f"the certificate authority {name} has issued by {len(former)} certificates before; at most {MAX_FORMER} are "
        "kept: admit its successor under another name",
    )
    context.state.put(former_key(name), encode_chain(former))


def _published(number: Value, crl: Value) -> PublishedList:
    return PublishedList(
        codec.integer(number, "number", most=MAX_CRL_NUMBER),
        codec.binary(crl, "crl", most=MAX_CRL_BYTES),
    )


def _publish(context: Context, key: bytes, found: PublishedList) -> None:
    before = list_in(context.state, key)
    if before is not None and found.number <= before.number:
        raise ContractError(
            f"number: found {found.number}; expected one above {before.number}, that of the list which is published",
            code="not_newer",
            field="number",
        )
    context.state.put(key, found.encode())


def _emit_list(context: Context, event: str, name: str, found: PublishedList) -> None:
    fingerprint = context.block.domain.suite.hash(found.encoded)
    context.emit(KIND, (event, name, found.number, fingerprint), (lookup_key(name),))


def _admitted(context: Context, name: str) -> AuthorityRecord:
    authority = authority_in(context.state, name)
    if authority is None:
        raise ContractError(
            f"there is no certificate authority {name}; an admin admits it first",
            code="unknown_authority",
            field="authority",
        )
    return authority


def _in_force(context: Context, name: str) -> AuthorityRecord:
    authority = _admitted(context, name)
    context.require(
        authority.dismissed_ms == 0,
        "dismissed",
        f"the certificate authority {name} was dismissed at {authority.dismissed_ms}",
    )
    return authority


def _check_operator(context: Context, authority: AuthorityRecord, name: str) -> None:
    if context.sender != authority.operator:
        raise ContractError(
            f"{context.sender} does not operate the certificate authority {name}; "
            f"{authority.operator} does",
            code="not_the_operator",
            field="sender",
        )


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "admit": admit,
        "dismiss": dismiss,
        "enter": enter,
        "revoke": revoke,
        "publish_crl": publish_crl,
        "publish_root_crl": publish_root_crl,
    }
)
