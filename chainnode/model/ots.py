"""OpenTimestamps: detached timestamp files (`.ots`), and the one attestation of ours that they may carry.

    file        = magic (31) || version 01 || 08 (SHA-256) || digest of the document (32) || timestamp
    timestamp   = (ff || branch) ... || branch              all but the last branch begin with ff
    branch      = 00 || tag (8) || varbytes(payload)        an attestation of the message so far
                | op [varbytes(argument)] || timestamp      what the next message is made by
    varbytes(b) = length of b as LEB128 || b

    our payload = a `.tlog-proof` of a public notarization whose SHA-256 is the message

The layout is that of python-opentimestamps 0.4, core/serialize.py, core/op.py and core/notary.py. docs/formats/ots.md
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from chainnode.model.errors import DecodeError

MAGIC: Final = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
VERSION: Final = 1
PENDING_TAG: Final = bytes.fromhex("83dfe30d2ef90c8e")
BITCOIN_TAG: Final = bytes.fromhex("0588960d73d71901")
CHAIN_TAG: Final = hashlib.sha256(b"chainnode OpenTimestamps attestation v1").digest()[:8]
"""Ours: 8 bytes that nobody else has a reason to use."""

MAX_FILE_BYTES: Final = 64 * 1024
"""A file with the proofs of a dozen calendars. It also bounds the hashing that a hostile file can cause to a second."""

MAX_MESSAGE_BYTES: Final = 4_096
MAX_PAYLOAD_BYTES: Final = 8_192
"""Of an attestation; the stock library reads no longer one."""

MAX_DEPTH: Final = 256
"""Operations from the digest to an attestation, as in the stock library."""

MAX_URI_BYTES: Final = 1_000
_URI_BYTES: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/:"
)
"""What the stock library takes in the address of a calendar."""

_SHA256: Final = 0x08
HASH: Final = bytes((_SHA256,))
"""The operation that makes SHA-256(message) of a message."""

_APPEND: Final = 0xF0
_PREPEND: Final = 0xF1
_REVERSE: Final = 0xF2
_HEXLIFY: Final = 0xF3
_UNCHECKED: Final = frozenset({0x02, 0x03, 0x67})
"""SHA-1, RIPEMD-160, Keccak-256: valid, and nothing of ours lies behind them; what they give is not computed."""

_ATTESTATION: Final = 0x00
_FORK: Final = 0xFF
_DIGEST_BYTES: Final = 32
_MAX_VARUINT_BYTES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What somebody says of a message."""

    message: bytes | None
    """1 to 4,096 bytes; None behind an operation that is not computed here."""

    tag: bytes
    """8 bytes that name its kind."""

    payload: bytes
    """At most 8,192 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampFile:
    """A `.ots` file as read: the arithmetic from the digest to each message is done, nothing else is checked."""

    digest: bytes
    """SHA-256 of the document."""

    attestations: tuple[Attestation, ...]
    """At least one, in the order of the file."""


def decode_timestamp_file(data: bytes) -> TimestampFile:
    """Read a detached timestamp file.

    Raises:
        DecodeError: it is none, over a limit, or about a digest other than SHA-256 (`other_algorithm`).
    """
    if len(data) > MAX_FILE_BYTES:
        raise _malformed(f"{len(data)} bytes; at most {MAX_FILE_BYTES} are read")
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise _malformed("it does not begin as an OpenTimestamps proof does")
    version, operation = reader.varuint(), reader.byte()
    if version != VERSION:
        raise _malformed(f"version {version}; expected {VERSION}")
    if operation != _SHA256:
        raise DecodeError(
            f"ots: its document is named by operation {operation:02x}; expected 08, SHA-256: stamp it with "
            "a client that uses SHA-256",
            code="other_algorithm",
            field="ots",
        )
    digest = reader.take(_DIGEST_BYTES)
    found: list[Attestation] = []
    _read_timestamp(reader, digest, MAX_DEPTH, found)
    if not reader.is_at_end:
        raise _malformed("there are bytes behind its end")
    return TimestampFile(digest=digest, attestations=tuple(found))


def decode_pending(payload: bytes) -> str:
    """Return the calendar's address in the payload of a pending attestation. Raises DecodeError."""
    reader = _Reader(payload)
    uri = reader.varbytes(MAX_URI_BYTES)
    if not reader.is_at_end or not set(uri) <= _URI_BYTES:
        raise _malformed("the address of a pending attestation is not one")
    return uri.decode("ascii")


