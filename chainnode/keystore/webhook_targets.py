"""Whom the gateway may tell of decisions: names, URLs and the secrets that sign. Only the operator writes this file.

    {"version": 1, "targets": [{"name": "licences", "url": "https://licences.example/hook", "secret": "<32 characters or more>"}]}

A request can name a target and nothing else, so it cannot make the node call anybody whom the operator has not chosen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chainnode.keystore.files import read_secret_file
from chainnode.model.errors import DecodeError
from chainnode.model.ids import check_name

if TYPE_CHECKING:
    from pathlib import Path

MAX_TARGETS: Final = 100
MAX_FILE_BYTES: Final = 256 * 1024
MAX_URL_CHARACTERS: Final = 1_024
MIN_SECRET_CHARACTERS: Final = 32
MAX_SECRET_CHARACTERS: Final = 256
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target."""

    name: str
    url: str
    """`https://`, or `http://` where the operator trusts the way there."""

    secret: bytes = field(repr=False)
    """Key of the HMAC."""


def decode_targets(data: bytes) -> tuple[Target, ...]:
    """Read the file's text.

    Raises:
        DecodeError: not the text of such a file, or two targets of one name.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(f"not JSON: {error}") from error
    if not isinstance(value, dict) or set(value) != {"version", "targets"}:
        raise _bad("expected an object with version and targets")
    listed = value["targets"]
    if type(value["version"]) is not int or value["version"] != _VERSION:
        raise _bad(f"expected version {_VERSION}")
    if not isinstance(listed, list) or len(listed) > MAX_TARGETS:
        raise _bad(f"expected at most {MAX_TARGETS} targets")
    targets = tuple(_target(one) for one in listed)
    if len({target.name for target in targets}) != len(targets):
        raise _bad("a name is there twice")
    return targets


def read_targets(path: Path) -> tuple[Target, ...]:
    """Return the targets in a file.

    Raises:
        NotFound: there is no such file.
        Refused: others can open it, or it is too large.
        DecodeError: it is malformed.
        ChainError: with code `file_error`.
    """
    try:
        return decode_targets(read_secret_file(path, max_bytes=MAX_FILE_BYTES))
    except DecodeError as error:
        raise DecodeError(f"{path}: {error.message}", code=error.error_code) from error


def _target(value: object) -> Target:
    if not isinstance(value, dict) or set(value) != {"name", "url", "secret"}:
        raise _bad("a target's fields are name, url and secret")
    name, url, secret = value["name"], value["url"], value["secret"]
    if not (isinstance(name, str) and isinstance(url, str) and isinstance(secret, str)):
        raise _bad("name, url and secret are strings")
    check_name(name, "name")
    if not _is_url(url):
        raise _bad(f"{name}: url: expected one like https://host/path")
    if not (MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_CHARACTERS and secret.isascii()):
        raise _bad(f"{name}: secret: expected {MIN_SECRET_CHARACTERS} ASCII characters or more")
    return Target(name=name, url=url, secret=secret.encode())


def _is_url(url: str) -> bool:
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _bad(found: str) -> DecodeError:
    return DecodeError(f"webhook targets: {found}", code="bad_targets", field="targets")
