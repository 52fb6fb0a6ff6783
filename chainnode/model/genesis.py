"""Genesis: the document that a chain begins with. Its hash names the chain.

    genesis      = [1, chain_id, suite, time_ms, rules_version, parameters, organisations, validators, accounts,
                    contracts]
    organisation = [name, title]
    validator    = [name, organisation, consensus_key, cosigner_key, log_key, tls_certificate (DER), address]
    account      = [name, [role, ...], [public_key, ...]]
    contract     = [name, version, from_height]

Lists are in rising order of names (validators: of consensus keys), so that the same members always give the
same bytes. No public key appears twice, under whatever purpose.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chainnode.model import codec
from chainnode.model.domain import Domain, genesis_hash_of
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.ids import (
    Height,
    check_account_name,
    check_chain_id,
    check_name,
    organisation_of,
)
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CHAIN_ID_BYTES,
    MAX_GENESIS_BYTES,
    MAX_NAME_BYTES,
    MAX_TITLE_BYTES,
    MAX_VALIDATORS,
)
from chainnode.model.parameters import Parameters, parse_parameters
from chainnode.model.suites import suite_named
from chainnode.model.tls_certificate import read_tls_certificate
from chainnode.model.validators import Validator, ValidatorSet, ordered_set, parse_validator_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.codec import Value
    from chainnode.model.suites import Suite

VERSION: Final = 1
RULES_VERSION: Final = 1
"""The newest rules that this software knows."""

MAX_ADDRESS_BYTES: Final = 262
"""`host:port`; a host name has at most 253 bytes, an IPv6 literal comes in brackets."""

_MAX_CERTIFICATE_BYTES: Final = 4_096
_MAX_ACCOUNTS: Final = 10_000
_MAX_CONTRACTS: Final = 100
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A member of the alliance."""

    name: str
    """Short name, the first part of its accounts' names."""

    title: str
    """Full name for people, in any language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisValidator:
    """A validator of the first set, and where its node listens for peers."""

    name: str
    organisation: str
    """The member that runs it."""

    consensus_key: bytes
    cosigner_key: bytes
    log_key: bytes
    tls_certificate: bytes
    """X.509 in DER; peers accept exactly this certificate."""

    address: str
    """`host:port` as its peers reach it; a node's configuration may override it."""

    def validator(self) -> Validator:
        """Return it as a member of a validator set."""
        return Validator(
            name=self.name,
            consensus_key=self.consensus_key,
            cosigner_key=self.cosigner_key,
            log_key=self.log_key,
            tls_key=tls_key_of(self.tls_certificate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisAccount:
    """An account that exists from the beginning."""

    name: str
    """`organisation/account`."""

    roles: tuple[str, ...]
    """In rising order, each once."""

    public_keys: tuple[bytes, ...]
    """Keys of purpose `account`, in rising order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractActivation:
    """From which height a version of a built-in contract is in force."""

    name: str
    version: int
    from_height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """The decoded document, its bytes, and what follows from them."""

    chain_id: str
    suite: Suite
    time_ms: int
    """When it was assembled; block 1 is later. Milliseconds UTC."""

    rules_version: int
    parameters: Parameters
    organisations: tuple[Organisation, ...]
    validators: tuple[GenesisValidator, ...]
    accounts: tuple[GenesisAccount, ...]
    contracts: tuple[ContractActivation, ...]
    encoded: bytes
    """The document's bytes."""

    domain: Domain
    """Hashing and signing contexts of the chain, with the genesis hash."""

    validator_set: ValidatorSet
    """The set that governs height 1."""


def tls_key_of(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo (DER) of an X.509 certificate (DER).

    Raises:
        DecodeError: not a certificate.
    """
    public_key = read_tls_certificate(certificate).public_key()
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make_genesis(
    *,
    chain_id: str,
    suite: str,
    time_ms: int,
    parameters: Parameters,
    organisations: Sequence[Organisation],
    validators: Sequence[GenesisValidator],
    accounts: Sequence[GenesisAccount],
    contracts: Sequence[ContractActivation],
) -> Genesis:
    """Assemble a genesis; the order of the arguments' items does not matter.

    Raises:
        DecodeError: the members do not fit together; the same checks as `decode_genesis`.
    """
    value: Value = (
        VERSION,
        chain_id,
        suite,
        time_ms,
        RULES_VERSION,
        parameters.as_value(),
        tuple((o.name, o.title) for o in sorted(organisations, key=lambda o: o.name)),
        tuple(
            (
                v.name,
                v.organisation,
                v.consensus_key,
                v.cosigner_key,
                v.log_key,
                v.tls_certificate,
                v.address,
            )
            for v in sorted(validators, key=lambda v: v.consensus_key)
        ),
        tuple(
            (a.name, tuple(sorted(set(a.roles))), tuple(sorted(a.public_keys)))
            for a in sorted(accounts, key=lambda a: a.name)
        ),
        tuple(
            (c.name, c.version, c.from_height)
            for c in sorted(contracts, key=lambda c: (c.name, c.version))
        ),
    )
    return decode_genesis(codec.encode(value))


def decode_genesis(data: bytes) -> Genesis:
    """Decode a genesis document and check that its parts fit together.

    Raises:
        DecodeError: not the canonical bytes of any genesis, an unknown suite or rules version, an account
            or validator of an unknown organisation, one name twice, or one public key twice.
    """
    fields = codec.decode_array(data, max_bytes=MAX_GENESIS_BYTES, arity=10, what="genesis")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    chain_id = codec.text(fields[1], "chain_id", most_bytes=MAX_CHAIN_ID_BYTES)
    check_chain_id(chain_id)
    suite = _parse_suite(fields[2])
    validators = tuple(
        _parse_validator(v)
        for v in codec.array_up_to(fields[7], "validators", least=1, most=MAX_VALIDATORS)
    )
    validator_set = ordered_set(tuple(v.validator() for v in validators))
    parse_validator_set(validator_set.as_value(), suite)
    genesis = Genesis(
        chain_id=chain_id,
        suite=suite,
        time_ms=codec.integer(fields[3], "time_ms"),
        rules_version=codec.integer(fields[4], "rules_version", least=1, most=RULES_VERSION),
        parameters=parse_parameters(fields[5]),
        organisations=tuple(
            _parse_organisation(o)
            for o in codec.array_up_to(fields[6], "organisations", least=1, most=_MAX_ACCOUNTS)
        ),
        validators=validators,
        accounts=tuple(
            _parse_account(a) for a in codec.array_up_to(fields[8], "accounts", most=_MAX_ACCOUNTS)
        ),
        contracts=tuple(
            _parse_contract(c)
            for c in codec.array_up_to(fields[9], "contracts", least=1, most=_MAX_CONTRACTS)
        ),
        encoded=data,
        domain=Domain(suite, genesis_hash_of(suite, data)),
        validator_set=validator_set,
    )
    _check_order(genesis)
    _check_membership(genesis)
    _check_keys(genesis)
    return genesis


def _parse_suite(value: Value) -> Suite:
    try:
        return suite_named(codec.text(value, "suite", most_bytes=MAX_NAME_BYTES))
    except Refused as error:
        raise DecodeError(error.message, code=error.error_code, field="suite") from error


def _parse_organisation(value: Value) -> Organisation:
    name, title = codec.array(value, "organisation", arity=2)
    organisation = Organisation(
        name=codec.text(name, "organisation", most_bytes=MAX_NAME_BYTES),
        title=codec.text(title, "title", most_bytes=MAX_TITLE_BYTES),
    )
    check_name(organisation.name, "organisation")
    return organisation


def _parse_validator(value: Value) -> GenesisValidator:
    name, organisation, consensus, cosigner, log, certificate, address = codec.array(
        value, "validator", arity=7
    )
    validator = GenesisValidator(
        name=codec.text(name, "validator name", most_bytes=MAX_NAME_BYTES),
        organisation=codec.text(organisation, "organisation", most_bytes=MAX_NAME_BYTES),
        consensus_key=codec.binary(consensus, "consensus_key"),
        cosigner_key=codec.binary(cosigner, "cosigner_key"),
        log_key=codec.binary(log, "log_key"),
        tls_certificate=codec.binary(certificate, "tls_certificate", most=_MAX_CERTIFICATE_BYTES),
        address=codec.text(address, "address", most_bytes=MAX_ADDRESS_BYTES),
    )
    check_address(validator.address)
    return validator


def check_address(address: str, what: str = "address") -> None:
    """Refuse anything but `host:port` or `[IPv6]:port` with a port of 1 to 65535."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match[2]) <= 65_535:
        raise DecodeError(
            f"{what}: found {address[:80]!r}; expected host:port or [IPv6]:port", field=what
        )


def _parse_account(value: Value) -> GenesisAccount:
    name, roles, keys = codec.array(value, "account", arity=3)
    account = GenesisAccount(
        name=codec.text(name, "account", most_bytes=MAX_ACCOUNT_NAME_BYTES),
        roles=tuple(
            codec.text(r, "role", most_bytes=MAX_NAME_BYTES)
            for r in codec.array_up_to(roles, "roles", most=16)
        ),
        public_keys=tuple(
            codec.binary(k, "public_key", most=128)
            for k in codec.array_up_to(keys, "public_keys", least=1, most=16)
        ),
    )
    check_account_name(account.name)
    for role in account.roles:
        check_name(role, "role")
    return account


def _parse_contract(value: Value) -> ContractActivation:
    name, version, from_height = codec.array(value, "contract", arity=3)
    contract = ContractActivation(
        name=codec.text(name, "contract", most_bytes=MAX_NAME_BYTES),
        version=codec.integer(version, "version", least=1, most=2**16 - 1),
        from_height=Height(codec.integer(from_height, "from_height", least=1)),
    )
    check_name(contract.name, "contract")
    return contract


def _check_order(genesis: Genesis) -> None:
    """Refuse lists that are not in their one order, which also refuses doubles."""
    _check_rising("organisations", [o.name for o in genesis.organisations])
    _check_rising("validators", [v.consensus_key for v in genesis.validators])
    _check_rising("accounts", [a.name for a in genesis.accounts])
    _check_rising("contracts", [(c.name, c.version) for c in genesis.contracts])
    for account in genesis.accounts:
        _check_rising(f"roles of {account.name}", list(account.roles))
        _check_rising(f"keys of {account.name}", list(account.public_keys))


def _check_rising(what: str, items: list[str] | list[bytes] | list[tuple[str, int]]) -> None:
    for before, after in itertools.pairwise(items):
        if not before < after:  # type: ignore[operator]  # a list holds items of one kind
            raise DecodeError(f"{what}: {after!r} after {before!r}; expected rising, each once")


def _check_membership(genesis: Genesis) -> None:
    members = {o.name for o in genesis.organisations}
    for validator in genesis.validators:
        if validator.organisation not in members:
            raise DecodeError(
                f"validator {validator.name}: unknown organisation {validator.organisation!r}"
            )
    for account in genesis.accounts:
        if organisation_of(account.name) not in members:
            raise DecodeError(f"account {account.name}: its organisation is not a member")


def _check_keys(genesis: Genesis) -> None:
    """Refuse one public key under two purposes; the validators' own were compared with each other before."""
    seen = {
        key: f"{purpose} key of {validator.name}"
        for validator in genesis.validator_set.members
        for purpose, key in validator.chain_keys()
    }
    for account in genesis.accounts:
        for key in account.public_keys:
            if not genesis.suite.is_public_key(key):
                raise DecodeError(
                    f"account {account.name}: not a usable {genesis.suite.name} public key",
                    code="bad_key",
                )
            if key in seen:
                raise DecodeError(
                    f"account {account.name}: its key is also the {seen[key]}; "
                    "one key has one purpose",
                    code="key_reused",
                )
            seen[key] = f"key of account {account.name}"
