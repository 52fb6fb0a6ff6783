"""Blocks at rest: headers, certificates, transactions, receipts.

Envelopes and receipts lie in chunks of 64, so that one of them costs one small read, and a whole block few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from chainnode.ledger.stored import damaged, present, stored
from chainnode.model import codec
from chainnode.model.block import CertifiedBlock
from chainnode.model.certificate import decode_certificate
from chainnode.model.errors import NotFound
from chainnode.model.header import block_hash_of, decode_header
from chainnode.model.limits import MAX_TRANSACTION_BYTES
from chainnode.model.receipt import MAX_RECEIPT_BYTES, decode_receipt
from chainnode.storage import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.certificate import Certificate
    from chainnode.model.domain import Domain
    from chainnode.model.header import Header
    from chainnode.model.ids import BlockHash
    from chainnode.model.receipt import Receipt
    from chainnode.model.transaction import Transaction
    from chainnode.storage.kv import Readable, WriteBatch

CHUNK: Final = 64
"""Transactions in a chunk: few keys per block, and one receipt is found by decoding few others."""

_T = TypeVar("_T")
_MAX_ENVELOPES_BYTES: Final = CHUNK * (MAX_TRANSACTION_BYTES + 5) + 3
_MAX_RECEIPTS_BYTES: Final = CHUNK * (MAX_RECEIPT_BYTES + 3) + 3


class BlockStore:
    """Reads and stages everything that is found by height."""

    __slots__ = ("_domain", "_store")

    def __init__(self, store: Readable, domain: Domain) -> None:
        self._store = store
        self._domain = domain

    def put_block(
        self,
        batch: WriteBatch,
        height: int,
        *,
        header_bytes: bytes,
        parent_certificate: bytes,
        certificate: bytes,
        transactions: Sequence[Transaction],
        receipts: Sequence[bytes],
    ) -> None:
        """Stage a decided block; `receipts` are encoded, in the order of the transactions."""
        batch.put(keys.header(height), header_bytes)
        if height > 1:
            # From now on the certificate that every node serves for the parent, whatever each decided it by.
            batch.put(keys.certificate(height - 1), parent_certificate)
        batch.put(keys.certificate(height), certificate)
        envelopes = [transaction.envelope for transaction in transactions]
        for chunk, start in enumerate(range(0, len(envelopes), CHUNK)):
            stop = start + CHUNK
            batch.put(keys.envelopes(height, chunk), codec.encode(tuple(envelopes[start:stop])))
            batch.put(keys.receipts(height, chunk), codec.encode(tuple(receipts[start:stop])))

    def header_bytes(self, height: int) -> bytes:
        """Return a header as decided.

        Raises:
            NotFound: with code `unknown_height` if there is no such block.
        """
        value = self._store.get(keys.header(height)) if height >= 1 else None
        if value is None:
            raise NotFound(
                f"there is no block {height} here", code="unknown_height", field="height"
            )
        return value

    def header(self, height: int) -> tuple[bytes, Header, BlockHash]:
        """Return a header's bytes, the header and its hash. Raises NotFound as `header_bytes`."""
        header_bytes = self.header_bytes(height)
        with stored(f"header {height}"):
            header = decode_header(header_bytes)
        if header.height != height:
            raise damaged(f"header {height} is that of height {header.height}")
        return header_bytes, header, block_hash_of(self._domain, header_bytes)

    def certificate_bytes(self, height: int) -> bytes:
        """Return the certificate of a block that is there."""
        return present(self._store.get(keys.certificate(height)), f"certificate {height}")

    def certificate(self, height: int) -> Certificate:
        """Return the certificate of a block that is there, decoded."""
        with stored(f"certificate {height}"):
            return decode_certificate(self.certificate_bytes(height))

    def certified_block(self, height: int) -> CertifiedBlock:
        """Return a block as other nodes fetch it. Raises NotFound as `header_bytes`."""
        header_bytes, header, block_hash = self.header(height)
        return CertifiedBlock(
            header_bytes=header_bytes,
            header=header,
            block_hash=block_hash,
            parent_certificate=self.certificate_bytes(height - 1) if height > 1 else b"",
            envelopes=self.envelopes(height, header.tx_count),
            certificate=self.certificate_bytes(height),
        )

    def envelopes(self, height: int, count: int) -> tuple[bytes, ...]:
        """Return the `count` transactions of a block that is there."""
        return tuple(
            envelope
            for chunk in range(_chunks(count))
            for envelope in self._envelopes(height, chunk, count)
        )

    def envelope(self, height: int, position: int, count: int) -> bytes:
        """Return one transaction of a block that is there and holds `count`."""
        return self._envelopes(height, position // CHUNK, count)[position % CHUNK]

    def receipts(self, height: int, count: int) -> tuple[Receipt, ...]:
        """Return the `count` receipts of a block that is there."""
        return tuple(
            receipt
            for chunk in range(_chunks(count))
            for receipt in self._receipts(height, chunk, count)
        )

    def receipt(self, height: int, position: int, count: int) -> Receipt:
        """Return one receipt of a block that is there and holds `count`."""
        return self._receipts(height, position // CHUNK, count)[position % CHUNK]

    def _envelopes(self, height: int, chunk: int, count: int) -> list[bytes]:
        what = f"transactions of block {height}, chunk {chunk}"
        return self._chunk(
            keys.envelopes(height, chunk),
            what,
            _MAX_ENVELOPES_BYTES,
            bytes,
            _expected(chunk, count),
        )

    def _receipts(self, height: int, chunk: int, count: int) -> list[Receipt]:
        what = f"receipts of block {height}, chunk {chunk}"
        return self._chunk(
            keys.receipts(height, chunk),
            what,
            _MAX_RECEIPTS_BYTES,
            decode_receipt,
            _expected(chunk, count),
        )

    def _chunk(
        self, key: bytes, what: str, max_bytes: int, decode: Callable[[bytes], _T], count: int
    ) -> list[_T]:
        data = present(self._store.get(key), what)
        with stored(what):
            elements = codec.decode_array(data, max_bytes=max_bytes, arity=count, what="chunk")
            return [decode(codec.binary(element, "element")) for element in elements]


def _chunks(count: int) -> int:
    return -(-count // CHUNK)


def _expected(chunk: int, count: int) -> int:
    return min(count - chunk * CHUNK, CHUNK)
