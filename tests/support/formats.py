"""One small instance of every format of the chain, with its decoder: what format tests are made of."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainnode.model import codec
from chainnode.model.block import (
    CertifiedBlock,
    decode_certified_block,
    decode_outline,
    make_outline,
)
from chainnode.model.certificate import Certificate, decode_certificate
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.commitment import (
    Digest,
    Opening,
    commitment_to,
    derive_salt,
    digests_value,
    parse_opening,
)
from chainnode.model.cosigned import CosignedCheckpoint, decode_cosigned, encode_cosigned
from chainnode.model.genesis import decode_genesis
from chainnode.model.header import NO_CERTIFICATE, Header, decode_header
from chainnode.model.ids import BlockHash, Height, TransactionId, View
from chainnode.model.note import Signature
from chainnode.model.parameters import parse_parameters
from chainnode.model.receipt import Receipt, decode_receipt
from chainnode.model.record import Record, decode_record, parent_record
from chainnode.model.transaction import (
    Body,
    Call,
    Transaction,
    decode_body,
    decode_transaction,
    sign_transaction,
)
from chainnode.model.validators import decode_validator_set
from chainnode.model.votes import COMMIT, vote_message
from tests.support.chain import Chain, make_chain, random_bytes
from tests.support.golden import recorded_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.suites import Suite

SUITES = ("ed25519-sha256", "sm2-sm3")
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Format:
    """Canonical bytes, how to read them, and how to write what was read."""

    encoded: bytes
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def _by_value(parse: Callable[[codec.Value], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(codec.decode(data, max_bytes=MAX_BYTES))


@dataclass(frozen=True)
class Samples:
    """The instances for one suite; signatures of sm2-sm3 are those that the golden file records."""

    chain: Chain
    transaction: Transaction
    record: Record
    parent: Record
    opening: Opening
    receipts: tuple[Receipt, Receipt]
    headers: tuple[Header, Header]
    certificate: Certificate

    @property
    def suite(self) -> Suite:
        return self.chain.genesis.suite

    @property
    def commitment(self) -> bytes:
        return commitment_to(self.suite, self.opening.salt, digests_value(self.opening.digests))

    @property
    def outline(self):
        return make_outline(
            self.chain.genesis.domain,
            header=self.headers[1],
            parent_certificate=self.certificate.encode(),
            tx_hashes=(self.transaction.hash,),
        )

    @property
    def block(self) -> CertifiedBlock:
        outline = self.outline
        return CertifiedBlock(
            header_bytes=outline.header_bytes,
            header=outline.header,
            block_hash=outline.block_hash,
            parent_certificate=outline.parent_certificate,
            envelopes=(self.transaction.envelope,),
            certificate=self.certificate.encode(),
        )

    @property
    def cosigned(self) -> CosignedCheckpoint:
        origin = self.chain.genesis.chain_id
        return CosignedCheckpoint(
            height=1,
            checkpoint=Checkpoint(origin=origin, size=3, root=random_bytes("log root")),
            signatures=tuple(
                Signature(
                    name=f"{origin}/{name}",
                    key_id=random_bytes(f"key id {name}", 4),
                    value=random_bytes(f"cosignature {name}", 72),
                )
                for name in ("ash", "birch", "cedar")
            ),
        )

    def formats(self) -> dict[str, Format]:
        """Everything that has a decoder, by name."""
        genesis = self.chain.genesis
        domain = genesis.domain

        def encoded(value: Any) -> bytes:
            return value.encode()

        return {
            "genesis": Format(genesis.encoded, decode_genesis, lambda g: g.encoded),
            "parameters": Format(
                codec.encode(genesis.parameters.as_value()),
                _by_value(parse_parameters),
                lambda p: codec.encode(p.as_value()),
            ),
            "validators": Format(
                genesis.validator_set.encode(),
                lambda data: decode_validator_set(data, self.suite),
                encoded,
            ),
            "body": Format(self.transaction.body.encode(), decode_body, encoded),
            "transaction": Format(
                self.transaction.envelope,
                lambda data: decode_transaction(domain, data),
                lambda t: codec.encode(
                    (t.body.encode(), self.suite.name, t.public_key, t.signature)
                ),
            ),
            "record": Format(self.record.encode(), decode_record, encoded),
            "parent_record": Format(self.parent.encode(), decode_record, encoded),
            "opening": Format(
                codec.encode(self.opening.as_value()),
                _by_value(parse_opening),
                lambda o: codec.encode(o.as_value()),
            ),
            "receipt": Format(self.receipts[0].encode(), decode_receipt, encoded),
            "failed_receipt": Format(self.receipts[1].encode(), decode_receipt, encoded),
            "first_header": Format(self.headers[0].encode(), decode_header, encoded),
            "header": Format(self.headers[1].encode(), decode_header, encoded),
            "certificate": Format(self.certificate.encode(), decode_certificate, encoded),
            "outline": Format(
                self.outline.encode(), lambda data: decode_outline(domain, data), encoded
            ),
            "certified_block": Format(
                self.block.encode(), lambda data: decode_certified_block(domain, data), encoded
            ),
            "cosigned_checkpoint": Format(
                encode_cosigned(self.cosigned), decode_cosigned, encode_cosigned
            ),
        }


def golden_name(suite: str) -> str:
    """Name of the golden file of a suite's formats."""
    return f"formats-{suite}"


