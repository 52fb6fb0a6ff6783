"""The tip: the newest block, and the record by which a restart finds it.

    tip record = [1, height, block_hash, log_size, log_root, state_root, state_from]

The record repeats what the header says, so that opening compares three things that were written together: the
record, the header, and the log and state trees themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.ids import BlockHash, Height
from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.certificate import Certificate
    from chainnode.model.header import Header

VERSION: Final = 1
MAX_TIP_RECORD_BYTES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The newest committed block, or genesis."""

    height: Height
    """0 is genesis."""

    block_hash: BlockHash
    """Of height 0: the genesis hash."""

    header: Header | None
    """None at height 0."""

    header_bytes: bytes
    """The header as decided; empty at height 0."""

    certificate: Certificate | None
    """The certificate by which this node decided the block; None at height 0."""

    time_ms: int
    """The block's time; of height 0: that of genesis."""

    log_size: int
    """Leaves of the log."""

    log_root: bytes
    """Root of the log."""

    state_root: bytes
    """Root of the state tree."""

    @property
    def certificate_bytes(self) -> bytes:
        """What the next block carries as its parent certificate; empty at height 0."""
        return b"" if self.certificate is None else self.certificate.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TipRecord:
    """The tip as it rests in the store."""

    height: Height
    block_hash: BlockHash
    log_size: int
    log_root: bytes
    state_root: bytes
    state_from: Height
    """Lowest height of which state proofs are served."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                VERSION,
                self.height,
                self.block_hash,
                self.log_size,
                self.log_root,
                self.state_root,
                self.state_from,
            )
        )


def decode_tip_record(data: bytes) -> TipRecord:
    """Decode a tip record.

    Raises:
        DecodeError: not the canonical bytes of any tip record.
    """
    fields = codec.decode_array(data, max_bytes=MAX_TIP_RECORD_BYTES, arity=7, what="tip record")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    height = codec.integer(fields[1], "height")
    return TipRecord(
        height=Height(height),
        block_hash=BlockHash(codec.binary(fields[2], "block_hash", size=HASH_BYTES)),
        log_size=codec.integer(fields[3], "log_size"),
        log_root=codec.binary(fields[4], "log_root", size=HASH_BYTES),
        state_root=codec.binary(fields[5], "state_root", size=HASH_BYTES),
        state_from=Height(codec.integer(fields[6], "state_from", most=height)),
    )
