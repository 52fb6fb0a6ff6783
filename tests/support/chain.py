"""A chain to test with: keys, genesis, transactions, certificates and blocks, all reproducible from labels.

    chain = make_chain()                                    4 validators, Ed25519
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    block = chain.extend(ledger, [chain.notarization("a")]) builds, certifies, commits

Everything on `ed25519-sha256` is the same bytes in every run; SM2 signatures may differ.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from chainnode.model.calls import Document, register_documents
from chainnode.model.certificate import Certificate
from chainnode.model.commitment import Digest
from chainnode.model.genesis import (
    ContractActivation,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    Organisation,
    make_genesis,
    tls_key_of,
)
from chainnode.model.ids import BlockHash, Height, View
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.parameters import Parameters
from chainnode.model.roles import Role
from chainnode.model.suites import ED25519_SHA256, Suite, suite_named
from chainnode.model.transaction import NONCE_BYTES, Body, Call, Transaction, sign_transaction
from chainnode.model.validators import Validator
from chainnode.model.votes import COMMIT, vote_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger

CHAIN_ID = "sz.gov.example/alliance"
GENESIS_MS = 1_750_000_000_000
BLOCK_MS = 1_000
"""Between the times of blocks that `extend` makes."""

ADMIN = "justice/admin"
CLERK = "court/clerk"
"""May notarize."""
ARCHIVE = "archive/keeper"
"""May notarize, for another organisation."""
GUEST = "court/guest"
"""Holds no role."""

VALIDATOR_NAMES = (
    "ash",
    "birch",
    "cedar",
    "dogwood",
    "elm",
    "fir",
    "ginkgo",
    "hazel",
    "ivy",
    "juniper",
    *(f"tree{number}" for number in range(11, MAX_VALIDATORS + 1)),
)
ORGANISATIONS = ("archive", "court", "justice")
_ROLES: Mapping[str, tuple[Role, ...]] = {
    ADMIN: (Role.ADMIN,),
    CLERK: (Role.NOTARY,),
    ARCHIVE: (Role.NOTARY,),
    GUEST: (),
}
_TIME = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def random_bytes(label: str, count: int = 32) -> bytes:
    """Return `count` bytes that look random and are the same for the same label."""
    return hashlib.shake_128(label.encode()).digest(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A private key in the open, as only tests may hold one."""

    suite: Suite
    private: bytes
    public: bytes

    def sign(self, message: bytes) -> bytes:
        """Sign as the chain's suite does."""
        return self.suite.sign(self.private, message)


def key_pair(suite: Suite, label: str) -> KeyPair:
    """Return the key pair of that label."""
    private = random_bytes(f"key {label}", suite.private_key_bytes)
    return KeyPair(suite=suite, private=private, public=suite.public_key_of(private))


