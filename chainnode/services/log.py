"""The public log: checkpoints, proofs and tiles, in the C2SP formats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.cosigned import is_second
from chainnode.model.errors import (
    InvariantViolation,
    NotFound,
    ProofInvalid,
    Refused,
    Unavailable,
)
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import MAX_NOTE_SIGNATURES, Note, log_key, sign_note
from chainnode.model.record import decode_record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import Proof
from chainnode.model.tlog_tiles import TILE_WIDTH, TilePath, encode_entries, tile_width

if TYPE_CHECKING:
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.note import Signature
    from chainnode.services.outside import OutsideCosignatures, WitnessedCheckpoint
    from chainnode.services.ports import EnginePort

COSIGN_RETRY_MS: Final = 500
"""What is asked of a client whose record no cosigned checkpoint covers yet: cosigning follows a block in one round trip."""


WITNESS_RETRY_MS: Final = 1_000
"""What is asked of a client whose record the outside witnesses have not seen yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as this node serves it."""

    cosigned: CosignedCheckpoint
    outside: tuple[Signature, ...]
    """Cosignatures of outside witnesses; empty if it is served without."""

    note: Note
    """This node's log signature first, then the validators' cosignatures, then those of outside witnesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProof:
    """A record with its proof, which has no `extra` yet."""

    leaf: bytes
    height: int
    """Block that holds the record."""

    proof: Proof


class LogService:
    """Answers from the ledger's log and the engine's newest cosigned checkpoint."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        engine: EnginePort,
        log_signer: Signer,
        outside: OutsideCosignatures | None = None,
    ) -> None:
        """Sign served checkpoints with `log_signer`, a key of purpose `log`.

        Args:
            ledger: the node's.
            engine: gathers the validators' cosignatures.
            log_signer: this validator's log key.
            outside: gathers those of outside witnesses, if there are any.

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
        self._outside = outside
        self._signed: dict[bool, SignedCheckpoint] = {}
        """The last one that was served with outside cosignatures, and the last one without."""

    def checkpoint(self) -> SignedCheckpoint:
        """Return the newest checkpoint with a quorum of cosignatures.

        With outside witnesses it is the newest that they have cosigned too, unless that has become too old.

        Raises:
            Unavailable: with code `not_yet_cosigned` before the first.
        """
        newest = self._newest()
        witnessed = None if self._outside is None else self._outside.beside(newest)
        return self._sign(newest) if witnessed is None else self._sign_witnessed(witnessed)

    def for_witnesses(self) -> SignedCheckpoint:
        """Return the newest checkpoint as outside witnesses get it. Raises as `checkpoint`.

        It has no outside cosignatures, and of the validators' only those of the chain's suite: witnesses may read as
        little as 10 KiB, and the second kind of four validators takes more.
        """
        signed = self._unwitnessed()
        kept = tuple(s for s in signed.note.signatures if not is_second(s))
        return replace(signed, note=replace(signed.note, signatures=kept))

    def _unwitnessed(self) -> SignedCheckpoint:
        """Return the newest checkpoint without outside cosignatures."""
        return self._sign(self._newest())

    def _newest(self) -> CosignedCheckpoint:
        cosigned = self._engine.newest_checkpoint()
        if cosigned is None:
            raise Unavailable(
                "no checkpoint has a quorum of cosignatures yet",
                code="not_yet_cosigned",
                retry_after_ms=COSIGN_RETRY_MS,
            )
        return cosigned

    def _sign_witnessed(self, witnessed: WitnessedCheckpoint) -> SignedCheckpoint:
        return self._sign(witnessed.cosigned, witnessed.signatures)

    def _sign(
        self, cosigned: CosignedCheckpoint, outside: tuple[Signature, ...] = ()
    ) -> SignedCheckpoint:
        served = self._signed.get(bool(outside))
        if served is None or served.cosigned is not cosigned or served.outside != outside:
            text = cosigned.checkpoint.text()
            signature = sign_note(text, self._key, self._signer.sign)
            # Of 100 lines at most 17 are not the validators', whose quorum is 67 at most.
            quorum = self._ledger.validators(cosigned.height).quorum
            validators = cosigned.lines(MAX_NOTE_SIGNATURES - 1 - len(outside), quorum)
            note = Note(text=text, signatures=(signature, *validators, *outside))
            served = SignedCheckpoint(cosigned=cosigned, outside=outside, note=note)
            self._signed[bool(outside)] = served
        return served

    @property
    def outside(self) -> OutsideCosignatures | None:
        """What outside witnesses have cosigned; None if there are none."""
        return self._outside

    def is_cosigned(self, index: int) -> bool:
        """Whether the newest cosigned checkpoint covers a record."""
        cosigned = self._engine.newest_checkpoint()
        return cosigned is not None and index < cosigned.checkpoint.size

    def prove(self, index: int, *, witnessed: bool = False) -> RecordProof:
        """Return the proof of a record, under the newest checkpoint that serves.

        Args:
            index: of the record.
            witnessed: whether the checkpoint must have the cosignatures of outside witnesses.

        Raises:
            NotFound: with code `unknown_record`.
            Unavailable: with code `not_yet_cosigned` or `not_yet_witnessed`.
            Refused: with code `no_outside_witness` if they are asked for and there are none.
        """
        leaf = self._ledger.leaf(index)
        signed = self._witnessed(index) if witnessed else self._covering(index)
        checkpoint = signed.cosigned.checkpoint
        proof = Proof(
            extra=None,
            index=index,
            hashes=self._ledger.inclusion_proof(index, checkpoint.size),
            note=signed.note,
            checkpoint=checkpoint,
        )
        return RecordProof(leaf=leaf, height=decode_record(leaf).height, proof=proof)

    def _covering(self, index: int) -> SignedCheckpoint:
        """Return a checkpoint that covers a record, if it can be with outside cosignatures."""
        signed = self.checkpoint()
        if index >= signed.cosigned.checkpoint.size:
            signed = self._unwitnessed()
        size = signed.cosigned.checkpoint.size
        if index >= size:
            raise Unavailable(
                f"record {index} is decided; the newest cosigned checkpoint has {size} records; the "
                "next one will cover it",
                code="not_yet_cosigned",
                field="index",
                retry_after_ms=COSIGN_RETRY_MS,
            )
        return signed

    def _witnessed(self, index: int) -> SignedCheckpoint:
        if self._outside is None:
            raise Refused(
                "this node has no outside witnesses; ask another one, or take a proof without them",
                code="no_outside_witness",
                field="witnessed",
            )
        newest = self._outside.newest
        if newest is None or index >= newest.cosigned.checkpoint.size:
            size = 0 if newest is None else newest.cosigned.checkpoint.size
            raise Unavailable(
                f"outside witnesses have cosigned {size} records; record {index} will follow",
                code="not_yet_witnessed",
                field="index",
                retry_after_ms=WITNESS_RETRY_MS,
            )
        return self._sign_witnessed(newest)

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
