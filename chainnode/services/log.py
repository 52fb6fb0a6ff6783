"""The public log: checkpoints, proofs and tiles, in the C2SP formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import InvariantViolation, NotFound, ProofInvalid, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import Note, log_key, sign_note
from chainnode.model.record import decode_record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import Proof
from chainnode.model.tlog_tiles import TILE_WIDTH, TilePath, encode_entries, tile_width

if TYPE_CHECKING:
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.services.ports import EnginePort

COSIGN_RETRY_MS: Final = 500
"""What is asked of a client whose record no cosigned checkpoint covers yet: cosigning follows a block in one round trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as this node serves it."""

    cosigned: CosignedCheckpoint
    note: Note
    """This node's log signature first, then the validators' cosignatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProof:
    """A record with its proof, which has no `extra` yet."""

    leaf: bytes
    height: int
    """Block that holds the record."""

    proof: Proof


class LogService:
    """Answers from the ledger's log and the engine's newest cosigned checkpoint."""

    def __init__(self, *, ledger: Ledger, engine: EnginePort, log_signer: Signer) -> None:
        """Sign served checkpoints with `log_signer`, a key of purpose `log`.

        Raises:
            InvariantViolation: the key has another purpose or suite.
        """
        genesis = ledger.genesis
        if log_signer.purpose is not KeyPurpose.LOG or log_signer.suite is not genesis.suite:
            raise InvariantViolation("the log's key has another purpose or another suite")
        self._ledger = ledger
        self._engine = engine
        self._signer = log_signer
        self._key = log_key(genesis.suite, genesis.chain_id, log_signer.public_key)
        self._signed: SignedCheckpoint | None = None

    def checkpoint(self) -> SignedCheckpoint:
        """Return the newest checkpoint with a quorum of cosignatures.

        Raises:
            Unavailable: with code `not_yet_cosigned` before the first.
        """
        cosigned = self._engine.newest_checkpoint()
        if cosigned is None:
            raise Unavailable(
                "no checkpoint has a quorum of cosignatures yet",
                code="not_yet_cosigned",
                retry_after_ms=COSIGN_RETRY_MS,
            )
        if self._signed is None or self._signed.cosigned is not cosigned:
            text = cosigned.checkpoint.text()
            signature = sign_note(text, self._key, self._signer.sign)
            note = Note(text=text, signatures=(signature, *cosigned.signatures))
            self._signed = SignedCheckpoint(cosigned=cosigned, note=note)
        return self._signed

    def is_cosigned(self, index: int) -> bool:
        """Whether the newest cosigned checkpoint covers a record."""
        cosigned = self._engine.newest_checkpoint()
        return cosigned is not None and index < cosigned.checkpoint.size

    def prove(self, index: int) -> RecordProof:
        """Return the proof of a record under the newest cosigned checkpoint.

        Raises:
            NotFound: with code `unknown_record`.
            Unavailable: with code `not_yet_cosigned`.
        """
        leaf = self._ledger.leaf(index)
        signed = self.checkpoint()
        checkpoint = signed.cosigned.checkpoint
        if index >= checkpoint.size:
            raise Unavailable(
                f"record {index} is decided; the newest cosigned checkpoint has {checkpoint.size} "
                "records; the next one will cover it",
                code="not_yet_cosigned",
                field="index",
                retry_after_ms=COSIGN_RETRY_MS,
            )
        proof = Proof(
            extra=None,
            index=index,
            hashes=self._ledger.inclusion_proof(index, checkpoint.size),
            note=signed.note,
            checkpoint=checkpoint,
        )
        return RecordProof(leaf=leaf, height=decode_record(leaf).height, proof=proof)

    def find_record(self, tx_id: bytes, call: int, item: int) -> int:
        """Return the log index of the record that a transaction's call emitted as its `item`-th.

        Raises:
            NotFound: with code `unknown_transaction` or `unknown_record`.
        """
        place = self._ledger.find_transaction(tx_id)
        if place is None:
            raise NotFound(
                f"no block holds a transaction {tx_id.hex()}",
                code="unknown_transaction",
                field="tx_id",
            )
        receipt = self._ledger.receipt(*place)
        low, high = receipt.first_record, receipt.first_record + receipt.record_count
        # A transaction's records lie in the order of (call, item).
        while low < high:
            middle = (low + high) // 2
            record = decode_record(self._ledger.leaf(middle))
            if (record.call, record.item) == (call, item):
                return middle
            if (record.call, record.item) < (call, item):
                low = middle + 1
            else:
                high = middle
        raise NotFound(
            f"transaction {tx_id.hex()} emitted {receipt.record_count} records; none is number "
            f"{item} of call {call}",
            code="unknown_record",
            field="item",
        )

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `new` records extends that of `old`.

        Raises:
            NotFound: with code `unknown_record` if the log is smaller, or `old` is above `new`.
        """
        try:
            return self._ledger.consistency_proof(old, new)
        except ProofInvalid as error:
            raise NotFound(error.message, code="unknown_record", field="old") from error

    def tile(self, path: TilePath) -> bytes:
        """Return a tile's or entry bundle's bytes, at most as wide as asked.

        Raises:
            NotFound: with code `unknown_tile` if the log has not grown to it.
        """
        size = self._ledger.tip.log_size
        available = tile_width(path.level or 0, path.index, size)
        if path.width > available:
            raise NotFound(
                f"{path} is not there: the log has {size} records, the tile {available}",
                code="unknown_tile",
            )
        if path.level is None:
            return encode_entries(self._ledger.leaves(path.index * TILE_WIDTH, path.width))
        data = self._ledger.tile(path.level, path.index)
        if data is None:
            raise InvariantViolation(f"{path} is missing in a log of {size} records")
        return data[: path.width * HASH_BYTES]
