"""A chain without blocks: genesis with fixed keys, people who sign, and a state that executed blocks change."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from chainnode.model import calls
from chainnode.model.genesis import (
    ContractActivation,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    Organisation,
    make_genesis,
)
from chainnode.model.ids import BlockHash, Height
from chainnode.model.keys import KeyPurpose
from chainnode.model.parameters import Parameters
from chainnode.model.suites import suite_named
from chainnode.model.transaction import Body, Call, Transaction, sign_transaction
from contracts.runtime import BlockContext, BlockResult, execute_block, genesis_state

if TYPE_CHECKING:
    from chainnode.model.validators import ValidatorSet

CHAIN_ID = "example.org/alliance"
GENESIS_TIME_MS = 1_800_000_000_000
ED25519 = "ed25519-sha256"
SM2 = "sm2-sm3"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key made of a label, the same in every run."""

    suite_name: str
    label: str

    @property
    def private(self) -> bytes:
        return hashlib.sha256(f"test key {self.label}".encode()).digest()

    @property
    def public(self) -> bytes:
        return suite_named(self.suite_name).public_key_of(self.private)

    def sign(self, message: bytes) -> bytes:
        return suite_named(self.suite_name).sign(self.private, message)


def tls_certificate(label: str) -> bytes:
    """A self-signed certificate, the same bytes for the same label."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"tls {label}".encode()).digest())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, label)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2046, 1, 1, tzinfo=dt.UTC))
        .sign(key, None)
    )
    return certificate.public_bytes(Encoding.DER)


def example_genesis(
    suite_name: str = ED25519,
    *,
    contracts: tuple[tuple[str, int, int], ...] = (
        ("algorithms", 1, 1),
        ("authorities", 1, 1),
        ("history", 1, 1),
        ("clocks", 1, 1),
        ("cosigners", 1, 1),
        ("identity", 1, 1),
        ("notary", 1, 1),
        ("timestamps", 1, 1),
    ),
    accounts: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("archive/boss", ("org-admin",)),
        ("archive/reader", ()),
        ("justice/admin", ("admin",)),
        ("justice/ca", ()),
        ("justice/clerk", ("notary",)),
        ("justice/node", ("timestamper",)),
    ),
) -> Genesis:
    """Two members, four validators; an account's key is `KeyPair(suite, its name)`."""

    def public(label: str) -> bytes:
        return KeyPair(suite_name, label).public

    return make_genesis(
        chain_id=CHAIN_ID,
        suite=suite_name,
        time_ms=GENESIS_TIME_MS,
        parameters=Parameters(),
        organisations=(
            Organisation(name="justice", title="Bureau of Justice"),
            Organisation(name="archive", title="City Archive 市档案馆"),
        ),
        validators=tuple(
            GenesisValidator(
                name=f"v{i}",
                organisation="justice",
                consensus_key=public(f"v{i} consensus"),
                cosigner_key=public(f"v{i} cosigner"),
                log_key=public(f"v{i} log"),
                tls_certificate=tls_certificate(f"v{i}"),
                address=f"127.0.0.1:{7000 + i}",
            )
            for i in range(4)
        ),
        accounts=tuple(
            GenesisAccount(name=name, roles=roles, public_keys=(public(name),))
            for name, roles in accounts
        ),
        contracts=tuple(
            ContractActivation(name=name, version=version, from_height=Height(height))
            for name, version, height in contracts
        ),
    )


class Chain:
    """Executes blocks one after the other on a dict."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.genesis = genesis if genesis is not None else example_genesis()
        self.domain = self.genesis.domain
        self.state: dict[bytes, bytes] = dict(genesis_state(self.genesis))
        self.height = 0
        self.time_ms = GENESIS_TIME_MS
        self.log: list[bytes] = []
        self.last: BlockResult | None = None
        self._nonce = 0

    def key(self, label: str) -> KeyPair:
        return KeyPair(self.genesis.suite.name, label)

    def transaction(self, sender: str, *wanted: Call, key: KeyPair | None = None) -> Transaction:
        """Sign `wanted` by the sender's first key, or by `key`."""
        signer = key if key is not None else self.key(sender)
        self._nonce += 1
        body = Body(
            chain_id=CHAIN_ID,
            sender=sender,
            nonce=self._nonce.to_bytes(16, "big"),
            last_valid_height=Height(1_000),
            calls=wanted,
        )
        return sign_transaction(self.domain, body, public_key=signer.public, sign=signer.sign)

    def validators_at(self, _height: int) -> ValidatorSet:
        """Genesis's, at all heights."""
        return self.genesis.validator_set

    def block(self) -> BlockContext:
        """The context of the next block."""
        time_ms = self.time_ms + 1_000
        return BlockContext(
            domain=self.domain,
            chain_id=CHAIN_ID,
            height=Height(self.height + 1),
            time_ms=time_ms,
            interval_ms=self.genesis.parameters.interval_ms(time_ms, 0),
            parent_hash=BlockHash(hashlib.sha256(b"block %d" % self.height).digest()),
            validators_at=self.validators_at,
        )

    def execute(self, *transactions: Transaction, max_records: int = 50_000) -> BlockResult:
        """Execute the next block and keep its results."""
        block = self.block()
        result = execute_block(
            genesis=self.genesis,
            state=self.state,
            block=block,
            transactions=transactions,
            first_record_index=len(self.log),
            max_records=max_records,
        )
        self.height, self.time_ms = block.height, block.time_ms
        self.log += [emitted.leaf for emitted in result.emitted]
        for key, value in result.changes.items():
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value
        self.last = result
        return result

    def send(self, sender: str, *wanted: Call, key: KeyPair | None = None) -> str:
        """Execute a block of one transaction; return its receipt's code, empty on success."""
        result = self.execute(self.transaction(sender, *wanted, key=key))
        if not result.receipts[0].succeeded:
            assert result.changes == {}
            assert len(result.emitted) == 1
        return result.receipts[0].code

    def offer(
        self,
        account: str,
        label: str,
        *,
        purpose: KeyPurpose = KeyPurpose.ACCOUNT,
        not_before_ms: int = 0,
        not_after_ms: int = 0,
    ) -> calls.KeyOffer:
        """Offer the key made of `label` for `account`."""
        pair = self.key(label)
        return calls.offer_key(
            self.domain,
            account=account,
            purpose=purpose,
            public_key=pair.public,
            sign=pair.sign,
            not_before_ms=not_before_ms,
            not_after_ms=not_after_ms,
        )