def is_calendar_uri(uri: str) -> bool:
    """Whether stock clients take `uri` as the address of a calendar."""
    data = uri.encode()
    return len(data) <= MAX_URI_BYTES and set(data) <= _URI_BYTES and data.endswith(b"/")


def append_and_hash(suffix: bytes) -> bytes:
    """Return the operations that make SHA-256(message || suffix) of a message."""
    return bytes((_APPEND,)) + _varbytes(suffix) + HASH


def prepend_and_hash(prefix: bytes) -> bytes:
    """Return the operations that make SHA-256(prefix || message) of a message."""
    return bytes((_PREPEND,)) + _varbytes(prefix) + HASH


def pending(uri: str) -> bytes:
    """Return the attestation that the calendar at `uri` will have more to say."""
    return _attestation(PENDING_TAG, _varbytes(uri.encode("ascii")))


def on_chain(proof: bytes) -> bytes:
    """Return our attestation: the bytes of a `.tlog-proof`, at most `MAX_PAYLOAD_BYTES`."""
    return _attestation(CHAIN_TAG, proof)


def _attestation(tag: bytes, payload: bytes) -> bytes:
    return bytes((_ATTESTATION,)) + tag + _varbytes(payload)


def _varbytes(data: bytes) -> bytes:
    length, encoded = len(data), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*encoded, length)) + data


def _read_timestamp(
    reader: _Reader, message: bytes | None, depth: int, found: list[Attestation]
) -> None:
    if depth == 0:
        raise _malformed(f"more than {MAX_DEPTH} operations one after the other")
    while (tag := reader.byte()) == _FORK:
        _read_branch(reader, reader.byte(), message, depth, found)
    _read_branch(reader, tag, message, depth, found)


def _read_branch(
    reader: _Reader, tag: int, message: bytes | None, depth: int, found: list[Attestation]
) -> None:
    if tag == _ATTESTATION:
        kind = reader.take(len(CHAIN_TAG))
        payload = reader.varbytes(MAX_PAYLOAD_BYTES)
        found.append(Attestation(message=message, tag=kind, payload=payload))
        return
    _read_timestamp(reader, _apply(reader, tag, message), depth - 1, found)


def _apply(reader: _Reader, operation: int, message: bytes | None) -> bytes | None:
    argument = b""
    if operation in {_APPEND, _PREPEND}:
        argument = reader.varbytes(MAX_MESSAGE_BYTES, least=1)
    elif operation not in {_SHA256, _REVERSE, _HEXLIFY, *_UNCHECKED}:
        raise _malformed(f"there is no operation {operation:02x}")
    if message is None or operation in _UNCHECKED:
        return None
    if operation == _SHA256:
        return hashlib.sha256(message).digest()
    made = {
        _APPEND: message + argument,
        _PREPEND: argument + message,
        _REVERSE: message[::-1],
        _HEXLIFY: message.hex().encode() if operation == _HEXLIFY else b"",
    }[operation]
    if len(made) > MAX_MESSAGE_BYTES:
        raise _malformed(
            f"a message of {len(made)} bytes; at most {MAX_MESSAGE_BYTES} are possible"
        )
    return made


class _Reader:
    """Reads bytes from the front; raises DecodeError at their end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise _malformed("it ends too early")
        self._at += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def varuint(self) -> int:
        value = 0
        for position in range(_MAX_VARUINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * position)
            if byte <= 0x7F:
                return value
        raise _malformed("a length of more than 35 bits")

    def varbytes(self, most: int, *, least: int = 0) -> bytes:
        length = self.varuint()
        if not least <= length <= most:
            raise _malformed(f"{length} bytes where {least} to {most} are possible")
        return self.take(length)


def _malformed(found: str) -> DecodeError:
    return DecodeError(f"ots: {found}", code="bad_ots", field="ots")
