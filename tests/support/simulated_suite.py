"""A suite for simulations: signatures are hashes that anybody can make, forty times faster than real ones.

Good enough where nobody forges: a simulated validator signs with its own keys only. Keys, hashes and lengths are
those of Ed25519, so the same genesis serves both. Notes (cosignatures) name their algorithm in the key and are
therefore real in every mode.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from chainnode.model.domain import Domain
from chainnode.model.suites.ed25519_sha256 import Ed25519Sha256
from tests.support.chain import KeyPair, make_chain

if TYPE_CHECKING:
    from chainnode.model.parameters import Parameters
    from tests.support.chain import Chain


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
def simulated_genesis(validators: int, parameters: Parameters, *, real_crypto: bool) -> Chain:
    """Return a chain whose genesis carries the suite to simulate with."""
    chain = make_chain(validators=validators, parameters=parameters)
    if real_crypto:
        return chain
    suite = IdentitySuite()

    def fast(pair: KeyPair) -> KeyPair:
        return replace(pair, suite=suite)

    genesis = chain.genesis
    return replace(
        chain,
        genesis=replace(genesis, suite=suite, domain=Domain(suite, genesis.domain.genesis_hash)),
        # Cosigner keys stay real: see above.
        validators=tuple(replace(v, consensus=fast(v.consensus)) for v in chain.validators),
        accounts={name: fast(pair) for name, pair in chain.accounts.items()},
    )
