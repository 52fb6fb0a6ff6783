"""The encrypted key file: its fields, its sealing, its strict decoder.

A JSON object (UTF-8, at most 4 KiB) with exactly these fields:

    version     1
    name        the key's name: a lower-case letter or digit, then up to 63 of a-z 0-9 . _ -
    suite       ed25519-sha256, sm2-sm3 or p256-sha256
    purpose     one of the key purposes; which suites it allows: chainnode.model.keys.suites_for
    public_key  hex
    kdf         {"name": "scrypt", "n", "r": 8, "p": 1, "salt": 16 bytes in hex}     RFC 7914
    cipher      {"name": "aes-256-gcm", "nonce": 12 bytes in hex}                    NIST SP 800-38D
    ciphertext  hex of the encrypted private key and its 16-byte tag
    checksum    hex of SHA-256 over the compact JSON, keys sorted, of all other fields

The associated data of the encryption are the line `chainnode key file` (with its line feed) and the compact JSON, keys sorted, of all fields
but `ciphertext` and `checksum`: nobody without the passphrase can give a key another name, purpose or public key.
The checksum tells a damaged file from a wrong passphrase; it protects against accidents only.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chainnode.keystore.passphrase import check_passphrase
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.keys import KeyPurpose, check_suite_of_purpose
from chainnode.model.suites import key_suite_named

VERSION: Final = 1

SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12

SCRYPT_N: Final = 1 << 15
"""Default cost: 32 MiB and about 60 ms a guess (OWASP names 2^17 for p = 1 on servers that only log in)."""

MIN_SCRYPT_N: Final = 1 << 10
"""Least cost accepted, 1 MiB: for tests and for development networks."""

MAX_SCRYPT_N: Final = 1 << 18
"""Greatest cost accepted, 256 MiB: a file from outside must not exhaust memory."""

_SCRYPT_R = 8
_SCRYPT_P = 1

MAX_KEY_FILE_BYTES: Final = 4096
"""A key file has about 800 bytes."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TAG_BYTES = 16
_DOMAIN = b"chainnode key file\n"

_Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be known of a key without its passphrase."""

    name: str
    """Unique in its directory."""

    suite: str
    """Name of the crypto suite."""

    purpose: KeyPurpose
    """The one thing that it signs."""

    public_key: bytes
    """Encoded as the suite says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A sealed private key."""

    info: KeyInfo
    """What is readable, and authenticated once the passphrase is given."""

    scrypt_n: int
    """Cost parameter, a power of two from `MIN_SCRYPT_N` to `MAX_SCRYPT_N`."""

    salt: bytes
    """16 random bytes."""

    nonce: bytes
    """12 random bytes."""

    ciphertext: bytes
    """The encrypted private key and its tag."""


def check_key_name(name: str) -> None:
    """Check that `name` may name a key, and with it a file.

    Raises:
        Refused: with code `bad_name`.
    """
    if _NAME.fullmatch(name) is None:
        raise Refused(
            f"{name!r} cannot name a key: a lower-case letter or digit, then up to 63 of a-z 0-9 . _ -",
            code="bad_name",
            field="name",
        )


def seal(
    info: KeyInfo,
    private_key: bytes,
    passphrase: bytes,
    *,
    scrypt_n: int,
    salt: bytes,
    nonce: bytes,
) -> KeyFile:
    """Return the private key sealed under the passphrase.

    `salt` and `nonce` must be fresh: their repetition under one passphrase would break the encryption.

    Raises:
        Refused: if the passphrase is empty or too long.
    """
    check_passphrase(passphrase)
    header = _header(info, scrypt_n, salt, nonce)
    ciphertext = _cipher(passphrase, scrypt_n, salt).encrypt(
        nonce, private_key, _DOMAIN + _compact(header)
    )
    return KeyFile(info=info, scrypt_n=scrypt_n, salt=salt, nonce=nonce, ciphertext=ciphertext)


def unseal(key_file: KeyFile, passphrase: bytes) -> bytes:
    """Return the private key.

    Raises:
        Refused: with code `wrong_passphrase`.
        DecodeError: if what was sealed is not the private key of the file's public key.
    """
    header = _header(key_file.info, key_file.scrypt_n, key_file.salt, key_file.nonce)
    try:
        private_key = _cipher(passphrase, key_file.scrypt_n, key_file.salt).decrypt(
            key_file.nonce, key_file.ciphertext, _DOMAIN + _compact(header)
        )
    except InvalidTag as error:
        raise Refused(
            f"wrong passphrase for key {key_file.info.name} (or its file was altered on purpose)",
            code="wrong_passphrase",
            field="passphrase",
        ) from error
    suite = key_suite_named(key_file.info.suite)
    if (
        not suite.is_private_key(private_key)
        or suite.public_key_of(private_key) != key_file.info.public_key
    ):
        raise DecodeError(
            f"key {key_file.info.name} does not fit its public key", field="public_key"
        )
    return private_key


def encode_key_file(key_file: KeyFile) -> bytes:
    """Return the file's bytes."""
    fields = _header(key_file.info, key_file.scrypt_n, key_file.salt, key_file.nonce)
    fields["ciphertext"] = key_file.ciphertext.hex()
    fields["checksum"] = _checksum(fields)
    return json.dumps(fields, indent=2).encode() + b"\n"


