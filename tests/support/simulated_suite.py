"""A suite for simulations: signatures are hashes that anybody can make, forty times faster than real ones.

Whoever simulates an adversary makes signatures with the keys that it owns only; nothing stops it from making others,
so that is checked where they are made (`adversaries`). Keys, hashes and lengths are those of Ed25519, so the same
genesis serves both. Notes (cosignatures) name their algorithm in the key and are therefore real in every mode.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import contracts.registry
from chainnode.model import codec
from chainnode.model.domain import Domain
from chainnode.model.suites import ED25519_SHA256
from chainnode.model.suites.ed25519_sha256 import Ed25519Sha256
from chainnode.model.transaction import Call
from chainnode.model.validators import ordered_set
from contracts.runtime import VALIDATORS_NEXT_KEY
from tests.support.chain import KeyPair, make_chain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.model.parameters import Parameters
    from contracts.api import Context
    from tests.support.chain import Chain

GOVERNANCE = "validators"
"""A contract of simulations only: whoever calls it replaces the validator set."""


class IdentitySuite(Ed25519Sha256):
    """Ed25519 with signatures that say who signed what, and prove nothing."""

    __slots__ = ()

    def is_public_key(self, public_key: bytes) -> bool:
        return _is_public_key(public_key)

    def public_key_of(self, private_key: bytes) -> bytes:
        return _public_key_of(private_key)

    def sign(self, private_key: bytes, message: bytes) -> bytes:
        return hashlib.sha512(_public_key_of(private_key) + message).digest()

    def is_signature(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return hashlib.sha512(public_key + message).digest() == signature


@functools.cache
def _is_public_key(public_key: bytes) -> bool:
    return Ed25519Sha256().is_public_key(public_key)


@functools.cache
def _public_key_of(private_key: bytes) -> bytes:
    return Ed25519Sha256().public_key_of(private_key)


@functools.cache
def simulated_genesis(
    validators: int,
    parameters: Parameters,
    *,
    real_crypto: bool,
    suite: str = ED25519_SHA256,
    spares: int = 0,
    has_governance: bool = False,
) -> Chain:
    """Return a chain whose genesis carries the suite to simulate with.

    Real signatures are of `suite`. There are keys for `spares` more validators; with `has_governance`, a contract by which the set may be changed.
    """
    more = (GOVERNANCE,) if has_governance else ()
    chain = make_chain(
        validators=validators, suite=suite, parameters=parameters, spares=spares, contracts=more
    )
    if has_governance:
        _enable_governance()
    if real_crypto:
        return chain
    fake = IdentitySuite()

    def fast(pair: KeyPair) -> KeyPair:
        return replace(pair, suite=fake)

    genesis = chain.genesis
    return replace(
        chain,
        genesis=replace(genesis, suite=fake, domain=Domain(fake, genesis.domain.genesis_hash)),
        # Cosigner keys stay real: see above.
        validators=tuple(replace(v, consensus=fast(v.consensus)) for v in chain.validators),
        accounts={name: fast(pair) for name, pair in chain.accounts.items()},
    )


def replace_validators(chain: Chain, names: Iterable[str]) -> Call:
    """Return the call that makes these the validators, two heights after its block."""
    wanted = set(names)
    members = ordered_set(tuple(v.public for v in chain.validators if v.name in wanted))
    return Call(contract=GOVERNANCE, method="replace", args=(members.encode(),))


def _replace(context: Context, args: tuple[codec.Value, ...]) -> None:
    (members,) = codec.array(args, "args", arity=1)
    key = VALIDATORS_NEXT_KEY.removeprefix(GOVERNANCE.encode() + b"/")
    context.state.put(key, codec.binary(members, "members"))


@functools.cache
def _enable_governance() -> None:
    known = contracts.registry._IMPLEMENTATIONS
    contracts.registry._IMPLEMENTATIONS = {**known, (GOVERNANCE, 1): {"replace": _replace}}