@functools.cache
def samples(suite: str) -> Samples:
    """Return the instances for a suite."""
    chain = make_chain(suite=suite)
    genesis, domain = chain.genesis, chain.genesis.domain
    file = golden_name(suite)

    def signature_of(label: str, key: Any, message: bytes) -> bytes:
        if suite == SUITES[0]:
            return key.sign(message)
        return recorded_bytes(
            file,
            f"signature of {label}",
            lambda: key.sign(message),
            lambda found: genesis.suite.is_signature(key.public, message, found),
        )

    digests = (
        Digest(algorithm="sha256", value=random_bytes("digest sha256")),
        Digest(algorithm="sha512", value=random_bytes("digest sha512", 64)),
        Digest(algorithm="sm3", value=random_bytes("digest sm3")),
    )
    seed = random_bytes("seed")
    opening = Opening(salt=derive_salt(genesis.suite, seed, 7), digests=digests)
    document = (digests_value(digests[:1]), "关于公布许可目录的通知", None)
    clerk = chain.accounts["court/clerk"]
    transaction = sign_transaction(
        domain,
        Body(
            chain_id=genesis.chain_id,
            sender="court/clerk",
            nonce=random_bytes("nonce", 16),
            last_valid_height=Height(1_000),
            calls=(
                Call(contract="notary", method="register", args=(seed, (document,))),
                Call(
                    contract="identity", method="note", args=(-1, 2**64 - 1, True, False, -(2**63))
                ),
            ),
        ),
        public_key=clerk.public,
        sign=lambda message: signature_of("transaction", clerk, message),
    )
    interval = genesis.parameters.interval_ms(1_790_000_000_000, 0)
    record = Record(
        kind="notary",
        height=Height(2),
        time_ms=1_790_000_000_000,
        not_before_ms=interval[0],
        not_after_ms=interval[1],
        tx_id=transaction.id,
        call=0,
        item=0,
        contract="notary",
        account="court/clerk",
        body=(random_bytes("commitment"),),
    )
    first = _header(chain, transaction)
    first_hash = BlockHash(domain.hash("block", first.encode()))
    message = vote_message(domain, COMMIT, 1, 2, first_hash)
    certificate = Certificate(
        height=Height(1),
        view=View(2),
        block_hash=first_hash,
        signatures=tuple(
            (i, signature_of(f"commit {i}", chain.validators[i].consensus, message))
            for i in (0, 1, 3)
        ),
    )
    second = _header(
        chain, transaction, parent_hash=first_hash, certificate_hash=certificate.hash(domain)
    )
    return Samples(
        chain=chain,
        transaction=transaction,
        record=record,
        parent=parent_record(
            height=Height(2),
            time_ms=1_790_000_000_000,
            interval_ms=interval,
            parent_hash=first_hash,
        ),
        opening=opening,
        receipts=(
            Receipt(
                tx_id=transaction.id,
                succeeded=True,
                code="",
                message="",
                first_record=2,
                record_count=1,
            ),
            Receipt(
                tx_id=TransactionId(random_bytes("other transaction")),
                succeeded=False,
                code="not_permitted",
                message="court/guest holds no role that may notarize",
                first_record=0,
                record_count=0,
            ),
        ),
        headers=(first, second),
        certificate=certificate,
    )


def _header(
    chain: Chain,
    transaction: Transaction,
    *,
    parent_hash: bytes | None = None,
    certificate_hash: bytes = NO_CERTIFICATE,
) -> Header:
    genesis, domain = chain.genesis, chain.genesis.domain
    height = 1 if parent_hash is None else 2
    set_hash = genesis.validator_set.hash(domain)
    return Header(
        rules_version=1,
        chain_id=genesis.chain_id,
        height=Height(height),
        parent_hash=BlockHash(domain.genesis_hash if parent_hash is None else parent_hash),
        time_ms=1_789_999_998_000 + 1_000 * height,
        first_view=View(0),
        params_hash=genesis.parameters.hash(domain),
        proposer="ash",
        parent_certificate_hash=certificate_hash,
        tx_root=random_bytes(f"tx root {height}"),
        tx_count=height - 1,
        receipts_root=random_bytes(f"receipts root {height}"),
        log_size=2 * height - 1,
        log_root=random_bytes(f"log root {height}"),
        state_root=random_bytes(f"state root {height}"),
        validators_hash=set_hash,
        next_validators_hash=set_hash,
    )
