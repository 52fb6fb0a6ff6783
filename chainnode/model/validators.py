"""Validator sets: who votes, with which keys.

    validator = [name, consensus_key, cosigner_key, log_key, tls_key]
    set       = [validator, ...]       in rising order of consensus keys

The order by key makes a validator's index canonical: votes, certificates and leaders use the index. The hash of
the set covers each validator's name and all four of its keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.ids import check_name
from chainnode.model.limits import MAX_NAME_BYTES, MAX_VALIDATORS
from chainnode.model.quorum import faulty_of, quorum_of

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.suites import Suite

MAX_TLS_KEY_BYTES: Final = 1_024
"""A SubjectPublicKeyInfo in DER; P-256 takes 91 bytes, RSA-4096 takes 550."""

MAX_VALIDATOR_SET_BYTES: Final = MAX_VALIDATORS * (MAX_NAME_BYTES + 3 * 128 + MAX_TLS_KEY_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """One member of a validator set."""

    name: str
    """Unique in the set; cosigner names and policies show it as `<chain id>/<name>`."""

    consensus_key: bytes
    """Public key of its votes."""

    cosigner_key: bytes
    """Public key of its checkpoint cosignatures."""

    log_key: bytes
    """Public key of the log signature on checkpoints that its node serves."""

    tls_key: bytes
    """SubjectPublicKeyInfo (DER) of the certificate that its peers pin."""

    def as_value(self) -> Value:
        """Return the array form."""
        return (self.name, self.consensus_key, self.cosigner_key, self.log_key, self.tls_key)

    def chain_keys(self) -> tuple[tuple[str, bytes], ...]:
        """Return (purpose, public key) of the three keys of the chain's suite."""
        return (
            ("consensus", self.consensus_key),
            ("cosigner", self.cosigner_key),
            ("log", self.log_key),
        )


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """The validators that govern a height, in canonical order."""

    members: tuple[Validator, ...]
    """1 to 100, in rising order of consensus keys."""

    @property
    def size(self) -> int:
        """How many there are: n."""
        return len(self.members)

    @property
    def quorum(self) -> int:
        """How many make a quorum."""
        return quorum_of(len(self.members))

    @property
    def faulty(self) -> int:
        """How many may fail: f."""
        return faulty_of(len(self.members))

    def index_of(self, name: str) -> int | None:
        """Return the index of the validator of that name, or None."""
        return next((i for i, v in enumerate(self.members) if v.name == name), None)

    def as_value(self) -> Value:
        """Return the array form."""
        return tuple(v.as_value() for v in self.members)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(self.as_value())

    def hash(self, domain: Domain) -> bytes:
        """Return what headers carry as validators_hash."""
        return domain.hash("validators", self.encode())


def ordered_set(validators: tuple[Validator, ...]) -> ValidatorSet:
    """Return the set of these validators in canonical order."""
    return ValidatorSet(tuple(sorted(validators, key=lambda v: v.consensus_key)))


def parse_validator_set(value: Value, suite: Suite) -> ValidatorSet:
    """Read a validator set.

    Raises:
        DecodeError: of another shape, out of order, with an unusable key, or with one name or one public
            key in two places.
    """
    validators: list[Validator] = []
    for element in codec.array_up_to(value, "validators", least=1, most=MAX_VALIDATORS):
        name, consensus, cosigner, log, tls = codec.array(element, "validator", arity=5)
        validators.append(
            Validator(
                name=codec.text(name, "validator name", most_bytes=MAX_NAME_BYTES),
                consensus_key=codec.binary(consensus, "consensus_key"),
                cosigner_key=codec.binary(cosigner, "cosigner_key"),
                log_key=codec.binary(log, "log_key"),
                tls_key=codec.binary(tls, "tls_key", most=MAX_TLS_KEY_BYTES),
            )
        )
    result = ValidatorSet(tuple(validators))
    _check_names(result)
    _check_keys(result, suite)
    return result


def decode_validator_set(data: bytes, suite: Suite) -> ValidatorSet:
    """Decode the bytes of a validator set. Raises DecodeError as `parse_validator_set`."""
    return parse_validator_set(codec.decode(data, max_bytes=MAX_VALIDATOR_SET_BYTES), suite)


def _check_names(validators: ValidatorSet) -> None:
    seen: set[str] = set()
    for validator in validators.members:
        check_name(validator.name, "validator name")
        if validator.name in seen:
            raise DecodeError(f"validators: the name {validator.name!r} is there twice")
        seen.add(validator.name)


def _check_keys(validators: ValidatorSet, suite: Suite) -> None:
    seen: dict[bytes, str] = {}
    previous = b""
    for validator in validators.members:
        for purpose, key in (*validator.chain_keys(), ("tls", validator.tls_key)):
            what = f"{purpose} key of {validator.name}"
            if purpose != "tls" and not suite.is_public_key(key):
                raise DecodeError(f"{what}: not a usable {suite.name} public key", code="bad_key")
            if key in seen:
                raise DecodeError(
                    f"{what} is also the {seen[key]}; one key has one purpose", code="key_reused"
                )
            seen[key] = what
        if validator.consensus_key <= previous:
            raise DecodeError("validators: not in rising order of consensus keys")
        previous = validator.consensus_key