@functools.cache
def tls_certificate(name: str) -> bytes:
    """Return a certificate in DER, the same for the same name; nothing connects with it."""
    private = Ed25519PrivateKey.from_private_bytes(random_bytes(f"tls {name}"))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(_TIME)
        .not_valid_after(_TIME + dt.timedelta(days=36_500))
        .sign(private, None)
    )
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorKeys:
    """A validator's keys."""

    name: str
    consensus: KeyPair
    cosigner: KeyPair
    log: KeyPair

    public: Validator
    """As the others know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A genesis with all private keys that belong to it."""

    genesis: Genesis
    validators: tuple[ValidatorKeys, ...]
    """In the order of the set, so that their indices are those of votes; spares, if any, after them."""

    accounts: Mapping[str, KeyPair]

    # -- transactions --------------------------------------------------------------------------------------

    def transaction(
        self,
        calls: Sequence[Call],
        *,
        sender: str = CLERK,
        nonce: str = "",
        last_valid_height: int = 1_000,
        chain_id: str | None = None,
        key: KeyPair | None = None,
    ) -> Transaction:
        """Return a signed transaction; `nonce` is a label that tells equal calls apart."""
        signer = self.accounts[sender] if key is None else key
        body = Body(
            chain_id=self.genesis.chain_id if chain_id is None else chain_id,
            sender=sender,
            nonce=random_bytes(f"nonce {nonce}", NONCE_BYTES),
            last_valid_height=Height(last_valid_height),
            calls=tuple(calls),
        )
        return sign_transaction(
            self.genesis.domain, body, public_key=signer.public, sign=signer.sign
        )

    def notarization(
        self,
        label: str,
        *,
        count: int = 1,
        sender: str = CLERK,
        last_valid_height: int = 1_000,
    ) -> Transaction:
        """Return the registration of `count` documents that are named by the label."""
        documents = [Document(digests=(digest(f"{label} {i}"),)) for i in range(count)]
        call = register_documents(documents, seed=random_bytes(f"seed {label}"))
        return self.transaction(
            [call], sender=sender, nonce=label, last_valid_height=last_valid_height
        )

    # -- blocks --------------------------------------------------------------------------------------------

    def certificate(
        self,
        height: int,
        block_hash: bytes,
        *,
        view: int = 0,
        signers: Sequence[int] | None = None,
    ) -> Certificate:
        """Return a certificate by these validators of genesis, by default the first quorum of them."""
        chosen = range(self.genesis.validator_set.quorum) if signers is None else signers
        message = vote_message(self.genesis.domain, COMMIT, height, view, block_hash)
        return Certificate(
            height=Height(height),
            view=View(view),
            block_hash=BlockHash(block_hash),
            signatures=tuple((i, self.validators[i].consensus.sign(message)) for i in chosen),
        )

    def certify(
        self, executed: Executed, *, view: int = 0, signers: Sequence[int] | None = None
    ) -> Certificate:
        """Return a certificate of an executed block."""
        outline = executed.outline
        return self.certificate(
            outline.header.height, outline.block_hash, view=view, signers=signers
        )

    def build(self, ledger: Ledger, transactions: Sequence[Transaction] = ()) -> Executed:
        """Build the next block, `BLOCK_MS` after the tip, by the first validator."""
        return ledger.build(
            transactions=transactions,
            time_ms=ledger.tip.time_ms + BLOCK_MS,
            first_view=0,
            proposer=self.validators[0].name,
        )

    def extend(self, ledger: Ledger, transactions: Sequence[Transaction] = ()) -> Executed:
        """Build, certify and commit the next block."""
        executed = self.build(ledger, transactions)
        ledger.commit(executed, self.certify(executed))
        return executed


def digest(label: str) -> Digest:
    """Return the SHA-256 digest of a document that consists of its label."""
    return Digest(algorithm="sha256", value=hashlib.sha256(label.encode()).digest())


def make_chain(
    *,
    validators: int = 4,
    suite: str = ED25519_SHA256,
    parameters: Parameters | None = None,
    chain_id: str = CHAIN_ID,
    spares: int = 0,
    contracts: Sequence[str] = (),
) -> Chain:
    """Return a chain of 1 to `MAX_VALIDATORS` validators and the accounts named above.

    `spares` more have keys and are not in genesis; `contracts` are active besides the built-in ones.
    """
    crypto = suite_named(suite)
    everybody = [_validator_keys(crypto, name) for name in VALIDATOR_NAMES[: validators + spares]]
    keys = everybody[:validators]
    accounts = {name: key_pair(crypto, name) for name in _ROLES}
    genesis = make_genesis(
        chain_id=chain_id,
        suite=suite,
        time_ms=GENESIS_MS,
        parameters=Parameters() if parameters is None else parameters,
        organisations=[Organisation(name=name, title=name.title()) for name in ORGANISATIONS],
        validators=[
            GenesisValidator(
                name=k.name,
                organisation=ORGANISATIONS[i % len(ORGANISATIONS)],
                consensus_key=k.consensus.public,
                cosigner_key=k.cosigner.public,
                log_key=k.log.public,
                tls_certificate=tls_certificate(k.name),
                address=f"{k.name}.example:9000",
            )
            for i, k in enumerate(keys)
        ],
        accounts=[
            GenesisAccount(
                name=name,
                roles=tuple(sorted(role.value for role in roles)),
                public_keys=(accounts[name].public,),
            )
            for name, roles in _ROLES.items()
        ],
        contracts=[
            ContractActivation(name=name, version=1, from_height=Height(1))
            for name in ("evidence", "identity", "notary", *contracts)
        ],
    )
    return Chain(
        genesis=genesis,
        validators=(
            *sorted(keys, key=lambda k: k.consensus.public),
            *sorted(everybody[validators:], key=lambda k: k.consensus.public),
        ),
        accounts=accounts,
    )


def _validator_keys(suite: Suite, name: str) -> ValidatorKeys:
    consensus, cosigner, log = (
        key_pair(suite, f"{name} {purpose}") for purpose in ("consensus", "cosigner", "log")
    )
    return ValidatorKeys(
        name=name,
        consensus=consensus,
        cosigner=cosigner,
        log=log,
        public=Validator(
            name=name,
            consensus_key=consensus.public,
            cosigner_key=cosigner.public,
            log_key=log.public,
            tls_key=tls_key_of(tls_certificate(name)),
        ),
    )
