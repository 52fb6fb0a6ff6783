"""Fields that several messages share, and the vote log with them: as arrays, and read back strictly.

Each `parse_...` raises DecodeError, and nothing else, on a value of another shape.

    change = [height, view, sender, prepared_view (-1 = none), prepared_digest, signature]
    proof  = [view, digest, [[sender, signature], ...]]        a prepared certificate, senders rising
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from chainnode.engine.messages import MAX_SHOWN, PreparedProof, SignedChange
from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_VALIDATORS
from chainnode.model.presence import CHALLENGE_BYTES
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import MAX_VIEW

if TYPE_CHECKING:
    from chainnode.model.codec import Value

MAX_SIGNATURE_BYTES: Final = 128
_NOTHING: Final = bytes(HASH_BYTES)


def parse_height(value: Value) -> int:
    """Read a height."""
    return codec.integer(value, "height")


def parse_view(value: Value) -> int:
    """Read a view."""
    return codec.integer(value, "view", most=MAX_VIEW)


def parse_sender(value: Value) -> int:
    """Read a validator's index in the set of the message's height."""
    return codec.integer(value, "sender", most=MAX_VALIDATORS - 1)


def parse_digest(value: Value) -> bytes:
    """Read the hash of a block or transaction."""
    return codec.binary(value, "digest", size=HASH_BYTES)


def parse_signature(value: Value) -> bytes:
    """Read a signature of any suite."""
    return codec.binary(value, "signature", most=MAX_SIGNATURE_BYTES)


def parse_indices(value: Value, what: str) -> tuple[int, ...]:
    """Read indices of validators, rising."""
    indices = tuple(parse_sender(v) for v in codec.array_up_to(value, what, most=MAX_VALIDATORS))
    if any(a >= b for a, b in itertools.pairwise(indices)):
        raise DecodeError(f"{what}: not in rising order", field=what)
    return indices


def parse_challenge(value: Value) -> bytes:
    """Read the challenge of a validator's process."""
    return codec.binary(value, "challenge", size=CHALLENGE_BYTES)


def parse_challenges(value: Value, what: str, *, least: int) -> tuple[bytes, ...]:
    """Read challenges, rising."""
    challenges = tuple(
        parse_challenge(c) for c in codec.array_up_to(value, what, least=least, most=MAX_SHOWN)
    )
    if any(a >= b for a, b in itertools.pairwise(challenges)):
        raise DecodeError(f"{what}: not in rising order", field=what)
    return challenges


def change_value(change: SignedChange) -> Value:
    """Return the array form of the signed part of a VIEW-CHANGE."""
    view, digest = change.prepared if change.prepared is not None else (-1, _NOTHING)
    return (change.height, change.view, change.sender, view, digest, change.signature)


def parse_change(value: Value) -> SignedChange:
    """Read the signed part of a VIEW-CHANGE.

    Raises:
        DecodeError: of another shape.
    """
    height, view, sender, prepared_view, digest, signature = codec.array(value, "change", arity=6)
    prepared_at = codec.integer(prepared_view, "prepared_view", least=-1, most=MAX_VIEW)
    prepared_digest = parse_digest(digest)
    if prepared_at == -1 and prepared_digest != _NOTHING:
        raise DecodeError("change: a digest without a prepared view")
    return SignedChange(
        height=parse_height(height),
        view=parse_view(view),
        sender=parse_sender(sender),
        prepared=None if prepared_at == -1 else (prepared_at, prepared_digest),
        signature=parse_signature(signature),
    )


def proof_value(proof: PreparedProof | None) -> Value:
    """Return the array form of a prepared certificate, or nil."""
    return None if proof is None else (proof.view, proof.digest, proof.signatures)


def parse_proof(value: Value) -> PreparedProof | None:
    """Read a prepared certificate or nil.

    Raises:
        DecodeError: of another shape.
    """
    if value is None:
        return None
    view, digest, signatures = codec.array(value, "proof", arity=3)
    pairs: list[tuple[int, bytes]] = []
    for element in codec.array_up_to(signatures, "signatures", least=1, most=MAX_VALIDATORS):
        sender, signature = codec.array(element, "signature", arity=2)
        pairs.append((parse_sender(sender), parse_signature(signature)))
    if any(a[0] >= b[0] for a, b in itertools.pairwise(pairs)):
        raise DecodeError("proof: its senders are not in rising order")
    return PreparedProof(
        view=parse_view(view), digest=parse_digest(digest), signatures=tuple(pairs)
    )
