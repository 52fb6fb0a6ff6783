"""The built-in contract `timestamps`, version 1: enters imprints into the log, blinded, before their tokens are issued.

    register(authority, fingerprint, seed, [[algorithm, digest], ...])

`fingerprint` names the X.509 certificate of the timestamp unit that will sign the tokens: entered by `authority`, which
is in force, for the purpose `timestamp`, the sender's own, and in force. So one leaf proves both: that the imprint was
there at the block's time, and that the certificate counted then, and by whose word. `seed` is 32 random bytes, from which
each imprint's blinding is derived. Each imprint leaves one record of kind `timestamp` (`chainnode.model.timestamp`).
Nothing is written to the state.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import SEED_BYTES
from chainnode.model.ids import check_name
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL, MAX_NAME_BYTES
from chainnode.model.roles import Role
from chainnode.model.suites import HASH_BYTES
from chainnode.model.timestamp import (
    KIND,
    blindings_under,
    checked_imprint,
    imprint_commitment,
    record_body,
)
from contracts.algorithms import check_open, closed_algorithms
from contracts.api import ContractError
from contracts.authorities.records import authority_in, certificate_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method

_AUTHORITIES: Final = "authorities"


def register(context: Context, args: tuple[Value, ...]) -> None:
    """Enter one to 1,000 imprints into the log.

    Raises:
        ContractError: `missing_role` unless the sender is a timestamper; `unknown_certificate`,
            `other_owner`, `bad_purpose`, `certificate_not_valid`, `dismissed`; `algorithm_closed`.
        DecodeError: an argument has another shape, `bad_name`, `unknown_algorithm`, `bad_digest`.
    """
    context.require_role(Role.TIMESTAMPER)
    authority_value, fingerprint_value, seed_value, imprints = codec.array(args, "args", arity=4)
    authority = codec.text(authority_value, "authority", most_bytes=MAX_NAME_BYTES)
    check_name(authority, "authority")
    fingerprint = codec.binary(fingerprint_value, "fingerprint", size=HASH_BYTES)
    _check_certificate(context, authority, fingerprint)
    suite = context.block.domain.suite
    blinding_of = blindings_under(suite, codec.binary(seed_value, "seed", size=SEED_BYTES))
    values = codec.array_up_to(imprints, "imprints", least=1, most=MAX_DOCUMENTS_PER_CALL)
    closed = closed_algorithms(context)
    for item, value in enumerate(values):
        imprint = checked_imprint(value)
        if closed:
            check_open(closed, (imprint,))
        commitment = imprint_commitment(suite, blinding_of(item), imprint)
        context.emit(KIND, record_body(commitment, authority, fingerprint))


def _check_certificate(context: Context, name: str, fingerprint: bytes) -> None:
    authorities, time_ms = context.read(_AUTHORITIES), context.block.time_ms
    certificate = certificate_in(authorities, name, fingerprint)
    if certificate is None:
        raise ContractError(
            f"{name} has entered no certificate {fingerprint.hex()}",
            code="unknown_certificate",
            field="fingerprint",
        )
    context.require(
        certificate.owner == context.sender,
        "other_owner",
        f"the certificate is that of {certificate.owner}",
    )
    context.require(
        certificate.purpose == KeyPurpose.TIMESTAMP,
        "bad_purpose",
        f"the certificate is for {certificate.purpose}; expected {KeyPurpose.TIMESTAMP}",
    )
    context.require(
        certificate.is_valid(time_ms),
        "certificate_not_valid",
        f"the certificate was revoked at {certificate.revoked_ms}"
        if certificate.revoked_ms
        else f"the certificate is valid from {certificate.not_before_ms} to "
        f"{certificate.not_after_ms}; the block's time is {time_ms}",
    )
    authority = authority_in(authorities, name)
    context.require(
        authority is not None and authority.dismissed_ms == 0,
        "dismissed",
        f"the certificate authority {name} was dismissed",
    )


METHODS: Final[Mapping[str, Method]] = MappingProxyType({"register": register})