def decode_key_file(data: bytes) -> KeyFile:
    """Return the sealed key in the bytes of a file.

    Raises:
        DecodeError: whatever is wrong with them.
    """
    if len(data) > MAX_KEY_FILE_BYTES:
        raise DecodeError(f"a key file has at most {MAX_KEY_FILE_BYTES} bytes, not {len(data)}")
    try:
        fields = json.loads(data, object_pairs_hook=_object)
        if not isinstance(fields, dict) or fields.get("version") != VERSION:
            raise DecodeError(f"not a key file of version {VERSION}", field="version")
        checksum = fields.pop("checksum", None)
        if checksum != _checksum(fields):
            raise DecodeError("damaged key file: its checksum does not match", field="checksum")
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not a key file: {error}") from error
    kdf, cipher = fields.get("kdf"), fields.get("cipher")
    if not isinstance(kdf, dict) or not isinstance(cipher, dict):
        raise DecodeError("kdf and cipher of a key file are objects", field="kdf")
    key_file = KeyFile(
        info=_info(fields),
        scrypt_n=_scrypt_n(kdf),
        salt=_hex(kdf, "salt", SALT_BYTES),
        nonce=_hex(cipher, "nonce", NONCE_BYTES),
        ciphertext=_hex(fields, "ciphertext"),
    )
    expected = _header(key_file.info, key_file.scrypt_n, key_file.salt, key_file.nonce)
    expected["ciphertext"] = key_file.ciphertext.hex()
    if _compact(fields) != _compact(expected):
        raise DecodeError("the key file has fields or values that version 1 does not know")
    private_key_bytes = key_suite_named(key_file.info.suite).private_key_bytes
    if len(key_file.ciphertext) != private_key_bytes + _TAG_BYTES:
        raise DecodeError("the ciphertext is not that of a private key", field="ciphertext")
    return key_file


def _header(info: KeyInfo, scrypt_n: int, salt: bytes, nonce: bytes) -> _Json:
    return {
        "version": VERSION,
        "name": info.name,
        "suite": info.suite,
        "purpose": str(info.purpose),
        "public_key": info.public_key.hex(),
        "kdf": {
            "name": "scrypt",
            "n": scrypt_n,
            "r": _SCRYPT_R,
            "p": _SCRYPT_P,
            "salt": salt.hex(),
        },
        "cipher": {"name": "aes-256-gcm", "nonce": nonce.hex()},
    }


def _cipher(passphrase: bytes, scrypt_n: int, salt: bytes) -> AESGCM:
    kdf = Scrypt(salt=salt, length=32, n=scrypt_n, r=_SCRYPT_R, p=_SCRYPT_P)
    return AESGCM(kdf.derive(passphrase))


def _compact(fields: _Json) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _checksum(fields: _Json) -> str:
    return hashlib.sha256(_compact(fields)).hexdigest()


def _object(pairs: list[tuple[str, object]]) -> _Json:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _info(fields: _Json) -> KeyInfo:
    name, suite_name, purpose = fields.get("name"), fields.get("suite"), fields.get("purpose")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise DecodeError(f"{name!r} cannot name a key", field="name")
    if not isinstance(purpose, str) or purpose not in set(KeyPurpose):
        raise DecodeError(f"unknown key purpose {purpose!r}", field="purpose")
    try:
        suite = key_suite_named(str(suite_name))
        check_suite_of_purpose(suite.name, KeyPurpose(purpose))
    except Refused as error:
        raise DecodeError(error.message, field="suite") from error
    public_key = _hex(fields, "public_key", suite.public_key_bytes)
    if not suite.is_public_key(public_key):
        raise DecodeError(f"not a public key of {suite.name}", field="public_key")
    return KeyInfo(name=name, suite=suite.name, purpose=KeyPurpose(purpose), public_key=public_key)


def _scrypt_n(kdf: _Json) -> int:
    n = kdf.get("n")
    if type(n) is not int or not MIN_SCRYPT_N <= n <= MAX_SCRYPT_N or n & (n - 1):
        raise DecodeError(
            f"scrypt n must be a power of two from {MIN_SCRYPT_N} to {MAX_SCRYPT_N}, not {n!r}",
            field="kdf",
        )
    return n


def _hex(fields: _Json, field: str, size_bytes: int | None = None) -> bytes:
    text = fields.get(field)
    try:
        value = bytes.fromhex(text if isinstance(text, str) else "not hex")
    except ValueError as error:
        raise DecodeError(f"{field} is not hex", field=field) from error
    if size_bytes is not None and len(value) != size_bytes:
        raise DecodeError(f"{field} has {len(value)} bytes, not {size_bytes}", field=field)
    return value
