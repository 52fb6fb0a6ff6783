"""SNTP, client mode: one question, one answer, four stamps. RFC 4330 section 5; the packet is that of RFC 5905 section 7.3.

The question carries nothing but a random number where its time of sending would be (the server echoes it), so that an
answer cannot be made up by whoever has not seen the question, and nobody learns what our clock reads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from chainnode.model.errors import DecodeError

COOKIE_BYTES: Final = 8
PACKET_BYTES: Final = 48

_UNIX_EPOCH_S: Final = 2_208_988_800
"""1970 in seconds since 1900, where NTP counts from."""

_ERA_S: Final = 2**32
_CLIENT: Final = 0x23
"""Version 4, mode 3."""

_SERVER_MODE: Final = 4
_NOT_SYNCHRONISED: Final = 3
_MOST_STRATUM: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SntpAnswer:
    """What a server says."""

    received_ms: int
    """When it got the question, by its clock; milliseconds UTC."""

    sent_ms: int
    """When it answered."""

    stratum: int
    """1 for a reference clock, one more for each server in between; at most 15."""

    leap: int
    """1 if the last minute of the day has 61 seconds, 2 if it has 59, else 0."""


def encode_question(cookie: bytes) -> bytes:
    """Return a question; `cookie` is 8 fresh random bytes."""
    return bytes([_CLIENT]) + bytes(PACKET_BYTES - 1 - COOKIE_BYTES) + cookie


def decode_answer(data: bytes, cookie: bytes) -> SntpAnswer:
    """Read the answer to the question with this `cookie`.

    Raises:
        DecodeError: it is no answer to that question, or the server says that it does not know the time.
    """
    if len(data) < PACKET_BYTES:
        raise DecodeError(f"an SNTP answer of {len(data)} bytes; expected {PACKET_BYTES}")
    first, stratum = data[0], data[1]
    leap, mode = first >> 6, first & 7
    if mode != _SERVER_MODE:
        raise DecodeError(f"an SNTP packet of mode {mode}; expected {_SERVER_MODE}, a server's")
    if data[24:32] != cookie:
        raise DecodeError("an SNTP answer to another question")
    if stratum == 0:
        code = "".join(chr(c) if 32 < c < 127 else "?" for c in data[12:16])
        raise DecodeError(f"the time server refuses to answer: {code}")
    if stratum > _MOST_STRATUM or leap == _NOT_SYNCHRONISED:
        raise DecodeError("the time server says that its own clock is not synchronised")
    if data[40:48] == bytes(8):
        raise DecodeError("an SNTP answer without a time")
    return SntpAnswer(
        received_ms=_milliseconds(data[32:40]),
        sent_ms=_milliseconds(data[40:48]),
        stratum=stratum,
        leap=leap,
    )


def _milliseconds(stamp: bytes) -> int:
    seconds, fraction = struct.unpack("!II", stamp)
    # RFC 4330 section 3: with its highest bit clear, a stamp counts from 2036 on.
    era = 0 if seconds & 0x8000_0000 else _ERA_S
    return int((seconds + era - _UNIX_EPOCH_S) * 1_000 + (fraction * 1_000 >> 32))
