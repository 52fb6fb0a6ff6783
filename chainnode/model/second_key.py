"""The key with which a validator cosigns a second time, ML-DSA-44, as the state holds it.

    key         cosigners/<validator>
    value       [1, vouched_by, number, public_key | nil]
    statement   context("second-cosigner-key") || [validator, number, public_key | nil]

The statement is signed with the validator's cosigner key, `vouched_by`: nobody else can speak for it, and a second key
counts only as long as that one is the validator's. `number` rises by one from 1, so that no statement of the past can
be brought again. nil: the validator cosigns once only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.suites.ml_dsa_44 import PUBLIC_KEY_BYTES

if TYPE_CHECKING:
    from chainnode.model.domain import Domain

PREFIX: Final = b"cosigners/"
"""Of the state keys; the contract's state."""

VERSION: Final = 1

_MAX_KEY_BYTES: Final = 128
"""Of a chain's suite; as in validator sets."""

_MAX_VALUE_BYTES: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondKey:
    """What a validator has said last of its second key."""

    vouched_by: bytes
    """Cosigner key, of the chain's suite, that signed the statement."""

    number: int
    """Of the statement, from 1."""

    public_key: bytes | None
    """1,312 bytes, or None if it cosigns once only."""

    def encode(self) -> bytes:
        """Return the canonical bytes that the state holds."""
        return codec.encode((VERSION, self.vouched_by, self.number, self.public_key))

    def key_for(self, cosigner_key: bytes) -> bytes | None:
        """Return the second key of a validator whose cosigner key is `cosigner_key`; None if this does not count there."""
        return self.public_key if self.vouched_by == cosigner_key else None


def second_key_state_key(validator: str) -> bytes:
    """Return the full state key for a validator's checked name."""
    return PREFIX + validator.encode("ascii")


def second_key_statement(
    domain: Domain, validator: str, number: int, public_key: bytes | None
) -> bytes:
    """Return what a validator signs with its cosigner key. No cosignature begins like it."""
    body = codec.encode((validator, number, public_key))
    return domain.context("second-cosigner-key") + body


@lru_cache(maxsize=256)
def decode_second_key(data: bytes) -> SecondKey:
    """Read the value of a state key; remembered, since each block asks for the same few.

    Raises:
        DecodeError: not the canonical bytes of any.
    """
    version, vouched_by, number, public_key = codec.decode_array(
        data, max_bytes=_MAX_VALUE_BYTES, arity=4, what="second cosigner key"
    )
    codec.integer(version, "version", least=VERSION, most=VERSION)
    return SecondKey(
        vouched_by=codec.binary(vouched_by, "vouched_by", most=_MAX_KEY_BYTES),
        number=codec.integer(number, "number", least=1),
        public_key=parse_second_key(public_key),
    )


def parse_second_key(value: codec.Value) -> bytes | None:
    """Read a public key or nil.

    Raises:
        DecodeError: it is neither.
    """
    return None if value is None else codec.binary(value, "public_key", size=PUBLIC_KEY_BYTES)
