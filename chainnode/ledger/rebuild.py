"""Makes a chain's store anew from its blocks, believing nothing but genesis.

Every certificate and every transaction's signature is verified, every transaction executed, and every root compared
with the header that a quorum signed. The result is the store that a node would have had if it had taken part from
the beginning; the lookup index, which no header covers, is right as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.ledger.block_store import BlockStore
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.stored import damaged
from chainnode.model.block import Outline
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import NotFound, ProofInvalid
from chainnode.model.transaction import decode_transaction, signed_message
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.ledger.execution import Executed
    from chainnode.model.block import CertifiedBlock
    from chainnode.model.certificate import Certificate
    from chainnode.model.domain import Domain
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.storage.kv import KeyValueStore

    VerifySignatures = Callable[[Domain, Sequence[Transaction]], None]
    """Raises ProofInvalid unless every transaction's signature holds."""


_FORMER_HEADERS: Final = b"H"
_FORMER_CERTIFICATES: Final = b"C"


def verify_signatures(domain: Domain, transactions: Sequence[Transaction]) -> None:
    """Raise ProofInvalid unless every transaction is signed by the key that it names; one after the other.

    A report is not signed: executing it verifies its evidence, and no block holds one that fails.
    """
    for transaction in transactions:
        if transaction.is_report:
            continue
        message = signed_message(domain, transaction.id)
        if not domain.suite.is_signature(transaction.public_key, message, transaction.signature):
            raise ProofInvalid(
                f"transaction {transaction.id.hex()}: its signature does not hold",
                code="bad_signature",
            )


def execute_certified(
    ledger: Ledger, block: CertifiedBlock, verify: VerifySignatures = verify_signatures
) -> tuple[Executed, Certificate]:
    """Judge a block that others decided, from its certificate inwards; commit what this returns.

    Raises:
        DecodeError: the certificate or a transaction is none.
        ProofInvalid: it is not certified by the validators of the next height, or a signature does not hold.
        InvalidBlock: it is certified and we differ: with code `result_mismatch` this node is wrong and must stop.
    """
    domain = ledger.genesis.domain
    certificate = decode_certificate(block.certificate)
    following = ledger.tip.height + 1
    found = (block.header.height, certificate.height, certificate.block_hash)
    if found != (following, following, block.block_hash):
        raise ProofInvalid(
            f"found block {block.header.height} with a certificate of height {certificate.height}; "
            f"expected block {following} and its certificate",
            code="other_block",
        )
    verify_certificate(certificate, domain, ledger.validators(following))
    transactions = tuple(decode_transaction(domain, envelope) for envelope in block.envelopes)
    outline = Outline(
        header_bytes=block.header_bytes,
        header=block.header,
        block_hash=block.block_hash,
        parent_certificate=block.parent_certificate,
        tx_hashes=tuple(transaction.hash for transaction in transactions),
    )
    verify(domain, transactions)
    return ledger.execute(outline, transactions), certificate


def rebuild(
    source: KeyValueStore,
    target: KeyValueStore,
    genesis: Genesis,
    *,
    progress: Callable[[int, int], None],
    verify: VerifySignatures = verify_signatures,
) -> Ledger:
    """Execute all blocks of `source` into `target`; return the ledger in `target`, at the last of them.

    A `target` that was interrupted earlier is carried on with.

    Args:
        source: Only its headers, certificates and transactions are read.
        target: Empty, or the result of an earlier call.
        genesis: The chain's.
        progress: Told (height, last height) after every block.
        verify: How signatures are verified; for example by many processes.

    Raises:
        ChainError: the first block that does not hold; the message names it.
        StorageFault: either store fails, or `source` lacks a block.
    """
    blocks = BlockStore(_FormerOrder(source) if _is_former(source) else source, genesis.domain)
    ledger = Ledger.open(target, genesis)
    last = _last_height(source)
    for height in range(ledger.tip.height + 1, last + 1):
        try:
            block = blocks.certified_block(height)
        except NotFound as error:
            raise damaged(f"block {height} of {last} is missing") from error
        executed, certificate = execute_certified(ledger, block, verify)
        ledger.commit(executed, certificate)
        progress(height, last)
    return ledger


def _last_height(source: KeyValueStore) -> int:
    if _is_former(source):
        start, stop = _FORMER_HEADERS, keys.end_of(_FORMER_HEADERS)
    else:
        start, stop = keys.header(0), keys.header(2**64 - 1)
    newest = source.scan(start, stop, reverse=True, limit=1)
    return keys.parse_height(newest[0][0]) if newest else 0


def _is_former(source: KeyValueStore) -> bool:
    """Whether a store is of format 1 or 2; its format record may be damaged."""
    return bool(source.scan(_FORMER_HEADERS, keys.end_of(_FORMER_HEADERS), limit=1))


class _FormerOrder:
    """The blocks of a store of format 1 or 2, which kept headers and certificates apart, under today's keys."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        height = key[1:9]
        if key == b"B" + height:
            return self._store.get(_FORMER_HEADERS + height)
        if key == b"B" + height + b"C":
            return self._store.get(_FORMER_CERTIFICATES + height)
        return self._store.get(key)
