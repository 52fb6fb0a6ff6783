"""Signed notes: text with signature lines (C2SP signed-note).

    <text, ending in a newline>
    <empty line>
    — <key name> base64(key id || signature)        one or more such lines

A key is written as a *vkey*: `<name>+<key id, 8 hex digits>+base64(type || public key)` with

    key id = H(name || 0A || type || public key)[:4]

    type                                        suite            signs
    01                                          ed25519-sha256   the text
    04                                          ed25519-sha256   `cosignature/v1` (module `cosignature`)
    06                                          ml-dsa-44        `subtree/v1` (module `cosignature`)
    FF "chainnode/sm2-sm3/note/v1"              sm2-sm3          the text
    FF "chainnode/sm2-sm3/cosignature/v1"       sm2-sm3          `cosignature/v1`

H is the suite's hash, so SM3 for the last two; an SM2 public key is 04 || x || y, an SM2 signature r || s.
A note has one encoding: base64 is canonical, nothing follows the last line, and no key signs twice.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.suites import key_suite_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chainnode.model.suites import Suite

    Sign = Callable[[bytes], bytes]
    """Signs a message with one private key that stays where it is."""

KEY_ID_BYTES: Final = 4

MAX_KEY_NAME_BYTES: Final = 256
"""`<chain id>/<validator>` has at most 193; names are short URL-like lines."""

MAX_NOTE_SIGNATURES: Final = 100
"""Lines in one note. The specification asks for 16 at least; golang.org/x/mod reads no more than 100."""

MAX_NOTE_TEXT_BYTES: Final = 8_192
"""A checkpoint's text is under 250 bytes; extension lines of other logs are short too."""

MAX_SIGNATURE_BYTES: Final = 5_120
"""Signature behind one key id: post-quantum ones, which other cosigners may add, come near 5 kB."""

MAX_NOTE_BYTES: Final = 384 * 1024
"""A whole note; 100 lines take 35 KiB, or 350 KiB if all of them are ML-DSA-44."""

_SIGNATURE_START: Final = "\N{EM DASH} "
_FORBIDDEN: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class SignatureType(Enum):
    """What a key signs and how: its suite, and the bytes that stand before the public key."""

    ED25519_NOTE = ("ed25519-sha256", b"\x01")
    ED25519_COSIGNATURE = ("ed25519-sha256", b"\x04")
    ML_DSA_44_COSIGNATURE = ("ml-dsa-44", b"\x06")
    SM2_NOTE = ("sm2-sm3", b"\xffchainnode/sm2-sm3/note/v1")
    SM2_COSIGNATURE = ("sm2-sm3", b"\xffchainnode/sm2-sm3/cosignature/v1")

    @property
    def suite(self) -> Suite:
        """The suite whose signatures and hash it uses."""
        return key_suite_named(self.value[0])

    @property
    def prefix(self) -> bytes:
        """The type byte, with the longer identifier behind FF."""
        return self.value[1]

    @property
    def is_cosignature(self) -> bool:
        """Whether it signs a checkpoint with a time rather than the text itself."""
        return self not in {SignatureType.ED25519_NOTE, SignatureType.SM2_NOTE}


_NOTE_TYPES: Final = {t.value[0]: t for t in SignatureType if not t.is_cosignature}
_COSIGNATURE_TYPES: Final = {t.value[0]: t for t in SignatureType if t.is_cosignature}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with its name and the one kind of signature that it makes in notes."""

    name: str
    """The key name of its signature lines; for a log's key, the log's origin."""

    type: SignatureType
    """What it signs."""

    public_key: bytes
    """In the encoding of the suite."""

    @property
    def key_id(self) -> bytes:
        """4 bytes that, with the name, find the key of a signature line. Not a strong hash."""
        head = self.name.encode() + b"\n" + self.type.prefix
        return self.type.suite.hash(head + self.public_key)[:KEY_ID_BYTES]

    def vkey(self) -> str:
        """Return the key as `<name>+<key id>+<base64>`."""
        return (
            f"{self.name}+{self.key_id.hex()}+{encode_base64(self.type.prefix + self.public_key)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line. Its key may be unknown; nothing about it is checked yet."""

    name: str
    """Name of the key: not empty, without spaces and `+`."""

    key_id: bytes
    """4 bytes."""

    value: bytes
    """What the key made, 1 byte at least; of cosignatures with the time before the signature proper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Text and signature lines, in the order in which they stand."""

    text: str
    """Ends in a newline."""

    signatures: tuple[Signature, ...]
    """1 to 100, no two with the same name and key id."""

    def encode(self) -> bytes:
        """Return the note's bytes."""
        return f"{self.text}\n{signature_lines(self.signatures)}".encode()


def log_key(suite: Suite, origin: str, public_key: bytes) -> VerifierKey:
    """Return the key with which a log signs its checkpoints: its name is the origin."""
    return VerifierKey(name=origin, type=_NOTE_TYPES[suite.name], public_key=public_key)


