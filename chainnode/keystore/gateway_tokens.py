"""Tokens of the gateway: how a system without a key shows who it is. Only their hashes are kept.

    {"version": 1, "tokens": [{"name": "licences", "sha256": "<hex>", "per_minute": 60000, "created_ms": 1760000000000}]}

A token is `cng_` and 43 characters of base64url, 256 random bits; so a plain hash of it cannot be guessed backwards.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import read_secret_file
from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.errors import DecodeError, NotFound, Refused
from chainnode.model.ids import check_name

if TYPE_CHECKING:
    from pathlib import Path

PREFIX: Final = "cng_"
"""Lets scanners of leaked secrets find one."""

TOKEN_BYTES: Final = 32
MAX_TOKENS: Final = 1_000
MAX_FILE_BYTES: Final = 512 * 1024
MAX_PER_MINUTE: Final = 10_000_000
DEFAULT_PER_MINUTE: Final = 60_000
_FIELDS: Final = ("name", "sha256", "per_minute", "created_ms")
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token."""

    name: str
    """Of the system that has it."""

    sha256: bytes
    """Of the token's text."""

    per_minute: int
    """How many requests it may make in a minute."""

    created_ms: int


def fresh_token() -> str:
    """Return a new token's text."""
    return PREFIX + base64.urlsafe_b64encode(fresh_bytes(TOKEN_BYTES)).decode().rstrip("=")


def hash_of(text: str) -> bytes:
    """Return what is kept of a token's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def encode_tokens(tokens: tuple[Token, ...]) -> bytes:
    """Return the file's text."""
    values = [
        {
            "name": token.name,
            "sha256": token.sha256.hex(),
            "per_minute": token.per_minute,
            "created_ms": token.created_ms,
        }
        for token in tokens
    ]
    return json.dumps({"version": _VERSION, "tokens": values}, indent=1).encode() + b"\n"


def decode_tokens(data: bytes) -> tuple[Token, ...]:
    """Read the file's text.

    Raises:
        DecodeError: not the text of such a file, or two tokens of one name or hash.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(f"not JSON: {error}") from error
    if not isinstance(value, dict) or set(value) != {"version", "tokens"}:
        raise _bad("expected an object with version and tokens")
    listed = value["tokens"]
    if type(value["version"]) is not int or value["version"] != _VERSION:
        raise _bad(f"expected version {_VERSION}")
    if not isinstance(listed, list) or len(listed) > MAX_TOKENS:
        raise _bad(f"expected at most {MAX_TOKENS} tokens")
    tokens = tuple(_token(one) for one in listed)
    if len({token.name for token in tokens} | {token.sha256 for token in tokens}) != 2 * len(
        tokens
    ):
        raise _bad("a name or a hash is there twice")
    return tokens


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Return the tokens in a file; none if there is no file.

    Raises:
        Refused: others can open the file, or it is too large.
        DecodeError: it is malformed.
        ChainError: with code `file_error`.
    """
    try:
        data = read_secret_file(path, max_bytes=MAX_FILE_BYTES)
    except NotFound:
        return ()
    try:
        return decode_tokens(data)
    except DecodeError as error:
        raise DecodeError(f"{path}: {error.message}", code=error.error_code) from error


def with_token(tokens: tuple[Token, ...], new: Token) -> tuple[Token, ...]:
    """Return the tokens with one more. Raises Refused: `exists`, or `too_many`."""
    if any(token.name == new.name for token in tokens):
        raise Refused(
            f"there is a token {new.name}; revoke it first, or choose another name",
            code="exists",
            field="name",
        )
    if len(tokens) >= MAX_TOKENS:
        raise Refused(f"there are {MAX_TOKENS} tokens, the most allowed", code="too_many")
    return (*tokens, new)


def _token(value: object) -> Token:
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise _bad(f"a token's fields are {', '.join(_FIELDS)}")
    name, sha256 = value["name"], value["sha256"]
    if not isinstance(name, str) or not isinstance(sha256, str):
        raise _bad("name and sha256 are strings")
    check_name(name, "name")
    try:
        digest = bytes.fromhex(sha256)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise _bad("sha256 has 64 hex digits")
    return Token(
        name=name,
        sha256=digest,
        per_minute=_integer(value["per_minute"], "per_minute", 1, MAX_PER_MINUTE),
        created_ms=_integer(value["created_ms"], "created_ms", 0, 2**53),
    )


def _integer(value: object, what: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _bad(f"{what}: expected an integer from {least} to {most}")
    return value


def _bad(found: str) -> DecodeError:
    return DecodeError(f"tokens: {found}", code="bad_tokens", field="tokens")
