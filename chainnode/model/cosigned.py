"""A checkpoint with its cosignatures, as a node keeps and serves it.

cosigned checkpoint = [height, origin, size, root, [[name, key_id, value], ...]]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model import codec
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import TIME_BYTES
from chainnode.model.limits import MAX_CHAIN_ID_BYTES, MAX_NAME_BYTES, MAX_VALIDATORS
from chainnode.model.note import KEY_ID_BYTES, Signature
from chainnode.model.suites import HASH_BYTES
from chainnode.model.suites.ml_dsa_44 import SIGNATURE_BYTES

MAX_COSIGNATURE_BYTES: Final = TIME_BYTES + SIGNATURE_BYTES
"""Time and signature of the longer kind, ML-DSA-44."""

MAX_COSIGNED_BYTES: Final = MAX_VALIDATORS * (MAX_COSIGNATURE_BYTES + 1_024)
"""A hundred of each kind, with the longest names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedCheckpoint:
    """A checkpoint that at least a quorum of validators has cosigned."""

    height: int
    """The decided height whose log it describes."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]
    """The cosignature lines, in the order of the validator set; behind them those of ML-DSA-44, in the same order."""

    def lines(self, most: int, quorum: int) -> tuple[Signature, ...]:
        """Return at most so many of them: all if they fit, else a quorum of each kind if these do, else first ones.

        Args:
            most: 1 or more.
            quorum: of the validators that govern the height.
        """
        if len(self.signatures) <= most:
            return self.signatures
        second = tuple(s for s in self.signatures if is_second(s))
        first = tuple(s for s in self.signatures if not is_second(s))
        if len(second) >= quorum and 2 * quorum <= most:
            second = second[:quorum]
            return first[: most - len(second)] + second
        return first[:most]


def is_second(signature: Signature) -> bool:
    """Whether a cosignature line of a validator is of its ML-DSA-44 key; those of the chains' suites are shorter."""
    return len(signature.value) == MAX_COSIGNATURE_BYTES


def encode_cosigned(cosigned: CosignedCheckpoint) -> bytes:
    """Return the canonical bytes."""
    checkpoint = cosigned.checkpoint
    return codec.encode(
        (
            cosigned.height,
            checkpoint.origin,
            checkpoint.size,
            checkpoint.root,
            tuple((s.name, s.key_id, s.value) for s in cosigned.signatures),
        )
    )


def decode_cosigned(data: bytes) -> CosignedCheckpoint:
    """Decode a cosigned checkpoint. Its signatures are not verified here.

    Raises:
        DecodeError: not the canonical bytes of any.
    """
    height, origin, size, root, signatures = codec.decode_array(
        data, max_bytes=MAX_COSIGNED_BYTES, arity=5, what="cosigned checkpoint"
    )
    return CosignedCheckpoint(
        height=codec.integer(height, "height", least=1),
        checkpoint=Checkpoint(
            origin=codec.text(origin, "origin", most_bytes=MAX_CHAIN_ID_BYTES),
            size=codec.integer(size, "size"),
            root=codec.binary(root, "root", size=HASH_BYTES),
        ),
        signatures=tuple(
            Signature(
                name=codec.text(name, "name", most_bytes=MAX_CHAIN_ID_BYTES + MAX_NAME_BYTES + 1),
                key_id=codec.binary(key_id, "key_id", size=KEY_ID_BYTES),
                value=codec.binary(value, "value", most=MAX_COSIGNATURE_BYTES),
            )
            for name, key_id, value in (
                codec.array(s, "signature", arity=3)
                for s in codec.array_up_to(signatures, "signatures", most=2 * MAX_VALIDATORS)
            )
        ),
    )
