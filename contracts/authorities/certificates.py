"""Certificates that authorities have issued: entering, and revocation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.roles import Role
from chainnode.model.suites import HASH_BYTES
from contracts.api import ContractError
from contracts.authorities.records import (
    MAX_CERTIFICATE_BYTES,
    CertificateRecord,
    authority_in,
    certificate_in,
    certificate_key,
)
from contracts.authorities.shared import (
    KIND,
    authority_in_force,
    authority_name,
    certificate_lookup_key,
    check_operator,
    lookup_key,
    registered_account,
)

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context

PURPOSES: Final = (
    KeyPurpose.AUTHORITY,
    KeyPurpose.ENCRYPTION,
    KeyPurpose.SEAL_MAKER,
    KeyPurpose.SEAL_USER,
    KeyPurpose.TIMESTAMP,
)
"""What certificates are issued for. Spelled out, so that a purpose added for a later version changes no old block."""


REASONS: Final = ("affiliation_changed", "ceased", "compromised", "superseded", "unspecified")


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
    name = authority_name(authority_value)
    check_operator(context, authority_in_force(context, name), name)
    purpose = codec.text(purpose_value, "purpose", most_bytes=MAX_NAME_BYTES)
    context.require(
        purpose in PURPOSES,
        "bad_purpose",
        f"purpose: found {purpose!r}; expected one of {', '.join(PURPOSES)}",
    )
    record = CertificateRecord(
        authority=name,
        purpose=purpose,
        owner=registered_account(context, owner_value, "owner"),
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
    name = authority_name(authority_value)
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
        check_operator(context, authority, name)
    context.require(
        certificate.revoked_ms == 0,
        "certificate_revoked",
        f"the certificate was revoked at {certificate.revoked_ms}",
    )
    revoked = replace(certificate, revoked_ms=context.block.time_ms, reason=reason)
    context.state.put(certificate_key(name, fingerprint), revoked.encode())
    body = ("revoked", name, fingerprint, reason, context.block.time_ms)
    context.emit(KIND, body, (lookup_key(name), certificate_lookup_key(fingerprint)))
