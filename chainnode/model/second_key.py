"""The key with which a validator cosigns a second time, ML-DSA-44, as the state holds it.

    key         cosigners/<validator>
    value       [1, vouched_by, number, [public_key, possession] | nil]
    statement   context("second-cosigner-key") || [validator, number, public_key | nil]

The statement is signed with the validator's cosigner key, `vouched_by`, and with the new key itself, `possession`. nil: the
validator cosigns once only. `number` rises by one from 1, so that no statement of the past can be brought again.

The chain checks the first signature; the second one it only keeps, since no block may depend on signatures that only some
nodes can judge. So whoever wants to know a validator's second key asks `second_key_of`, which believes nothing else:
a key that is another's, or that cannot be told from the validator's cosigner key in a note, counts as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.note import cosigner_key
from chainnode.model.suites import ML_DSA_44, key_suite_named
from chainnode.model.suites.ml_dsa_44 import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

if TYPE_CHECKING:
    from chainnode.model.domain import Domain
    from chainnode.model.note import VerifierKey

PREFIX: Final = b"cosigners/"
"""Of the state keys; the contract's state."""

VERSION: Final = 1

_MAX_KEY_BYTES: Final = 128
"""Of a chain's suite; as in validator sets."""

_MAX_VALUE_BYTES: Final = 4_096

_CACHED: Final = 256
"""Values and verdicts that are remembered, since each block asks for the same few; some 2 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedKey:
    """An ML-DSA-44 key, and what shows that who offers it has it."""

    public_key: bytes
    """1,312 bytes."""

    possession: bytes
    """Its signature of the statement, 2,420 bytes; nothing is known of it yet."""

    def as_value(self) -> codec.Value:
        """Return the array form."""
        return (self.public_key, self.possession)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondKey:
    """What a validator has said last of its second key."""

    vouched_by: bytes
    """Cosigner key, of the chain's suite, that signed the statement."""

    number: int
    """Of the statement, from 1."""

    offered: OfferedKey | None
    """None if it cosigns once only."""

    def encode(self) -> bytes:
        """Return the canonical bytes that the state holds."""
        offered = None if self.offered is None else self.offered.as_value()
        return codec.encode((VERSION, self.vouched_by, self.number, offered))

    def public_key_beside(self, cosigner: bytes) -> bytes | None:
        """Return the public key that is said to stand beside this cosigner key; None if there is none."""
        if self.offered is None or self.vouched_by != cosigner:
            return None
        return self.offered.public_key


def second_key_state_key(validator: str) -> bytes:
    """Return the full state key for a validator's checked name."""
    return PREFIX + validator.encode("ascii")


def second_key_statement(
    domain: Domain, validator: str, number: int, public_key: bytes | None
) -> bytes:
    """Return what a validator signs with its cosigner key and with the new one. No cosignature begins like it."""
    body = codec.encode((validator, number, public_key))
    return domain.context("second-cosigner-key") + body


def second_key_of(
    domain: Domain, chain_id: str, validator: str, cosigner: bytes, said: SecondKey | None
) -> VerifierKey | None:
    """Return the key with which a validator cosigns a second time; None if it has none that counts.

    Args:
        domain: the chain's.
        chain_id: the chain's.
        validator: name in the validator set.
        cosigner: its cosigner key there.
        said: what the state has.

    Raises:
        CannotTell: with code `unsupported_algorithm`: this installation cannot judge such keys.
    """
    if said is None or said.offered is None or said.vouched_by != cosigner:
        return None
    public_key = said.offered.public_key
    statement = second_key_statement(domain, validator, said.number, public_key)
    if not _is_had(public_key, statement, said.offered.possession):
        return None
    name = f"{chain_id}/{validator}"
    second = cosigner_key(key_suite_named(ML_DSA_44), name, public_key)
    # Key ids have four bytes: two keys of one name with one id would spoil every note that holds both signatures.
    return None if second.key_id == cosigner_key(domain.suite, name, cosigner).key_id else second


@lru_cache(maxsize=_CACHED)
def decode_second_key(data: bytes) -> SecondKey:
    """Read the value of a state key.

    Raises:
        DecodeError: not the canonical bytes of any.
    """
    version, vouched_by, number, offered = codec.decode_array(
        data, max_bytes=_MAX_VALUE_BYTES, arity=4, what="second cosigner key"
    )
    codec.integer(version, "version", least=VERSION, most=VERSION)
    return SecondKey(
        vouched_by=codec.binary(vouched_by, "vouched_by", most=_MAX_KEY_BYTES),
        number=codec.integer(number, "number", least=1),
        offered=parse_offered_key(offered),
    )


def parse_offered_key(value: codec.Value) -> OfferedKey | None:
    """Read a key with its proof of possession, or nil.

    Raises:
        DecodeError: it is neither.
    """
    if value is None:
        return None
    public_key, possession = codec.array(value, "offered key", arity=2)
    return OfferedKey(
        public_key=codec.binary(public_key, "public_key", size=PUBLIC_KEY_BYTES),
        possession=codec.binary(possession, "possession", size=SIGNATURE_BYTES),
    )


@lru_cache(maxsize=_CACHED)
def _is_had(public_key: bytes, statement: bytes, possession: bytes) -> bool:
    return key_suite_named(ML_DSA_44).is_signature(public_key, statement, possession)
