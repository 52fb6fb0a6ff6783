"""Receipts: what became of each transaction of a block. Final when the block is.

    receipt = [1, tx_id, status, code, message, first_record, record_count]

The receipts root of a header is the RFC 9162 root over the encoded receipts in block order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.ids import TransactionId
from chainnode.model.limits import (
    MAX_NAME_BYTES,
    MAX_RECEIPT_MESSAGE_BYTES,
    MAX_RECORDS_PER_TRANSACTION,
)
from chainnode.model.suites import HASH_BYTES

VERSION: Final = 1
MAX_RECEIPT_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcome of one transaction."""

    tx_id: TransactionId
    """The transaction."""

    succeeded: bool
    """Whether all of its calls succeeded; if not, none had any effect."""

    code: str
    """Empty on success; else the stable code of the error."""

    message: str
    """Empty on success; else a sentence for a person, at most 512 bytes. The same on every validator."""

    first_record: int
    """Log index of the first record that it emitted; meaningless if it emitted none."""

    record_count: int
    """How many records it emitted, at consecutive indices; 0 if it failed."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                VERSION,
                self.tx_id,
                self.succeeded,
                self.code,
                self.message,
                self.first_record,
                self.record_count,
            )
        )


def decode_receipt(data: bytes) -> Receipt:
    """Decode a receipt.

    Raises:
        DecodeError: not the canonical bytes of any receipt.
    """
    fields = codec.decode_array(data, max_bytes=MAX_RECEIPT_BYTES, arity=7, what="receipt")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    receipt = Receipt(
        tx_id=TransactionId(codec.binary(fields[1], "tx_id", size=HASH_BYTES)),
        succeeded=codec.boolean(fields[2], "succeeded"),
        code=codec.text(fields[3], "code", most_bytes=MAX_NAME_BYTES),
        message=codec.text(fields[4], "message", most_bytes=MAX_RECEIPT_MESSAGE_BYTES),
        first_record=codec.integer(fields[5], "first_record"),
        record_count=codec.integer(fields[6], "record_count", most=MAX_RECORDS_PER_TRANSACTION),
    )
    if receipt.succeeded != (receipt.code == ""):
        raise DecodeError("receipt: a code belongs to a failed transaction, and only to one")
    if receipt.succeeded and receipt.message:
        raise DecodeError("receipt: a message belongs to a failed transaction, and only to one")
    if receipt.record_count and not receipt.succeeded:
        raise DecodeError("receipt: a failed transaction leaves no records")
    return receipt
