"""What a worker hears on its standard input, and what it answers.

    start  = length u32 || context             once; the bytes that precede every transaction id in what is signed
    chunk  = count u32 || count items          item = public key || transaction id (32 bytes) || signature
    answer = count bytes                       one for each item of a chunk, in order: 1 holds, 0 does not

Integers are big-endian; keys and signatures have the lengths of the chain's suite. Both ends are of one
installation, so there is no version; nothing from a peer is parsed here, it is only carried.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.suites import Suite

MAX_CHUNK_ITEMS: Final = 256
"""Items of a chunk: 12 ms of work; larger ones gain nothing, smaller ones cost the event loop more."""

COUNT: Final = struct.Struct(">I")
VALID: Final = 1


def item_bytes(suite: Suite) -> int:
    """Return the length of an item."""
    return suite.public_key_bytes + HASH_BYTES + suite.signature_bytes


def encode_start(context: bytes) -> bytes:
    """Return what a worker must hear first."""
    return COUNT.pack(len(context)) + context


def encode_chunk(items: Sequence[bytes]) -> bytes:
    """Return the bytes of a chunk."""
    return COUNT.pack(len(items)) + b"".join(items)
