r"""Cosignatures: a validator's word that a checkpoint is the newest it has seen (C2SP tlog-cosignature, v1).

    signed message:     cosignature/v1\ntime <seconds>\n<checkpoint text>
    signature line:     key id || time as 8 bytes big-endian || signature

The same on both suites; only the signature type of the key differs (see `note`). The message does not name the
cosigner, so a cosigner key serves nothing else. An ML-DSA-44 key signs another message, which names it:

    label "subtree/v1\n\0" || name as opaque<1..2^8-1> || time u64 || origin as opaque<1..2^8-1> || start u64 || end u64 || root

of the subtree from 0 to the checkpoint's size; the line is made alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.checkpoint import parse_checkpoint
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.note import Signature, SignatureType

if TYPE_CHECKING:
    from chainnode.model.note import Sign, VerifierKey

MAX_COSIGNATURE_TIME_S: Final = 2**63 - 1
"""POSIX seconds; bound of the specification."""

TIME_BYTES: Final = 8


_SUBTREE_LABEL: Final = b"subtree/v1\n\0"
_MAX_OPAQUE_BYTES: Final = 255


def cosignature_message(key: VerifierKey, text: str, time_s: int) -> bytes:
    """Return the bytes that `key` signs when it cosigns the checkpoint `text` at `time_s` (POSIX seconds).

    Raises:
        DecodeError: the key is of ML-DSA-44 and `text` is no checkpoint, or a name is longer than that message can hold.
    """
    if key.type is SignatureType.ML_DSA_44_COSIGNATURE:
        return _subtree_message(key.name, text, time_s)
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def cosign(text: str, time_s: int, key: VerifierKey, sign: Sign) -> Signature:
    """Return the cosignature line of `key`; `sign` holds the private key.

    Args:
        text: the checkpoint's text. Whether it may be cosigned is the caller's duty to know.
        time_s: now, in POSIX seconds.
        key: of a cosignature type.
        sign: signs a message with the private key of `key`.
    """
    value = time_s.to_bytes(TIME_BYTES, "big") + sign(cosignature_message(key, text, time_s))
    return Signature(name=key.name, key_id=key.key_id, value=value)


def cosignature_time_s(signature: Signature) -> int:
    """Return the time in a cosignature line, in POSIX seconds.

    Raises:
        DecodeError: there is none, or it is out of range.
    """
    time_s = int.from_bytes(signature.value[:TIME_BYTES], "big")
    if len(signature.value) <= TIME_BYTES or time_s > MAX_COSIGNATURE_TIME_S:
        raise DecodeError(
            f"the cosignature of {signature.name} holds no time", field="time", code="bad_time"
        )
    return time_s


def verify_cosignature(key: VerifierKey, text: str, signature: Signature) -> None:
    """Check a cosignature of the checkpoint `text`, which is found by name and key id to be of `key`.

    Raises:
        DecodeError: it holds no time, or there is no message that it could sign.
        CannotTell: with code `unsupported_algorithm`: this installation cannot judge its kind.
        ProofInvalid: with code `bad_signature`.
    """
    message = cosignature_message(key, text, cosignature_time_s(signature))
    if not key.type.suite.is_signature(key.public_key, message, signature.value[TIME_BYTES:]):
        raise ProofInvalid(f"the cosignature of {key.name} does not verify", code="bad_signature")


def _subtree_message(name: str, text: str, time_s: int) -> bytes:
    checkpoint = parse_checkpoint(text)
    start, end = 0, checkpoint.size
    return b"".join(
        (
            _SUBTREE_LABEL,
            _opaque(name),
            time_s.to_bytes(8, "big"),
            _opaque(checkpoint.origin),
            start.to_bytes(8, "big"),
            end.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _opaque(text: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) <= _MAX_OPAQUE_BYTES:
        raise DecodeError(
            f"{text[:40]!r} has {len(data)} bytes; ML-DSA-44 cosignatures name 1 to {_MAX_OPAQUE_BYTES}",
            field="name",
            code="bad_name",
        )
    return bytes((len(data),)) + data
