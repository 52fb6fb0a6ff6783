"""What a timestamp token and its record on the log share: blinding, serial number, and what the record says.

    blinding(i)   = first 13 bytes of HMAC(seed, i as 8 bytes big-endian)     seed: 32 random bytes in the transaction
    salt(i)       = blinding(i), then 19 zero bytes
    commitment    = HMAC(salt, canonical bytes of [[algorithm, digest]])      as for notarized documents
    leaf body     = [commitment, authority, fingerprint of the timestamp unit's X.509 certificate]
    serial number = 01, log index of the leaf (6 bytes), blinding (13 bytes)  20 bytes, big-endian, positive

So a token says by itself which leaf vouches for it, and opens that leaf's commitment; the log shows nobody what was
timestamped. RFC 3161 section 2.4.2 allows serial numbers of up to 160 bits; a log index is given once, so no two
tokens of all nodes share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import (
    SALT_BYTES,
    Digest,
    by_other_suite,
    checked_digests,
    commitment_to,
    digests_value,
    salts_under,
)
from chainnode.model.errors import ProofInvalid
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.codec import Value
    from chainnode.model.record import Record
    from chainnode.model.suites import Suite

KIND: Final = "timestamp"
"""Kind of the records."""

BLINDING_BYTES: Final = 13
"""104 bits that nobody guesses; with the log index they fill a serial number."""

SERIAL_BYTES: Final = 20
_SERIAL_VERSION: Final = 1
_INDEX_BYTES: Final = 6
_PADDING: Final = bytes(SALT_BYTES - BLINDING_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A token's serial number."""

    index: int
    """Log index of the record, from 0; under 2^48."""

    blinding: bytes
    """13 bytes."""

    def as_integer(self) -> int:
        """Return what stands in the token."""
        data = bytes([_SERIAL_VERSION]) + self.index.to_bytes(_INDEX_BYTES, "big") + self.blinding
        return int.from_bytes(data, "big")


def parse_serial(number: int) -> Serial:
    """Read a token's serial number.

    Raises:
        ProofInvalid: `other_authority`: no timestamp unit of an alliance chain gives such numbers.
    """
    if not 0 <= number < 2 ** (8 * SERIAL_BYTES):
        raise _other_serial()
    data = number.to_bytes(SERIAL_BYTES, "big")
    if data[0] != _SERIAL_VERSION:
        raise _other_serial()
    return Serial(
        index=int.from_bytes(data[1 : 1 + _INDEX_BYTES], "big"), blinding=data[1 + _INDEX_BYTES :]
    )


def blindings_under(suite: Suite, seed: bytes) -> Callable[[int], bytes]:
    """Return what gives each item of a list under this seed its 13 bytes of blinding."""
    salt_of = salts_under(suite, seed)
    return lambda item: salt_of(item)[:BLINDING_BYTES]


def opening_salt(blinding: bytes) -> bytes:
    """Return the 32-byte salt that a token's blinding stands for in an opening."""
    return blinding + _PADDING


def imprint_commitment(suite: Suite, blinding: bytes, imprint: Value) -> bytes:
    """Return the 32-byte commitment to an imprint in its array form, [algorithm, digest]."""
    return commitment_to(suite, opening_salt(blinding), (imprint,))


def checked_imprint(value: Value) -> tuple[str, bytes]:
    """Return an imprint, (algorithm, digest), if it is one. Raises DecodeError as `checked_digests`."""
    return checked_digests((value,))[0]


def record_body(commitment: bytes, authority: str, fingerprint: bytes) -> tuple[Value, ...]:
    """Return what a timestamp's record says: the commitment, and the certificate that `authority` vouches for."""
    return (commitment, authority, fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedUnit:
    """The certificate that a timestamp's record names."""

    authority: str
    """By whose word the certificate counted in the record's block: an authority of the chain."""

    fingerprint: bytes
    """The chain's hash of it, 32 bytes."""


def unit_of(record: Record) -> RecordedUnit:
    """Return the certificate that a record of kind `KIND` names. Raises DecodeError: it has another shape."""
    commitment, authority, fingerprint = codec.array(record.body, "body", arity=3)
    codec.binary(commitment, "commitment", size=HASH_BYTES)
    return RecordedUnit(
        authority=codec.text(authority, "authority", most_bytes=MAX_NAME_BYTES),
        fingerprint=codec.binary(fingerprint, "fingerprint", size=HASH_BYTES),
    )


def verify_imprint(suite: Suite, record: Record, serial: Serial, imprint: Digest) -> bytes:
    """Check that a record commits to an imprint under the blinding in a serial number.

    Returns:
        The fingerprint of the X.509 certificate that the record names, 32 bytes.

    Raises:
        ProofInvalid: `other_kind` if the record is no timestamp's, `opening_mismatch`.
        CannotTell: `other_suite`: it commits to it by the hash of another suite.
        DecodeError: a timestamp's record of another shape.
    """
    if record.kind != KIND:
        raise ProofInvalid(
            f"record {serial.index} of the log is of kind {record.kind}, and no timestamp's: the token was "
            "not issued by the chain",
            code="other_kind",
        )
    unit = unit_of(record)
    (value,) = codec.array(digests_value((imprint,)), "digests", arity=1)
    commitment = codec.binary(record.body[0], "commitment", size=HASH_BYTES)
    if imprint_commitment(suite, serial.blinding, value) != commitment:
        salt = opening_salt(serial.blinding)
        raise by_other_suite(suite, commitment, salt, (value,)) or ProofInvalid(
            f"record {serial.index} of the log is about another imprint: the token was not issued "
            "by the chain, or belongs to another one",
            code="opening_mismatch",
        )
    return unit.fingerprint


def _other_serial() -> ProofInvalid:
    return ProofInvalid(
        "the token's serial number names no record; expected one of a timestamp unit of an "
        "alliance chain (20 bytes that begin with 01); the token is of another authority",
        code="other_authority",
    )
