"""The manifest: every file of a folder that is notarized, with its digests, its record and its proof.

Two files: `chainnode-manifest.json` with everything, one line for each file, and `chainnode-manifest.sha256`, which
`sha256sum -c` reads. Both are made anew as a whole, and the same entries give the same bytes. docs/formats/folder.md
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from chainnode.model.commitment import Digest, parse_digests
from chainnode.model.errors import DecodeError
from cli.folder.names import proof_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.output import Json

FORMAT: Final = "chainnode-manifest/v1"

MAX_MANIFEST_BYTES: Final = 2 * 1024 * 1024 * 1024
"""A million files with long paths take some 700 MiB."""

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_ENTRY_NAMES: Final = (
    "path",
    "path_hex",
    "size",
    "mtime_ns",
    "digests",
    "account",
    "tx_id",
    "item",
    "index",
    "height",
    "time_ms",
    "not_before_ms",
    "not_after_ms",
    "proof",
)
_INTEGERS: Final = (
    "size",
    "mtime_ns",
    "item",
    "index",
    "height",
    "time_ms",
    "not_before_ms",
    "not_after_ms",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file that is notarized."""

    path: str
    """From the folder on; bytes that are not UTF-8 as Python's surrogate escapes."""

    size: int
    mtime_ns: int
    """When it was changed last, as of when it was hashed; nanoseconds UTC."""

    digests: tuple[Digest, ...]
    account: str
    """Who registered it."""

    tx_id: bytes
    item: int
    """Which document of that transaction's list, from 0."""

    index: int
    """Log index of its record."""

    height: int
    time_ms: int
    """Of that block."""

    not_before_ms: int
    not_after_ms: int

    @property
    def proof(self) -> str:
        """Path of its proof, from the folder of the proofs on."""
        return proof_name(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of one folder, notarized on one chain."""

    chain_id: str
    genesis_hash: bytes
    entries: tuple[Entry, ...]
    """By the bytes of their paths, rising; none twice."""

    def encode(self) -> bytes:
        """Return the text of `chainnode-manifest.json`."""
        size_bytes = sum(entry.size for entry in self.entries)
        head = (
            f'"format": {_json(FORMAT)},\n'
            f'"chain_id": {_json(self.chain_id)},\n'
            f'"genesis_hash": {_json(self.genesis_hash.hex())},\n'
            f'"count": {len(self.entries)},\n'
            f'"size_bytes": {size_bytes},\n'
        )
        lines = ",\n".join(_json(_entry_value(entry)) for entry in self.entries)
        return f'{{\n{head}"files": [\n{lines}\n]\n}}\n'.encode()

    def sums(self) -> bytes:
        """Return the text of `chainnode-manifest.sha256`."""
        head = (
            f"# {FORMAT}: {len(self.entries)} files notarized on {self.chain_id}\n"
            "# check the files: in their folder, sha256sum -c this-file\n"
            f"# check the proofs: chainnode verify FOLDER --manifest .../chainnode-manifest.json --policy POLICY\n"
        ).encode()
        return head + b"".join(
            _sum_line(digest.value, entry.path)
            for entry in self.entries
            for digest in entry.digests
            if digest.algorithm == "sha256"
        )


def make_manifest(chain_id: str, genesis_hash: bytes, entries: Iterable[Entry]) -> Manifest:
    """Return the manifest of these entries, in any order."""
    return Manifest(
        chain_id=chain_id,
        genesis_hash=genesis_hash,
        entries=tuple(sorted(entries, key=lambda entry: os.fsencode(entry.path))),
    )


def decode_manifest(data: bytes) -> Manifest:
    """Read a `chainnode-manifest.json`; what it says is not checked.

    Raises:
        DecodeError: not the one text of any manifest.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(f"not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _bad(f"its format is not {FORMAT}")
    files, chain_id, genesis_hash = (
        value.get("files"),
        value.get("chain_id"),
        value.get("genesis_hash"),
    )
    if not isinstance(files, list) or not isinstance(chain_id, str):
        raise _bad("it names no chain or no files")
    manifest = Manifest(
        chain_id=chain_id,
        genesis_hash=_bytes(genesis_hash, "genesis_hash", 32),
        entries=tuple(_entry(file) for file in files),
    )
    try:
        is_canonical = manifest.encode() == data
    except UnicodeEncodeError:
        is_canonical = False
    if not is_canonical:
        raise _bad("it is not written as manifests are; it was edited, or damaged")
    paths = [os.fsencode(entry.path) for entry in manifest.entries]
    if any(low >= high for low, high in pairwise(paths)):
        raise _bad("its files are not in order, each once")
    return manifest


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entry_value(entry: Entry) -> dict[str, Json]:
    raw = os.fsencode(entry.path)
    shown = raw.decode("utf-8", "replace")
    is_text = shown.encode() == raw
    return {
        "path": shown,
        "path_hex": None if is_text else raw.hex(),
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "digests": {d.algorithm: d.value.hex() for d in entry.digests},
        "account": entry.account,
        "tx_id": entry.tx_id.hex(),
        "item": entry.item,
        "index": entry.index,
        "height": entry.height,
        "time_ms": entry.time_ms,
        "not_before_ms": entry.not_before_ms,
        "not_after_ms": entry.not_after_ms,
        "proof": proof_name(shown),
    }


def _entry(value: object) -> Entry:
    if not isinstance(value, dict) or tuple(value) != _ENTRY_NAMES:
        raise _bad("a file's fields are not those of a manifest")
    numbers = {name: _integer(value[name], name) for name in _INTEGERS}
    digests, account = value["digests"], value["account"]
    if not isinstance(digests, dict) or not isinstance(account, str):
        raise _bad("a file has no digests or no account")
    return Entry(
        path=_path(value["path"], value["path_hex"]),
        digests=parse_digests(
            tuple((name, _bytes(text, name[:40], None)) for name, text in digests.items())
        ),
        account=account,
        tx_id=_bytes(value["tx_id"], "tx_id", 32),
        **numbers,
    )


def _path(shown: object, raw: object) -> str:
    """Return a path that leads nowhere but below its folder."""
    if not isinstance(shown, str):
        raise _bad("a path is no string")
    try:
        encoded = shown.encode() if raw is None else _bytes(raw, "path_hex", None)
    except UnicodeEncodeError as error:
        raise _bad("a path holds half a surrogate pair") from error
    parts = encoded.split(b"/")
    if b"\0" in encoded or any(part in {b"", b".", b".."} for part in parts):
        raise _bad(f"the path {shown[:80]!r} does not lead below the folder")
    return os.fsdecode(encoded)


def _bytes(value: object, what: str, size: int | None) -> bytes:
    if (
        not isinstance(value, str)
        or not _HEX.fullmatch(value)
        or (size is not None and len(value) != 2 * size)
    ):
        raise _bad(f"{what} is no hex of the expected length")
    return bytes.fromhex(value)


def _integer(value: object, what: str) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _bad(f"{what} is no integer")
    return value


def _sum_line(digest: bytes, path: str) -> bytes:
    """Return a line of GNU sha256sum, which marks a name with escapes in it by a backslash at the beginning."""
    raw = os.fsencode(path)
    escaped = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"" if escaped == raw else b"\\"
    return mark + digest.hex().encode() + b"  " + escaped + b"\n"


def _bad(found: str) -> DecodeError:
    return DecodeError(f"manifest: {found}", code="bad_manifest", field="manifest")
