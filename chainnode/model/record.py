"""Records: what successful calls leave in the public log, one leaf each.

    leaf = [1, kind, height, time_ms, not_before_ms, not_after_ms, tx_id, call, item, contract, account, body]

The bytes of this array are what the log hashes. A leaf is public and holds nothing that can be guessed. It
repeats the block's height, time and certified interval, so that a proof needs no header. The first leaf of
every block is of kind `parent`, with body = [parent height, parent hash]; its tx_id is 32 zero bytes, its call
and item are 0, its contract and account are empty. So the newest checkpoint proves every older header.
A leaf of kind `evidence` has no account either: what it says proves itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.ids import BlockHash, Height, TransactionId, check_account_name, check_name
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CALLS,
    MAX_NAME_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS_PER_TRANSACTION,
)
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.codec import Value

VERSION: Final = 1
PARENT_KIND: Final = "parent"
EVIDENCE_KIND: Final = "evidence"
_NO_TRANSACTION: Final = TransactionId(bytes(HASH_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One leaf of the log."""

    kind: str
    """What the body means, for example `notary`; `parent` for the first leaf of a block."""

    height: Height
    """Block that holds it."""

    time_ms: int
    """That block's time, milliseconds UTC."""

    not_before_ms: int
    """Start of the certified interval of that time."""

    not_after_ms: int
    """End of the certified interval."""

    tx_id: TransactionId
    """Transaction that emitted it; 32 zero bytes in a `parent` leaf."""

    call: int
    """Position of the call within the transaction, from 0."""

    item: int
    """Position of the record within the call, from 0."""

    contract: str
    """Contract that emitted it; empty in a `parent` leaf."""

    account: str
    """Account that sent the transaction; empty in a `parent` and in an `evidence` leaf."""

    body: tuple[Value, ...]
    """Its meaning, by kind (docs/formats)."""

    def encode(self) -> bytes:
        """Return the leaf's canonical bytes."""
        return codec.encode(
            (
                VERSION,
                self.kind,
                self.height,
                self.time_ms,
                self.not_before_ms,
                self.not_after_ms,
                self.tx_id,
                self.call,
                self.item,
                self.contract,
                self.account,
                self.body,
            )
        )


def decode_record(leaf: bytes) -> Record:
    """Decode a leaf.

    Raises:
        DecodeError: not the canonical bytes of any record.
    """
    fields = codec.decode_array(leaf, max_bytes=MAX_RECORD_BYTES, arity=12, what="leaf")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    record = Record(
        kind=codec.text(fields[1], "kind", most_bytes=MAX_NAME_BYTES),
        height=Height(codec.integer(fields[2], "height", least=1)),
        time_ms=codec.integer(fields[3], "time_ms"),
        not_before_ms=codec.integer(fields[4], "not_before_ms"),
        not_after_ms=codec.integer(fields[5], "not_after_ms"),
        tx_id=TransactionId(codec.binary(fields[6], "tx_id", size=HASH_BYTES)),
        call=codec.integer(fields[7], "call", most=MAX_CALLS - 1),
        item=codec.integer(fields[8], "item", most=MAX_RECORDS_PER_TRANSACTION - 1),
        contract=codec.text(fields[9], "contract", most_bytes=MAX_NAME_BYTES),
        account=codec.text(fields[10], "account", most_bytes=MAX_ACCOUNT_NAME_BYTES),
        body=codec.array(fields[11], "body"),
    )
    check_name(record.kind, "kind")
    if record.kind == PARENT_KIND:
        _check_parent(record)
    else:
        check_name(record.contract, "contract")
        if record.kind != EVIDENCE_KIND or record.account:
            check_account_name(record.account)
    return record


def _check_parent(record: Record) -> None:
    height, parent_hash = codec.array(record.body, "body", arity=2)
    expected = parent_record(
        height=record.height,
        time_ms=record.time_ms,
        interval_ms=(record.not_before_ms, record.not_after_ms),
        parent_hash=BlockHash(codec.binary(parent_hash, "parent hash", size=HASH_BYTES)),
    )
    codec.integer(height, "parent height")
    if record != expected:
        raise DecodeError("a parent record holds nothing but its parent's height and hash")


def parent_record(
    *, height: Height, time_ms: int, interval_ms: tuple[int, int], parent_hash: BlockHash
) -> Record:
    """Return the first leaf of block `height`, which vouches for the block before it."""
    return Record(
        kind=PARENT_KIND,
        height=height,
        time_ms=time_ms,
        not_before_ms=interval_ms[0],
        not_after_ms=interval_ms[1],
        tx_id=_NO_TRANSACTION,
        call=0,
        item=0,
        contract="",
        account="",
        body=(height - 1, parent_hash),
    )