def cosigner_key(suite: Suite, name: str, public_key: bytes) -> VerifierKey:
    """Return the key with which a validator (`<chain id>/<validator>`) cosigns: of the chain's suite, or of ML-DSA-44."""
    return VerifierKey(name=name, type=_COSIGNATURE_TYPES[suite.name], public_key=public_key)


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a vkey.

    Raises:
        DecodeError: malformed, of a type unknown here, with an unusable public key, or the key id is another's.
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    check_key_name(name)
    material = decode_base64(encoded, "vkey")
    for kind in SignatureType:
        if material.startswith(kind.prefix):
            key = VerifierKey(name=name, type=kind, public_key=material[len(kind.prefix) :])
            break
    else:
        raise DecodeError(
            f"vkey of {name!r}: its signature type is none of those known here",
            field="vkey",
            code="unknown_signature_type",
        )
    if not key.type.suite.is_public_key(key.public_key):
        raise DecodeError(
            f"vkey of {name!r}: no usable {key.type.suite.name} public key",
            field="vkey",
            code="bad_vkey",
        )
    if key.key_id.hex() != key_id:
        raise DecodeError(
            f"vkey of {name!r}: found key id {key_id[:16]!r}; the key's is {key.key_id.hex()}",
            field="vkey",
            code="bad_vkey",
        )
    return key


def parse_note(data: bytes) -> Note:
    """Read a signed note; verifies nothing.

    Raises:
        DecodeError: not the one encoding of a note, over a limit, or a key signs twice.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _bad_note(f"{len(data)} bytes; at most {MAX_NOTE_BYTES} are read")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise _bad_note("it is not UTF-8") from None
    if _FORBIDDEN.search(whole) is not None:
        raise _bad_note("it holds a control character other than newline")
    text, separator, block = whole.rpartition("\n\n")
    if not separator:
        raise _bad_note("no empty line between text and signature lines")
    if len(text) >= MAX_NOTE_TEXT_BYTES:
        raise _bad_note(f"its text is longer than {MAX_NOTE_TEXT_BYTES} bytes")
    return Note(text=text + "\n", signatures=parse_signature_lines(block))


def signature_lines(signatures: Iterable[Signature]) -> str:
    """Return signatures as the lines of a note."""
    return "".join(
        f"{_SIGNATURE_START}{s.name} {encode_base64(s.key_id + s.value)}\n" for s in signatures
    )


def parse_signature_lines(block: str) -> tuple[Signature, ...]:
    """Read 1 to 100 signature lines, no two by one key; verifies nothing.

    Raises:
        DecodeError: anything else.
    """
    if not block.endswith("\n"):
        raise _bad_note("no complete signature lines")
    lines = block[:-1].split("\n", MAX_NOTE_SIGNATURES)
    if len(lines) > MAX_NOTE_SIGNATURES:
        raise _bad_note(f"more than {MAX_NOTE_SIGNATURES} signatures")
    signatures = tuple(_parse_signature(line) for line in lines)
    if len({(s.name, s.key_id) for s in signatures}) != len(signatures):
        raise _bad_note("two signatures by one key")
    return signatures


def sign_note(text: str, key: VerifierKey, sign: Sign) -> Signature:
    """Return the signature line of `key` under `text`; `sign` holds the private key."""
    return Signature(name=key.name, key_id=key.key_id, value=sign(text.encode()))


def verify_note_signature(key: VerifierKey, text: str, signature: Signature) -> None:
    """Check a signature of the text itself, which is found by name and key id to be of `key`.

    Raises:
        ProofInvalid: with code `bad_signature`.
    """
    if not key.type.suite.is_signature(key.public_key, text.encode(), signature.value):
        raise ProofInvalid(f"the signature of {key.name} does not verify", code="bad_signature")


def check_key_name(name: str) -> None:
    """Refuse a key name that is empty, too long, or holds a space, a plus sign or a control character.

    Raises:
        DecodeError: it is none.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if (
        not 0 < size <= MAX_KEY_NAME_BYTES
        or "+" in name
        or _FORBIDDEN.search(name) is not None
        or any(character.isspace() for character in name)
    ):
        raise DecodeError(
            f"key name: found {name[:80]!r}; expected 1 to {MAX_KEY_NAME_BYTES} bytes of UTF-8 "
            "without spaces and `+`",
            field="name",
            code="bad_name",
        )


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode()


def decode_base64(text: str, what: str) -> bytes:
    """Read base64 that is exactly what `encode_base64` writes.

    Raises:
        DecodeError: anything else, also set bits behind the last byte.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or encode_base64(data) != text:
        raise DecodeError(
            f"{what}: found {text[:40]!r}; expected canonical base64",
            field=what,
            code="bad_base64",
        )
    return data


def parse_decimal(text: str, what: str, most: int) -> int:
    """Read a decimal number of ASCII digits without leading zeros, 0 to `most`.

    Raises:
        DecodeError: anything else.
    """
    if (
        not (text.isascii() and text.isdigit())
        or len(text) > len(str(most))
        or (text[0] == "0" and text != "0")
        or int(text) > most
    ):
        raise DecodeError(
            f"{what}: found {text[:40]!r}; expected a decimal number up to {most} without "
            "leading zeros",
            field=what,
            code="bad_number",
        )
    return int(text)


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_SIGNATURE_START):
        raise _bad_note(f"{line[:40]!r} is no signature line")
    name, _, encoded = line[len(_SIGNATURE_START) :].partition(" ")
    check_key_name(name)
    value = decode_base64(encoded, "signature")
    if not KEY_ID_BYTES < len(value) <= KEY_ID_BYTES + MAX_SIGNATURE_BYTES:
        raise _bad_note(f"the signature of {name!r} has {len(value)} bytes")
    return Signature(name=name, key_id=value[:KEY_ID_BYTES], value=value[KEY_ID_BYTES:])


def _bad_note(found: str) -> DecodeError:
    return DecodeError(f"signed note: {found}", field="note", code="bad_note")
