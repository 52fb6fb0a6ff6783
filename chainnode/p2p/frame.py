"""Messages packed into frames, so that many small ones cost one WebSocket message and one TLS record.

    frame   = message+
    message = length u32 big-endian | `length` bytes, at least 1

A frame of more than FRAME_BYTES holds exactly one message. That bounds the work and the memory that one
frame can cause, whoever made it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

LENGTH_BYTES: Final = 4

FRAME_BYTES: Final = 64 * 1024
"""Small messages share a frame up to this size: four TLS records, so that a vote need not wait for more."""

MAX_FRAME_BYTES: Final = MAX_MESSAGE_BYTES + LENGTH_BYTES
"""A frame with a largest message in it."""

_LENGTH: Final = struct.Struct(">I")
_pack_length = _LENGTH.pack
_unpack_length = _LENGTH.unpack_from


def join_frame(messages: Iterable[bytes]) -> bytes:
    """Return the frame of these messages; the caller keeps to the sizes above."""
    parts: list[bytes] = []
    for message in messages:
        parts.append(_pack_length(len(message)))
        parts.append(message)
    return b"".join(parts)


def split_frame(frame: bytes) -> list[bytes]:
    """Return the messages of a frame in their order.

    Raises:
        DecodeError: empty, too large, a length that does not fit, or a large frame of several messages.
    """
    size_bytes = len(frame)
    if not 0 < size_bytes <= MAX_FRAME_BYTES:
        raise DecodeError(f"frame: {size_bytes} bytes; expected 1 to {MAX_FRAME_BYTES}")
    messages: list[bytes] = []
    at = 0
    while at < size_bytes:
        start = at + LENGTH_BYTES
        if start > size_bytes:
            raise DecodeError(f"frame: {size_bytes - at} bytes are left over at byte {at}")
        length: int = _unpack_length(frame, at)[0]
        at = start + length
        if not length or at > size_bytes:
            raise DecodeError(
                f"frame: a message of {length} bytes; expected 1 to {size_bytes - start}"
            )
        messages.append(frame[start:at])
    if size_bytes > FRAME_BYTES and len(messages) > 1:
        raise DecodeError(
            f"frame: {len(messages)} messages in {size_bytes} bytes; "
            f"several share at most {FRAME_BYTES}"
        )
    return messages
